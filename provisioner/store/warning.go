package store

import (
	"errors"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/capacity/warn"
)

// Warning is one that capacity runs out.
type Warning struct {
	ID   string
	Kind string
	Of   string // 'pool', 'tenant', 'gateway' or 'provider'
	Name string // empty: of the provider
	// Percent is the threshold, or of a forecast the probability. Zero: there is none.
	Percent  int64
	RaisedAt time.Time
	SeenAt   time.Time // when what raised it was measured
	Value    int64     // what it was then; of a forecast zero
	Capacity int64     // of how many; zero: there is no such number
	Expected time.Time // by a forecast; zero: by none
	EndedAt  time.Time // zero: it stands
	EndedWhy string    // empty: it stands
	Track    warn.Track
}

const warningColumns = `id, kind, of_kind, name, percent, raised_at, seen_at, value, capacity, expected_at, ended_at, ended_why, judged_to, quiet_days, known_ms, spoilt`

func scanWarning(s scanner) (v Warning, err error) {
	var raised, seen, expected, ended, judged, known, spoilt int64
	err = s.Scan(&v.ID, &v.Kind, &v.Of, &v.Name, &v.Percent, &raised, &seen, &v.Value, &v.Capacity, &expected, &ended, &v.EndedWhy, &judged, &v.Track.Quiet, &known, &spoilt)
	v.RaisedAt, v.SeenAt, v.Expected, v.EndedAt = at(raised), at(seen), at(expected), at(ended)
	v.Track.Open, v.Track.Until, v.Track.Known, v.Track.Spoilt = ended == 0, at(judged), time.Duration(known)*time.Millisecond, spoilt == 1
	return v, err
}

// OpenWarnings lists those that stand, in the order in which they were raised.
func (r *Reader) OpenWarnings() ([]Warning, error) {
	return all(r.q, scanWarning, `select `+warningColumns+` from warning where ended_at = 0 order by raised_at, id`)
}

// EndedWarnings lists those that have ended, the last to end first, at most limit.
func (r *Reader) EndedWarnings(limit int) ([]Warning, error) {
	return all(r.q, scanWarning, `select `+warningColumns+` from warning where ended_at > 0 order by ended_at desc, id limit $1`, limit)
}

// PutWarnings writes warnings, new or as they have become.
func (w *Writer) PutWarnings(list []Warning) error {
	rows := make([][]any, len(list))
	for i, v := range list {
		rows[i] = []any{
			v.ID, v.Kind, v.Of, v.Name, v.Percent, ms(v.RaisedAt), ms(v.SeenAt), v.Value, v.Capacity, ms(v.Expected), ms(v.EndedAt), v.EndedWhy,
			ms(v.Track.Until), v.Track.Quiet, v.Track.Known.Milliseconds(), boolInt(v.Track.Spoilt),
		}
	}
	return insertMany(w.q, `insert into warning (`+warningColumns+`)`, rows, ` on conflict (id) do update set ended_at = excluded.ended_at, ended_why = excluded.ended_why,
		judged_to = excluded.judged_to, quiet_days = excluded.quiet_days, known_ms = excluded.known_ms, spoilt = excluded.spoilt`)
}

// ForgetWarnings deletes those that ended before a time, at most limit, and tells how many.
func (w *Writer) ForgetWarnings(before time.Time, limit int) (int64, error) {
	return changed(w.q, `delete from warning where id in (select id from warning where ended_at > 0 and ended_at < $1 order by ended_at limit $2)`, ms(before), limit)
}

// WarningState is up to when hours and days were judged. Zero times: none was.
type WarningState struct{ HoursTo, DaysTo time.Time }

// WarningState reads up to when hours and days were judged.
func (r *Reader) WarningState() (WarningState, error) {
	v, err := one(r.q, func(s scanner) (v WarningState, err error) {
		var hours, days int64
		err = s.Scan(&hours, &days)
		return WarningState{at(hours), at(days)}, err
	}, `select hours_to, days_to from warning_state where id = 1`)
	if errors.Is(err, ErrNone) {
		return WarningState{}, nil
	}
	return v, err
}

// PutWarningState writes up to when hours and days were judged.
func (w *Writer) PutWarningState(v WarningState) error {
	return run(w.q, `insert into warning_state (id, hours_to, days_to) values (1, $1, $2) on conflict (id) do update set hours_to = excluded.hours_to, days_to = excluded.days_to`,
		ms(v.HoursTo), ms(v.DaysTo))
}

// ProductPools lists the pools that are for a tenant's products, and give sessions no seats.
func (r *Reader) ProductPools() ([]string, error) {
	return all(r.q, value[string], `select distinct pool from product_pool order by pool`)
}

// AddressUse is how the addresses of a gateway are given out.
type AddressUse struct {
	Blocks int64 // that tenants have
	// Fullest is how many addresses are taken in the blocks of the tenant that has the fewest left
	// by its share, those that nobody can have included, and how many there are in them.
	Fullest, Of int64
}

// AddressUse tells how the addresses of a gateway are given out.
func (r *Reader) AddressUse(gateway string) (u AddressUse, err error) {
	blocks, err := all(r.q, scanBlock, selectBlock+`where gateway = $1 order by tenant, block`, gateway)
	var tenant string
	var taken, of int64
	for i, b := range blocks {
		if b.tenant != tenant {
			tenant, taken, of = b.tenant, 0, 0
		}
		taken, of = taken+int64(b.used.Taken()), of+address.BlockSize
		last := i == len(blocks)-1 || blocks[i+1].tenant != tenant
		if last && taken*u.Of >= u.Fullest*of {
			u.Fullest, u.Of = taken, of
		}
	}
	u.Blocks = int64(len(blocks))
	return u, err
}
