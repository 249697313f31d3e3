package store

import (
	"errors"
	"time"
)

// UsageSeries is what numbers of usage are of.
type UsageSeries struct {
	ID   int64
	Kind string // 'tenant', 'pool', 'gateway' or 'provider'
	Name string // empty: of the provider
}

// UsageState is how far the numbers have come. Zero times: not at all.
type UsageState struct {
	SeenAt                     time.Time // when a control plane last measured
	MinutesTo, HoursTo, DaysTo time.Time // up to when they are there
	Revision                   int64     // up to which the bytes of sessions were added up
	CountedAt                  time.Time // when that was
	Bytes                      string    // the sums then, of sessions that were open, packed
}

// UsageRow is a packed row of numbers.
type UsageRow struct {
	Series int64     // of a day only
	At     time.Time // when it begins
	Packed string
}

// UsageState reads how far the numbers have come.
func (r *Reader) UsageState() (UsageState, error) {
	v, err := one(r.q, func(s scanner) (v UsageState, err error) {
		var seen, minutes, hours, days, counted int64
		err = s.Scan(&seen, &minutes, &hours, &days, &v.Revision, &counted, &v.Bytes)
		v.SeenAt, v.MinutesTo, v.HoursTo, v.DaysTo, v.CountedAt = at(seen), at(minutes), at(hours), at(days), at(counted)
		return v, err
	}, `select seen_at, minutes_to, hours_to, days_to, revision, counted_at, bytes from usage_state where id = 1`)
	if errors.Is(err, ErrNone) {
		return UsageState{}, nil
	}
	return v, err
}

// PutUsageState writes how far the numbers have come.
func (w *Writer) PutUsageState(v UsageState) error {
	return run(w.q, `insert into usage_state (id, seen_at, minutes_to, hours_to, days_to, revision, counted_at, bytes) values (1, $1, $2, $3, $4, $5, $6, $7)
		on conflict (id) do update set seen_at = excluded.seen_at, minutes_to = excluded.minutes_to, hours_to = excluded.hours_to, days_to = excluded.days_to,
			revision = excluded.revision, counted_at = excluded.counted_at, bytes = excluded.bytes`,
		ms(v.SeenAt), ms(v.MinutesTo), ms(v.HoursTo), ms(v.DaysTo), v.Revision, ms(v.CountedAt), v.Bytes)
}

// SeeUsage notes that a control plane measures.
func (w *Writer) SeeUsage() error {
	return run(w.q, `update usage_state set seen_at = $1 where id = 1`, ms(w.Now))
}

// UsageSeries lists all series.
func (r *Reader) UsageSeries() ([]UsageSeries, error) {
	return all(r.q, func(s scanner) (v UsageSeries, err error) { err = s.Scan(&v.ID, &v.Kind, &v.Name); return v, err },
		`select id, kind, name from usage_series order by id`)
}

// AddUsageSeries adds series; their ids are not used.
func (w *Writer) AddUsageSeries(list []UsageSeries) error {
	last, err := one(w.q, value[int64], `select coalesce(max(id), 0) from usage_series`)
	if err != nil {
		return err
	}
	rows := make([][]any, len(list))
	for i, v := range list {
		rows[i] = []any{last + int64(i) + 1, v.Kind, v.Name}
	}
	return insertMany(w.q, `insert into usage_series (id, kind, name)`, rows, ` on conflict (kind, name) do nothing`)
}

// UsageIntervals lists the rows of a kind that begin from a time on and before another,
// in order.
func (r *Reader) UsageIntervals(step time.Duration, kind string, from, to time.Time) ([]UsageRow, error) {
	return all(r.q, func(s scanner) (v UsageRow, err error) {
		var begins int64
		err = s.Scan(&begins, &v.Packed)
		v.At = at(begins)
		return v, err
	}, `select at, packed from usage_interval where step = $1 and at >= $2 and at < $3 and kind = $4 order by at`, step.Milliseconds(), ms(from), ms(to), kind)
}

// PutUsageInterval writes the row of a kind, in the place of the one that may be there.
func (w *Writer) PutUsageInterval(step time.Duration, begins time.Time, kind, packed string) error {
	return run(w.q, `insert into usage_interval (step, at, kind, packed) values ($1, $2, $3, $4) on conflict (step, at, kind) do update set packed = excluded.packed`,
		step.Milliseconds(), ms(begins), kind, packed)
}

// ForgetUsageIntervals deletes rows that begin before a time, at most limit of them, and
// tells how many.
func (w *Writer) ForgetUsageIntervals(step time.Duration, before time.Time, limit int) (int64, error) {
	return changed(w.q, `delete from usage_interval where step = $1 and at < $2 and at <= (select max(at) from
		(select at from usage_interval where step = $1 and at < $2 order by at limit $3) t)`, step.Milliseconds(), ms(before), limit)
}

// UsageDays lists the days of some series that begin from a time on and before another, by
// series and day.
func (r *Reader) UsageDays(step time.Duration, series []int64, from, to time.Time) ([]UsageRow, error) {
	if len(series) == 0 {
		return nil, nil
	}
	a := new(args)
	query := `select series, day, packed from usage_day where step = ` + a.add(step.Milliseconds()) + ` and day >= ` + a.add(ms(from)) + ` and day < ` + a.add(ms(to)) + ` and series in (`
	for i, id := range series {
		if i > 0 {
			query += ", "
		}
		query += a.add(id)
	}
	return all(r.q, func(s scanner) (v UsageRow, err error) {
		var day int64
		err = s.Scan(&v.Series, &day, &v.Packed)
		v.At = at(day)
		return v, err
	}, query+`) order by series, day`, a.list...)
}

// PutUsageDays writes days of series, in the place of those that may be there.
func (w *Writer) PutUsageDays(step time.Duration, list []UsageRow) error {
	rows := make([][]any, len(list))
	for i, v := range list {
		rows[i] = []any{v.Series, step.Milliseconds(), ms(v.At), v.Packed}
	}
	return insertMany(w.q, `insert into usage_day (series, step, day, packed)`, rows, ` on conflict (series, step, day) do update set packed = excluded.packed`)
}

// ForgetUsageDays deletes days before a time, at most limit rows, and tells how many.
func (w *Writer) ForgetUsageDays(step time.Duration, before time.Time, limit int) (int64, error) {
	return changed(w.q, `delete from usage_day where (series, step, day) in (select series, step, day from usage_day where step = $1 and day < $2 order by day limit $3)`,
		step.Milliseconds(), ms(before), limit)
}
