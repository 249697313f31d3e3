package store

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

func keyFromText(s string) (k provisioner.Key, err error) {
	if s == "" {
		return k, nil
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return k, err
	}
	return provisioner.ParseKey(b)
}

func prefixText(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

func prefixFromText(s string) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, nil
	}
	return netip.ParsePrefix(s)
}

// GatewayState is a gateway with what it last said.
type GatewayState struct {
	provisioner.Gateway
	Connected  bool
	ContactAt  time.Time
	ObservedAt time.Time // end of its last whole pass of observations
	Epoch      string    // of the revision acknowledged
	Revision   int64
	Load       provisioner.GatewayLoad
}

// ContactFresh is how long a gateway counts as connected without a sign of
// life; it gives one each 2 s.
const ContactFresh = 10 * time.Second

// LateAfter is how long without a sign of life makes a gateway one that others are
// better than.
const LateAfter = 4 * time.Second

// Heard reports whether its last sign of life is as old as it should be.
func (g GatewayState) Heard(now time.Time) bool {
	return g.Connected && now.Sub(g.ContactAt) < LateAfter
}

// Reachable reports whether the gateway's stream is up and alive.
func (g GatewayState) Reachable(now time.Time) bool {
	return g.Connected && now.Sub(g.ContactAt) < ContactFresh
}

const (
	gatewayColumns = `g.name, g.endpoint, g.sessions, g.aggregate_v4, g.aggregate_v6, g.masquerade, g.public_key, g.generation,
	g.joined_at, g.certificate_not_after, g.agent_version, g.open, g.weight, g.site, g.throughput, g.warn_at,
	g.drain_since, g.drain_by, g.drain_why, g.maintenance_from, g.maintenance_until, g.maintenance_why,
	coalesce(c.connected, 0), coalesce(c.contact_at, 0), coalesce(c.observed_at, 0), coalesce(c.epoch, ''), coalesce(c.revision, 0),
	coalesce(c.rate, 0), coalesce(c.cpu, 0) `
	gatewayTables = `from gateway g left join gateway_contact c on c.gateway = g.name `
	servingTables = gatewayTables + `join gateway_tenant t on t.gateway = g.name `
	selectGateway = `select ` + gatewayColumns + gatewayTables
	selectServed  = `select ` + gatewayColumns + servingTables
	selectServing = `select ` + gatewayColumns + `, t.tenant ` + servingTables
)

// served is a gateway with one of the tenants that it serves.
type served struct {
	gateway GatewayState
	tenant  string
}

func scanServing(s scanner) (v served, err error) {
	v.gateway, err = scanGatewayAnd(s, &v.tenant)
	return v, err
}

func scanGateway(s scanner) (GatewayState, error) { return scanGatewayAnd(s) }

func scanGatewayAnd(s scanner, more ...any) (g GatewayState, err error) {
	var v4, v6, key, warnAt string
	var masquerade, joined, notAfter, connected, contact, observed, drained, drainBy, from, until int64
	if err := s.Scan(append([]any{&g.Name, &g.Endpoint, &g.Sessions, &v4, &v6, &masquerade, &key, &g.Generation,
		&joined, &notAfter, &g.AgentVersion, &g.Open, &g.Weight, &g.Site, &g.Throughput, &warnAt,
		&drained, &drainBy, &g.Drain.Why, &from, &until, &g.Maintenance.Why,
		&connected, &contact, &observed, &g.Epoch, &g.Revision, &g.Load.Rate, &g.Load.CPU}, more...)...); err != nil {
		return g, err
	}
	g.Drain.Since, g.Drain.By = at(drained), at(drainBy)
	g.Maintenance.From, g.Maintenance.Until = at(from), at(until)
	g.Masquerade, g.Connected = masquerade != 0, connected != 0
	g.JoinedAt, g.CertificateNotAfter, g.ContactAt, g.ObservedAt = at(joined), at(notAfter), at(contact), at(observed)
	if g.AggregateV4, err = prefixFromText(v4); err != nil {
		return g, err
	}
	if g.AggregateV6, err = prefixFromText(v6); err != nil {
		return g, err
	}
	if g.WarnAt, err = percentsFromText(warnAt); err != nil {
		return g, err
	}
	g.PublicKey, err = keyFromText(key)
	return g, err
}

// percentsText writes thresholds, which percentsFromText reads.
func percentsText(list []int64) string {
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(texts, ",")
}

func percentsFromText(text string) (list []int64, err error) {
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading thresholds: %w", err)
		}
		list = append(list, n)
	}
	return list, nil
}

// Gateway reads by name, without the list of its tenants, which may be some
// hundred; ErrNone if there is none.
func (r *Reader) Gateway(name string) (GatewayState, error) {
	return one(r.q, scanGateway, selectGateway+`where g.name = $1`, name)
}

// Gateways lists all, by name, with their tenants.
func (r *Reader) Gateways() ([]GatewayState, error) {
	list, err := all(r.q, scanGateway, selectGateway+`order by g.name`)
	if err != nil {
		return nil, err
	}
	places, err := all(r.q, func(s scanner) (v [2]string, err error) { err = s.Scan(&v[0], &v[1]); return v, err },
		`select gateway, tenant from gateway_tenant order by gateway, tenant`)
	byName := make(map[string]*GatewayState, len(list))
	for i := range list {
		byName[list[i].Name] = &list[i]
	}
	for _, v := range places {
		byName[v[0]].Tenants = append(byName[v[0]].Tenants, v[1])
	}
	return list, err
}

// GatewayStates lists all, by name, without the lists of their tenants.
func (r *Reader) GatewayStates() ([]GatewayState, error) {
	return all(r.q, scanGateway, selectGateway+`order by g.name`)
}

// StaticsOn counts the static peers that have a session on each gateway.
func (r *Reader) StaticsOn() (map[string]int64, error) {
	type row struct {
		gateway string
		n       int64
	}
	list, err := all(r.q, func(s scanner) (v row, err error) { err = s.Scan(&v.gateway, &v.n); return v, err },
		`select gateway, count(*) from static_peer group by gateway`)
	counts := make(map[string]int64, len(list))
	for _, v := range list {
		counts[v.gateway] = v.n
	}
	return counts, err
}

// GatewaysOf lists those that serve a tenant, by name, without the list of
// their tenants.
func (r *Reader) GatewaysOf(tenant string) ([]GatewayState, error) {
	if l := r.ledger(); l != nil {
		return l.gatewaysOf(tenant)
	}
	return all(r.q, scanGateway, selectServed+`where t.tenant = $1 order by g.name`, tenant)
}

// PutGateway makes or changes what is declared of a gateway, and records the
// change. What it brought along when it joined stays. was is the gateway as it is
// stored, zero if there is none; without it the list of its tenants is written
// anew.
func (w *Writer) PutGateway(g provisioner.Gateway, was ...provisioner.Gateway) error {
	if err := run(w.q, `insert into gateway (name, endpoint, sessions, aggregate_v4, aggregate_v6, masquerade,
			public_key, generation, joined_at, certificate_not_after, agent_version, open, weight, site, throughput, warn_at)
		values ($1, $2, $3, $4, $5, $6, '', 0, 0, 0, '', 0, $7, $8, $9, $10)
		on conflict (name) do update set endpoint = excluded.endpoint, sessions = excluded.sessions,
			aggregate_v4 = excluded.aggregate_v4, aggregate_v6 = excluded.aggregate_v6, masquerade = excluded.masquerade,
			weight = excluded.weight, site = excluded.site, throughput = excluded.throughput, warn_at = excluded.warn_at`,
		g.Name, g.Endpoint, g.Sessions, prefixText(g.AggregateV4), prefixText(g.AggregateV6), boolInt(g.Masquerade),
		cmp.Or(g.Weight, provisioner.DefaultWeight), g.Site, g.Throughput, percentsText(g.WarnAt)); err != nil {
		return err
	}
	tenants := g.Tenants
	if len(was) == 0 {
		if err := run(w.q, `delete from gateway_tenant where gateway = $1`, g.Name); err != nil {
			return err
		}
	} else {
		tenants = without(g.Tenants, was[0].Tenants)
		for _, t := range without(was[0].Tenants, g.Tenants) {
			if err := run(w.q, `delete from gateway_tenant where gateway = $1 and tenant = $2`, g.Name, t); err != nil {
				return err
			}
		}
	}
	rows := make([][]any, len(tenants))
	for i, t := range tenants {
		rows[i] = []any{g.Name, t}
	}
	if err := insertMany(w.q, `insert into gateway_tenant (gateway, tenant)`, rows, ""); err != nil {
		return err
	}
	_, err := w.Record(provisioner.Change{Kind: provisioner.ChangeGateway, Gateway: g.Name})
	return err
}

// JoinGateway keeps the keys of a gateway that joins: the next generation.
func (w *Writer) JoinGateway(name string, key provisioner.Key, notAfter time.Time, version string) error {
	if err := run(w.q, `update gateway set public_key = $1, generation = generation + 1, joined_at = $2, certificate_not_after = $3,
		agent_version = $4 where name = $5`, key.String(), ms(w.Now), ms(notAfter), version, name); err != nil {
		return err
	}
	_, err := w.Record(provisioner.Change{Kind: provisioner.ChangeGateway, Gateway: name})
	return err
}

// SetDrain says that a gateway is drained; the zero Drain: no longer. Everybody whom it
// concerns is told.
func (w *Writer) SetDrain(gateway string, d provisioner.Drain) error {
	if err := run(w.q, `update gateway set drain_since = $1, drain_by = $2, drain_why = $3 where name = $4`,
		ms(d.Since), ms(d.By), d.Why, gateway); err != nil {
		return err
	}
	_, err := w.Record(provisioner.Change{Kind: provisioner.ChangeGateway, Gateway: gateway})
	return err
}

// SetMaintenance announces when a gateway is not to be used; the zero Maintenance:
// nothing is announced any more.
func (w *Writer) SetMaintenance(gateway string, m provisioner.Maintenance) error {
	if err := run(w.q, `update gateway set maintenance_from = $1, maintenance_until = $2, maintenance_why = $3 where name = $4`,
		ms(m.From), ms(m.Until), m.Why, gateway); err != nil {
		return err
	}
	_, err := w.Record(provisioner.Change{Kind: provisioner.ChangeGateway, Gateway: gateway})
	return err
}

// NoteGatewayCertificate keeps until when the newest certificate holds.
func (w *Writer) NoteGatewayCertificate(name string, notAfter time.Time) error {
	return run(w.q, `update gateway set certificate_not_after = $1 where name = $2`, ms(notAfter), name)
}

// NoteGatewayAgent keeps the version that a gateway's agent states.
func (w *Writer) NoteGatewayAgent(name, version string) error {
	return run(w.q, `update gateway set agent_version = $1 where name = $2 and agent_version <> $3`, version, name, version)
}

// Contact is what is kept of a gateway's last words.
type Contact struct {
	Gateway    string
	Connected  bool
	ContactAt  time.Time
	ObservedAt time.Time // zero: keep the one known
	Epoch      string
	Revision   int64
	Removed    []string // sessions confirmed one by one of late, ahead of Revision
	Load       provisioner.GatewayLoad
}

// Contact reads what a gateway said last; the zero Contact if it never did.
func (r *Reader) Contact(gateway string) (Contact, error) {
	c, err := one(r.q, func(s scanner) (c Contact, err error) {
		var connected, contact, observed int64
		var removed string
		if err := s.Scan(&c.Gateway, &connected, &contact, &observed, &c.Epoch, &c.Revision, &removed, &c.Load.Rate, &c.Load.CPU); err != nil {
			return c, err
		}
		c.Connected, c.ContactAt, c.ObservedAt = connected != 0, at(contact), at(observed)
		c.Removed = strings.Fields(removed)
		return c, nil
	}, `select gateway, connected, contact_at, observed_at, epoch, revision, removed, rate, cpu from gateway_contact where gateway = $1`, gateway)
	if errors.Is(err, ErrNone) {
		return Contact{Gateway: gateway}, nil
	}
	return c, err
}

// PutContact writes a gateway's row, where this replica holds its stream; it
// reports false if another one does by now, whose words count. With begins the
// stream is taken over: of two the newer wins.
func (w *Writer) PutContact(c Contact, begins bool) (bool, error) {
	w.heard = true
	n, err := w.beside().exec(`insert into gateway_contact (gateway, connected, contact_at, observed_at, epoch, revision, removed, replica, rate, cpu)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		on conflict (gateway) do update set connected = excluded.connected, contact_at = excluded.contact_at,
			observed_at = case when excluded.observed_at > 0 then excluded.observed_at else gateway_contact.observed_at end,
			epoch = excluded.epoch, revision = excluded.revision, removed = excluded.removed,
			replica = excluded.replica, rate = excluded.rate, cpu = excluded.cpu
		where gateway_contact.replica = excluded.replica or $11 = 1`,
		c.Gateway, boolInt(c.Connected), ms(c.ContactAt), ms(c.ObservedAt), c.Epoch, c.Revision, strings.Join(c.Removed, " "),
		w.store.replica, c.Load.Rate, c.Load.CPU, boolInt(begins))
	if n > 0 {
		w.ledger().heard(c)
	}
	return n > 0, err
}

// DisconnectGateways marks all as not connected: where one process is alone
// with the database, nobody is after its start. Replicas leave the others' alone;
// what a dead one has left goes stale within ContactFresh.
func (w *Writer) DisconnectGateways() error {
	if isShared(w.store.engine) {
		return nil
	}
	return run(w.q, `update gateway_contact set connected = 0 where connected <> 0`)
}
