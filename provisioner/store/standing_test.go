package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// crowd makes people known in the tenant stadt, with a device each, and gives them.
func crowd(t *testing.T, s *store.Store, n int) []store.KnownPerson {
	t.Helper()
	people := make([]store.KnownPerson, n)
	for i := range people {
		id := fmt.Sprintf("id-%03d", i)
		people[i] = store.KnownPerson{
			Person:    provisioner.Person{Directory: "stadt-ad", StableID: id, Login: "l" + id, DisplayName: "Person " + id, Mail: id + "@stadt.example"},
			Standings: []provisioner.Standing{{Tenant: "stadt", Groups: []string{"cn=staff"}, Entitled: true, ReadAt: time.UnixMilli(1000).UTC()}},
		}
	}
	update(t, s, func(tx *store.Writer) error { return tx.AddPeople(people) })
	update(t, s, func(tx *store.Writer) error {
		var err error
		for i, k := range people {
			d := provisioner.Device{ID: "d" + k.Person.ID, Tenant: "stadt", Person: k.Person.ID, Generation: 1, EnrolledAt: tx.Now}
			copy(d.PublicKey[:], fmt.Sprintf("a key of person number %08d", i))
			err = errors.Join(err, tx.AddDevice(d))
		}
		return err
	})
	return people
}

func TestPeopleAndHowTheyStand(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		people := crowd(t, s, 150)
		t.Run("page by page", func(t *testing.T) {
			var got []store.KnownPerson
			for after := ""; ; {
				page := view(t, s, func(tx *store.Reader) ([]store.KnownPerson, error) { return tx.KnownPeople("stadt-ad", after, 64) })
				if len(page) == 0 {
					break
				}
				got = append(got, page...)
				after = page[len(page)-1].Person.StableID
			}
			if diff := cmp.Diff(people, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
		t.Run("by stable id", func(t *testing.T) {
			got := view(t, s, func(tx *store.Reader) (store.KnownPerson, error) { return tx.KnownAs("stadt-ad", "id-007") })
			if diff := cmp.Diff(people[7], got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			known := view(t, s, func(tx *store.Reader) (map[string]string, error) {
				return tx.KnownAmong("stadt-ad", []string{"id-001", "nobody", "id-149"})
			})
			if diff := cmp.Diff(map[string]string{"id-001": people[1].Person.ID, "id-149": people[149].Person.ID}, known); diff != "" {
				t.Errorf("known among (-want +got):\n%s", diff)
			}
		})
		t.Run("losses", func(t *testing.T) {
			now := time.UnixMilli(1_000_000_000).UTC()
			for i, at := range []time.Time{now, now.Add(-time.Hour), now.Add(-25 * time.Hour)} {
				v := people[i].Standings[0]
				v.Entitled, v.Ended, v.LostAt = false, provisioner.WhyDisabled, at
				update(t, s, func(tx *store.Writer) error { return tx.PutStanding(v) })
			}
			got := view(t, s, func(tx *store.Reader) (store.Losses, error) { return tx.Losses("stadt", now.Add(-24*time.Hour)) })
			if want := (store.Losses{Entitled: 147, Lost: 2}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
		t.Run("devices that did not follow", func(t *testing.T) {
			unsettled := func() []store.KnownPerson {
				return view(t, s, func(tx *store.Reader) ([]store.KnownPerson, error) { return tx.Unsettled("stadt-ad", 10) })
			}
			if got := unsettled(); len(got) != 3 {
				t.Errorf("%d people, want the three who have lost the right", len(got))
			}
			for _, i := range []int{0, 1, 2, 10} {
				update(t, s, func(tx *store.Writer) error {
					d, err := tx.Device("d" + people[i].Person.ID)
					if err != nil {
						return err
					}
					_, err = tx.SuspendDevice(d, provisioner.Suspension{Source: provisioner.SuspendedByDirectory, Reason: "disabled", Since: tx.Now})
					return err
				})
			}
			if got := unsettled(); len(got) != 1 || got[0].Person != people[10].Person || len(got[0].Standings) != 1 {
				t.Errorf("%+v, want the one who has the right and a device that rests", got)
			}
		})
		t.Run("who is of another directory", func(t *testing.T) {
			update(t, s, func(tx *store.Writer) error {
				return errors.Join(tx.PutDirectory(provisioner.Directory{Name: "other"}), tx.PutTenant(provisioner.Tenant{Name: "stadt", Directory: "other"}))
			})
			got := view(t, s, func(tx *store.Reader) ([]store.KnownPerson, error) { return tx.KnownElsewhere("other") })
			none := view(t, s, func(tx *store.Reader) ([]store.KnownPerson, error) { return tx.KnownElsewhere("stadt-ad") })
			if len(got) != 150 || len(none) != 0 {
				t.Errorf("%d people of another directory, want 150; %d, want none", len(got), len(none))
			}
		})
	})
}

func TestDatesThatAreDue(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		people := crowd(t, s, 6)
		at := func(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }
		for i, change := range []func(*provisioner.Standing){
			func(v *provisioner.Standing) { v.EndsAt = at(100) },
			func(v *provisioner.Standing) { v.PasswordEndsAt = at(90) },
			func(v *provisioner.Standing) { v.EndsAt, v.Ended = at(50), provisioner.WhyExpired },
			func(v *provisioner.Standing) {
				v.EndsAt, v.PasswordEndsAt, v.Password = at(300), at(10), provisioner.PasswordHasExpired
			},
			func(v *provisioner.Standing) { v.EndsAt = at(95) }, // held below
		} {
			v := people[i].Standings[0]
			change(&v)
			update(t, s, func(tx *store.Writer) error { return tx.PutStanding(v) })
		}
		update(t, s, func(tx *store.Writer) error {
			return tx.PutHeldLoss(store.HeldLoss{Person: people[4].Person, Tenant: "stadt", Why: provisioner.WhyExpired, Since: tx.Now})
		})
		for now, want := range map[int64][]string{89: nil, 90: {people[1].Person.ID}, 200: {people[1].Person.ID, people[0].Person.ID},
			300: {people[1].Person.ID, people[0].Person.ID, people[3].Person.ID}} {
			var got []string
			for _, v := range view(t, s, func(tx *store.Reader) ([]provisioner.Standing, error) { return tx.StandingsDue(at(now), 10) }) {
				got = append(got, v.Person)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("at %d (-want +got):\n%s", now, diff)
			}
		}
	})
}

// What the directory says of a password is kept as it says it.
func TestPasswordsAreKept(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		v := crowd(t, s, 1)[0].Standings[0]
		for _, changed := range []time.Time{time.Unix(5, 0).UTC(), time.Unix(7, 0).UTC(), {}} {
			v.Password, v.PasswordEndsAt, v.PasswordChangedAt = provisioner.PasswordHasExpired, time.Unix(10, 0).UTC(), changed
			update(t, s, func(tx *store.Writer) error { return tx.PutStanding(v) })
			got := view(t, s, func(tx *store.Reader) (provisioner.Standing, error) { return tx.Standing(v.Person, v.Tenant) })
			if diff := cmp.Diff(v, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		}
	})
}

func TestHeldLosses(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		people := crowd(t, s, 3)
		since, until := time.UnixMilli(5000).UTC(), time.UnixMilli(9000).UTC()
		want := []store.HeldLoss{
			{Person: people[0].Person, Tenant: "stadt", Why: provisioner.WhyGroup, Since: since, Devices: 1},
			{Person: people[1].Person, Tenant: "stadt", Why: provisioner.WhyDeleted, Own: true, Since: since, DismissedUntil: until, Devices: 1},
			{Person: people[2].Person, Tenant: "stadt", Why: provisioner.WhyDisabled, Since: since, Confirmed: true, Devices: 1},
		}
		update(t, s, func(tx *store.Writer) error {
			return errors.Join(tx.PutHeldLoss(want[0]), tx.PutHeldLoss(want[1]), tx.PutHeldLoss(want[2]))
		})
		all := func(scope provisioner.Scope) []store.HeldLoss {
			return view(t, s, func(tx *store.Reader) ([]store.HeldLoss, error) { return tx.HeldLosses(scope) })
		}
		if diff := cmp.Diff(want[:2], all(provisioner.Everywhere()), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("held (-want +got):\n%s", diff)
		}
		if got := all(provisioner.Within("dorf")); len(got) != 0 {
			t.Errorf("another tenant sees %+v", got)
		}
		confirmed := view(t, s, func(tx *store.Reader) ([]store.HeldLoss, error) { return tx.ConfirmedLosses(10) })
		if diff := cmp.Diff(want[2:], confirmed); diff != "" {
			t.Errorf("confirmed (-want +got):\n%s", diff)
		}
		counts := view(t, s, (*store.Reader).HeldCounts)
		if diff := cmp.Diff(map[string]int64{"stadt": 1}, counts); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		undecided := func(tenant string) bool {
			return view(t, s, func(tx *store.Reader) (bool, error) { return tx.Undecided(tenant) })
		}
		if !undecided("stadt") || undecided("dorf") {
			t.Error("somebody waits for a decision in one tenant, and nobody in the other")
		}
		if v := view(t, s, func(tx *store.Reader) (provisioner.Standing, error) { return tx.Standing(people[0].Person.ID, "stadt") }); !v.Held {
			t.Errorf("stands as %+v, and is held", v)
		}
		update(t, s, func(tx *store.Writer) error { return tx.DropHeldLoss(people[0].Person.ID, "stadt") })
		if v := view(t, s, func(tx *store.Reader) (provisioner.Standing, error) { return tx.Standing(people[0].Person.ID, "stadt") }); v.Held {
			t.Errorf("stands as %+v, and is held no longer", v)
		}
		if undecided("stadt") {
			t.Error("whoever was decided about waits for a decision")
		}
	})
}

// TestWaitingIsDecidedAtOnce: whose dismissal has passed waits again; who is dismissed or confirmed does not, nor another tenant.
func TestWaitingIsDecidedAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		people := crowd(t, s, 5)
		update(t, s, func(tx *store.Writer) error {
			return tx.PutTenant(provisioner.Tenant{Name: "dorf", Directory: "stadt-ad"})
		})
		until := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
		lay := func() {
			update(t, s, func(tx *store.Writer) error {
				var errs []error
				for i, h := range []store.HeldLoss{
					{Tenant: "stadt"}, {Tenant: "stadt", DismissedUntil: time.UnixMilli(1)}, {Tenant: "stadt", DismissedUntil: until}, {Tenant: "stadt", Confirmed: true}, {Tenant: "dorf"},
				} {
					h.Person, h.Why, h.Since = people[i].Person, provisioner.WhyGroup, time.UnixMilli(1)
					errs = append(errs, tx.PutHeldLoss(h))
				}
				return errors.Join(errs...)
			})
		}
		waiting := func(tenant string) (ids []string) {
			for _, h := range view(t, s, func(tx *store.Reader) ([]store.HeldLoss, error) { return tx.Waiting(tenant, time.Now()) }) {
				if h.Why != provisioner.WhyGroup || h.Tenant != tenant {
					t.Errorf("waiting is %+v", h)
				}
				ids = append(ids, h.Person.ID)
			}
			slices.Sort(ids)
			return ids
		}
		want := []string{people[0].Person.ID, people[1].Person.ID}
		slices.Sort(want)
		for name, decide := range map[string]func(*store.Writer) error{
			"confirm": func(tx *store.Writer) error { return tx.ConfirmWaiting("stadt") },
			"dismiss": func(tx *store.Writer) error { return tx.DismissWaiting("stadt", until) },
		} {
			lay()
			if got := waiting("stadt"); !slices.Equal(got, want) {
				t.Errorf("%s: waiting are %v, want %v", name, got, want)
			}
			update(t, s, decide)
			if got := waiting("stadt"); len(got) != 0 {
				t.Errorf("%s: still waiting are %v", name, got)
			}
			if got := waiting("dorf"); len(got) != 1 {
				t.Errorf("%s: in the other tenant waiting are %v", name, got)
			}
			confirmed := view(t, s, func(tx *store.Reader) ([]store.HeldLoss, error) { return tx.ConfirmedLosses(10) })
			if n := map[string]int{"confirm": 3, "dismiss": 1}[name]; len(confirmed) != n {
				t.Errorf("%s: %d are confirmed, want %d", name, len(confirmed), n)
			}
		}
	})
}

func TestFollowing(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		err := s.View(t.Context(), func(tx *store.Reader) error { _, err := tx.Following("stadt-ad"); return err })
		if !errors.Is(err, store.ErrNone) {
			t.Errorf("nobody has begun: %v", err)
		}
		now := time.UnixMilli(time.Now().UnixMilli()).UTC()
		want := store.Following{
			Directory: "stadt-ad", State: store.FollowingLive, Since: now, HeardAt: now, ReconciledAt: now, People: 3, Groups: 2,
			FollowingDetails: store.FollowingDetails{Server: "ldaps://dc1", Way: "dirsync", MissingGroups: []string{"cn=gone"}},
		}
		for range 2 {
			update(t, s, func(tx *store.Writer) error { return tx.PutFollowing(want) })
		}
		got := view(t, s, func(tx *store.Reader) (store.Following, error) { return tx.Following("stadt-ad") })
		if got.Replica == "" {
			t.Error("who follows is not told")
		}
		want.Replica = got.Replica
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if !got.IsLive(now.Add(30*time.Second)) || got.IsLive(now.Add(time.Minute)) {
			t.Error("live for too short or too long")
		}
		if list := view(t, s, (*store.Reader).Followings); len(list) != 1 {
			t.Errorf("%d are followed", len(list))
		}
	})
}
