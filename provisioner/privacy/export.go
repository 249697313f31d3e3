package privacy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Section is what one table keeps of somebody, in the asking person's language.
type Section struct {
	Table                       string
	What, Why, Until, Seen, End string
	Rows                        [][]store.Cell
}

// rowsAtOnce is how many rows a section that is handed out has at most; more
// come in further ones of the same table.
const rowsAtOnce = 200

// ExportRequest asks for everything that is kept of one person (Art. 15 GDPR).
type ExportRequest struct {
	Person string // empty: the actor
	Tenant string // may be empty where only one is possible
	Reason string // recorded; nobody needs one for what is his own
}

// Export hands out everything that a tenant keeps of a person, section by section.
// Staff may have their own. Secrets with which somebody could sign in, and the names
// of those who looked, are left out. The export is recorded.
func (s *Service) Export(ctx context.Context, actor provisioner.Actor, r ExportRequest, begin func(store.FoundPerson) error, give func(Section) error) error {
	const action = provisioner.ActionExportPerson
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return refusal
	}
	id := self(actor, r.Person)
	reason := audit.CleanReason(r.Reason)
	if reason == "" && id != actor.ID {
		return provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	var found store.FoundPerson
	err := s.Store.Update(ctx, func(tx *store.Writer) (err error) {
		if found, err = find(&tx.Reader, actor, action, id, r.Tenant); err != nil {
			return err
		}
		return tx.Audit(store.Event{Actor: actor, Tenant: found.Tenant, Action: string(action), Object: object(found), Reason: reason})
	})
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	if err := begin(found); err != nil {
		return err
	}
	subject := subjectOf(found)
	for _, p := range store.PersonalTables() {
		if p.Whose == "" {
			continue
		}
		rows, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([][]store.Cell, error) { return tx.PersonalRows(p, subject) })
		if err != nil {
			return fmt.Errorf("reading %s of a person: %w", p.Table, err)
		}
		for part := range slices.Chunk(rows, rowsAtOnce) {
			if err := give(sectionOf(p.Table, actor.Language, part)); err != nil {
				return err
			}
		}
	}
	return s.exportAudit(ctx, actor.Language, subject, give)
}

func sectionOf(table, language string, rows [][]store.Cell) Section {
	k := Keepings()[table]
	return Section{
		Table: table, What: k.What.In(language), Why: k.Why.In(language), Until: k.Until.In(language), Seen: k.Seen.In(language), End: k.End.In(language), Rows: rows,
	}
}

// exportAudit hands out the records of the audit log that mention somebody.
func (s *Service) exportAudit(ctx context.Context, language string, subject store.Subject, give func(Section) error) error {
	m, err := store.Read(ctx, s.Store, func(tx *store.Reader) (store.Mentions, error) { return tx.MentionsOf(subject) })
	if err != nil {
		return fmt.Errorf("asking the audit log: %w", err)
	}
	for _, table := range []string{"audit", "audit_record"} {
		m.Own, m.After = table == "audit", 0
		for {
			records, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]audit.Record, error) { return tx.AuditMentions(m) })
			if err != nil {
				return fmt.Errorf("reading the audit log: %w", err)
			}
			if len(records) == 0 {
				break
			}
			rows := make([][]store.Cell, len(records))
			for i, r := range records {
				e, err := r.Event()
				if err != nil {
					return err
				}
				rows[i] = eventRow(e, m.IDs)
			}
			if err := give(sectionOf(table, language, rows)); err != nil {
				return err
			}
			m.After = records[len(records)-1].Seq
		}
	}
	return nil
}

// eventRow shows an event to the person. Of somebody else who acted she is told the
// role, and of the address where it was done only her own: who looks in the name of
// the administration has rights too.
func eventRow(e audit.Event, ids []string) []store.Cell {
	row := []store.Cell{{Column: "at", Value: e.At.Format(time.RFC3339)}, {Column: "role", Value: e.Actor.Kind}}
	if slices.Contains(ids, e.Actor.ID) {
		row = append(row, store.Cell{Column: "actor", Value: e.Actor.Name}, store.Cell{Column: "source", Value: e.Source})
	}
	row = append(row, store.Cell{Column: "action", Value: e.Action})
	if store.IsAbout(e, ids) { // else it is somebody else's name
		row = append(row, store.Cell{Column: "object", Value: strings.TrimSpace(e.Object.Kind + " " + e.Object.Name)}, store.Cell{Column: "reason", Value: e.Reason})
		for _, name := range slices.Sorted(maps.Keys(e.Details)) {
			if name != "proposed by" {
				row = append(row, store.Cell{Column: name, Value: e.Details[name]})
			}
		}
	}
	return append(row, store.Cell{Column: "result", Value: e.Result})
}
