package warning

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity/warn"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/usage"
)

// judgeAll judges the hours and days that are over since somebody last did.
func (s *Service) judgeAll(ctx context.Context, write update) error {
	var measured store.UsageState
	var judged store.WarningState
	err := s.Store.View(ctx, func(tx *store.Reader) (err error) {
		if measured, err = tx.UsageState(); err != nil {
			return err
		}
		judged, err = tx.WarningState()
		return err
	})
	if err != nil || measured.HoursTo.IsZero() {
		return err
	}
	until := measured.HoursTo
	if judged.HoursTo.IsZero() {
		judged.HoursTo = until.Add(-usage.Hour)
	}
	if first := until.Add(-oldest); judged.HoursTo.Before(first) {
		judged.HoursTo = first
	}
	for judged.HoursTo.Before(until) {
		from := judged.HoursTo
		if judged.HoursTo = from.Add(atOnce); judged.HoursTo.After(until) {
			judged.HoursTo = until
		}
		rules, err := s.ofHours(ctx, from, judged.HoursTo, judged.HoursTo.Equal(until))
		if err != nil {
			return err
		}
		if err := s.apply(ctx, write, rules, hourly()); err != nil {
			return fmt.Errorf("the hours from %s: %w", from.Format(time.RFC3339), err)
		}
		if err := write(ctx, func(tx *store.Writer) error { return tx.PutWarningState(judged) }); err != nil {
			return err
		}
	}
	return s.judgeDay(ctx, write, judged, until)
}

// judgeDay makes the forecasts of the last midnight that is over. Those before it, while
// nobody judged, are not known.
func (s *Service) judgeDay(ctx context.Context, write update, judged store.WarningState, until time.Time) error {
	year, month, day := provisioner.DayOf(until)
	midnight, next := provisioner.DayBegins(year, month, day), provisioner.DayBegins(year, month, day+1)
	if judged.DaysTo.After(midnight) {
		return nil
	}
	d, err := store.Read(ctx, s.Store, readDeclared)
	if err != nil {
		return err
	}
	// Those of pools that are gone end first; each forecast takes a while.
	var rules []rule
	for _, p := range d.pools {
		rules = append(rules, expected(p, nil)...)
	}
	if err := s.apply(ctx, write, rules, []Kind{Forecast}); err != nil {
		return err
	}
	for _, p := range d.pools {
		steps, err := s.ofDay(ctx, p, midnight, next.Sub(midnight))
		if err != nil {
			return fmt.Errorf("the forecast of %s: %w", p.Name, err)
		}
		if err := s.apply(ctx, write, expected(p, steps), nil); err != nil {
			return fmt.Errorf("the forecast of %s: %w", p.Name, err)
		}
	}
	judged.DaysTo = next
	return write(ctx, func(tx *store.Writer) error { return tx.PutWarningState(judged) })
}

// expected are the rules of a pool's forecast, by probability.
func expected(p provisioner.LicencePool, steps map[int64]step) (rules []rule) {
	for _, percent := range p.ForecastThresholds() {
		r := rule{key: key{Forecast, Pool, p.Name, percent}}
		if v, ok := steps[percent]; ok {
			r.steps = []step{v}
		}
		rules = append(rules, r)
	}
	return rules
}

// ofDay is what is expected of a pool at a midnight, by probability; nothing where too little
// is known.
func (s *Service) ofDay(ctx context.Context, p provisioner.LicencePool, midnight time.Time, lasts time.Duration) (map[int64]step, error) {
	seats := func(at time.Time) int64 { return p.At(at).Seats }
	if seats(midnight) <= 0 {
		return nil, nil
	}
	f, err := s.Usage.Expect(ctx, p.Name, midnight, int(warn.QuietAhead/usage.Day))
	if refusal, is := provisioner.AsRefusal(err); is && (refusal.Code == provisioner.CodeHistoryTooShort || refusal.Code == provisioner.CodeNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	steps := make(map[int64]step)
	for _, percent := range p.ForecastThresholds() {
		sign, when, err := warn.Expected(f.Forecast, seats, percent, midnight)
		if err != nil {
			return nil, err
		}
		of := midnight
		if !when.IsZero() {
			of = when // a contract may end or begin before
		}
		steps[percent] = step{at: midnight, lasts: lasts, sign: sign, capacity: seats(of), expected: when}
	}
	return steps, nil
}

// apply judges rules and writes what comes of it, in slices: an hour that is judged again
// after a part was written changes nothing of that part.
func (s *Service) apply(ctx context.Context, write update, rules []rule, kinds []Kind) error {
	open, err := store.Read(ctx, s.Store, (*store.Reader).OpenWarnings)
	if err != nil {
		return fmt.Errorf("reading what is warned of: %w", err)
	}
	position, err := store.Read(ctx, s.Store, (*store.Reader).Position)
	if err != nil {
		return err
	}
	for list := judge(rules, open, kinds, time.Now().Truncate(time.Millisecond)); len(list) > 0; {
		part := list[:min(slice, len(list))]
		list = list[len(part):]
		rows, messages := make([]store.Warning, len(part)), []store.WarningMessage(nil)
		for i, o := range part {
			rows[i] = o.Warning
			if s.Webhook != nil && o.isTold() {
				m, err := messageOf(o, position.Instance)
				if err != nil {
					return err
				}
				messages = append(messages, m)
			}
		}
		if err := write(ctx, func(tx *store.Writer) error {
			return errors.Join(tx.PutWarnings(rows), tx.AddWarningMessages(messages))
		}); err != nil {
			return fmt.Errorf("writing warnings: %w", err)
		}
		for _, o := range part {
			if o.isTold() {
				s.say(o)
			}
		}
	}
	return nil
}

// isTold reports whether the log and the receiver are told.
func (o outcome) isTold() bool { return o.change != warn.Nothing && Of(o.Of) != Tenant }

// say tells the log, once a change: a crash between may lose the line, and never repeats it.
func (s *Service) say(o outcome) {
	args := []any{"id", o.ID, "kind", o.Kind, "of", o.Of, "name", o.Name, "percent", o.Percent, "value", o.Value, "capacity", o.Capacity, "seen_at", o.SeenAt}
	if !o.Expected.IsZero() {
		args = append(args, "expected_at", o.Expected)
	}
	if o.change == warn.Raised {
		s.Logger.Warn("capacity runs short", args...)
		return
	}
	s.Logger.Info("a warning of capacity has ended", append(args, "raised_at", o.RaisedAt, "why", o.EndedWhy)...)
}
