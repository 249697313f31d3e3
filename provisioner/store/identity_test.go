package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner/store"
)

func TestIdentityChanges(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		people := crowd(t, s, 3)
		change := store.IdentityChange{
			Hash: "0011aabbccdd", Directory: "stadt-ad", People: 2, Reason: "rebuilt", ProposedBy: "a", ProposedName: "Anna", ProposedAt: time.UnixMilli(5000).UTC(),
		}
		list := []store.NewIdentity{
			{Hash: change.Hash, Person: people[0].Person, FormerID: "id-000", StableID: "new-000"},
			{Hash: change.Hash, Person: people[1].Person, FormerID: "id-001", StableID: "new-001"},
		}
		put := func(c store.IdentityChange) {
			t.Helper()
			update(t, s, func(tx *store.Writer) (err error) {
				for _, i := range append(list, list[0]) { // once more changes nothing
					err = errors.Join(err, tx.AddNewIdentity(i))
				}
				return errors.Join(err, tx.PutIdentityChange(c))
			})
		}
		open := func() []store.NewIdentity {
			t.Helper()
			return view(t, s, func(tx *store.Reader) ([]store.NewIdentity, error) { return tx.NewIdentities(change.Hash) })
		}
		confirmed := func(limit int) []store.NewIdentity {
			t.Helper()
			return view(t, s, func(tx *store.Reader) ([]store.NewIdentity, error) { return tx.ConfirmedIdentities(limit) })
		}
		there := func() bool {
			t.Helper()
			return view(t, s, func(tx *store.Reader) (bool, error) {
				_, err := tx.IdentityChange(change.Hash)
				if errors.Is(err, store.ErrNone) {
					return false, nil
				}
				return true, err
			})
		}
		put(change)
		if got := view(t, s, func(tx *store.Reader) (store.IdentityChange, error) { return tx.IdentityChange(change.Hash) }); got != change {
			t.Errorf("kept as %+v", got)
		}
		if diff := cmp.Diff(list, open()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if n := len(confirmed(10)); n != 0 {
			t.Errorf("%d are confirmed", n)
		}

		// Too old, and forgotten; but not what is confirmed.
		update(t, s, func(tx *store.Writer) error { return tx.ForgetIdentityChanges(time.UnixMilli(6000)) })
		if there() || len(open()) != 0 {
			t.Error("an old proposal is there")
		}
		change.ConfirmedAt = time.UnixMilli(5500).UTC()
		put(change)
		update(t, s, func(tx *store.Writer) error { return tx.ForgetIdentityChanges(time.UnixMilli(6000)) })
		if !there() || len(confirmed(10)) != 2 || len(confirmed(1)) != 1 {
			t.Errorf("confirmed are %+v", confirmed(10))
		}
		update(t, s, func(tx *store.Writer) error { return tx.DropNewIdentity(change.Hash, people[0].Person.ID) })
		if !there() || len(open()) != 1 {
			t.Error("ended before its end")
		}
		update(t, s, func(tx *store.Writer) error { return tx.DropNewIdentity(change.Hash, people[1].Person.ID) })
		if there() {
			t.Error("the last one did not end it")
		}
	})
}

func TestAnotherStableID(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		people := crowd(t, s, 2)
		twin := store.KnownPerson{Person: people[0].Person, Standings: people[0].Standings[:1:1]}
		twin.Person.ID, twin.Person.StableID = "", "new-000"
		twins := []store.KnownPerson{twin}
		update(t, s, func(tx *store.Writer) error { return tx.AddPeople(twins) })
		has := view(t, s, (*store.Reader).PeopleWithDevices)
		if !has[people[0].Person.ID] || has[twins[0].Person.ID] || len(has) != 2 {
			t.Errorf("with devices are %v", has)
		}
		for id, want := range map[string]bool{people[0].Person.ID: true, twins[0].Person.ID: false} {
			if got := view(t, s, func(tx *store.Reader) (bool, error) { return tx.HasDevices(id) }); got != want {
				t.Errorf("%s has devices: %v", id, got)
			}
		}
		update(t, s, func(tx *store.Writer) error {
			return errors.Join(
				tx.PutHeldLoss(store.HeldLoss{Person: twins[0].Person, Tenant: "stadt", Why: "group", Since: tx.Now}),
				tx.ForgetPerson(twins[0].Person.ID), tx.SetStableID(people[0].Person.ID, "new-000"))
		})
		got := view(t, s, func(tx *store.Reader) (store.KnownPerson, error) { return tx.KnownAs("stadt-ad", "new-000") })
		if got.Person.ID != people[0].Person.ID || len(got.Standings) != 1 {
			t.Errorf("known as %+v", got)
		}
		if held := view(t, s, (*store.Reader).HeldCounts); len(held) != 0 {
			t.Errorf("held are %v", held)
		}
	})
}
