package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

type directoryMigrateCommand struct {
	Map       string `placeholder:"FILE" xor:"what" help:"${directory_migrate_map}"`
	Show      string `placeholder:"HASH" xor:"what" help:"${directory_migrate_show}"`
	Confirm   string `placeholder:"HASH" xor:"what" help:"${directory_migrate_confirm}"`
	Directory string `placeholder:"NAME" help:"${directory_migrate_directory}"`
	DryRun    bool   `help:"${directory_migrate_dry_run}"`
	Reason    string `placeholder:"TEXT" help:"${directory_migrate_reason}"`
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
	if c.Directory == "" {
		return usageError{words{"zu --map gehört --directory NAME", "--map needs --directory NAME"}.in(a.language), migrateName}
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
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.dir.ProposeIdentities(ctx, &heimdrahtv1.ProposeIdentitiesRequest{Directory: c.Directory, Lines: lines, Reason: c.Reason, DryRun: c.DryRun})
		if err != nil {
			return err
		}
		if len(r.GetProblems()) > 0 {
			return a.mapInvalid(c.Map, r.GetProblems())
		}
		return a.showProposal(r.GetProposal())
	})
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
			s += fmt.Sprintf("%s:%d: %s", file, p.GetLine(), in(whyNotCarried(p)))
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
	default: // of a newer server
		return words{p.GetCode(), p.GetCode()}
	}
}

func (a *app) showProposal(p *heimdrahtv1.IdentityProposal) error {
	switch a.form {
	case formJSON:
		return a.json(orderedObject{
			{"hash", p.GetHash()}, {"directory", p.GetDirectory()}, {"reason", p.GetReason()}, {"proposed_by", p.GetProposedBy()},
			{"proposed_at", forPrograms(timeOf(p.GetProposedAt()))}, {"expires_at", forPrograms(timeOf(p.GetExpiresAt()))},
			{"total", p.GetTotal()}, {"people", objects(carriedColumns(), p.GetPeople())},
		})
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
