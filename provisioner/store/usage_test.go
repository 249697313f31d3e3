package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// What usage is computed from, and how its rows are kept, is the same on both engines.
func TestUsage(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		before := view(t, s, (*store.Reader).Position)
		begins := time.Now()
		var sessions []provisioner.Session
		for i := range 3 {
			update(t, s, func(tx *store.Writer) error {
				d, err := laptop(tx, i)
				if err != nil {
					return err
				}
				v, err := session(tx, d)
				sessions = append(sessions, v)
				return err
			})
		}
		carried := func(since int64) []store.Carried {
			return view(t, s, func(tx *store.Reader) ([]store.Carried, error) { return tx.CarriedSince(since, begins) })
		}
		update(t, s, func(tx *store.Writer) error {
			return tx.Observe(sessions[0].Gateway, store.Observed{Session: sessions[0].ID, ReceivedBytes: 7, SentBytes: 5}, provisioner.Traffic{})
		})
		at := view(t, s, (*store.Reader).Position)
		update(t, s, func(tx *store.Writer) error {
			_, err := tx.CloseSessionOf(sessions[0].Device, provisioner.CodeSessionClosed)
			return err
		})
		ends := time.Now().Add(time.Second)
		if c := carried(at.Revision); len(c) != 1 || c[0].Received != 7 || c[0].Sent != 5 || c[0].OpenReceived != 0 {
			t.Errorf("closed since: %+v", c)
		}
		if c := carried(view(t, s, (*store.Reader).Position).Revision); len(c) != 1 || c[0].Received != 0 {
			t.Errorf("closed before: %+v", c)
		}
		present := func(t0 time.Time) (n int64) {
			for _, p := range view(t, s, func(tx *store.Reader) ([]store.Presence, error) { return tx.PresentAt(t0) }) {
				n += p.Sessions
			}
			for _, p := range view(t, s, func(tx *store.Reader) ([]store.PeopleCount, error) { return tx.PeopleAt(t0) }) {
				n += 100 * p.People
			}
			return n
		}
		if a, b := present(begins), present(ends); a != 0 || b != 202 {
			t.Errorf("%d present before, %d after", a, b)
		}
		moved := view(t, s, func(tx *store.Reader) ([]store.SessionTimes, error) {
			return tx.MovedWithin(begins.Add(-time.Second), ends)
		})
		people := view(t, s, func(tx *store.Reader) ([]store.PeopleCount, error) {
			return tx.OpenedWithin(begins.Add(-time.Second), ends)
		})
		if len(moved) != 3 || len(people) != 1 || people[0].People != 3 {
			t.Errorf("moved %+v, opened by %+v", moved, people)
		}
		for _, read := range []func(*store.Reader) error{
			func(tx *store.Reader) error { _, err := tx.Headcounts(); return err },
			func(tx *store.Reader) error { _, err := tx.ServedBy([]string{"gw1"}); return err },
			func(tx *store.Reader) error { _, err := tx.UsageNames(begins); return err },
		} {
			if err := s.View(t.Context(), read); err != nil {
				t.Error(err)
			}
		}
		if before.Revision >= at.Revision {
			t.Errorf("%d, %d", before.Revision, at.Revision)
		}
		usageRows(t, s)
	})
}

func usageRows(t *testing.T, s *store.Store) {
	t.Helper()
	minute := time.Date(2027, 1, 5, 8, 0, 0, 0, time.UTC)
	state := store.UsageState{SeenAt: minute, MinutesTo: minute, HoursTo: minute.Add(-time.Hour), Revision: 3, Bytes: "AQ"}
	update(t, s, func(tx *store.Writer) error {
		err := errors.Join(tx.AddUsageSeries([]store.UsageSeries{{Kind: "tenant", Name: "a"}, {Kind: "tenant", Name: "b"}}), tx.AddUsageSeries([]store.UsageSeries{{Kind: "tenant", Name: "b"}, {Kind: "provider"}}),
			tx.PutUsageState(store.UsageState{}), tx.PutUsageState(state),
			tx.AddRefused([]store.RefusedOpenings{{Minute: minute, Tenant: "a", Attempts: 4, People: 2}, {Minute: minute, Tenant: "b", Reason: 1, Attempts: 1, People: 1}}),
			tx.AddRefused([]store.RefusedOpenings{{Minute: minute, Tenant: "a", Attempts: 3, People: 3}}))
		for i := range 5 {
			at := minute.Add(time.Duration(i) * time.Minute)
			err = errors.Join(err, tx.PutUsageInterval(time.Minute, at, "tenant", "old"), tx.PutUsageInterval(time.Minute, at, "tenant", "new"), tx.PutUsageInterval(time.Minute, at, "pool", "p"),
				tx.PutUsageDays(time.Hour, []store.UsageRow{{Series: 1, At: minute.Add(time.Duration(i) * 24 * time.Hour), Packed: "x"}, {Series: 2, At: minute, Packed: "y"}}))
		}
		return err
	})
	if got := view(t, s, (*store.Reader).UsageState); !cmp.Equal(got, state) {
		t.Error(cmp.Diff(state, got))
	}
	if got := view(t, s, (*store.Reader).UsageSeries); len(got) != 3 || got[2].ID <= got[1].ID || got[1].Name != "b" {
		t.Errorf("%+v", got)
	}
	uncounted := func() []store.RefusedOpenings {
		return view(t, s, func(tx *store.Reader) ([]store.RefusedOpenings, error) {
			return tx.RefusedUncounted(minute.Add(time.Minute))
		})
	}
	if diff := cmp.Diff([]store.RefusedOpenings{{Tenant: "a", Attempts: 7, People: 3}, {Tenant: "b", Reason: 1, Attempts: 1, People: 1}}, uncounted()); diff != "" {
		t.Error(diff)
	}
	update(t, s, func(tx *store.Writer) error { return tx.CountRefused(minute.Add(time.Minute)) })
	if list := uncounted(); len(list) > 0 {
		t.Errorf("%+v", list)
	}
	update(t, s, func(tx *store.Writer) error { return tx.ForgetRefused(minute.Add(time.Minute)) })
	within := view(t, s, func(tx *store.Reader) ([]store.RefusedOpenings, error) {
		return tx.RefusedWithin(minute, minute.Add(time.Hour))
	})
	if len(within) > 0 {
		t.Errorf("%+v", within)
	}
	var gone [3]int64
	update(t, s, func(tx *store.Writer) (err error) {
		gone[0], err = tx.ForgetUsageIntervals(time.Minute, minute.Add(3*time.Minute), 4)
		if err != nil {
			return err
		}
		gone[1], err = tx.ForgetUsageDays(time.Hour, minute.Add(48*time.Hour), 2)
		return err
	})
	left := view(t, s, func(tx *store.Reader) ([]store.UsageRow, error) {
		return tx.UsageIntervals(time.Minute, "tenant", minute, minute.Add(time.Hour))
	})
	days := view(t, s, func(tx *store.Reader) ([]store.UsageRow, error) {
		return tx.UsageDays(time.Hour, []int64{1, 2}, minute, minute.Add(100*time.Hour))
	})
	if gone[0] != 4 || gone[1] != 2 || len(left) != 3 || left[0].Packed != "new" || len(days) != 4 {
		t.Errorf("%v gone, left %+v and %+v", gone, left, days)
	}
}
