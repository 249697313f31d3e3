package main

import (
	"context"
	"fmt"
	"strings"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

type directoryPendingCommand struct {
	Tenant string `placeholder:"NAME" help:"${sessions_tenant}"`
}

// The most people that the control plane lists at once.
const pendingAtMost = 10_000

// Run shows who would lose access by what the directory says, and how to decide.
func (c *directoryPendingCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.dir.ListPending(ctx, &heimdrahtv1.ListPendingRequest{Tenant: c.Tenant, Limit: pendingAtMost})
		if err != nil {
			return err
		}
		return a.showPending(r.GetLists())
	})
}

func (a *app) showPending(lists []*heimdrahtv1.PendingList) error {
	switch a.form {
	case formJSON:
		all := []orderedObject{}
		for _, l := range lists {
			all = append(all, orderedObject{
				{"tenant", l.GetTenant()}, {"hash", l.GetHash()}, {"since", forPrograms(timeOf(l.GetSince()))},
				{"reasons", objects(reasonColumns(), l.GetReasons())}, {"total", pendingTotal(l)}, {"people", objects(heldColumns(), l.GetPeople())},
				{"dismissed_total", l.GetDismissedTotal()}, {"dismissed", objects(heldColumns(), l.GetDismissed())},
			})
		}
		return a.json(orderedObject{{"lists", all}})
	case formCSV:
		var all []*heimdrahtv1.PendingPerson
		for _, l := range lists {
			all = append(append(all, l.GetPeople()...), l.GetDismissed()...)
		}
		return writeCSV(a.out, heldColumns(), all)
	}
	if len(lists) == 0 {
		a.hint(words{"Nichts wartet auf eine Entscheidung.", "Nothing waits for a decision."})
	}
	for i, l := range lists {
		if i > 0 {
			a.say(words{})
		}
		if err := a.sayPending(l); err != nil {
			return err
		}
	}
	return nil
}

func pendingTotal(l *heimdrahtv1.PendingList) (total uint32) {
	for _, r := range l.GetReasons() {
		total += r.GetPeople()
	}
	return total
}

// sayPending tells what has happened in a tenant, to whom, and how to decide.
func (a *app) sayPending(l *heimdrahtv1.PendingList) error {
	if total := pendingTotal(l); total > 0 {
		a.say(words{"%s: %s Noch hat ihn niemand verloren.", "%s: %s Nobody has lost it yet."}, l.GetTenant(), a.happened(l.GetReasons(), total))
		a.say(words{"Zurückgehalten seit %s.", "Held back since %s."}, a.time(timeOf(l.GetSince())))
		a.say(words{})
		if err := list(a.printer, "people", heldListColumns(), l.GetPeople()); err != nil {
			return err
		}
		a.sayMore(total, l.GetPeople())
		a.say(words{})
		const command = `heimdraht directory %s %s --tenant %s --reason "..."`
		a.say(words{"Es entscheidet, wer den Zugang dieser Verwaltung betreut, oder der Betrieb.", "The tenant's administrator or the operator decides."})
		a.say(words{"Ist es richtig so:   " + command, "If it is right:      " + command}, "confirm", l.GetHash(), l.GetTenant())
		a.say(words{"Ist es ein Versehen: " + command, "If it is a mistake:  " + command}, "dismiss", l.GetHash(), l.GetTenant())
	}
	if l.GetDismissedTotal() == 0 {
		return nil
	}
	if pendingTotal(l) > 0 {
		a.say(words{})
	}
	text := words{"%s: %s behalten den Zugang, weil jemand so entschieden hat.", "%s: %s keep their access by somebody's word."}
	if l.GetDismissedTotal() == 1 {
		text = words{"%s: %s behält den Zugang, weil jemand so entschieden hat.", "%s: %s keeps access by somebody's word."}
	}
	a.say(text, l.GetTenant(), a.people(l.GetDismissedTotal()))
	if err := list(a.printer, "dismissed", dismissedColumns(), l.GetDismissed()); err != nil {
		return err
	}
	a.sayMore(l.GetDismissedTotal(), l.GetDismissed())
	return nil
}

// sayMore tells that a list is cut.
func (a *app) sayMore(total uint32, listed []*heimdrahtv1.PendingPerson) {
	if more := int(total) - len(listed); more > 0 {
		a.say(words{"und %d weitere", "and %d more"}, more)
	}
}

// happened is one sentence about what the directory has said.
func (a *app) happened(reasons []*heimdrahtv1.PendingReason, total uint32) string {
	lose := words{"%s würden den Zugang verlieren", "%s would lose their access"}
	if total == 1 {
		lose = words{"%s würde den Zugang verlieren", "%s would lose access"}
	}
	sentence := fmt.Sprintf(lose.in(a.language), a.people(total))
	if len(reasons) == 1 {
		return sentence + words{", ", " "}.in(a.language) + becauseOf(reasons[0]).in(a.language) + "."
	}
	var parts []string
	for _, r := range reasons {
		parts = append(parts, fmt.Sprintf(words{"%d, %s", "%d %s"}.in(a.language), r.GetPeople(), becauseOf(r).in(a.language)))
	}
	return sentence + ": " + strings.Join(parts, words{"; ", ", "}.in(a.language)) + "."
}

// becauseOf is a reason as a clause.
func becauseOf(r *heimdrahtv1.PendingReason) words {
	one := r.GetPeople() == 1
	number := func(single, several words) words {
		if one {
			return single
		}
		return several
	}
	switch r.GetWhy() {
	case "group":
		return words{"weil sich eine Gruppe geändert hat", "because a group changed"}
	case "deleted":
		if r.GetOwn() {
			return number(words{"weil das Konto gelöscht wurde", "because the account was deleted"}, words{"weil die Konten gelöscht wurden", "because the accounts were deleted"})
		}
		return words{"weil beim Durchsehen des ganzen Verzeichnisses nichts von ihnen zu finden war", "because a full read of the directory did not find them"}
	case "disabled":
		return number(words{"weil das Konto abgeschaltet wurde", "because the account was disabled"}, words{"weil die Konten abgeschaltet wurden", "because the accounts were disabled"})
	case "expired":
		return number(words{"weil das Konto abgelaufen ist", "because the account has expired"}, words{"weil die Konten abgelaufen sind", "because the accounts have expired"})
	case "locked":
		return number(words{"weil das Konto gesperrt wurde", "because the account was locked"}, words{"weil die Konten gesperrt wurden", "because the accounts were locked"})
	case "password":
		return number(words{"weil das Passwort abgelaufen ist", "because the password has expired"}, words{"weil die Passwörter abgelaufen sind", "because the passwords have expired"})
	default: // of a newer server
		return words{"(" + r.GetWhy() + ")", "(" + r.GetWhy() + ")"}
	}
}

// whyShown is a reason in a word or two.
func whyShown(p *heimdrahtv1.PendingPerson) any {
	known := map[string]words{
		"group":    {"nicht mehr in der Gruppe", "no longer in the group"},
		"deleted":  {"gelöscht", "deleted"},
		"disabled": {"abgeschaltet", "disabled"},
		"expired":  {"abgelaufen", "expired"},
		"locked":   {"gesperrt", "locked"},
		"password": {"Passwort abgelaufen", "password expired"},
	}
	w, ok := known[p.GetWhy()]
	if !ok {
		return p.GetWhy()
	}
	if p.GetWhy() == "deleted" && !p.GetOwn() {
		w = words{"nicht mehr gefunden", "no longer found"}
	}
	return shown{p.GetWhy(), w}
}

func reasonColumns() []column[*heimdrahtv1.PendingReason] {
	return []column[*heimdrahtv1.PendingReason]{
		{"why", words{}, func(r *heimdrahtv1.PendingReason) any { return r.GetWhy() }},
		{"own", words{}, func(r *heimdrahtv1.PendingReason) any { return r.GetOwn() }},
		{"people", words{}, func(r *heimdrahtv1.PendingReason) any { return int64(r.GetPeople()) }},
	}
}

// heldColumns are everything about somebody who is held.
func heldColumns() []column[*heimdrahtv1.PendingPerson] {
	return []column[*heimdrahtv1.PendingPerson]{
		{"name", words{"Name", "name"}, func(p *heimdrahtv1.PendingPerson) any { return p.GetPerson().GetDisplayName() }},
		{"login", words{"Login", "login"}, func(p *heimdrahtv1.PendingPerson) any { return p.GetPerson().GetLogin() }},
		{"mail", words{}, func(p *heimdrahtv1.PendingPerson) any { return p.GetPerson().GetMail() }},
		{"tenant", words{}, func(p *heimdrahtv1.PendingPerson) any { return p.GetPerson().GetTenant() }},
		{"why", words{"Grund", "why"}, whyShown},
		{"own", words{}, func(p *heimdrahtv1.PendingPerson) any { return p.GetOwn() }},
		{"devices", words{"Laptops", "laptops"}, func(p *heimdrahtv1.PendingPerson) any { return int64(p.GetPerson().GetDevices()) }},
		{"connected", words{"verbunden", "connected"}, func(p *heimdrahtv1.PendingPerson) any { return p.GetPerson().GetConnected() }},
		{"since", words{}, func(p *heimdrahtv1.PendingPerson) any { return timeOf(p.GetSince()) }},
		{"dismissed_until", words{"bis", "until"}, func(p *heimdrahtv1.PendingPerson) any { return timeOf(p.GetDismissedUntil()) }},
		{"person_id", words{"Person-ID", "person id"}, func(p *heimdrahtv1.PendingPerson) any { return p.GetPerson().GetPersonId() }},
	}
}

func heldListColumns() []column[*heimdrahtv1.PendingPerson] {
	return columnsNamed(heldColumns(), "name", "login", "why", "devices", "connected", "person_id")
}

func dismissedColumns() []column[*heimdrahtv1.PendingPerson] {
	return columnsNamed(heldColumns(), "name", "login", "why", "dismissed_until", "person_id")
}

// columnsNamed picks some of the columns.
func columnsNamed[T any](all []column[T], keys ...string) []column[T] {
	var some []column[T]
	for _, key := range keys {
		for _, c := range all {
			if c.key == key {
				some = append(some, c)
			}
		}
	}
	return some
}
