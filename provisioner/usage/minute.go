package usage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// roller measures while this replica holds the duty.
type roller struct {
	*Service
	duty    *store.Duty
	state   store.UsageState
	samples []sample
	series  map[series]int64 // ids of all that there ever were
	tidied  time.Time
}

// sample is what was so at a time and is written nowhere.
type sample struct {
	at    time.Time
	names []series        // of all that there is
	away  map[string]bool // gateways
}

// look measures once, and writes what is over.
func (r *roller) look(ctx context.Context, now time.Time) error {
	if err := r.sample(ctx, now); err != nil {
		return err
	}
	if r.state.MinutesTo.IsZero() {
		if err := r.resume(ctx, now); err != nil {
			return err
		}
	} else if now.Sub(r.state.SeenAt) > silence {
		if err := r.leaveGap(ctx, now); err != nil {
			return err
		}
	}
	r.state.SeenAt = now
	if err := r.duty.Update(ctx, func(tx *store.Writer) error { return tx.SeeUsage() }); err != nil {
		return err
	}
	for end := r.state.MinutesTo.Add(Minute); !end.Add(settle).After(now); end = r.state.MinutesTo.Add(Minute) {
		if err := r.minute(ctx, r.state.MinutesTo); err != nil {
			return fmt.Errorf("the minute of %s: %w", r.state.MinutesTo.Format(time.RFC3339), err)
		}
	}
	for end := r.state.HoursTo.Add(Hour); !end.After(r.state.MinutesTo); end = r.state.HoursTo.Add(Hour) {
		if err := r.hour(ctx, r.state.HoursTo); err != nil {
			return fmt.Errorf("the hour of %s: %w", r.state.HoursTo.Format(time.RFC3339), err)
		}
	}
	for end := r.state.DaysTo.Add(day); !end.After(r.state.HoursTo); end = r.state.DaysTo.Add(day) {
		if err := r.day(ctx, r.state.DaysTo); err != nil {
			return fmt.Errorf("the day of %s: %w", r.state.DaysTo.Format(time.DateOnly), err)
		}
	}
	return r.forget(ctx, now)
}

// resume goes on where a replica stopped, or begins.
func (r *roller) resume(ctx context.Context, now time.Time) error {
	state, err := store.Read(ctx, r.Store, (*store.Reader).UsageState)
	if err != nil {
		return err
	}
	if !state.MinutesTo.IsZero() {
		r.state = state
		if now.Sub(state.SeenAt) > silence {
			return r.leaveGap(ctx, now)
		}
		return nil
	}
	state.MinutesTo, state.HoursTo, state.DaysTo, state.SeenAt = now.UTC().Truncate(Minute), now.UTC().Truncate(Hour), now.UTC().Truncate(day), now
	err = r.Store.View(ctx, func(tx *store.Reader) error {
		position, err := tx.Position()
		if err != nil {
			return err
		}
		list, err := tx.CarriedSince(position.Revision, now)
		state.Revision, state.CountedAt, state.Bytes = position.Revision, now, packCarried(r.open(list))
		return err
	})
	if err != nil {
		return err
	}
	if err := r.duty.Update(ctx, func(tx *store.Writer) error { return tx.PutUsageState(state) }); err != nil {
		return err
	}
	r.state = state
	return nil
}

// leaveGap computes the minutes until somebody last measured, and leaves out those that
// nobody saw anything of.
func (r *roller) leaveGap(ctx context.Context, now time.Time) error {
	for !r.state.MinutesTo.After(r.state.SeenAt) {
		if !r.state.MinutesTo.Add(Minute).Before(now) {
			return nil // it is not over yet
		}
		if err := r.minute(ctx, r.state.MinutesTo); err != nil {
			return err
		}
	}
	next := r.state
	next.SeenAt = now
	if begins := now.UTC().Truncate(Minute); begins.After(next.MinutesTo) {
		r.Logger.Warn("nobody measured how much was used: these minutes are a gap", "from", next.MinutesTo, "to", begins)
		next.MinutesTo = begins
	}
	if err := r.duty.Update(ctx, func(tx *store.Writer) error { return tx.PutUsageState(next) }); err != nil {
		return err
	}
	r.state = next
	return nil
}

// sample looks at which gateways are there.
func (r *roller) sample(ctx context.Context, now time.Time) error {
	v := sample{at: now, names: []series{{kind: Provider}}, away: make(map[string]bool)}
	err := r.Store.View(ctx, func(tx *store.Reader) error {
		list, err := tx.UsageNames(now)
		if err != nil {
			return err
		}
		for _, n := range list {
			v.names = append(v.names, series{Kind(n.Kind), n.Name})
			if Kind(n.Kind) == Gateways {
				v.away[n.Name] = !n.Reachable
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.samples = append(slices.DeleteFunc(r.samples, func(old sample) bool { return now.Sub(old.at).Abs() > 5*time.Minute }), v)
	return r.ids(ctx, v.names)
}

// ids has all that are named get ids.
func (r *roller) ids(ctx context.Context, names []series) error {
	missing := make(map[series]bool)
	for _, n := range names {
		if _, ok := r.series[n]; !ok {
			missing[n] = true
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var list []store.UsageSeries
	for n := range missing {
		list = append(list, store.UsageSeries{Kind: string(n.kind), Name: n.name})
	}
	for len(list) > 0 {
		part := list[:min(slice, len(list))]
		list = list[len(part):]
		if err := r.duty.Update(ctx, func(tx *store.Writer) error { return tx.AddUsageSeries(part) }); err != nil {
			return err
		}
	}
	var err error
	r.series, err = store.Read(ctx, r.Store, readSeries)
	return err
}

// within are the samples of a minute, or the last one if there is none.
func (r *roller) within(begins time.Time) []sample {
	var list []sample
	for _, v := range r.samples {
		if !v.at.Before(begins) && v.at.Before(begins.Add(Minute)) {
			list = append(list, v)
		}
	}
	if len(list) == 0 && len(r.samples) > 0 {
		list = r.samples[len(r.samples)-1:]
	}
	return list
}

// measured is a minute as it is put together.
type measured struct {
	begins   time.Time
	present  map[series]int64           // sessions open when it begins
	moves    map[series][]capacity.Move // of them
	waited   map[series]int64           // laptops that wait for a seat when it begins
	waits    map[series][]capacity.Move // of them
	opened   map[series]int64
	received map[series]int64
	sent     map[series]int64
	refused  map[series]*[capacity.Reasons]int64
	missing  map[series]bool     // a gateway that carries it was away
	away     map[string]bool     // gateways
	names    []series            // of what there is, some more than once
	parts    map[[2]string]*part // by tenant and pool

	state store.UsageState // after it
}

// part is what a tenant has of a pool: people when the minute begins, and the moves of
// their sessions.
type part struct {
	people, sessions, closed int64
	moves                    []capacity.Move
}

// minute computes a minute that is over, and writes it.
func (r *roller) minute(ctx context.Context, begins time.Time) error {
	m := &measured{
		begins: begins, present: make(map[series]int64), moves: make(map[series][]capacity.Move),
		waited: make(map[series]int64), waits: make(map[series][]capacity.Move), opened: make(map[series]int64),
		received: make(map[series]int64), sent: make(map[series]int64), refused: make(map[series]*[capacity.Reasons]int64),
		missing: make(map[series]bool), away: make(map[string]bool), parts: make(map[[2]string]*part), state: r.state,
	}
	m.awayIn(r.within(begins))
	m.names = append(m.names, r.samples[len(r.samples)-1].names...)
	awayBefore := &measured{away: make(map[string]bool)}
	awayBefore.awayIn(r.within(begins.Add(-Minute)))
	err := r.Store.View(ctx, func(tx *store.Reader) error {
		return errors.Join(m.readSessions(tx), m.readQueue(tx), m.readMissing(tx, awayBefore.away), r.readBytes(tx, m, awayBefore.away), m.readRefused(tx))
	})
	if err != nil {
		return err
	}
	if err := r.ids(ctx, m.names); err != nil {
		return err
	}
	rows := map[Kind]map[int64]capacity.Interval{Provider: {}, Tenants: {}, Pools: {}, Gateways: {}}
	for _, name := range m.names {
		id := r.series[name]
		if _, done := rows[name.kind][id]; done {
			continue
		}
		if v, ok := m.interval(name); ok {
			rows[name.kind][id] = v
		}
	}
	keys, columns := r.packParts(m)
	m.state.MinutesTo = begins.Add(Minute)
	if err := r.duty.Update(ctx, func(tx *store.Writer) error {
		for _, kind := range []Kind{Provider, Tenants, Pools, Gateways} {
			if err := tx.PutUsageInterval(Minute, begins, string(kind), packed(rows[kind])); err != nil {
				return err
			}
		}
		return errors.Join(tx.PutUsageInterval(Minute, begins, string(parts), capacity.Pack(keys, columns)), tx.CountRefused(begins.Add(Minute)), tx.PutUsageState(m.state))
	}); err != nil {
		return err
	}
	r.state = m.state
	return nil
}

func packed(rows map[int64]capacity.Interval) string {
	keys := slices.Sorted(maps.Keys(rows))
	list := make([]capacity.Interval, len(keys))
	for i, k := range keys {
		list[i] = rows[k]
	}
	return capacity.PackIntervals(keys, list)
}

// awayIn notes the gateways that were not there for more than half of the samples.
func (m *measured) awayIn(samples []sample) {
	missed := make(map[string]int)
	for _, v := range samples {
		for gateway, away := range v.away {
			if away {
				missed[gateway]++
			}
		}
	}
	for gateway, n := range missed {
		m.away[gateway] = 2*n > len(samples)
	}
}

// all are the series in which a session counts. What a static peer holds has no pool.
func all(tenant, pool, gateway string) []series {
	list := []series{{kind: Provider}, {Tenants, tenant}, {Gateways, gateway}}
	if pool != "" {
		list = append(list, series{Pools, pool})
	}
	return list
}

func (m *measured) part(tenant, pool string) *part {
	key := [2]string{tenant, pool}
	if m.parts[key] == nil {
		m.parts[key] = new(part)
	}
	return m.parts[key]
}

func (m *measured) readSessions(tx *store.Reader) error {
	present, err := tx.PresentAt(m.begins)
	if err != nil {
		return fmt.Errorf("reading which sessions were open: %w", err)
	}
	people, err := tx.PeopleAt(m.begins)
	if err != nil {
		return fmt.Errorf("reading whose sessions were open: %w", err)
	}
	moved, err := tx.MovedWithin(m.begins, m.begins.Add(Minute))
	if err != nil {
		return fmt.Errorf("reading which sessions were opened and closed: %w", err)
	}
	shares, err := tx.PoolShares()
	if err != nil {
		return fmt.Errorf("reading the shares of pools: %w", err)
	}
	for _, s := range shares { // those who hold none of a pool are part of it, too
		m.part(s.Tenant, s.Pool)
	}
	for _, p := range present {
		for _, name := range all(p.Tenant, p.Pool, p.Gateway) {
			m.present[name] += p.Sessions
			m.names = append(m.names, name)
		}
		m.part(p.Tenant, p.Pool).sessions += p.Sessions
	}
	for _, p := range people {
		m.part(p.Tenant, p.Pool).people += p.People
	}
	for _, s := range moved {
		m.move(s)
	}
	return nil
}

// move counts what a session that was opened or closed in the minute does to it.
func (m *measured) move(s store.SessionTimes) {
	p := m.part(s.Tenant, s.Pool)
	names := all(s.Tenant, s.Pool, s.Gateway)
	m.names = append(m.names, names...)
	note := func(t time.Time, by int64) {
		v := capacity.Move{At: t.Sub(m.begins).Milliseconds(), By: by}
		p.moves = append(p.moves, v)
		for _, name := range names {
			m.moves[name] = append(m.moves[name], v)
		}
	}
	if s.OpenedAt.Equal(s.ClosedAt) {
		return // it lasted for no time
	}
	if !s.OpenedAt.Before(m.begins) {
		note(s.OpenedAt, 1)
		for _, name := range names {
			m.opened[name]++
		}
	}
	if !s.ClosedAt.IsZero() && s.ClosedAt.Before(m.begins.Add(Minute)) {
		note(s.ClosedAt, -1)
		p.closed++
	}
}

// readMissing notes what lacks a gateway: in the minute after it was away, too, because
// what it then counts is of longer than that.
func (m *measured) readMissing(tx *store.Reader, before map[string]bool) error {
	var away []string
	for _, list := range []map[string]bool{m.away, before} {
		for gateway, is := range list {
			if is && !slices.Contains(away, gateway) {
				away = append(away, gateway)
			}
		}
	}
	tenants, err := tx.ServedBy(away)
	if err != nil {
		return fmt.Errorf("reading which tenants a gateway serves: %w", err)
	}
	for _, gateway := range away {
		m.missing[series{kind: Provider}], m.missing[series{Gateways, gateway}] = true, true
	}
	for _, tenant := range tenants {
		m.missing[series{Tenants, tenant}] = true
		for key := range m.parts {
			if key[0] == tenant {
				m.missing[series{Pools, key[1]}] = true
			}
		}
	}
	return nil
}

func (m *measured) readRefused(tx *store.Reader) error {
	list, err := tx.RefusedUncounted(m.begins.Add(Minute))
	if err != nil {
		return fmt.Errorf("reading what was refused: %w", err)
	}
	for _, v := range list {
		for _, name := range []series{{kind: Provider}, {Tenants, v.Tenant}} {
			m.names = append(m.names, name)
			if m.refused[name] == nil {
				m.refused[name] = new([capacity.Reasons]int64)
			}
			if v.Reason >= 0 && v.Reason < int64(capacity.Reasons) {
				m.refused[name][v.Reason] += v.Attempts
			}
		}
	}
	return nil
}

// interval is the minute of a series; false: it is a gap.
func (m *measured) interval(name series) (v capacity.Interval, ok bool) {
	if name.kind == Gateways && m.away[name.name] {
		return v, false
	}
	v = capacity.Interval{
		Minutes: 1, Complete: 1, Opened: m.opened[name], Received: m.received[name], Sent: m.sent[name],
		Sessions: capacity.Follow(m.present[name], m.moves[name], Minute.Milliseconds()),
		Queue:    capacity.Follow(m.waited[name], m.waits[name], Minute.Milliseconds()),
	}
	if m.missing[name] {
		v.Complete = 0
	}
	if by := m.refused[name]; by != nil {
		v.Refused = *by
	}
	return v, true
}
