package store

import (
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
)

// Mentions asks for records that a tenant's log still has whole and that mention
// somebody: her id, or those of her devices.
type Mentions struct {
	Tenant string
	IDs    []string
	// Own asks the installation's chain, in which records of tenants stand from
	// before they had chains of their own.
	Own   bool
	After int64 // seq
	Limit int
}

// MentionsOf makes the question about a subject, from the beginning.
func (r *Reader) MentionsOf(s Subject) (Mentions, error) {
	devices, err := all(r.q, value[string], `select id from device where person = $1 and tenant = $2`, s.Person.ID, s.Tenant)
	return Mentions{Tenant: s.Tenant, IDs: append([]string{s.Person.ID}, devices...), Limit: 200}, err
}

// AuditMentions lists records in order. It reads all records of the tenant: it is
// for what happens seldom, and not for a transaction that writes.
func (r *Reader) AuditMentions(m Mentions) ([]audit.Record, error) {
	from := selectAuditRecord
	if m.Own {
		from = selectAudit
	}
	a := new(args)
	where := `where tenant = ` + a.add(m.Tenant) + ` and seq > ` + a.add(m.After) + ` and payload <> '' and (`
	for i, id := range m.IDs {
		if i > 0 {
			where += ` or `
		}
		where += `payload like ` + a.add("%"+id+"%")
	}
	return all(r.q, scanRecord, from+where+`) order by seq limit `+a.add(m.Limit), a.list...)
}

// IsAbout reports whether an event is about somebody or her devices alone, and so of
// no use once she is forgotten. What she did to others is not: it is the proof of
// their rights.
func IsAbout(e audit.Event, ids []string) bool {
	for _, id := range ids {
		if id != "" && (e.Object.ID == id || e.Details["person"] == id || strings.HasSuffix(e.Object.Name, "person "+id)) {
			return true
		}
		if e.Actor.ID == id && (e.Actor.Kind == string(provisioner.RoleStaff) || e.Object == (audit.Object{})) {
			return true
		}
	}
	return false
}

// ShortenAudit has records kept no longer than security events are, and erases
// those that are older than that at once. Their chain still verifies.
func (w *Writer) ShortenAudit(m Mentions, seqs []int64, before time.Time) error {
	if len(seqs) == 0 {
		return nil
	}
	table := "audit_record"
	if m.Own {
		table = "audit"
	}
	for _, set := range []string{`class = '` + string(audit.ClassSecurity) + `'`, `payload = '', salt = ''`} {
		a := new(args)
		where := ` where tenant = ` + a.add(m.Tenant) + ` and seq in (`
		for i, seq := range seqs {
			if i > 0 {
				where += `, `
			}
			where += a.add(seq)
		}
		where += `)`
		if strings.HasPrefix(set, "payload") {
			where += ` and at < ` + a.add(ms(before))
		}
		if err := run(w.q, `update `+table+` set `+set+where, a.list...); err != nil {
			return err
		}
	}
	return nil
}

// ShortenMentions does that with all records about a subject that come after the
// one that m names: with a few, or where nobody waits.
func (w *Writer) ShortenMentions(m Mentions, before time.Time) error {
	for {
		records, err := w.AuditMentions(m)
		if err != nil || len(records) == 0 {
			return err
		}
		seqs, err := About(records, m.IDs)
		if err != nil {
			return err
		}
		if err := w.ShortenAudit(m, seqs, before); err != nil {
			return err
		}
		m.After = records[len(records)-1].Seq
	}
}

// About picks the numbers of those records that are about somebody alone.
func About(records []audit.Record, ids []string) ([]int64, error) {
	var seqs []int64
	for _, r := range records {
		e, err := r.Event()
		if err != nil {
			return nil, err
		}
		if IsAbout(e, ids) {
			seqs = append(seqs, r.Seq)
		}
	}
	return seqs, nil
}
