package main

import (
	"context"
	"fmt"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

type directoryCommands struct {
	Status  directoryStatusCommand  `cmd:"" help:"${directory_status}"`
	Pending directoryPendingCommand `cmd:"" help:"${directory_pending}"`
	Confirm directoryConfirmCommand `cmd:"" help:"${directory_confirm}"`
	Dismiss directoryDismissCommand `cmd:"" help:"${directory_dismiss}"`
	Test    directoryTestCommand    `cmd:"" help:"${directory_test}"`
	Migrate directoryMigrateCommand `cmd:"" help:"${directory_migrate}"`
}

type directoryStatusCommand struct{}

// Run shows how directories are followed.
func (directoryStatusCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.dir.Status(ctx, &heimdrahtv1.StatusRequest{})
		if err != nil {
			return err
		}
		if len(r.GetDirectories()) == 0 {
			a.hint(words{"Kein Verzeichnis ist eingetragen: heimdraht apply -f DATEI", "No directory is declared: heimdraht apply -f FILE"})
		}
		if err := list(a.printer, "directories", directoryColumns(), r.GetDirectories()); err != nil || a.form != formTable {
			return err
		}
		for _, d := range r.GetDirectories() {
			a.sayDirectory(d)
		}
		return nil
	})
}

// sayDirectory says what there is to know or to do about a directory, below the table.
func (a *app) sayDirectory(d *heimdrahtv1.DirectoryStatus) {
	t := d.GetTechnology()
	var lines []string
	add := func(w words, args ...any) { lines = append(lines, fmt.Sprintf(w.in(a.language), args...)) }
	switch d.GetState() {
	case heimdrahtv1.DirectoryState_DIRECTORY_STATE_DOWN:
		add(words{"Es ist nicht erreichbar. Niemand verliert dadurch eine Verbindung.", "It cannot be reached. Nobody loses a connection by that."})
	case heimdrahtv1.DirectoryState_DIRECTORY_STATE_SILENT:
		add(words{"Der Server, der es verfolgt, hat sich länger nicht gemeldet. Ein anderer übernimmt, oder der Betrieb muss nachsehen.",
			"The control plane that follows it has not been heard for a while. Another one takes over, or the operator has to look."})
	}
	if s := t.GetServer(); s != "" {
		add(words{"Server: %s (%s)", "Server: %s (%s)"}, s, t.GetFlavour())
	}
	if p := t.GetProblem(); p != "" {
		add(words{"Grund: %s", "Why: %s"}, p)
	}
	if s := t.GetAdvice(); s != "" {
		add(words{"Zu tun: %s", "Next: %s"}, s)
	}
	if s := t.GetLimited(); s != "" {
		add(words{"Nicht sofort bemerkt wird: %s", "Not noticed at once: %s"}, s)
	}
	for _, g := range d.GetMissingGroups() {
		add(words{"Diese Gruppe gibt es nicht, oder sie ist nicht zu lesen; niemandem wird deshalb etwas genommen: %s",
			"This group does not exist, or cannot be read; nothing is taken from anybody for that: %s"}, g)
	}
	if n := d.GetPending(); n > 0 {
		add(words{"Es wartet eine Entscheidung über %s: heimdraht directory pending", "A decision about %s is waiting: heimdraht directory pending"}, a.people(n))
	}
	if len(lines) == 0 {
		return
	}
	a.say(words{})
	a.say(words{"%s", "%s"}, d.GetDirectory())
	for _, l := range lines {
		a.say(words{"  %s", "  %s"}, l)
	}
}

// people counts them in words.
func (a *app) people(n uint32) string {
	if n == 1 {
		return words{"1 Person", "1 person"}.in(a.language)
	}
	return fmt.Sprintf(words{"%d Personen", "%d people"}.in(a.language), n)
}

func directoryColumns() []column[*heimdrahtv1.DirectoryStatus] {
	technology := func(key string, heading words, of func(*heimdrahtv1.DirectoryTechnology) string) column[*heimdrahtv1.DirectoryStatus] {
		return column[*heimdrahtv1.DirectoryStatus]{key, heading, func(d *heimdrahtv1.DirectoryStatus) any {
			if d.GetTechnology() == nil { // not for this caller
				return nil
			}
			return of(d.GetTechnology())
		}}
	}
	return []column[*heimdrahtv1.DirectoryStatus]{
		{"directory", words{"Verzeichnis", "directory"}, func(d *heimdrahtv1.DirectoryStatus) any { return d.GetDirectory() }},
		{"tenants", words{}, func(d *heimdrahtv1.DirectoryStatus) any { return d.GetTenants() }},
		{"state", words{"Zustand", "state"}, func(d *heimdrahtv1.DirectoryStatus) any { return directoryState(d) }},
		{"since", words{"seit", "since"}, func(d *heimdrahtv1.DirectoryStatus) any { return timeOf(d.GetSince()) }},
		technology("way", words{"wie", "how"}, (*heimdrahtv1.DirectoryTechnology).GetWay),
		technology("server", words{}, (*heimdrahtv1.DirectoryTechnology).GetServer),
		technology("flavour", words{}, (*heimdrahtv1.DirectoryTechnology).GetFlavour),
		{"people", words{"Personen", "people"}, func(d *heimdrahtv1.DirectoryStatus) any { return int64(d.GetPeople()) }},
		{"groups", words{"Gruppen", "groups"}, func(d *heimdrahtv1.DirectoryStatus) any { return int64(d.GetGroups()) }},
		{"heard", words{}, func(d *heimdrahtv1.DirectoryStatus) any { return timeOf(d.GetHeard()) }},
		{"changed", words{"letzte Änderung", "last change"}, func(d *heimdrahtv1.DirectoryStatus) any { return timeOf(d.GetChanged()) }},
		{"reconciled", words{"ganz gelesen", "last full read"}, func(d *heimdrahtv1.DirectoryStatus) any { return timeOf(d.GetReconciled()) }},
		{"pending", words{"wartend", "waiting"}, func(d *heimdrahtv1.DirectoryStatus) any { return int64(d.GetPending()) }},
		{"missing_groups", words{}, func(d *heimdrahtv1.DirectoryStatus) any { return d.GetMissingGroups() }},
		technology("limited", words{}, (*heimdrahtv1.DirectoryTechnology).GetLimited),
		technology("problem", words{}, (*heimdrahtv1.DirectoryTechnology).GetProblem),
		technology("advice", words{}, (*heimdrahtv1.DirectoryTechnology).GetAdvice),
	}
}

func directoryState(d *heimdrahtv1.DirectoryStatus) shown {
	switch d.GetState() {
	case heimdrahtv1.DirectoryState_DIRECTORY_STATE_WAITING:
		return shown{"waiting", words{"ungelesen", "not read yet"}}
	case heimdrahtv1.DirectoryState_DIRECTORY_STATE_READING:
		return shown{"reading", words{"wird gelesen", "being read"}}
	case heimdrahtv1.DirectoryState_DIRECTORY_STATE_FOLLOWING:
		return shown{"following", words{"aktuell", "up to date"}}
	case heimdrahtv1.DirectoryState_DIRECTORY_STATE_DOWN:
		return shown{"down", words{"nicht erreichbar", "out of reach"}}
	case heimdrahtv1.DirectoryState_DIRECTORY_STATE_SILENT:
		return shown{"silent", words{"ohne Nachricht", "no news"}}
	default: // of a newer server
		return shown{"unknown", words{"unbekannt", "unknown"}}
	}
}

// decision is a person's word on a list.
type decision struct {
	Hash   string `arg:"" name:"hash" help:"${directory_hash}"`
	Tenant string `required:"" placeholder:"NAME" help:"${directory_tenant}"`
	because
}

type directoryConfirmCommand struct{ decision }

// Run takes the access from everybody on a list.
func (c *directoryConfirmCommand) Run(ctx context.Context, a *app) error {
	return c.take(ctx, a, "confirm", words{"%s in %s haben keinen Zugang mehr.", "%s of %s have no access any more."}, words{"%s in %s hat keinen Zugang mehr.", "%s of %s has no access any more."},
		func(ctx context.Context, k *client, reason string) (uint32, error) {
			r, err := k.dir.ConfirmPending(ctx, &heimdrahtv1.ConfirmPendingRequest{Tenant: c.Tenant, Hash: c.Hash, Reason: reason})
			return r.GetPeople(), err
		})
}

type directoryDismissCommand struct{ decision }

// Run keeps everybody on a list.
func (c *directoryDismissCommand) Run(ctx context.Context, a *app) error {
	const (
		bleibt = " 7 Tage lang, oder bis das Verzeichnis wieder etwas Neues über sie sagt. Berichtigen Sie inzwischen das Verzeichnis."
		stays  = " for 7 days, or until the directory says something new of them. Correct the directory meanwhile."
	)
	return c.take(ctx, a, "dismiss", words{"%s in %s behalten ihren Zugang," + bleibt, "%s of %s keep their access," + stays},
		words{"%s in %s behält den Zugang," + bleibt, "%s of %s keeps access," + stays},
		func(ctx context.Context, k *client, reason string) (uint32, error) {
			r, err := k.dir.DismissPending(ctx, &heimdrahtv1.DismissPendingRequest{Tenant: c.Tenant, Hash: c.Hash, Reason: reason})
			return r.GetPeople(), err
		})
}

// take decides, and says of how many.
func (d *decision) take(ctx context.Context, a *app, verb string, many, one words, do func(context.Context, *client, string) (uint32, error)) error {
	reason, err := d.reason(a, "heimdraht directory "+verb)
	if err != nil {
		return err
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		n, err := do(ctx, k, reason)
		if err != nil {
			return err
		}
		if a.form != formTable {
			return card(a.printer, decidedColumns(), decided{verb, d.Tenant, d.Hash, int64(n)})
		}
		text := many
		if n == 1 {
			text = one
		}
		a.say(text, a.people(n), d.Tenant)
		return nil
	})
}

type decided struct {
	verb, tenant, hash string
	people             int64
}

func decidedColumns() []column[decided] {
	return []column[decided]{
		{"decision", words{}, func(d decided) any { return d.verb }},
		{"tenant", words{}, func(d decided) any { return d.tenant }},
		{"hash", words{}, func(d decided) any { return d.hash }},
		{"people", words{}, func(d decided) any { return d.people }},
	}
}
