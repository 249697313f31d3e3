package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

type seatsCommands struct {
	List     seatsListCommand     `cmd:"" default:"withargs" help:"${seats_list}"`
	Explain  seatsExplainCommand  `cmd:"" help:"${seats_explain}"`
	Assign   seatsAssignCommand   `cmd:"" help:"${seats_assign}"`
	TakeBack seatsTakeBackCommand `cmd:"" help:"${seats_take_back}"`
}

type seatsListCommand struct {
	Tenant string `placeholder:"NAME" help:"${sessions_tenant}"`
}

// Run shows the licence pools as they are used now.
func (c *seatsListCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.licence.ListSeats(ctx, &heimdrahtv1.ListSeatsRequest{Tenant: c.Tenant})
		if err != nil {
			return err
		}
		return a.showSeats(r, c.Tenant)
	})
}

func (a *app) showSeats(r *heimdrahtv1.ListSeatsResponse, tenant string) error {
	if a.form == formCSV {
		return writeCSV(a.out, seatColumns(), r.GetPools())
	}
	shares := seatShares(r)
	if a.form == formJSON {
		return a.json(orderedObject{{"at", forPrograms(timeOf(r.GetAt()))}, {"licence_pools", objects(seatColumns(), r.GetPools())}, {"tenants", objects(shareColumns(), shares)}})
	}
	if len(r.GetPools()) == 0 {
		a.noLicences(tenant)
		return nil
	}
	a.say(words{"Stand %s", "as of %s"}, a.time(timeOf(r.GetAt())))
	a.say(words{})
	if err := list(a.printer, "", seatColumns(), r.GetPools()); err != nil {
		return err
	}
	if len(shares) > 0 {
		a.say(words{})
		if err := list(a.printer, "", shareColumns(), shares); err != nil {
			return err
		}
	}
	a.seatHints(r.GetPools(), tenant)
	return nil
}

// seatHints says what the numbers mean where one may wonder.
func (a *app) seatHints(pools []*heimdrahtv1.SeatPool, tenant string) {
	small, others, reserved, whole, queues, until := false, false, false, false, 0, time.Time{}
	var ofProducts []string
	for _, p := range pools {
		if p.GetOfProduct() {
			ofProducts = append(ofProducts, p.GetPool())
		}
		small = small || p.GetInUse().GetWithheld() || p.GetWaiting().GetWithheld()
		others = others || p.GetHighestToday().GetWithheld()
		whole = whole || !p.GetHighestToday().GetWithheld()
		reserved = reserved || slices.ContainsFunc(p.GetReserved(), func(r *heimdrahtv1.SeatReserve) bool { return r.GetUnused().GetWithheld() })
		if p.GetWaiting().GetValue() > 0 {
			queues++
		}
		if p.GetUntil() != nil {
			until = timeOf(p.GetUntil())
		}
	}
	a.quarterHint(until)
	if small || reserved {
		a.hint(words{"Verdeckt (bei reservierten: ?) sind Zahlen unter 5, solche, aus denen man sie errechnen könnte, und was sich mit jeder Verbindung ändert. Die Verbindungen einer Verwaltung nennt heimdraht concurrency.",
			"Withheld (of reserves: ?) are numbers below 5, those from which they could be computed, and what changes with every session. A tenant's sessions are told by heimdraht concurrency."})
	}
	if others && !small {
		a.hint(words{"Verdeckt ist, was von allen Verwaltungen zählt, die sich einen Vorrat teilen: Sie sehen nicht alle.", "Withheld is what counts all tenants that share a pool: you do not see all of them."})
	}
	if whole && tenant != "" {
		a.hint(words{"Höchststand, Verliehenes, Reserviertes und Warnung gelten für alle Verwaltungen, die sich den Vorrat teilen.", "Highest, lent, reserve and warning are those of all tenants that share the pool."})
	}
	if len(ofProducts) > 0 {
		a.hint(words{"Für Produkte, nicht für Verbindungen: %s. Was davon benutzt wird, sagt heimdraht products.", "For products, not for sessions: %s. What of it is in use says heimdraht products."}, strings.Join(ofProducts, ", "))
	}
	if queues > 1 {
		a.hint(words{"Wer wartet, zählt bei jedem Vorrat, aus dem er einen Platz bekommen kann.", "Who waits is counted in each pool whose seats she may get."})
	}
}

// noLicences says that there is nothing to show.
func (a *app) noLicences(tenant string) {
	if tenant != "" {
		a.hint(words{"Für die Verwaltung %s sind keine Lizenzen hinterlegt; sie stehen in einer Datei unter licence_pools und gelten mit heimdraht apply.",
			"No licences are declared for the tenant %s; they stand in a file under licence_pools and hold with heimdraht apply."}, tenant)
		return
	}
	a.hint(words{"Es gibt keine Lizenzen, die Sie sehen; sie stehen in einer Datei unter licence_pools und gelten mit heimdraht apply.",
		"There are no licences that you see; they stand in a file under licence_pools and hold with heimdraht apply."})
}

// countOr is a count, or nothing where none is said.
func countOr(c *heimdrahtv1.Count) any {
	if c == nil {
		return nil
	}
	return c
}

// heldOr is a count of seats that are held, or nothing where none can be: concurrent ones of
// a product.
func heldOr(p *heimdrahtv1.SeatPool, c *heimdrahtv1.Count) any {
	if p.GetOfProduct() && p.GetModel() == "concurrent" {
		return nil
	}
	return countOr(c)
}

// reserves are what of the reserved seats is unused: "crisis 3/5".
func reserves(p *heimdrahtv1.SeatPool) []string {
	var list []string
	for _, r := range p.GetReserved() {
		unused := "?"
		if !r.GetUnused().GetWithheld() {
			unused = strconv.FormatInt(r.GetUnused().GetValue(), 10)
		}
		list = append(list, r.GetClass()+" "+unused+"/"+strconv.FormatInt(r.GetSeats(), 10))
	}
	return list
}

func seatColumns() []column[*heimdrahtv1.SeatPool] {
	type pool = *heimdrahtv1.SeatPool
	return []column[pool]{
		{"licence_pool", words{"Lizenzen", "licence pool"}, func(p pool) any { return p.GetPool() }},
		{"model", words{}, func(p pool) any { return p.GetModel() }},
		{"seats", words{"Plätze", "seats"}, func(p pool) any { return p.GetSeats() }},
		{"burst", words{"dazu", "burst"}, func(p pool) any { return p.GetBurst() }},
		{"in_use", words{"belegt", "in use"}, func(p pool) any { return heldOr(p, p.GetInUse()) }},
		{"highest_today", words{"heute höchstens", "highest"}, func(p pool) any { return heldOr(p, p.GetHighestToday()) }},
		{"highest_at", words{}, func(p pool) any { return timeOf(p.GetHighestAt()) }},
		{"guaranteed_unused", words{"zugesagt frei", "guarantee left"}, func(p pool) any { return countOr(p.GetGuaranteedUnused()) }},
		{"lent", words{"verliehen", "lent"}, func(p pool) any { return countOr(p.GetLent()) }},
		{"borrowed", words{"geliehen", "borrowed"}, func(p pool) any { return countOr(p.GetBorrowed()) }},
		{"reserved_unused", words{"reserviert frei", "reserve left"}, func(p pool) any { return reserves(p) }},
		{"waiting", words{"warten", "waiting"}, func(p pool) any { return countOr(p.GetWaiting()) }},
		{"warning_percent", words{"über %", "over %"}, func(p pool) any {
			switch {
			case p.GetWarningWithheld():
				return &heimdrahtv1.Count{Withheld: true}
			case p.GetWarning() == 0:
				return nil
			}
			return p.GetWarning()
		}},
		{"until", words{}, func(p pool) any { return timeOf(p.GetUntil()) }},
		{"next_end", words{"endet", "ends"}, func(p pool) any { return lastDay(timeOf(p.GetNextEnd())) }},
	}
}

// poolShare is a tenant's share with the pool's name.
type poolShare struct {
	pool string
	*heimdrahtv1.SeatShare
}

func seatShares(r *heimdrahtv1.ListSeatsResponse) (list []poolShare) {
	for _, p := range r.GetPools() {
		for _, s := range p.GetTenants() {
			list = append(list, poolShare{p.GetPool(), s})
		}
	}
	return list
}

func shareColumns() []column[poolShare] {
	return []column[poolShare]{
		{"licence_pool", words{"Lizenzen", "licence pool"}, func(s poolShare) any { return s.pool }},
		{"tenant", words{"Verwaltung", "tenant"}, func(s poolShare) any { return s.GetTenant() }},
		{"guarantee", words{"zugesagt", "guarantee"}, func(s poolShare) any { return s.GetGuarantee() }},
		{"in_use", words{"belegt", "in use"}, func(s poolShare) any { return s.GetInUse() }},
		{"borrowed", words{"geliehen", "borrowed"}, func(s poolShare) any { return s.GetBorrowed() }},
		{"waiting", words{"warten", "waiting"}, func(s poolShare) any { return s.GetWaiting() }},
	}
}

type seatsExplainCommand struct {
	Person string `arg:"" help:"${external_login}"`
	Tenant string `placeholder:"NAME" help:"${person_tenant}"`
}

// Run says step by step why somebody gets a seat or does not.
func (c *seatsExplainCommand) Run(ctx context.Context, a *app) error {
	if strings.TrimSpace(c.Person) == "" {
		return a.nobody("heimdraht seats explain")
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.licence.ExplainSeat(ctx, &heimdrahtv1.ExplainSeatRequest{PersonId: c.Person, Tenant: c.Tenant})
		if err != nil {
			return err
		}
		type step = *heimdrahtv1.SeatStep
		columns := []column[step]{
			{"licence_pool", words{"Lizenzen", "licence pool"}, func(s step) any { return s.GetPool() }},
			{"against", words{"hindert", "against"}, func(s step) any { return s.GetAgainst() }},
			{"step", words{"Schritt", "step"}, func(s step) any { return s.GetSentence() }},
		}
		if a.form != formTable {
			return list(a.printer, "steps", columns, r.GetSteps(), pair{"person_name", r.GetPersonName()}, pair{"tenant", r.GetTenant()}, pair{"licence_pool", r.GetPool()})
		}
		a.say(words{"%s, %s", "%s, %s"}, r.GetPersonName(), r.GetTenant())
		for _, s := range r.GetSteps() {
			mark, pool := "  ", ""
			if s.GetAgainst() {
				mark = "! "
			}
			if s.GetPool() != "" {
				pool = s.GetPool() + ": "
			}
			a.say(words{"%s%s%s", "%s%s%s"}, mark, pool, s.GetSentence())
		}
		return nil
	})
}

// seatOf is which named seat of whom.
type seatOf struct {
	Person string `arg:"" help:"${external_login}"`
	Pool   string `required:"" placeholder:"NAME" help:"${seats_pool}"`
	Tenant string `placeholder:"NAME" help:"${person_tenant}"`
	because
}

// nobody says that no person is named.
func (a *app) nobody(command string) error {
	return usageError{words{"wer? Login, Mailadresse oder Person-ID fehlt", "who? A login, mail address or person id is missing"}.in(a.language), command}
}

func (c *seatOf) check(a *app, command string) (string, error) {
	if strings.TrimSpace(c.Person) == "" {
		return "", a.nobody(command)
	}
	if strings.TrimSpace(c.Pool) == "" {
		return "", usageError{words{"--pool ist leer", "--pool is empty"}.in(a.language), command}
	}
	return c.reason(a, command)
}

type seatsAssignCommand struct{ seatOf }

// Run makes a named seat a person's.
func (c *seatsAssignCommand) Run(ctx context.Context, a *app) error {
	reason, err := c.check(a, "heimdraht seats assign")
	if err != nil {
		return err
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.licence.AssignSeat(ctx, &heimdrahtv1.AssignSeatRequest{PersonId: c.Person, Tenant: c.Tenant, Pool: c.Pool, Reason: reason})
		if err != nil {
			return err
		}
		if a.form != formTable {
			return card(a.printer, []column[*heimdrahtv1.AssignSeatResponse]{
				{"person_name", words{}, func(r *heimdrahtv1.AssignSeatResponse) any { return r.GetPersonName() }},
				{"tenant", words{}, func(r *heimdrahtv1.AssignSeatResponse) any { return r.GetTenant() }},
				{"licence_pool", words{}, func(*heimdrahtv1.AssignSeatResponse) any { return c.Pool }},
			}, r)
		}
		a.say(words{"%s hat einen Platz aus %s.", "%s has a seat of %s."}, r.GetPersonName(), c.Pool)
		return nil
	})
}

type seatsTakeBackCommand struct{ seatOf }

// Run takes a named seat back.
func (c *seatsTakeBackCommand) Run(ctx context.Context, a *app) error {
	reason, err := c.check(a, "heimdraht seats take-back")
	if err != nil {
		return err
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.licence.TakeBackSeat(ctx, &heimdrahtv1.TakeBackSeatRequest{PersonId: c.Person, Tenant: c.Tenant, Pool: c.Pool, Reason: reason})
		if err != nil {
			return err
		}
		switch {
		case a.form != formTable:
			return card(a.printer, []column[*heimdrahtv1.TakeBackSeatResponse]{
				{"person_name", words{}, func(r *heimdrahtv1.TakeBackSeatResponse) any { return r.GetPersonName() }},
				{"tenant", words{}, func(r *heimdrahtv1.TakeBackSeatResponse) any { return r.GetTenant() }},
				{"licence_pool", words{}, func(*heimdrahtv1.TakeBackSeatResponse) any { return c.Pool }},
				{"free", words{}, func(r *heimdrahtv1.TakeBackSeatResponse) any { return r.GetFree() }},
				{"bound_until", words{}, func(r *heimdrahtv1.TakeBackSeatResponse) any { return timeOf(r.GetBoundUntil()) }},
			}, r)
		case r.GetFree():
			a.say(words{"%s hat keinen Platz aus %s mehr; er ist frei.", "%s has no seat of %s any more; it is free."}, r.GetPersonName(), c.Pool)
		case r.GetBoundUntil() != nil:
			a.say(words{"%s hat keinen Platz aus %s mehr. Frei wird er, wenn der Vertrag es erlaubt: %s.", "%s has no seat of %s any more. It becomes free when the contract allows it: %s."},
				r.GetPersonName(), c.Pool, a.time(timeOf(r.GetBoundUntil())))
		default:
			a.say(words{"%s hat keinen Platz aus %s mehr. Frei wird er, wenn die Verbindung darauf endet.", "%s has no seat of %s any more. It becomes free when the session on it ends."}, r.GetPersonName(), c.Pool)
		}
		return nil
	})
}
