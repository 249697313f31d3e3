package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

type directoryMigrateCommand struct {
	Map       string `placeholder:"FILE" xor:"what" help:"${directory_migrate_map}"`
	Show      string `placeholder:"HASH" xor:"what" help:"${directory_migrate_show}"`
	Confirm   string `placeholder:"HASH" xor:"what" help:"${directory_migrate_confirm}"`
	Directory string `placeholder:"NAME" xor:"where" help:"${directory_migrate_directory}"`

	ToDirectory  string   `placeholder:"NAME" xor:"where" help:"${directory_migrate_to}"`
	Tenant       string   `placeholder:"NAME" help:"${directory_migrate_tenant}"`
	File         []string `short:"f" sep:"none" placeholder:"FILE" help:"${directory_migrate_file}"`
	UnmappedGone bool     `help:"${directory_migrate_unmapped_gone}"`

	DryRun bool   `help:"${directory_migrate_dry_run}"`
	Reason string `placeholder:"TEXT" help:"${directory_migrate_reason}"`
}

const migrateName = "heimdraht directory migrate"

// Run proposes other stable ids, shows a proposal or confirms one.
func (c *directoryMigrateCommand) Run(ctx context.Context, a *app) error {
	switch {
	case c.Map != "":
		return c.propose(ctx, a)
	case c.Show != "":
		return a.withClient(ctx, func(ctx context.Context, k *client) error {
			r, err := k.dir.GetIdentities(ctx, &heimdrahtv1.GetIdentitiesRequest{Hash: c.Show})
			if err != nil {
				return err
			}
			return a.showProposal(r.GetProposal())
		})
	case c.Confirm != "":
		return c.confirm(ctx, a)
	default:
		return usageError{words{"was? Nennen Sie --map DATEI, --show oder --confirm", "what? Name --map FILE, --show or --confirm"}.in(a.language), migrateName}
	}
}

func (c *directoryMigrateCommand) propose(ctx context.Context, a *app) error {
	if err := c.misused(a); err != nil {
		return err
	}
	if !c.DryRun {
		if _, err := (because{c.Reason}).reason(a, migrateName); err != nil {
			return err
		}
	}
	f, err := os.Open(c.Map)
	if err != nil {
		return unreadable(c.Map, err)
	}
	defer f.Close()
	lines, err := readIdentityMap(c.Map, f)
	if err != nil {
		return err
	}
	request := &heimdrahtv1.ProposeIdentitiesRequest{
		Directory: c.Directory, Lines: lines, Reason: c.Reason, DryRun: c.DryRun,
		Tenant: c.Tenant, ToDirectory: c.ToDirectory, UnmappedGone: c.UnmappedGone,
	}
	if len(c.File) > 0 {
		if request.Declared, err = c.declared(a); err != nil {
			return err
		}
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.dir.ProposeIdentities(ctx, request)
		if err != nil {
			return err
		}
		if len(r.GetProblems()) > 0 {
			return a.mapInvalid(c.Map, r.GetProblems())
		}
		return a.showProposal(r.GetProposal())
	})
}

// misused says which flags go together.
func (c *directoryMigrateCommand) misused(a *app) error {
	moves := c.Tenant != "" || len(c.File) > 0 || c.UnmappedGone
	switch {
	case c.Directory == "" && c.ToDirectory == "":
		return usageError{words{"zu --map gehört --directory NAME oder --to-directory NAME", "--map needs --directory NAME or --to-directory NAME"}.in(a.language), migrateName}
	case c.ToDirectory != "" && c.Tenant == "":
		return usageError{words{"zu --to-directory gehört --tenant NAME", "--to-directory needs --tenant NAME"}.in(a.language), migrateName}
	case c.ToDirectory == "" && moves:
		return usageError{words{"--tenant, -f und --unmapped-gone gehören zu --to-directory", "--tenant, -f and --unmapped-gone go with --to-directory"}.in(a.language), migrateName}
	}
	return nil
}

// declared reads the tenant as it is to be.
func (c *directoryMigrateCommand) declared(a *app) (*heimdrahtv1.TenantDeclaration, error) {
	declared, err := loadDeclaration(c.File...)
	if err != nil {
		return nil, err
	}
	for _, t := range declared.Tenants {
		if t.Name == c.Tenant {
			return tenantOf(t), nil
		}
	}
	return nil, usageError{words{"die Verwaltung " + c.Tenant + " steht nicht in " + strings.Join(c.File, ", "), "the tenant " + c.Tenant + " is not in " + strings.Join(c.File, ", ")}.in(a.language), migrateName}
}

// mapInvalid names the lines that cannot be.
func (a *app) mapInvalid(file string, problems []*heimdrahtv1.IdentityProblem) error {
	const shown = 20 // beyond this many a person corrects and tries again anyway
	text := func(in func(words) string) (s string) {
		for i, p := range problems {
			if i == shown {
				return s + fmt.Sprintf(in(words{"\nund %d weitere", "\nand %d more"}), len(problems)-shown)
			}
			if i > 0 {
				s += "\n"
			}
			where := file
			if p.GetLine() > 0 {
				where = fmt.Sprintf("%s:%d", file, p.GetLine())
			}
			s += where + ": " + in(whyNotCarried(p))
		}
		return s
	}
	return &control.Problem{
		Code:    codeFileInvalid,
		German:  control.Text{Sentence: text(func(w words) string { return w.de }), Next: "Berichtigen Sie die Datei. Es wurde nichts vorgeschlagen."},
		English: control.Text{Sentence: text(func(w words) string { return w.en }), Next: "Correct the file. Nothing was proposed."},
	}
}

func whyNotCarried(p *heimdrahtv1.IdentityProblem) words {
	switch p.GetCode() {
	case "empty":
		return words{"ein Kennzeichen fehlt", "an id is missing"}
	case "same":
		return words{"beide Kennzeichen sind gleich", "both ids are the same"}
	case "twice":
		return words{fmt.Sprintf("ein Kennzeichen steht schon in Zeile %d", p.GetAlso()), fmt.Sprintf("an id stands in line %d already", p.GetAlso())}
	case "unknown":
		return words{"niemand Ihrer Verwaltung ist unter dem alten Kennzeichen bekannt", "nobody of your tenants is known by the old id"}
	case "not-read":
		return words{"unter dem neuen Kennzeichen wurde noch niemand im Verzeichnis gelesen; der Zugang ginge verloren", "nobody has been read from the directory with the new id yet; access would be lost"}
	case "taken":
		return words{"das neue Kennzeichen gehört schon jemandem mit einem Laptop", "the new id belongs to somebody with a laptop already"}
	case "would-lose":
		return words{"unter dem neuen Kennzeichen sagt das Verzeichnis: kein Zugang", "under the new id the directory says: no access"}
	case "not-mapped":
		who := fmt.Sprintf("%s (%s, %s)", p.GetDisplayName(), p.GetLogin(), p.GetStableId())
		return words{"es fehlt " + who + " mit Laptop; ist der Mensch nicht mehr da: --unmapped-gone", "missing is " + who + ", who has a laptop; for people who have left: --unmapped-gone"}
	default: // of a newer server
		return words{p.GetCode(), p.GetCode()}
	}
}

func (a *app) showProposal(p *heimdrahtv1.IdentityProposal) error {
	switch a.form {
	case formJSON:
		object := orderedObject{
			{"hash", p.GetHash()}, {"directory", p.GetDirectory()}, {"reason", p.GetReason()}, {"proposed_by", p.GetProposedBy()},
			{"proposed_at", forPrograms(timeOf(p.GetProposedAt()))}, {"expires_at", forPrograms(timeOf(p.GetExpiresAt()))},
			{"total", p.GetTotal()}, {"people", objects(carriedColumns(), p.GetPeople())},
		}
		if p.GetTenant() != "" {
			object = append(object, pair{"tenant", p.GetTenant()}, pair{"to_directory", p.GetToDirectory()},
				pair{"changes", objects(differenceColumns(), p.GetChanges())},
				pair{"gone_total", p.GetGoneTotal()}, pair{"gone", objects(carriedColumns(), p.GetGone())})
		}
		return a.json(object)
	case formCSV:
		return writeCSV(a.out, carriedColumns(), p.GetPeople())
	}
	if err := list(a.printer, "people", carriedColumns(), p.GetPeople()); err != nil {
		return err
	}
	if more := int(p.GetTotal()) - len(p.GetPeople()); more > 0 {
		a.say(words{"und %d weitere", "and %d more"}, more)
	}
	other := 0
	for _, i := range p.GetPeople() {
		if i.GetNewLogin() != "" && !strings.EqualFold(i.GetNewLogin(), i.GetLogin()) {
			other++
		}
	}
	if other > 0 {
		a.say(words{"ACHTUNG: bei %s hat das Verzeichnis unter dem neuen Kennzeichen einen anderen Login. Ist es derselbe Mensch?",
			"LOOK: for %s the directory has another login with the new id. Is it the same person?"}, a.people(uint32(other)))
	}
	if err := a.showMove(p); err != nil {
		return err
	}
	a.say(words{})
	if p.GetHash() == "" {
		a.say(words{"Noch ist nichts vorgeschlagen (--dry-run).", "Nothing is proposed yet (--dry-run)."})
		return nil
	}
	a.say(words{"Vorgeschlagen von %s: %s", "Proposed by %s: %s"}, p.GetProposedBy(), p.GetReason())
	a.say(words{"Noch ist nichts geändert. Jemand anders bestätigt es bis %s:", "Nothing has changed yet. Somebody else confirms it by %s:"}, a.time(timeOf(p.GetExpiresAt())))
	a.say(words{`  heimdraht directory migrate --confirm %s --reason "..."`, `  heimdraht directory migrate --confirm %s --reason "..."`}, p.GetHash())
	return nil
}

// showMove tells what becomes of a tenant that goes on with another directory.
func (a *app) showMove(p *heimdrahtv1.IdentityProposal) error {
	if p.GetTenant() == "" {
		return nil
	}
	a.say(words{})
	a.say(words{"Verwaltung %s:", "Tenant %s:"}, p.GetTenant())
	for _, d := range p.GetChanges() {
		a.say(words{"  %s: %s -> %s", "  %s: %s -> %s"}, d.GetField(), orDash(d.GetBefore()), orDash(d.GetAfter()))
	}
	if p.GetGoneTotal() == 0 {
		return nil
	}
	a.say(words{})
	a.say(words{"ACHTUNG: nicht in der Datei; gilt danach als gelöscht und verliert den Zugang, wenn das nicht zu viele auf einmal sind (%s):",
		"LOOK: not in the file; counts as deleted afterwards and loses access, if these are not too many at once (%s):"}, a.people(p.GetGoneTotal()))
	gone := slices.DeleteFunc(carriedColumns(), func(c column[*heimdrahtv1.IdentityChange]) bool { return c.key == "to" || c.key == "new_login" })
	return list(a.printer, "gone", gone, p.GetGone())
}

func (c *directoryMigrateCommand) confirm(ctx context.Context, a *app) error {
	reason, err := because{c.Reason}.reason(a, migrateName)
	if err != nil {
		return err
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.dir.ConfirmIdentities(ctx, &heimdrahtv1.ConfirmIdentitiesRequest{Hash: c.Confirm, Reason: reason})
		if err != nil {
			return err
		}
		if a.form != formTable {
			return card(a.printer, []column[uint32]{{"people", words{}, func(n uint32) any { return int64(n) }}}, r.GetPeople())
		}
		a.say(words{"%s: unter dem neuen Kennzeichen weitergeführt. Laptops und Verbindungen bleiben.", "%s: carried over to the new id. Laptops and sessions stay."}, a.people(r.GetPeople()))
		return nil
	})
}

func carriedColumns() []column[*heimdrahtv1.IdentityChange] {
	return []column[*heimdrahtv1.IdentityChange]{
		{"name", words{"Name", "name"}, func(i *heimdrahtv1.IdentityChange) any { return i.GetDisplayName() }},
		{"login", words{"Login", "login"}, func(i *heimdrahtv1.IdentityChange) any { return i.GetLogin() }},
		{"from", words{"von", "from"}, func(i *heimdrahtv1.IdentityChange) any { return i.GetFrom() }},
		{"to", words{"nach", "to"}, func(i *heimdrahtv1.IdentityChange) any { return i.GetTo() }},
		{"new_login", words{"Login neu", "login now"}, func(i *heimdrahtv1.IdentityChange) any { return i.GetNewLogin() }},
		{"new_name", words{}, func(i *heimdrahtv1.IdentityChange) any { return i.GetNewName() }},
		{"person_id", words{}, func(i *heimdrahtv1.IdentityChange) any { return i.GetPersonId() }},
	}
}
