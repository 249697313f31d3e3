package main

import (
	"context"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

type sessionsCommand struct {
	Tenant  string `placeholder:"NAME" help:"${sessions_tenant}"`
	Gateway string `placeholder:"NAME" help:"${sessions_gateway}"`
	Limit   int    `placeholder:"N" help:"${sessions_limit}"`
}

// The largest page that the control plane gives.
const sessionsPage = 1000

// Run lists the sessions that are open now, all of them: a list that is cut
// without a word would be counted.
func (c *sessionsCommand) Run(ctx context.Context, a *app) error {
	if c.Limit < 0 {
		return usageError{words{"--limit ist negativ", "--limit is negative"}.in(a.language), "heimdraht sessions"}
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		var all []*heimdrahtv1.Session
		var more bool
		for token := ""; ; {
			page := sessionsPage
			if c.Limit > 0 {
				page = min(page, c.Limit-len(all))
			}
			r, err := k.desk.ListSessions(ctx, &heimdrahtv1.ListSessionsRequest{
				Tenant: c.Tenant, Gateway: c.Gateway, Limit: uint32(page), PageToken: token})
			if err != nil {
				return err
			}
			all = append(all, r.GetSessions()...)
			token = r.GetNextPageToken()
			if more = token != ""; !more || c.Limit > 0 && len(all) >= c.Limit {
				break
			}
		}
		switch {
		case len(all) == 0 && c.Tenant+c.Gateway != "":
			a.hint(words{"Dort ist zurzeit keine Verbindung offen.", "No session is open there at present."})
		case len(all) == 0:
			a.hint(words{"Zurzeit ist keine Verbindung offen.", "No session is open at present."})
		}
		if err := list(a.printer, "sessions", sessionColumns(), all, pair{"more", more}); err != nil {
			return err
		}
		if more {
			a.hint(words{"Es gibt mehr.", "There are more."})
		}
		return nil
	})
}

// sessionColumns show on which gateway somebody is. What she is leaving there is marked: it goes on for its connections alone.
func sessionColumns() []column[*heimdrahtv1.Session] {
	return []column[*heimdrahtv1.Session]{
		{"person_name", words{"Person", "person"}, func(s *heimdrahtv1.Session) any { return s.GetPersonName() }},
		{"device_name", words{"Laptop", "laptop"}, func(s *heimdrahtv1.Session) any { return s.GetDeviceName() }},
		{"tenant", words{"Verwaltung", "tenant"}, func(s *heimdrahtv1.Session) any { return s.GetTenant() }},
		{"gateway", words{"Zugang", "gateway"}, func(s *heimdrahtv1.Session) any { return s.GetGateway() }},
		{"addresses", words{"Adressen", "addresses"}, func(s *heimdrahtv1.Session) any { return s.GetAddresses() }},
		{"online", words{"online", "online"}, func(s *heimdrahtv1.Session) any { return s.GetOnline() }},
		{"leaving", words{"läuft aus", "leaving"}, func(s *heimdrahtv1.Session) any { return s.GetLeaving() }},
		{"licence_pool", words{}, func(s *heimdrahtv1.Session) any { return s.GetLicencePool() }},
		{"lease_until", words{}, func(s *heimdrahtv1.Session) any { return timeOf(s.GetLeaseUntil()) }},
		{"session_id", words{}, func(s *heimdrahtv1.Session) any { return s.GetSessionId() }},
		{"person_id", words{}, func(s *heimdrahtv1.Session) any { return s.GetPersonId() }},
		{"device_id", words{"Geräte-ID", "device id"}, func(s *heimdrahtv1.Session) any { return s.GetDeviceId() }},
	}
}

type concurrencyCommand struct {
	Tenant string `placeholder:"NAME" help:"${sessions_tenant}"`
	Watch  bool   `help:"${watch}"`
}

// usage is one line of the answer: what is in use of what there is.
type usage struct {
	kind  string // tenant, licence pool or gateway
	name  string
	inUse *heimdrahtv1.Count
	of    int64     // seats or capacity; negative: a tenant has no number of its own
	burst int64     // agreed beyond the seats; negative: only pools have one
	until time.Time // of the quarter of an hour that is told; zero: now
}

// Run counts what is in use now.
func (c *concurrencyCommand) Run(ctx context.Context, a *app) error {
	shown := false
	show := func(ctx context.Context, k *client) error {
		r, err := k.plan.GetConcurrency(ctx, &heimdrahtv1.GetConcurrencyRequest{Tenant: c.Tenant})
		if err != nil {
			return err
		}
		if shown && a.form == formTable {
			a.say(words{})
		}
		err = a.showConcurrency(r, shown)
		shown = true
		return err
	}
	if !c.Watch {
		return a.withClient(ctx, show)
	}
	return a.watch(ctx, a.withClient, show)
}

// showConcurrency shows an answer. Of several in one file of CSV only the first has a heading.
func (a *app) showConcurrency(r *heimdrahtv1.GetConcurrencyResponse, again bool) error {
	var tenants, pools, gateways []usage
	for _, t := range r.GetTenants() {
		tenants = append(tenants, usage{kind: "tenant", name: t.GetTenant(), inUse: t.GetSessions(), of: -1, burst: -1, until: timeOf(t.GetUntil())})
	}
	for _, p := range r.GetPools() {
		pools = append(pools, usage{kind: "licence_pool", name: p.GetPool(), inUse: p.GetHeld(), of: p.GetSeats(), burst: p.GetBurst(), until: timeOf(p.GetUntil())})
	}
	for _, g := range r.GetGateways() {
		gateways = append(gateways, usage{kind: "gateway", name: g.GetGateway(), inUse: g.GetSessions(), of: g.GetCapacity(), burst: -1})
	}
	tenant, pool, gateway := tenantUsageColumns(), poolUsageColumns(), gatewayUsageColumns()
	switch a.form {
	case formJSON:
		return a.json(orderedObject{
			{"at", forPrograms(timeOf(r.GetAt()))},
			{"tenants", objects(tenant, tenants)}, {"licence_pools", objects(pool, pools)}, {"gateways", objects(gateway, gateways)},
		})
	case formCSV:
		write := writeCSV[usage]
		if again {
			write = writeCSVRows
		}
		return write(a.out, usageColumns(timeOf(r.GetAt())), append(append(tenants, pools...), gateways...))
	}
	a.say(words{"Stand %s", "as of %s"}, a.time(timeOf(r.GetAt())))
	withheld, until := false, time.Time{}
	for _, part := range []struct {
		rows    []usage
		columns []column[usage]
	}{{tenants, tenant}, {pools, pool}, {gateways, gateway}} {
		if len(part.rows) == 0 {
			continue
		}
		a.say(words{})
		if err := list(a.printer, "", part.columns, part.rows); err != nil {
			return err
		}
		for _, u := range part.rows {
			withheld = withheld || u.inUse.GetWithheld()
			if !u.until.IsZero() {
				until = u.until
			}
		}
	}
	a.quarterHint(until)
	if withheld {
		a.hint(words{"Verdeckt sind Zahlen unter 5 und solche, aus denen man sie errechnen könnte.", "Withheld are numbers below 5 and those from which they could be computed."})
	}
	return nil
}

// quarterHint says of when numbers are that are not of now. A zero until: all are.
func (a *app) quarterHint(until time.Time) {
	if !until.IsZero() {
		a.hint(words{"Wer Verbindungen nicht einzeln sehen darf, erfährt volle Stunden: das Höchste in der Viertelstunde bis %s.",
			"Who may not list sessions is told full hours: the most at one time in the quarter of an hour until %s."}, a.time(until))
	}
}

func tenantUsageColumns() []column[usage] {
	return []column[usage]{
		{"tenant", words{"Verwaltung", "tenant"}, func(u usage) any { return u.name }},
		{"sessions", words{"Verbindungen", "sessions"}, func(u usage) any { return u.inUse }},
		{"until", words{}, func(u usage) any { return u.until }},
	}
}

func poolUsageColumns() []column[usage] {
	return []column[usage]{
		{"licence_pool", words{"Lizenzen", "licence pool"}, func(u usage) any { return u.name }},
		{"held", words{"belegt", "held"}, func(u usage) any { return u.inUse }},
		{"seats", words{"Plätze", "seats"}, func(u usage) any { return u.of }},
		{"burst", words{"dazu vereinbart", "burst"}, func(u usage) any { return u.burst }},
		{"until", words{}, func(u usage) any { return u.until }},
	}
}

func gatewayUsageColumns() []column[usage] {
	return []column[usage]{
		{"gateway", words{"Zugangsserver", "gateway"}, func(u usage) any { return u.name }},
		{"sessions", words{"Verbindungen", "sessions"}, func(u usage) any { return u.inUse }},
		{"capacity", words{"höchstens", "capacity"}, func(u usage) any { return u.of }},
	}
}

// usageColumns put all three kinds into one list, for CSV.
func usageColumns(at time.Time) []column[usage] {
	known := func(n int64) any {
		if n < 0 {
			return nil
		}
		return n
	}
	return []column[usage]{
		{"kind", words{}, func(u usage) any { return u.kind }},
		{"name", words{}, func(u usage) any { return u.name }},
		{"in_use", words{}, func(u usage) any { return u.inUse }},
		{"of", words{}, func(u usage) any { return known(u.of) }},
		{"burst", words{}, func(u usage) any { return known(u.burst) }},
		{"until", words{}, func(u usage) any { return u.until }},
		{"at", words{}, func(usage) any { return at }},
	}
}
