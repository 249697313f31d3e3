package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// twoDirectories declares another directory, with a tenant of its own, and another tenant of the first one.
func twoDirectories(t testing.TB, s *store.Store) {
	t.Helper()
	town(t, s)
	update(t, s, func(tx *store.Writer) error {
		return errors.Join(
			tx.PutDirectory(provisioner.Directory{Name: "neu-ad", Servers: []string{"ldaps://dc1.neu.example"}}),
			tx.PutTenant(provisioner.Tenant{Name: "kreis", Directory: "stadt-ad"}),
			tx.PutTenant(provisioner.Tenant{Name: "weiler", Directory: "neu-ad"}),
			tx.PutPool(provisioner.LicencePool{
				Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 100}}, Shares: []provisioner.PoolShare{{Tenant: "kreis"}, {Tenant: "stadt"}},
			}),
		)
	})
}

// moved is a proposal to have the tenant stadt move, with these people; the new id of "id-000" is "new-id-000".
func moved(tenant provisioner.Tenant, people ...store.KnownPerson) (store.TenantMove, []store.MovedPerson) {
	m := store.TenantMove{
		Hash: "0011aabbccdd", Former: tenant.Directory, Declaration: tenant, People: int64(len(people)), Reason: "leaves", ProposedBy: "op",
		ProposedName: "Olga", ProposedAt: time.UnixMilli(5000).UTC(), UnmappedGone: true, Complete: true,
	}
	m.Declaration.Directory, m.Declaration.StaffGroup = "neu-ad", "cn=new staff"
	var list []store.MovedPerson
	for _, k := range people {
		list = append(list, store.MovedPerson{
			Hash: m.Hash, Person: k.Person, FormerID: k.Person.StableID, StableID: "new-" + k.Person.StableID, NewName: "N", NewLogin: "n",
		})
	}
	return m, list
}

func keepMove(t testing.TB, s *store.Store, m store.TenantMove, list []store.MovedPerson) {
	t.Helper()
	update(t, s, func(tx *store.Writer) error { return tx.PutTenantMove(m) })
	update(t, s, func(tx *store.Writer) (err error) {
		for _, i := range list {
			err = errors.Join(err, tx.AddMovedPerson(i), tx.AddMovedPerson(i), // once more changes nothing
				tx.PutMovedStanding(m.Hash, provisioner.Standing{
					Person: i.Person.ID, Tenant: "stadt", Groups: []string{"cn=new staff"}, EndsAt: time.UnixMilli(9_000_000_000_000).UTC(), ReadAt: time.UnixMilli(7000).UTC(),
				}))
		}
		return err
	})
}

func TestTenantMoves(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		twoDirectories(t, s)
		people := crowd(t, s, 2)
		tenant := view(t, s, func(tx *store.Reader) (provisioner.Tenant, error) { return tx.Tenant("stadt") })
		m, list := moved(tenant, people...)
		m.Complete = false
		keepMove(t, s, m, list)
		m.Complete = true
		update(t, s, func(tx *store.Writer) error { return tx.PutTenantMove(m) })
		got := view(t, s, func(tx *store.Reader) (store.TenantMove, error) { return tx.TenantMove(m.Hash) })
		if diff := cmp.Diff(m, got, cmp.Comparer(func(a, b provisioner.Tenant) bool { return fmt.Sprint(a) == fmt.Sprint(b) })); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		kept := func() []store.MovedPerson {
			return view(t, s, func(tx *store.Reader) ([]store.MovedPerson, error) { return tx.MovedPeople(m.Hash, 100) })
		}
		if diff := cmp.Diff(list, kept()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		uses := func() string {
			return view(t, s, func(tx *store.Reader) (string, error) {
				name, moving, err := tx.DirectoryOf("stadt")
				return fmt.Sprint(name, " ", moving), err
			})
		}
		if list := view(t, s, (*store.Reader).ConfirmedMoves); len(list) != 0 || uses() != "stadt-ad false" {
			t.Errorf("confirmed are %+v, and the tenant's directory is %s", list, uses())
		}
		for _, c := range []struct {
			confirmed, forgotten int64
			want                 int
		}{{0, 5000, 2}, {5500, 9000, 2}, {0, 5001, 0}} { // too young; confirmed; old
			m.ConfirmedAt = time.UnixMilli(c.confirmed).UTC()
			if c.confirmed == 0 {
				m.ConfirmedAt = time.Time{}
			}
			update(t, s, func(tx *store.Writer) error {
				return errors.Join(tx.PutTenantMove(m), tx.ForgetTenantMoves(time.UnixMilli(c.forgotten)))
			})
			if len(kept()) != c.want {
				t.Errorf("%+v: %d people are kept", c, len(kept()))
			}
			if list := view(t, s, (*store.Reader).ConfirmedMoves); len(list) != min(1, int(c.confirmed)) || c.confirmed > 0 && uses() != "stadt-ad true" {
				t.Errorf("%+v: confirmed are %+v, and the tenant's directory is %s", c, list, uses())
			}
		}
	})
}

// emigrants are people of a tenant that moves.
type emigrants struct {
	people   []store.KnownPerson // one of everything: see the test
	sessions []provisioner.Session
	there    store.KnownPerson // who is known in the new directory already
}

func (e *emigrants) settle(t *testing.T, s *store.Store) {
	t.Helper()
	e.people = crowd(t, s, 6)
	without := []store.KnownPerson{{
		Person:    provisioner.Person{Directory: "stadt-ad", StableID: "id-900", Login: "ohne", DisplayName: "Person without"},
		Standings: []provisioner.Standing{{Tenant: "stadt", Groups: []string{"cn=staff"}, Entitled: true, ReadAt: time.UnixMilli(1000).UTC()}},
	}}
	there := []store.KnownPerson{{
		Person:    provisioner.Person{Directory: "neu-ad", StableID: "new-id-000", Login: "neu", DisplayName: "Person there"},
		Standings: []provisioner.Standing{{Tenant: "weiler", Groups: []string{"cn=weiler"}, ReadAt: time.UnixMilli(1000).UTC()}},
	}}
	update(t, s, func(tx *store.Writer) error { return errors.Join(tx.AddPeople(without), tx.AddPeople(there)) })
	e.people, e.there = append(e.people, without[0]), there[0]
	update(t, s, func(tx *store.Writer) error {
		one := e.people[1].Person
		second := provisioner.Device{ID: "second", Tenant: "kreis", Person: one.ID, Generation: 1, EnrolledAt: tx.Now, PublicKey: key(900)}
		err := errors.Join(
			tx.PutStanding(provisioner.Standing{Person: one.ID, Tenant: "kreis", Entitled: true, ReadAt: tx.Now}),
			tx.PutHeldLoss(store.HeldLoss{Person: one, Tenant: "kreis", Why: "group", Since: tx.Now}),
			tx.AddDevice(second),
			tx.PutHeldLoss(store.HeldLoss{Person: e.people[2].Person, Tenant: "stadt", Why: "deleted", Since: tx.Now}),
			tx.PutHeldLoss(store.HeldLoss{Person: e.people[4].Person, Tenant: "stadt", Why: "deleted", Since: tx.Now}),
			tx.BeginFactor(e.there.Person.ID, []byte("sealed")), tx.SetRecoveryCodes(e.there.Person.ID, []string{"a code"}),
			tx.PutExternal(provisioner.External{Person: e.people[5].Person.ID, Tenant: "stadt", Sponsor: one.ID, Until: tx.Now}),
			tx.PutExternal(provisioner.External{Person: e.people[5].Person.ID, Tenant: "kreis", Sponsor: one.ID, Until: tx.Now}),
			tx.PutExternal(provisioner.External{Person: e.people[5].Person.ID, Tenant: "weiler", Sponsor: e.there.Person.ID, Until: tx.Now}),
			tx.AddStaffToken("token", store.StaffToken{Person: e.there.Person.ID, CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(time.Hour)}),
		)
		for _, id := range []string{"d" + e.people[0].Person.ID, "d" + one.ID, "second"} {
			d, fault := tx.Device(id)
			opened, failed := session(tx, d)
			e.sessions = append(e.sessions, opened)
			err = errors.Join(err, fault, failed)
		}
		suspended, fault := tx.Device("d" + e.people[0].Person.ID)
		_, failed := tx.SuspendDevice(suspended, provisioner.Suspension{Source: provisioner.SuspendedByHelpdesk, Reason: "left in a train", Since: tx.Now})
		revoked, lost := tx.Device("d" + e.people[3].Person.ID)
		_, wrong := tx.RevokeDevice(revoked, "lost")
		return errors.Join(err, fault, failed, lost, wrong)
	})
}

// TestMoveTenant: of the people, 0 is known in the new directory already, 1 belongs to another tenant too, 2 is held, and
// nobody names 3, whose device is revoked, 4, 5 and the last, who has none.
func TestMoveTenant(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		twoDirectories(t, s)
		var e emigrants
		e.settle(t, s)
		tenant := view(t, s, func(tx *store.Reader) (provisioner.Tenant, error) { return tx.Tenant("stadt") })
		m, list := moved(tenant, e.people[:3]...)
		keepMove(t, s, m, list)
		before := view(t, s, (*store.Reader).Position)
		update(t, s, func(tx *store.Writer) error { return tx.PutTenant(m.Declaration, tenant) })
		move(t, s, m)
		for left := 1; left > 0; {
			update(t, s, func(tx *store.Writer) error {
				list, err := tx.LeftBehind("stadt", 1)
				left = len(list)
				for _, id := range list {
					err = errors.Join(err, tx.LeaveBehind("stadt", id))
				}
				return err
			})
		}
		update(t, s, func(tx *store.Writer) error { return tx.EndTenantMove(m.Hash) })

		if after := view(t, s, (*store.Reader).Position); after != before {
			t.Errorf("gateways and laptops are told something: %+v, then %+v", before, after)
		}
		if now := view(t, s, func(tx *store.Reader) (provisioner.Tenant, error) { return tx.Tenant("stadt") }); now.Directory != "neu-ad" || now.StaffGroup != "cn=new staff" {
			t.Errorf("the tenant is %+v", now)
		}
		known := func(directory, id string) store.KnownPerson {
			t.Helper()
			k, err := store.Read(t.Context(), s, func(tx *store.Reader) (store.KnownPerson, error) { return tx.KnownAs(directory, id) })
			if err != nil && !errors.Is(err, store.ErrNone) {
				t.Fatal(err)
			}
			return k
		}
		for in, want := range map[string]string{
			"stadt": e.people[1].Person.ID, "kreis": known("stadt-ad", e.people[1].Person.StableID).Person.ID, "weiler": e.people[0].Person.ID,
		} {
			x := view(t, s, func(tx *store.Reader) (provisioner.External, error) { return tx.External(e.people[5].Person.ID, in) })
			if x.Sponsor != want || want == "" {
				t.Errorf("in %s %q answers for her, want %q", in, x.Sponsor, want)
			}
		}
		for n, tenants := range [][]string{{"stadt", "weiler"}, {"stadt"}, {"stadt"}} {
			k := known("neu-ad", "new-"+e.people[n].Person.StableID)
			var in []string
			for _, v := range k.Standings {
				in = append(in, v.Tenant)
				if v.Tenant == "stadt" && (!v.Entitled || v.Held || len(v.Groups) != 1 || v.Groups[0] != "cn=new staff" || v.EndsAt.IsZero() || v.ReadAt.UnixMilli() != 7000) {
					t.Errorf("person %d stands %+v", n, v)
				}
			}
			if k.Person.ID != e.people[n].Person.ID || !cmp.Equal(in, tenants) {
				t.Errorf("person %d is %+v", n, k)
			}
		}
		if known("stadt-ad", "id-000").Person.ID != "" {
			t.Error("somebody is still known by the former id")
		}
		rest := known("stadt-ad", "id-001")
		if rest.Person.ID == "" || rest.Person.ID == e.people[1].Person.ID || rest.Person.Login != e.people[1].Person.Login || len(rest.Standings) != 1 || rest.Standings[0].Tenant != "kreis" || !rest.Standings[0].Held {
			t.Errorf("what stays behind is %+v", rest)
		}
		for i, want := range []string{e.people[0].Person.ID, e.people[1].Person.ID, rest.Person.ID} {
			now := view(t, s, func(tx *store.Reader) (provisioner.Session, error) { return tx.Session(e.sessions[i].ID) })
			device := view(t, s, func(tx *store.Reader) (provisioner.Device, error) { return tx.Device(now.Device) })
			if now.Person != want || device.Person != want || !now.ClosedAt.IsZero() || now.AddressIndex != e.sessions[i].AddressIndex {
				t.Errorf("session %d is %+v, of %+v", i, now, device)
			}
			if i == 0 && (len(device.SuspendedBy) != 1 || device.SuspendedBy[0].Source != provisioner.SuspendedByHelpdesk) {
				t.Errorf("suspended for %+v", device.SuspendedBy)
			}
		}
		if k := known("stadt-ad", "id-003"); len(k.Standings) != 1 || k.Standings[0].Entitled || k.Standings[0].Ended != provisioner.WhyDeleted {
			t.Errorf("whose device is revoked: %+v", k)
		}
		if k := known("stadt-ad", "id-004"); len(k.Standings) != 1 || !k.Standings[0].Entitled || !k.Standings[0].Held {
			t.Errorf("who was held and is not named: %+v", k)
		}
		if k := known("stadt-ad", "id-005"); len(k.Standings) != 1 || !k.Standings[0].Entitled {
			t.Errorf("who is not named: %+v", k)
		}
		if k := known("stadt-ad", "id-900"); len(k.Standings) != 0 {
			t.Errorf("who has no device, and is not named: %+v", k)
		}
		if factor := view(t, s, func(tx *store.Reader) (store.Factor, error) { return tx.Factor(e.people[0].Person.ID) }); string(factor.Sealed) != "sealed" {
			t.Errorf("her second factor is %+v", factor)
		}
		if codes := view(t, s, func(tx *store.Reader) (int64, error) { return tx.RecoveryCodes(e.people[0].Person.ID) }); codes != 1 {
			t.Errorf("she has %d recovery codes", codes)
		}
		if token := view(t, s, func(tx *store.Reader) (store.StaffToken, error) { return tx.StaffToken("token") }); token.Person != e.people[0].Person.ID {
			t.Errorf("signed in as %q", token.Person)
		}
		if left := view(t, s, func(tx *store.Reader) ([]store.MovedPerson, error) { return tx.MovedPeople(m.Hash, 100) }); len(left) != 0 {
			t.Errorf("still proposed: %+v", left)
		}
		if _, err := store.Read(t.Context(), s, func(tx *store.Reader) (store.TenantMove, error) { return tx.TenantMove(m.Hash) }); !errors.Is(err, store.ErrNone) {
			t.Errorf("still proposed: %v", err)
		}
	})
}

// move carries everybody of a proposal over, and gives those of whom it does not hold any more.
func move(t testing.TB, s *store.Store, m store.TenantMove) (void []string) {
	t.Helper()
	for _, i := range view(t, s, func(tx *store.Reader) ([]store.MovedPerson, error) { return tx.MovedPeople(m.Hash, 100) }) {
		update(t, s, func(tx *store.Writer) error {
			done, err := tx.MovePerson(m, i)
			if !done {
				void = append(void, i.FormerID)
			}
			return err
		})
	}
	return void
}

// Who has come to be known by another id, or whose new id has a laptop, stays as she is.
func TestAVoidMove(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		twoDirectories(t, s)
		var e emigrants
		e.settle(t, s)
		tenant := view(t, s, func(tx *store.Reader) (provisioner.Tenant, error) { return tx.Tenant("stadt") })
		m, list := moved(tenant, e.people[:3]...)
		keepMove(t, s, m, list)
		update(t, s, func(tx *store.Writer) error {
			return errors.Join(tx.SetStableID(e.people[1].Person.ID, "x"), tx.PutTenant(m.Declaration, tenant),
				tx.AddDevice(provisioner.Device{ID: "theirs", Tenant: "weiler", Person: e.there.Person.ID, Generation: 1, PublicKey: key(901), EnrolledAt: tx.Now}))
		})
		if void := move(t, s, m); !cmp.Equal(void, []string{"id-000", "id-001"}) {
			t.Errorf("not carried over were %v", void)
		}
		for n, want := range []string{"stadt-ad id-000", "stadt-ad x", "neu-ad new-id-002"} {
			p := view(t, s, func(tx *store.Reader) (provisioner.Person, error) { return tx.Person(e.people[n].Person.ID) })
			if got := p.Directory + " " + p.StableID; got != want {
				t.Errorf("person %d is known as %s", n, got)
			}
		}
		if again := move(t, s, m); len(again) != 0 {
			t.Errorf("still to be done: %v", again)
		}
	})
}

// BenchmarkMovePeople is one transaction that carries twenty people over, each with a device and known already to other tenants of the
// new directory: how long the writer is held.
func BenchmarkMovePeople(b *testing.B) {
	const atOnce = 20
	benchEach(b, func(b *testing.B, s *store.Store) {
		twoDirectories(b, s)
		tenant := view(b, s, func(tx *store.Reader) (provisioner.Tenant, error) { return tx.Tenant("stadt") })
		for round := 0; b.Loop(); round++ {
			b.StopTimer()
			list := make([]store.KnownPerson, atOnce)
			there := make([]store.KnownPerson, atOnce)
			for i := range list {
				id := fmt.Sprintf("%05d-%02d", round, i)
				list[i].Person = provisioner.Person{Directory: "stadt-ad", StableID: id, Login: id, DisplayName: "Person"}
				list[i].Standings = []provisioner.Standing{{Tenant: "stadt", Groups: []string{"cn=staff"}, Entitled: true}}
				there[i].Person = provisioner.Person{Directory: "neu-ad", StableID: "new-" + id, Login: id, DisplayName: "Person"}
				there[i].Standings = []provisioner.Standing{{Tenant: "weiler"}}
			}
			update(b, s, func(tx *store.Writer) error { return errors.Join(tx.AddPeople(list), tx.AddPeople(there)) })
			m, moving := moved(tenant, list...)
			keepMove(b, s, m, moving)
			update(b, s, func(tx *store.Writer) (err error) {
				for _, k := range list {
					d := provisioner.Device{ID: "d" + k.Person.ID, Tenant: "stadt", Person: k.Person.ID, Generation: 1, EnrolledAt: tx.Now}
					copy(d.PublicKey[:], k.Person.ID)
					err = errors.Join(err, tx.AddDevice(d))
				}
				return err
			})
			b.StartTimer()
			update(b, s, func(tx *store.Writer) (err error) {
				for _, i := range moving {
					_, fault := tx.MovePerson(m, i)
					err = errors.Join(err, fault)
				}
				return err
			})
		}
	})
}
