package main

import (
	"context"
	"fmt"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
)

type licencesCommand struct {
	Tenant string `placeholder:"NAME" help:"${sessions_tenant}"`
}

// Run shows the contracts, and what has to be done about them.
func (c *licencesCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.licence.ListLicences(ctx, &heimdrahtv1.ListLicencesRequest{Tenant: c.Tenant})
		if err != nil {
			return err
		}
		return a.showLicences(r, c.Tenant)
	})
}

func (a *app) showLicences(r *heimdrahtv1.ListLicencesResponse, tenant string) error {
	columns := licenceColumns(timeOf(r.GetAt()))
	type warning = *heimdrahtv1.LicenceWarning
	type unused = *heimdrahtv1.UnusedSeats
	switch a.form {
	case formCSV:
		return writeCSV(a.out, columns, r.GetLicences())
	case formJSON:
		return a.json(orderedObject{
			{"at", forPrograms(timeOf(r.GetAt()))}, {"licences", objects(columns, r.GetLicences())},
			{"warnings", objects([]column[warning]{
				{"licence_pool", words{}, func(w warning) any { return w.GetPool() }},
				{"code", words{}, func(w warning) any { return w.GetCode() }},
				{"at", words{}, func(w warning) any { return timeOf(w.GetAt()) }},
				{"sentence", words{}, func(w warning) any { return w.GetSentence() }},
			}, r.GetWarnings())},
			{"unused_seats", objects([]column[unused]{
				{"licence_pool", words{}, func(u unused) any { return u.GetPool() }},
				{"seats", words{}, func(u unused) any { return countOr(u.GetSeats()) }},
				{"of_product", words{}, func(u unused) any { return u.GetOfProduct() }},
				{"owned", words{}, func(u unused) any {
					if !u.GetOfProduct() {
						return nil
					}
					return u.GetOwned()
				}},
				{"highest_30_days", words{}, func(u unused) any { return countOr(u.GetHighest()) }},
			}, r.GetUnused())},
		})
	}
	if len(r.GetLicences()) == 0 {
		a.noLicences(tenant)
	}
	if err := list(a.printer, "", columns, r.GetLicences()); err != nil {
		return err
	}
	if len(r.GetWarnings())+len(r.GetUnused()) > 0 {
		a.say(words{})
	}
	for _, w := range r.GetWarnings() {
		a.say(words{"! %s", "! %s"}, w.GetSentence())
	}
	for _, u := range r.GetUnused() {
		a.sayUnused(u)
	}
	return nil
}

// sayUnused says how many named seats of a pool lie unused.
func (a *app) sayUnused(u *heimdrahtv1.UnusedSeats) {
	pool, seats := u.GetPool(), u.GetSeats()
	switch {
	case u.GetOfProduct() && u.GetHighest().GetWithheld():
		a.say(words{"%s: Wie viele Plätze unbenutzt sind, ist verdeckt: Was von einem Produkt benutzt wird, erfährt unter 5 niemand.",
			"%s: how many seats lie unused is withheld: below 5, nobody is told how much of a product is in use."}, pool)
	case u.GetOfProduct() && seats.GetWithheld():
		a.say(words{"%s: Gleichzeitig benutzt wurden in 30 Tagen höchstens %d; zugesagt ist Ihnen nichts, wovon der Rest unbenutzt wäre.",
			"%s: in use at one time within 30 days were at most %d; nothing is guaranteed to you of which the rest would lie unused."}, pool, u.GetHighest().GetValue())
	case u.GetOfProduct():
		a.say(words{"%s: Plätze, die unbenutzt sind: höchstens %d (von %d waren in 30 Tagen gleichzeitig höchstens %d benutzt). Gezählt wird ohne die Menschen, also weiß niemand, wessen.",
			"%s: seats that lie unused: at most %d (of %d, at most %d were in use at one time within 30 days). Use is counted without the person, so nobody can say whose."},
			pool, seats.GetValue(), u.GetOwned(), u.GetHighest().GetValue())
	case seats.GetWithheld():
		a.say(words{"%s: Wie viele zugeteilte Plätze seit 30 Tagen unbenutzt sind, ist verdeckt.", "%s: how many named seats have not been used for 30 days is withheld."}, pool)
	default:
		a.say(words{"%s: Zugeteilte Plätze, die seit 30 Tagen unbenutzt sind: %d", "%s: named seats that have not been used for 30 days: %d"}, pool, seats.GetValue())
	}
}

// euros are cents as people write them.
func euros(cents int64) shown {
	if cents == 0 {
		return shown{"", words{"-", "-"}}
	}
	amount := fmt.Sprintf("%d.%02d", cents/100, cents%100)
	return shown{amount, words{fmt.Sprintf("%d,%02d €", cents/100, cents%100), "€" + amount}}
}

// aPeriod is euros a year or a month.
func aPeriod(cents int64, period string) shown {
	e := euros(cents)
	switch {
	case cents == 0:
	case period == "month":
		e.people.de, e.people.en = e.people.de+"/Monat", e.people.en+"/month"
	default:
		e.people.de, e.people.en = e.people.de+"/Jahr", e.people.en+"/year"
	}
	return e
}

// lastDay is the end of a day as people write that day; for programs it stays the instant.
// Zero: nothing.
func lastDay(end time.Time) any {
	if end.IsZero() {
		return nil
	}
	year, month, day := provisioner.DayOf(end.Add(-time.Nanosecond))
	last := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	return shown{end.UTC().Format(time.RFC3339), words{last.Format("02.01.2006"), last.Format(time.DateOnly)}}
}

func licenceColumns(now time.Time) []column[*heimdrahtv1.Licence] {
	type licence = *heimdrahtv1.Licence
	return []column[licence]{
		{"licence_pool", words{"Lizenzen", "licence pool"}, func(l licence) any { return l.GetPool() }},
		{"model", words{}, func(l licence) any { return l.GetModel() }},
		{"contract", words{"Vertrag", "contract"}, func(l licence) any { return l.GetReference() }},
		{"seats", words{"Plätze", "seats"}, func(l licence) any { return l.GetSeats() }},
		{"burst", words{"dazu", "burst"}, func(l licence) any { return l.GetBurst() }},
		{"net_eur", words{"netto", "net"}, func(l licence) any { return aPeriod(l.GetNetCents(), l.GetPeriod()) }},
		{"gross_eur", words{"brutto", "gross"}, func(l licence) any { return aPeriod(l.GetGrossCents(), l.GetPeriod()) }},
		{"period", words{}, func(l licence) any { return l.GetPeriod() }},
		{"net_eur_a_year", words{"im Jahr netto", "a year, net"}, func(l licence) any { return euros(l.GetNetCentsAYear()) }},
		{"gross_eur_a_year", words{"im Jahr brutto", "a year, gross"}, func(l licence) any { return euros(l.GetGrossCentsAYear()) }},
		{"from", words{}, func(l licence) any { return timeOf(l.GetFrom()) }},
		{"until", words{"endet", "ends"}, func(l licence) any { return lastDay(timeOf(l.GetUntil())) }},
		{"notice_by", words{"kündbar bis", "notice by"}, func(l licence) any { return lastDay(timeOf(l.GetNoticeBy())) }},
		{"notice_days_left", words{"Tage noch", "days left"}, func(l licence) any {
			if left := timeOf(l.GetNoticeBy()).Sub(now); l.GetNoticeBy() != nil && left > 0 {
				return int64(left.Hours() / 24)
			}
			return nil
		}},
	}
}
