package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/capacity/warn"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Warnings are kept as they are written, stand once at a time, and go when they ended long ago.
func TestWarnings(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		hour := time.Date(2027, 1, 11, 8, 0, 0, 0, time.UTC)
		v := store.Warning{
			ID: "w1", Kind: "seats", Of: "pool", Name: "vpn", Percent: 80, RaisedAt: hour.Add(time.Hour), SeenAt: hour, Value: 965, Capacity: 1200,
			Track: warn.Track{Open: true, Until: hour.Add(time.Hour), Spoilt: true},
		}
		forecast := v
		forecast.ID, forecast.Kind, forecast.Percent, forecast.Value, forecast.Expected, forecast.RaisedAt = "w2", "forecast", 5, 0, hour.AddDate(0, 0, 20), hour.Add(2*time.Hour)
		put := func(list ...store.Warning) error {
			return s.Update(t.Context(), func(tx *store.Writer) error { return tx.PutWarnings(list) })
		}
		if err := put(v, forecast); err != nil {
			t.Fatal(err)
		}
		same := func(what string, want ...store.Warning) {
			t.Helper()
			if diff := cmp.Diff(want, view(t, s, (*store.Reader).OpenWarnings)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		same("as written", v, forecast)
		twice := v
		twice.ID = "w3"
		if err := put(twice); err == nil {
			t.Error("the same is warned of twice at a time")
		}
		v.Track = warn.Track{Open: true, Until: hour.Add(30 * time.Hour), Quiet: 3, Known: 90 * time.Minute}
		if err := put(v); err != nil {
			t.Fatal(err)
		}
		same("judged", v, forecast)
		v.EndedAt, v.EndedWhy = hour.Add(400*time.Hour), "quiet"
		if err := put(v); err != nil {
			t.Fatal(err)
		}
		same("ended", forecast)
		if err := put(twice); err != nil {
			t.Error("it cannot be raised anew: ", err)
		}
		ended := view(t, s, func(tx *store.Reader) ([]store.Warning, error) { return tx.EndedWarnings(10) })
		if len(ended) != 1 || ended[0].ID != "w1" || ended[0].EndedWhy != "quiet" || ended[0].Track.Open {
			t.Errorf("ended: %+v", ended)
		}
		for _, c := range []struct {
			before time.Time
			want   int64
		}{{v.EndedAt, 0}, {v.EndedAt.Add(time.Second), 1}} {
			update(t, s, func(tx *store.Writer) error {
				n, err := tx.ForgetWarnings(c.before, 10)
				if n != c.want {
					t.Errorf("forgotten before %v: %d", c.before, n)
				}
				return err
			})
		}
		state := store.WarningState{HoursTo: hour, DaysTo: hour.Add(-8 * time.Hour)}
		if got := view(t, s, (*store.Reader).WarningState); !got.HoursTo.IsZero() {
			t.Errorf("before: %+v", got)
		}
		update(t, s, func(tx *store.Writer) error {
			return errors.Join(tx.PutWarningState(store.WarningState{}), tx.PutWarningState(state))
		})
		if got := view(t, s, (*store.Reader).WarningState); got != state {
			t.Errorf("%+v, want %+v", got, state)
		}
	})
}

// Messages about one warning go one after the other, and a former one that is given up holds
// nothing up.
func TestWarningMessages(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		now := time.Now()
		made := now.UTC().Truncate(time.Millisecond)
		update(t, s, func(tx *store.Writer) error {
			return tx.AddWarningMessages([]store.WarningMessage{{ID: "a1", Warning: "a", Body: "{}", MadeAt: made}, {ID: "a2", Warning: "a", MadeAt: made}, {ID: "b1", Warning: "b", MadeAt: made}})
		})
		due := func(at time.Time) (m store.WarningMessage) {
			t.Helper()
			m, err := store.Read(t.Context(), s, func(tx *store.Reader) (store.WarningMessage, error) { return tx.DueWarningMessage(at) })
			if err != nil && !errors.Is(err, store.ErrNone) {
				t.Fatal(err)
			}
			return m
		}
		first := due(now)
		if want := (store.WarningMessage{Number: 1, ID: "a1", Warning: "a", Body: "{}", MadeAt: made}); first != want {
			t.Fatalf("first %+v, want %+v", first, want)
		}
		update(t, s, func(tx *store.Writer) error { return tx.WarningMessageFailed(first.Number, now.Add(time.Minute)) })
		if m := due(now); m.ID != "b1" {
			t.Errorf("while the first waits, %+v is due", m)
		}
		if m := due(now.Add(time.Hour)); m.ID != "a1" || m.Attempts != 1 {
			t.Errorf("later %+v is due", m)
		}
		if r := view(t, s, (*store.Reader).Receiving); r.Waiting != 3 || r.FailingSince.Before(made) || r.GivenUp != 0 {
			t.Errorf("%+v", r)
		}
		update(t, s, func(tx *store.Writer) error { return tx.GiveUpWarningMessage(first.Number) })
		if m := due(now); m.ID != "a2" {
			t.Errorf("after giving up %+v is due", m)
		}
		update(t, s, func(tx *store.Writer) error { return errors.Join(tx.WarningMessageTaken(2), tx.WarningMessageTaken(3)) })
		if m, r := due(now), view(t, s, (*store.Reader).Receiving); m.ID != "" || r != (store.Receiving{GivenUp: 1}) {
			t.Errorf("in the end %+v is due, %+v", m, r)
		}
		update(t, s, func(tx *store.Writer) error {
			n, err := tx.ForgetWarningMessages(time.Now().Add(time.Minute), 10)
			if n != 1 {
				t.Errorf("forgotten: %d", n)
			}
			return err
		})
	})
}

// The fullest tenant is the one that needs a block next.
func TestAddressUse(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		g := gateway()
		aggregate := address.Aggregate{V4: g.AggregateV4, V6: g.AggregateV6}
		if u := view(t, s, func(tx *store.Reader) (store.AddressUse, error) { return tx.AddressUse(g.Name) }); u != (store.AddressUse{}) {
			t.Errorf("of none: %+v", u)
		}
		update(t, s, func(tx *store.Writer) error {
			err := tx.PutTenant(provisioner.Tenant{Name: "dorf", Directory: "stadt-ad", Policy: provisioner.DefaultPolicy()})
			for tenant, n := range map[string]int{"stadt": 70, "dorf": 60} {
				for range n {
					_, e := tx.TakeAddress(g.Name, tenant, provisioner.NewID(), aggregate)
					err = errors.Join(err, e)
				}
			}
			return err
		})
		u := view(t, s, func(tx *store.Reader) (store.AddressUse, error) { return tx.AddressUse(g.Name) })
		if u.Blocks != 3 || u.Of != 64 || u.Fullest < 60 || u.Fullest > 62 {
			t.Errorf("%+v", u)
		}
	})
}
