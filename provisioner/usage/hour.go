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

// rowsAtOnce is how many rows of all series of a kind go in one transaction.
const rowsAtOnce = 8

// row is one of all series of a kind.
type row struct {
	step   time.Duration
	begins time.Time
	kind   Kind
	rows   map[int64]capacity.Interval
}

// hour puts the minutes of an hour together, and decides what of it may be told.
func (r *roller) hour(ctx context.Context, begins time.Time) error {
	var rows []row
	hours := make(map[Kind]map[int64]capacity.Interval)
	err := r.Store.View(ctx, func(tx *store.Reader) error {
		for _, kind := range []Kind{Provider, Tenants, Pools, Gateways} {
			minutes, err := minutesOf(tx, kind, begins)
			if err != nil {
				return err
			}
			var fives []row
			fives, hours[kind] = together(kind, begins, minutes)
			rows = append(rows, fives...)
		}
		d := &decision{begins: begins, names: namesOf(r.series), hours: hours}
		return d.decide(tx)
	})
	if err != nil {
		return err
	}
	for kind, of := range hours {
		rows = append(rows, row{Hour, begins, kind, of})
	}
	for len(rows) > 0 {
		part := rows[:min(rowsAtOnce, len(rows))]
		rows = rows[len(part):]
		texts := make([]string, len(part))
		for i, v := range part {
			texts[i] = packed(v.rows)
		}
		if err := r.duty.Update(ctx, func(tx *store.Writer) error {
			for i, v := range part {
				if err := tx.PutUsageInterval(v.step, v.begins, string(v.kind), texts[i]); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	next := r.state
	next.HoursTo = begins.Add(Hour)
	if err := r.duty.Update(ctx, func(tx *store.Writer) error {
		return errors.Join(tx.ForgetRefused(begins), tx.PutUsageState(next)) // the hour before stays, for replicas that are late
	}); err != nil {
		return err
	}
	r.state = next
	return nil
}

func namesOf(ids map[series]int64) map[int64]string {
	names := make(map[int64]string, len(ids))
	for s, id := range ids {
		names[id] = s.name
	}
	return names
}

// minutesOf reads the minutes of an hour, by series.
func minutesOf(tx *store.Reader, kind Kind, begins time.Time) (map[int64]*[60]capacity.Interval, error) {
	list, err := tx.UsageIntervals(Minute, string(kind), begins, begins.Add(Hour))
	if err != nil {
		return nil, fmt.Errorf("reading minutes: %w", err)
	}
	minutes := make(map[int64]*[60]capacity.Interval)
	for _, v := range list {
		ids, intervals, err := capacity.UnpackIntervals(v.Packed)
		if err != nil {
			return nil, fmt.Errorf("reading the minute of %s: %w", v.At.Format(time.RFC3339), err)
		}
		for i, id := range ids {
			if minutes[id] == nil {
				minutes[id] = new([60]capacity.Interval)
			}
			minutes[id][int(v.At.Sub(begins)/Minute)%60] = intervals[i]
		}
	}
	return minutes, nil
}

// together makes five minutes and hours of minutes.
func together(kind Kind, begins time.Time, minutes map[int64]*[60]capacity.Interval) (fives []row, hour map[int64]capacity.Interval) {
	hour = make(map[int64]capacity.Interval, len(minutes))
	for i := range 12 {
		fives = append(fives, row{FiveMinutes, begins.Add(time.Duration(i) * FiveMinutes), kind, make(map[int64]capacity.Interval, len(minutes))})
	}
	for id, list := range minutes {
		for i := range fives {
			if v := capacity.Merge(list[5*i : 5*i+5]).Coarse(); v.Minutes > 0 {
				fives[i].rows[id] = v
			}
		}
		if v := capacity.Merge(list[:]).Coarse(); v.Minutes > 0 {
			hour[id] = v
		}
	}
	return fives, hour
}

// decision is what of an hour may be told.
type decision struct {
	begins time.Time
	names  map[int64]string // of series
	hours  map[Kind]map[int64]capacity.Interval

	entitled [][2]string // tenants, and the pools that they may have seats of
}

func (d *decision) decide(tx *store.Reader) error {
	shares, err := tx.PoolShares()
	if err != nil {
		return fmt.Errorf("reading the shares of pools: %w", err)
	}
	for _, s := range shares {
		d.entitled = append(d.entitled, [2]string{s.Tenant, s.Pool})
	}
	present, err := d.present(tx)
	if err != nil {
		return err
	}
	opened, err := tx.OpenedWithin(d.begins, d.begins.Add(Hour))
	if err != nil {
		return fmt.Errorf("reading whose sessions were opened: %w", err)
	}
	refused, err := tx.RefusedWithin(d.begins, d.begins.Add(Hour))
	if err != nil {
		return fmt.Errorf("reading what was refused: %w", err)
	}
	heads, err := tx.Headcounts()
	if err != nil {
		return fmt.Errorf("counting the people of tenants: %w", err)
	}
	told := capacity.Tell(present)
	d.may(capacity.DiscloseSessions, told)
	hides := hiding(present, told)
	d.opened(opened, hides)
	d.queue(hides)
	d.refused(refused)
	d.round(heads, hides)
	return nil
}

// refused decides on openings that were refused: to enough people. That of all tenants
// together it were so many is noted with the hour of all.
func (d *decision) refused(list []store.RefusedOpenings) {
	for reason := range capacity.Reason(capacity.Reasons) {
		enough, people := make(map[string]bool), int64(0)
		for _, v := range list {
			if capacity.Reason(v.Reason) == reason {
				enough[v.Tenant] = v.People >= capacity.Smallest
				people += v.People
			}
		}
		d.may(capacity.DiscloseRefused(reason), capacity.Tellings{Tenants: enough, Provider: people >= capacity.Smallest})
	}
}

// hiding are the pools in whose numbers a tenant is hidden that is not told of. Whether
// anybody of it is there makes no difference: else that would say so.
func hiding(present []capacity.Part, told capacity.Tellings) map[string]bool {
	pools := make(map[string]bool)
	for _, p := range present {
		if !told.Tenants[p.Tenant] {
			pools[p.Pool] = true
		}
	}
	return pools
}

// may sets what may be told of tenants and pools.
func (d *decision) may(what capacity.Disclosure, told capacity.Tellings) {
	set := func(kind Kind, is func(string) bool) {
		for id, v := range d.hours[kind] {
			if is(d.names[id]) {
				v.Disclosed |= what
				d.hours[kind][id] = v
			}
		}
	}
	set(Tenants, func(name string) bool { return told.Tenants[name] })
	set(Pools, func(name string) bool { return told.Pools[name] })
	set(Provider, func(string) bool { return told.Provider })
}

// present is what tenants had of pools in the hour, in each of its minutes at the least.
func (d *decision) present(tx *store.Reader) ([]capacity.Part, error) {
	list, err := tx.UsageIntervals(Minute, string(parts), d.begins, d.begins.Add(Hour))
	if err != nil {
		return nil, fmt.Errorf("reading the parts of minutes: %w", err)
	}
	type seen struct {
		least, most int64
		minutes     int
	}
	all := make(map[int64]*seen)
	for _, v := range list {
		keys, columns, err := capacity.Unpack(v.Packed)
		if err != nil || len(columns) != 2 {
			return nil, fmt.Errorf("reading the parts of %s: %w", v.At.Format(time.RFC3339), err)
		}
		for i, key := range keys {
			if all[key] == nil {
				all[key] = &seen{least: columns[0][i]}
			}
			s := all[key]
			s.least, s.most, s.minutes = min(s.least, columns[0][i]), max(s.most, columns[1][i]), s.minutes+1
		}
	}
	var result []capacity.Part
	for _, key := range slices.Sorted(maps.Keys(all)) {
		s := all[key]
		if s.minutes < len(list) {
			s.least = 0
		}
		result = append(result, capacity.Part{Tenant: d.names[key>>idBits], Pool: d.names[key&(1<<idBits-1)], Least: s.least, Most: s.most})
	}
	return result, nil
}

// opened decides on sessions that began: of enough people. A pool's are rounded where
// those of a tenant are none of them or few.
func (d *decision) opened(people []store.PeopleCount, hides map[string]bool) {
	told := capacity.Tellings{Tenants: make(map[string]bool), Pools: make(map[string]bool)}
	ofTenant, ofPool, ofPart := make(map[string]int64), make(map[string]int64), make(map[[2]string]int64)
	for _, c := range people {
		ofTenant[c.Tenant] += c.People
		ofPool[c.Pool] += c.People
		ofPart[[2]string{c.Tenant, c.Pool}] += c.People
	}
	for tenant, n := range ofTenant {
		told.Tenants[tenant] = n >= capacity.Smallest
	}
	for pool, n := range ofPool {
		told.Pools[pool] = n >= capacity.Smallest
	}
	for _, e := range d.entitled {
		hides[e[1]] = hides[e[1]] || ofPart[e] < capacity.Smallest
	}
	d.may(capacity.DiscloseOpened, told)
}

// queue decides on how many waited at the most. Whoever waits does so for all pools that
// she may have a seat of.
func (d *decision) queue(hides map[string]bool) {
	told := capacity.Tellings{Tenants: make(map[string]bool), Pools: make(map[string]bool)}
	for kind, of := range map[Kind]map[string]bool{Tenants: told.Tenants, Pools: told.Pools} {
		for id, v := range d.hours[kind] {
			of[d.names[id]] = v.Queue.Max >= capacity.Smallest
		}
	}
	for _, e := range d.entitled {
		hides[e[1]] = hides[e[1]] || !told.Tenants[e[0]]
	}
	d.may(capacity.DiscloseQueue, told)
}

// round has numbers of few people rounded, and those from which others are known that
// together would be those of few. Those of pools that hide few people are rounded, too:
// somebody may know of all others from elsewhere.
func (d *decision) round(heads []store.PeopleCount, hiding map[string]bool) {
	people := make(map[string]int64)
	for _, h := range heads {
		people[h.Tenant] = h.People
	}
	tenants, pools := make(map[string]bool), hiding
	few := make(map[string]int64)
	for _, id := range slices.Sorted(maps.Keys(d.hours[Tenants])) {
		name := d.names[id]
		if people[name] < capacity.FewPeople {
			tenants[name] = true
		}
	}
	for _, e := range d.entitled {
		if tenants[e[0]] {
			few[e[1]] += max(1, people[e[0]])
		}
	}
	for pool, n := range few {
		pools[pool] = pools[pool] || n < capacity.FewPeople
	}
	d.may(capacity.Rounded, capacity.Tellings{Tenants: tenants, Pools: pools})
}
