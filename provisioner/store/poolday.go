package store

import (
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Peak is the most seats of a pool that were held on a day.
type Peak struct {
	Pool  string
	Day   string // in Germany: 2027-01-31
	Seats int64
	At    time.Time // the quarter of an hour
}

const (
	peakTo    = 15 * time.Minute
	peaksKept = 3 // years
)

// dayText is the day in Germany at t.
func dayText(t time.Time) string {
	year, month, day := provisioner.DayOf(t)
	return fmt.Sprintf("%04d-%02d-%02d", year, month, day)
}

// newPeaks are none below five (capacity.Smallest): of few they would tell when somebody works.
const newPeaks = `select p.name, p.held from licence_pool p left join pool_day d on d.pool = p.name and d.day = $1 where p.held > coalesce(d.peak, 4) order by p.name`

func scanPeak(s scanner) (p Peak, err error) { err = s.Scan(&p.Pool, &p.Seats); return p, err }

// MorePeaks reports whether more seats of a pool are held now than ever before today.
func (r *Reader) MorePeaks(now time.Time) (bool, error) {
	list, err := all(r.q, scanPeak, newPeaks, dayText(now))
	return len(list) > 0, err
}

// NotePeaks keeps how many seats of pools are held where that is more than ever before
// today. Days are kept for three years.
func (w *Writer) NotePeaks() error {
	day := dayText(w.Now)
	list, err := all(w.q, scanPeak, newPeaks, day)
	if err != nil || len(list) == 0 {
		return err
	}
	rows := make([][]any, len(list))
	for i, p := range list {
		rows[i] = []any{p.Pool, day, p.Seats, ms(w.Now.Truncate(peakTo))}
	}
	if err := insertMany(w.q, `insert into pool_day (pool, day, peak, peak_at)`, rows,
		` on conflict (pool, day) do update set peak = excluded.peak, peak_at = excluded.peak_at`); err != nil {
		return err
	}
	return run(w.q, `delete from pool_day where day < $1`, dayText(w.Now.AddDate(-peaksKept, 0, 0)))
}

// Peaks gives the most seats that were held of each pool on the day of t, by pool.
func (r *Reader) Peaks(t time.Time) (map[string]Peak, error) {
	list, err := all(r.q, func(s scanner) (p Peak, err error) {
		var quarter int64
		err = s.Scan(&p.Pool, &p.Day, &p.Seats, &quarter)
		p.At = at(quarter)
		return p, err
	}, `select pool, day, peak, peak_at from pool_day where day = $1`, dayText(t))
	peaks := make(map[string]Peak, len(list))
	for _, p := range list {
		peaks[p.Pool] = p
	}
	return peaks, err
}
