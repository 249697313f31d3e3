package main

import (
	"context"
	"errors"
	"strings"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

type whyCommand struct {
	Query  []string `arg:"" help:"${why_query}"`
	Tenant string   `placeholder:"NAME" help:"${person_tenant}"`
}

// Run says why somebody's connection does not work.
func (c *whyCommand) Run(ctx context.Context, a *app) error {
	query := strings.TrimSpace(strings.Join(c.Query, " "))
	if query == "" {
		return usageError{words{"wessen Verbindung? Die Angabe ist leer", "whose connection? Nothing is named"}.in(a.language), "heimdraht why"}
	}
	err := a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.desk.Explain(ctx, &heimdrahtv1.ExplainRequest{Query: query, Tenant: c.Tenant})
		if err != nil {
			return err
		}
		if len(r.GetCandidates()) > 0 {
			return a.showCandidates(query, r.GetCandidates())
		}
		return a.showWhy(r)
	})
	a.sayWhoActs(err)
	return err
}

// sayWhoActs says of a refusal whose turn it is: where the control plane itself
// cannot look, that is the answer.
func (a *app) sayWhoActs(err error) {
	var p *control.Problem
	if errors.As(err, &p) && p.Refused && p.Who != "" {
		a.hint(words{"Wer es kann: %s.", "Who can do it: %s."}, whoOf(string(p.Who)).people.in(a.language))
	}
}

// showCandidates shows whom a search may mean, and that it takes more.
func (a *app) showCandidates(query string, people []*heimdrahtv1.Person) error {
	if err := list(a.printer, "candidates", foundColumns(people), people); err != nil {
		return err
	}
	return problem(codeAmbiguous,
		words{query + " passt auf mehrere Menschen.", query + " matches more than one person."},
		words{"Suchen Sie genauer, oder nehmen Sie die Person-ID: heimdraht why PERSON-ID.", "Search more precisely, or take the person id: heimdraht why PERSON-ID."})
}

func (a *app) showWhy(r *heimdrahtv1.ExplainResponse) error {
	switch a.form {
	case formJSON:
		var device any
		if r.GetDevice() != nil {
			device = object(deviceColumns(), r.GetDevice())
		}
		return a.json(orderedObject{
			{"person", object(personColumns(), r.GetPerson())}, {"device", device},
			{"links", objects(linkColumns(), r.GetLinks())}, {"cause", object(causeColumns(), r.GetCause())},
			{"other_devices", objects(deviceColumns(), r.GetOtherDevices())},
		})
	case formCSV: // has room for one list
		return list(a.printer, "links", linkColumns(), r.GetLinks())
	}
	a.sayWhose(r)
	a.say(words{})
	if err := a.table(a.linkCells(r.GetLinks())); err != nil {
		return err
	}
	a.say(words{})
	c := r.GetCause()
	a.say(words{"Grund:    %s (%s)", "Cause:  %s (%s)"}, c.GetSentence(), c.GetCode())
	a.say(words{"Zu tun:   %s", "Next:   %s"}, c.GetNextStep())
	a.say(words{"Wer:      %s", "Who:    %s"}, whoOf(c.GetWho()).people.in(a.language))
	for _, d := range r.GetOtherDevices() {
		a.hint(words{"Weiterer Laptop: %s (heimdraht why %s).", "Another laptop: %s (heimdraht why %s)."}, d.GetName(), d.GetDeviceId())
	}
	return nil
}

// sayWhose names whose connection it is about.
func (a *app) sayWhose(r *heimdrahtv1.ExplainResponse) {
	p, d := r.GetPerson(), r.GetDevice()
	if d == nil {
		a.say(words{"%s (%s), %s", "%s (%s), %s"}, p.GetDisplayName(), p.GetLogin(), p.GetTenant())
		return
	}
	a.say(words{"%s (%s), %s: Laptop %s (%s)", "%s (%s), %s: laptop %s (%s)"}, p.GetDisplayName(), p.GetLogin(), p.GetTenant(), d.GetName(), d.GetDeviceId())
}

func (a *app) linkCells(links []*heimdrahtv1.Link) (rows [][]cell) {
	for _, l := range links {
		rows = append(rows, []cell{a.cell(linkStateOf(l.GetState())), a.cell(l.GetTitle()), a.cell(l.GetFigure())})
	}
	return rows
}

func linkColumns() []column[*heimdrahtv1.Link] {
	return []column[*heimdrahtv1.Link]{
		{"link", words{"Glied", "link"}, func(l *heimdrahtv1.Link) any { return l.GetLink() }},
		{"state", words{"Stand", "state"}, func(l *heimdrahtv1.Link) any { return linkStateOf(l.GetState()) }},
		{"title", words{}, func(l *heimdrahtv1.Link) any { return l.GetTitle() }},
		{"figure", words{"Befund", "figure"}, func(l *heimdrahtv1.Link) any { return l.GetFigure() }},
		{"code", words{"Code", "code"}, func(l *heimdrahtv1.Link) any { return l.GetCode() }},
	}
}

func linkStateOf(s heimdrahtv1.LinkState) any {
	switch s {
	case heimdrahtv1.LinkState_LINK_STATE_OK:
		return shown{"ok", words{"ok", "ok"}}
	case heimdrahtv1.LinkState_LINK_STATE_NOT_OK:
		return shown{"not-ok", words{"NICHT OK", "NOT OK"}}
	case heimdrahtv1.LinkState_LINK_STATE_ATTENTION:
		return shown{"attention", words{"Achtung", "attention"}}
	default:
		return shown{"not-known", words{"unbekannt", "not known"}}
	}
}

func causeColumns() []column[*heimdrahtv1.Cause] {
	return []column[*heimdrahtv1.Cause]{
		{"code", words{"Code", "code"}, func(c *heimdrahtv1.Cause) any { return c.GetCode() }},
		{"sentence", words{"Grund", "cause"}, func(c *heimdrahtv1.Cause) any { return c.GetSentence() }},
		{"next_step", words{"Zu tun", "next"}, func(c *heimdrahtv1.Cause) any { return c.GetNextStep() }},
		{"who", words{"Wer", "who"}, func(c *heimdrahtv1.Cause) any { return whoOf(c.GetWho()) }},
	}
}

// whoOf is who can do something.
func whoOf(who string) shown {
	switch who {
	case "employee":
		return shown{who, words{"der Mensch am Laptop", "the person at the laptop"}}
	case "helpdesk":
		return shown{who, words{"der Helpdesk", "the helpdesk"}}
	case "tenant_admin":
		return shown{who, words{"wer den Zugang der Verwaltung betreut", "the tenant's administrator"}}
	case "operator":
		return shown{who, words{"der Betrieb", "the operator"}}
	case "nobody":
		return shown{who, words{"niemand; abwarten", "nobody; wait"}}
	}
	return shown{who, words{who, who}} // of a newer server
}
