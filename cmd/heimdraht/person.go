package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// timeOf is zero for a time that was not told.
func timeOf(t *timestamppb.Timestamp) time.Time {
	if !t.IsValid() {
		return time.Time{}
	}
	return t.AsTime()
}

type findCommand struct {
	Query []string `arg:"" help:"${find_query}"`
	Limit uint32   `default:"20" placeholder:"N" help:"${find_limit}"`
}

// Run finds people by scraps.
func (c *findCommand) Run(ctx context.Context, a *app) error {
	query := strings.TrimSpace(strings.Join(c.Query, " "))
	if query == "" {
		return usageError{words{"wonach? Die Suche ist leer", "what for? The query is empty"}.in(a.language), "heimdraht find"}
	}
	if c.Limit < 1 || c.Limit > 200 {
		return usageError{words{"--limit geht von 1 bis 200", "--limit goes from 1 to 200"}.in(a.language), "heimdraht find"}
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		found, err := k.desk.FindPeople(ctx, &heimdrahtv1.FindPeopleRequest{Query: query, Limit: c.Limit})
		if err != nil {
			return err
		}
		if len(found.GetPeople()) == 0 {
			a.hint(words{"Niemand passt auf %q.", "Nobody matches %q."}, query)
		}
		if err := list(a.printer, "people", foundColumns(found.GetPeople()), found.GetPeople(), pair{"more", found.GetMore()}); err != nil {
			return err
		}
		if found.GetMore() {
			a.hint(words{"Es gibt mehr: Suchen Sie genauer, oder mit --limit.", "There are more: search more precisely, or with --limit."})
		}
		return nil
	})
}

func personColumns() []column[*heimdrahtv1.Person] {
	return []column[*heimdrahtv1.Person]{
		{"name", words{"Name", "name"}, func(p *heimdrahtv1.Person) any { return p.GetDisplayName() }},
		{"login", words{"Login", "login"}, func(p *heimdrahtv1.Person) any { return p.GetLogin() }},
		{"mail", words{}, func(p *heimdrahtv1.Person) any { return p.GetMail() }},
		{"tenant", words{"Verwaltung", "tenant"}, func(p *heimdrahtv1.Person) any { return p.GetTenant() }},
		{"devices", words{"Laptops", "laptops"}, func(p *heimdrahtv1.Person) any { return int64(p.GetDevices()) }},
		{"connected", words{"verbunden", "connected"}, func(p *heimdrahtv1.Person) any { return p.GetConnected() }},
		{"person_id", words{"Person-ID", "person id"}, func(p *heimdrahtv1.Person) any { return p.GetPersonId() }},
	}
}

// foundColumns are those of found people, with what found them where that was
// not the name of each.
func foundColumns(people []*heimdrahtv1.Person) []column[*heimdrahtv1.Person] {
	matched := column[*heimdrahtv1.Person]{"matched_by", words{}, func(p *heimdrahtv1.Person) any { return matchOf(p.GetMatchedBy()) }}
	if slices.ContainsFunc(people, func(p *heimdrahtv1.Person) bool { return p.GetMatchedBy() != "" && p.GetMatchedBy() != "name" }) {
		matched.heading = words{"gefunden über", "matched by"}
	}
	return append(personColumns(), matched)
}

// matchOf is by what somebody was found.
func matchOf(by string) any {
	matches := map[string]words{
		"name":          {"Name", "name"},
		"login":         {"Login", "login"},
		"mail":          {"Mail", "mail"},
		"person id":     {"Person-ID", "person id"},
		"device name":   {"Name des Laptops", "laptop's name"},
		"device id":     {"Geräte-ID", "device id"},
		"serial number": {"Seriennummer", "serial number"},
		"key":           {"Schlüssel", "key"},
		"session id":    {"Sitzungs-ID", "session id"},
		"address":       {"Adresse", "address"},
	}
	if w, ok := matches[by]; ok {
		return shown{by, w}
	}
	return by // of a newer server
}

type personCommands struct {
	Show   personShowCommand   `cmd:"" help:"${person_show}"`
	Revoke personRevokeCommand `cmd:"" help:"${person_revoke}"`

	External  personExternalCommand  `cmd:"" help:"${person_external}"`
	Externals personExternalsCommand `cmd:"" help:"${person_externals}"`
	History   personHistoryCommand   `cmd:"" help:"${person_history}"`
	Export    personExportCommand    `cmd:"" help:"${person_export}"`
	Forget    personForgetCommand    `cmd:"" help:"${person_forget}"`

	FactorToken personFactorTokenCommand `cmd:"" help:"${person_factor_token}"`
	ResetFactor personResetFactorCommand `cmd:"" help:"${person_reset_factor}"`
}

type personShowCommand struct {
	ID     string `arg:"" name:"id" help:"${person_id}"`
	Tenant string `placeholder:"NAME" help:"${person_tenant}"`
}

// Run shows a person with devices and the causes that refusals did not tell.
func (c *personShowCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.desk.GetPerson(ctx, &heimdrahtv1.GetPersonRequest{PersonId: c.ID, Tenant: c.Tenant})
		if err != nil {
			return err
		}
		return a.showPerson(r)
	})
}

func (a *app) showPerson(r *heimdrahtv1.GetPersonResponse) error {
	switch a.form {
	case formJSON:
		return a.json(orderedObject{
			{"person", object(wholePersonColumns(), r)},
			{"devices", objects(deviceColumns(), r.GetDevices())},
			{"refusals", objects(refusalColumns(), r.GetRefusals())},
		})
	case formCSV: // has room for one list
		return list(a.printer, "devices", deviceColumns(), r.GetDevices())
	}
	if err := card(a.printer, wholePersonColumns(), r); err != nil {
		return err
	}
	a.say(words{})
	if len(r.GetDevices()) == 0 {
		a.say(words{"Kein Laptop ist angemeldet.", "No laptop is enrolled."})
	} else {
		a.say(words{"Laptops", "Laptops"})
		if err := list(a.printer, "devices", deviceListColumns(), r.GetDevices()); err != nil {
			return err
		}
	}
	if len(r.GetRefusals()) == 0 {
		return nil
	}
	a.say(words{})
	a.say(words{"Zuletzt abgelehnt", "Recently refused"})
	return list(a.printer, "refusals", refusalColumns(), r.GetRefusals())
}

func wholePersonColumns() []column[*heimdrahtv1.GetPersonResponse] {
	return []column[*heimdrahtv1.GetPersonResponse]{
		{"name", words{"Name", "name"}, func(r *heimdrahtv1.GetPersonResponse) any { return r.GetPerson().GetDisplayName() }},
		{"login", words{"Login", "login"}, func(r *heimdrahtv1.GetPersonResponse) any { return r.GetPerson().GetLogin() }},
		{"mail", words{"Mail", "mail"}, func(r *heimdrahtv1.GetPersonResponse) any { return r.GetPerson().GetMail() }},
		{"tenant", words{"Verwaltung", "tenant"}, func(r *heimdrahtv1.GetPersonResponse) any { return r.GetPerson().GetTenant() }},
		{"person_id", words{"Person-ID", "person id"}, func(r *heimdrahtv1.GetPersonResponse) any { return r.GetPerson().GetPersonId() }},
		{"connected", words{"verbunden", "connected"}, func(r *heimdrahtv1.GetPersonResponse) any { return r.GetPerson().GetConnected() }},
		{"directory_status", words{"Verzeichnis", "directory"}, func(r *heimdrahtv1.GetPersonResponse) any { return standingOf(r.GetDirectoryStatus()) }},
		{"directory_read_at", words{"Stand", "as of"}, func(r *heimdrahtv1.GetPersonResponse) any { return timeOf(r.GetDirectoryReadAt()) }},
		{"suspended_since", words{"ruht seit", "suspended since"}, func(r *heimdrahtv1.GetPersonResponse) any { return timeOf(r.GetSuspension().GetSince()) }},
		{"suspended_until", words{"ruht bis", "suspended until"}, func(r *heimdrahtv1.GetPersonResponse) any { return timeOf(r.GetSuspension().GetEndsAt()) }},
		{"suspended_why", words{"ruht, weil", "suspended because"}, func(r *heimdrahtv1.GetPersonResponse) any { return r.GetSuspension().GetReason() }},
	}
}

// standingOf is what the directory last said of a person.
func standingOf(status string) any {
	standings := map[string]words{
		"active":   {"aktiv", "active"},
		"disabled": {"abgeschaltet", "disabled"},
		"expired":  {"abgelaufen", "expired"},
		"locked":   {"gesperrt", "locked"},
		"deleted":  {"gelöscht", "deleted"},
	}
	if w, ok := standings[status]; ok {
		return shown{status, w}
	}
	return status // of a newer server
}

func refusalColumns() []column[*heimdrahtv1.RecentRefusal] {
	return []column[*heimdrahtv1.RecentRefusal]{
		{"at", words{"wann", "when"}, func(r *heimdrahtv1.RecentRefusal) any { return timeOf(r.GetAt()) }},
		{"code", words{"Code", "code"}, func(r *heimdrahtv1.RecentRefusal) any { return r.GetCode() }},
		{"cause", words{"Grund", "cause"}, func(r *heimdrahtv1.RecentRefusal) any { return r.GetCause() }},
		{"source", words{"von", "from"}, func(r *heimdrahtv1.RecentRefusal) any { return r.GetSource() }},
	}
}
