package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// What is to be taken is found by what was asked for, in slices, without those
// who came later; what gateways owe for it stays.
func TestTakings(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		people := make([]provisioner.Person, 3)
		var devices []provisioner.Device
		enrol := func(p provisioner.Person, version string) {
			d := provisioner.Device{
				ID: provisioner.NewID(), Tenant: "stadt", Person: p.ID, Generation: 1, PublicKey: key(1000 + len(devices)), AgentVersion: version,
			}
			update(t, s, func(tx *store.Writer) error {
				d.EnrolledAt = tx.Now
				return tx.AddDevice(d)
			})
			devices = append(devices, d)
		}
		update(t, s, func(tx *store.Writer) error {
			for i := range people {
				var err error
				if people[i], err = tx.KeepPerson(provisioner.Person{Directory: "stadt-ad", StableID: provisioner.NewID(), Login: "p"}); err != nil {
					return err
				}
			}
			return nil
		})
		for i := range 5 {
			enrol(people[i%3], map[bool]string{true: "1.0", false: "1.1"}[i < 2])
		}
		for _, c := range []struct {
			selection       store.Selection
			devices, people int64
		}{
			{store.Selection{Tenant: "stadt"}, 5, 3},
			{store.Selection{Tenant: "nirgends"}, 0, 0},
			{store.Selection{AgentVersion: "1.0"}, 2, 2},
			{store.Selection{Person: people[0].ID}, 2, 1},
			{store.Selection{Tenant: "stadt", Person: people[1].ID, AgentVersion: "1.0"}, 1, 1},
			{store.Selection{Gateway: "gw1"}, 0, 0},
		} {
			n, p, err := read2(t, s, func(tx *store.Reader) (int64, int64, error) {
				return tx.Selected(c.selection, provisioner.ActionRevokeDevice)
			})
			if err != nil || n != c.devices || p != c.people {
				t.Errorf("%+v: %d devices of %d people, %v; want %d of %d", c.selection, n, p, err, c.devices, c.people)
			}
		}
		want := store.Taking{
			ID: "t1", Action: provisioner.ActionSuspendDevice, Selection: store.Selection{Tenant: "stadt"}, Reason: "Umzug", Total: 5,
			Actor: provisioner.Actor{ID: "h", Name: "Hilde", Grants: []provisioner.Grant{{Role: provisioner.RoleHelpdesk, Tenant: "stadt"}}},
		}
		update(t, s, func(tx *store.Writer) error {
			want.CreatedAt = tx.Now.Truncate(time.Millisecond)
			return tx.AddTaking(want)
		})
		later(t, want.CreatedAt)
		enrol(people[0], "1.1")
		taking := view(t, s, func(tx *store.Reader) (store.Taking, error) { return tx.Taking("t1") })
		if diff := cmp.Diff(want, taking, cmp.Comparer(time.Time.Equal)); diff != "" {
			t.Errorf("what was kept (-want +got):\n%s", diff)
		}
		seen := make(map[string]bool)
		for {
			list := view(t, s, func(tx *store.Reader) ([]provisioner.Device, error) { return tx.NextOf(taking, 2) })
			if len(list) == 0 {
				break
			}
			for _, d := range list {
				if seen[d.ID] || d.EnrolledAt.After(want.CreatedAt) {
					t.Errorf("device %s comes twice, or came later", d.ID)
				}
				seen[d.ID], taking.Cursor = true, d.ID
				taking.Done++
			}
		}
		taking.FinishedAt = time.Now().Add(-time.Hour)
		update(t, s, func(tx *store.Writer) error { return tx.MoveTaking(taking, map[string]int64{"gw1": 7}) })
		update(t, s, func(tx *store.Writer) error { return tx.MoveTaking(taking, map[string]int64{"gw1": 9}) })
		debts := view(t, s, func(tx *store.Reader) ([]store.Debt, error) { return tx.DebtsOfTaking("t1") })
		if diff := cmp.Diff([]store.Debt{{Gateway: "gw1", Revision: 9}}, debts); diff != "" {
			t.Errorf("what is owed (-want +got):\n%s", diff)
		}
		if open := view(t, s, func(tx *store.Reader) ([]store.Taking, error) { return tx.OpenTakings(9) }); len(open) != 0 {
			t.Errorf("open after it was finished: %v", open)
		}
		update(t, s, func(tx *store.Writer) error { return tx.ForgetTakings(tx.Now) })
		if _, err := store.Read(t.Context(), s, func(tx *store.Reader) (store.Taking, error) { return tx.Taking("t1") }); err == nil {
			t.Error("it was not forgotten")
		}
	})
}

// Of two suspensions by one source the one that lasts longer holds: who is on
// leave until March and loses her laptop does not have access in March.
func TestTheLongerSuspensionHolds(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		var d provisioner.Device
		update(t, s, func(tx *store.Writer) (err error) { d, err = laptop(tx, 1); return err })
		day := func(n int) time.Time { return time.UnixMilli(1_800_000_000_000).UTC().AddDate(0, 0, n) }
		for _, c := range []struct {
			ends, want time.Time
			changes    bool
		}{
			{day(3), day(3), true}, {day(2), day(3), false}, {day(3), day(3), false}, {day(4), day(4), true},
			{time.Time{}, time.Time{}, true}, {day(9), time.Time{}, false}, {time.Time{}, time.Time{}, false},
		} {
			var changed bool
			update(t, s, func(tx *store.Writer) (err error) {
				changed, err = tx.SuspendDevice(d, provisioner.Suspension{Source: provisioner.SuspendedByHelpdesk, Reason: "x", Since: tx.Now, EndsAt: c.ends})
				return err
			})
			got := view(t, s, func(tx *store.Reader) (provisioner.Device, error) { return tx.Device(d.ID) })
			if len(got.SuspendedBy) != 1 || !got.SuspendedBy[0].EndsAt.Equal(c.want) || changed != c.changes {
				t.Errorf("until %v: %+v, changed: %v; want until %v", c.ends, got.SuspendedBy, changed, c.want)
			}
		}
	})
}

// later waits until the clock shows another millisecond.
func later(t *testing.T, than time.Time) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !time.Now().After(than.Add(2 * time.Millisecond)) {
		<-tick.C
	}
}

// read2 reads two values.
func read2(t *testing.T, s *store.Store, f func(*store.Reader) (int64, int64, error)) (a, b int64, err error) {
	t.Helper()
	err = s.View(t.Context(), func(tx *store.Reader) error { a, b, err = f(tx); return err })
	return a, b, err
}
