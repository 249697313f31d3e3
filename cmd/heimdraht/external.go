package main

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

const externalCommand = "heimdraht person external"

type personExternalCommand struct {
	Login    string `arg:"" help:"${external_login}"`
	Sponsor  string `placeholder:"LOGIN" xor:"who" help:"${external_sponsor}"`
	Until    string `placeholder:"2027-02-24" xor:"until" help:"${external_until}"`
	NoLonger bool   `xor:"who,until" help:"${external_no_longer}"`
	Tenant   string `placeholder:"NAME" help:"${person_tenant}"`
	because
}

// Run has somebody answer for an external person.
func (c *personExternalCommand) Run(ctx context.Context, a *app) error {
	reason, err := c.reason(a, externalCommand)
	if err != nil {
		return err
	}
	r := &heimdrahtv1.SetExternalRequest{PersonId: c.Login, Tenant: c.Tenant, SponsorId: c.Sponsor, Reason: reason, NoLonger: c.NoLonger}
	if !c.NoLonger {
		last, err := time.ParseInLocation(time.DateOnly, c.Until, time.Local)
		if err != nil {
			return usageError{words{"--until ist ein Tag wie 2027-02-24", "--until is a day like 2027-02-24"}.in(a.language), externalCommand}
		}
		r.Until = timestamppb.New(last.AddDate(0, 0, 1)) // that day belongs to it
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		answer, err := k.external.SetExternal(ctx, r)
		if err != nil {
			return err
		}
		e := answer.GetExternal()
		switch {
		case a.form != formTable:
			return card(a.printer, externalColumns(), e)
		case c.NoLonger:
			a.say(words{"%s gehört jetzt zum Haus.", "%s belongs to the house now."}, e.GetName())
		default:
			a.say(words{"%s hat Zugang bis %s; %s steht dafür ein.", "%s has access until %s; %s answers for it."}, e.GetName(), a.time(timeOf(e.GetUntil())), e.GetSponsorName())
		}
		return nil
	})
}

type personExternalsCommand struct {
	Tenant string `placeholder:"NAME" help:"${sessions_tenant}"`
}

// Run lists external people.
func (c *personExternalsCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		var people []*heimdrahtv1.ExternalPerson
		for page := ""; ; {
			r, err := k.external.ListExternals(ctx, &heimdrahtv1.ListExternalsRequest{Tenant: c.Tenant, Limit: 1000, PageToken: page})
			if err != nil {
				return err
			}
			people = append(people, r.GetExternals()...)
			if page = r.GetNextPageToken(); page == "" {
				break
			}
		}
		if len(people) == 0 {
			a.hint(words{"Es gibt keine Externen.", "There are no external people."})
		}
		slices.SortStableFunc(people, func(x, y *heimdrahtv1.ExternalPerson) int { return timeOf(x.GetUntil()).Compare(timeOf(y.GetUntil())) })
		return list(a.printer, "externals", externalColumns(), people)
	})
}

// externalState says what somebody has to do about an external person.
func externalState(e *heimdrahtv1.ExternalPerson) shown {
	const soon = 14 * 24 * time.Hour
	switch {
	case e.GetSponsorGone():
		return shown{"sponsor-gone", words{"niemand steht mehr ein", "nobody answers any more"}}
	case e.GetEnded():
		return shown{"ended", words{"vorbei, ruht", "over, suspended"}}
	case time.Until(timeOf(e.GetUntil())) < soon:
		return shown{"ends-soon", words{"endet bald", "ends soon"}}
	default:
		return shown{"active", words{"aktiv", "active"}}
	}
}

func externalColumns() []column[*heimdrahtv1.ExternalPerson] {
	return []column[*heimdrahtv1.ExternalPerson]{
		{"name", words{"Name", "name"}, func(e *heimdrahtv1.ExternalPerson) any { return e.GetName() }},
		{"login", words{"Login", "login"}, func(e *heimdrahtv1.ExternalPerson) any { return e.GetLogin() }},
		{"tenant", words{"Verwaltung", "tenant"}, func(e *heimdrahtv1.ExternalPerson) any { return e.GetTenant() }},
		{"sponsor_name", words{"steht ein", "answered for by"}, func(e *heimdrahtv1.ExternalPerson) any { return e.GetSponsorName() }},
		{"until", words{"bis", "until"}, func(e *heimdrahtv1.ExternalPerson) any { return timeOf(e.GetUntil()) }},
		{"state", words{"Zustand", "state"}, func(e *heimdrahtv1.ExternalPerson) any { return externalState(e) }},
		{"reason", words{}, func(e *heimdrahtv1.ExternalPerson) any { return e.GetReason() }},
		{"sponsor_id", words{}, func(e *heimdrahtv1.ExternalPerson) any { return e.GetSponsorId() }},
		{"person_id", words{"Person-ID", "person id"}, func(e *heimdrahtv1.ExternalPerson) any { return e.GetPersonId() }},
	}
}
