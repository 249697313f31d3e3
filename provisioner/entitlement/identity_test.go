package entitlement_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/entitlement"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

func admin(id, tenant string) provisioner.Actor {
	return provisioner.Actor{ID: id, Name: "Anna " + id, Grants: []provisioner.Grant{{Role: provisioner.RoleTenantAdmin, Tenant: tenant}}}
}

func codeOf(err error) provisioner.Code {
	if r, ok := provisioner.AsRefusal(err); ok {
		return r.Code
	}
	return ""
}

// rebuild has everybody deleted in the directory and made anew with another id; groups list them as before.
func (w *world) rebuild() {
	w.t.Helper()
	w.feed.forget(w.people...)
	for _, id := range w.people {
		again := person("new" + id)
		again.DN, again.Person.DN, again.Person.Login = dnOf(id), dnOf(id), id
		w.feed.put(again)
	}
	if err := w.feed.Reconcile(w.t.Context(), w.feed.followed()); err != nil {
		w.t.Fatal(err)
	}
	w.settled()
	w.eventually("the new ones are known", func() bool { return w.standing("new" + w.people[len(w.people)-1]).Entitled })
}

func (w *world) mapped() (lines []entitlement.IdentityLine) {
	for n, id := range w.people {
		lines = append(lines, entitlement.IdentityLine{Line: n + 1, From: id, To: "NEW" + id})
	}
	return lines
}

func (w *world) propose(actor provisioner.Actor, lines ...entitlement.IdentityLine) entitlement.Identities {
	w.t.Helper()
	found, err := w.rights.ProposeIdentities(w.t.Context(), actor, entitlement.IdentityProposal{Directory: "stadt-ad", Lines: lines, Reason: "the domain was rebuilt"})
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// TestARebuiltDomain: everybody has another id, some have lost their right by it and the brake holds the others.
func TestARebuiltDomain(t *testing.T) {
	for _, people := range []int{5, 20} { // the brake lets the first go, and holds the second
		w := newWorld(t, people)
		w.rebuild()
		w.update(func(tx *store.Writer) error { // one who is new, as it seems, is assigned a seat
			now, err := tx.KnownAs("stadt-ad", "newp001")
			return errors.Join(err,
				tx.PutPool(provisioner.LicencePool{
					Name: "names", Model: provisioner.PoolNamed, Contracts: []provisioner.Contract{{Seats: 9}}, Shares: []provisioner.PoolShare{{Tenant: "stadt"}},
				}),
				tx.AssignSeat(store.NamedSeat{Pool: "names", Person: now.Person.ID, Tenant: "stadt", AssignedAt: tx.Now}))
		})
		found := w.propose(operator, w.mapped()...)
		if len(found.Problems) > 0 || len(found.List) != people || found.Hash == "" {
			t.Fatalf("proposed %+v", found)
		}
		if again := w.propose(admin("a", "stadt"), w.mapped()...); again.Hash != found.Hash || again.ProposedBy != operator.ID {
			t.Errorf("proposed again: %+v", again.IdentityChange)
		}
		if _, err := w.rights.ConfirmIdentities(t.Context(), operator, found.Hash, "yes"); codeOf(err) != provisioner.CodeFourEyes {
			t.Errorf("confirmed by the same: %v", err)
		}
		if _, err := w.rights.ConfirmIdentities(t.Context(), admin("a", "stadt"), found.Hash, " "); codeOf(err) != provisioner.CodeReasonMissing {
			t.Errorf("confirmed without a reason: %v", err)
		}
		before := w.known("p001").Person
		shown, err := w.rights.ReadIdentities(t.Context(), admin("a", "stadt"), found.Hash)
		if err != nil || len(shown.List) != people || shown.List[1].Person != before || shown.List[1].StableID != "newp001" || shown.List[1].NewLogin != "p001" {
			t.Errorf("shown %+v, %v", shown, err)
		}
		n, err := w.rights.ConfirmIdentities(t.Context(), admin("a", "stadt"), found.Hash, "compared with the list")
		if err != nil || n != people {
			t.Fatalf("confirmed %d, %v", n, err)
		}
		for _, id := range w.people {
			d := w.device(id)
			now := w.known("new" + id)
			if s := w.standing("new" + id); now.Person.ID != d.Person || len(d.SuspendedBy) > 0 || !s.Entitled || !s.LostAt.IsZero() || w.known(id).Person.ID != "" {
				t.Fatalf("%s: %+v, device %+v", id, now, d)
			}
		}
		w.update(func(tx *store.Writer) error {
			seats, err := tx.NamedSeats(w.device("p001").Person)
			if err != nil || len(seats) != 1 {
				t.Errorf("her seat is %+v, %v", seats, err)
			}
			return nil
		})
		if people > 5 && w.connected() != people {
			t.Errorf("%d of %d sessions are open", w.connected(), people)
		}
		// What was to be said of the former id is not about her any more.
		w.update(func(tx *store.Writer) error {
			r, err := entitlement.Settle(tx, w.tenant, entitlement.Gone(before, true))
			if r.Lost || !r.Standing.Entitled {
				t.Errorf("a former id ends the right: %+v", r)
			}
			return err
		})
		// The directory says the same again, and later something new.
		if err := w.feed.Reconcile(t.Context(), w.feed.followed()); err != nil {
			t.Fatal(err)
		}
		w.settled()
		if len(w.pending().People) != 0 || w.suspendedFor("p000") != "" {
			t.Errorf("held are %v, suspended for %q", ids(w.pending().People), w.suspendedFor("p000"))
		}
		w.feed.put(person("newp000", func(p *directory.Person) { disabled(p); p.DN = dnOf("p000") }))
		w.settled()
		if got := w.suspendedFor("p000"); got != "disabled" {
			t.Errorf("disabled under the new id, and suspended for %q", got)
		}
		if _, err := w.rights.ConfirmIdentities(t.Context(), admin("a", "stadt"), found.Hash, "again"); codeOf(err) != provisioner.CodeProposalUnknown {
			t.Errorf("confirmed again: %v", err)
		}
		w.stop()
	}
}

func TestWhatCannotBeCarriedOver(t *testing.T) {
	w := newWorld(t, 20)
	w.rebuild()
	w.feed.put(person("newp003", disabled, func(p *directory.Person) { p.DN = dnOf("p003") }))
	w.settled()
	w.update(func(tx *store.Writer) error {
		k, err := tx.KnownAs("stadt-ad", "newp002")
		if err != nil {
			return err
		}
		d := provisioner.Device{ID: "another", Tenant: "stadt", Person: k.Person.ID, Generation: 1, Name: "nb", EnrolledAt: tx.Now}
		copy(d.PublicKey[:], "another key")
		return tx.AddDevice(d)
	})
	found := w.propose(operator,
		entitlement.IdentityLine{Line: 2, From: "p000", To: "newp000"},
		entitlement.IdentityLine{Line: 3, From: " ", To: "x"},
		entitlement.IdentityLine{Line: 4, From: "p001", To: "{P001}"},
		entitlement.IdentityLine{Line: 5, From: "p004", To: "newp000"},
		entitlement.IdentityLine{Line: 6, From: "P000", To: "newp005"},
		entitlement.IdentityLine{Line: 7, From: "nobody", To: "newp006"},
		entitlement.IdentityLine{Line: 8, From: "p002", To: "newp002"},
		entitlement.IdentityLine{Line: 9, From: "p003", To: "newp003"},
		entitlement.IdentityLine{Line: 10, From: "p007", To: "never-read"},
		entitlement.IdentityLine{Line: 11, From: "p008", To: "p009"},
	)
	want := []entitlement.IdentityProblem{
		{Line: 3, Code: entitlement.IdentityEmpty}, {Line: 4, Code: entitlement.IdentitySame}, {Line: 5, Code: entitlement.IdentityTwice, Also: 2},
		{Line: 6, Code: entitlement.IdentityTwice, Also: 2}, {Line: 7, Code: entitlement.IdentityUnknown}, {Line: 8, Code: entitlement.IdentityTaken},
		{Line: 9, Code: entitlement.IdentityWouldLose}, {Line: 10, Code: entitlement.IdentityNotRead}, {Line: 11, Code: entitlement.IdentityTaken},
	}
	if !slices.Equal(found.Problems, want) || found.Hash != "" {
		t.Errorf("problems %+v, want %+v", found.Problems, want)
	}
	if w.connected() != 20 {
		t.Errorf("%d sessions are open", w.connected())
	}

	one := entitlement.IdentityLine{Line: 1, From: "p010", To: "newp010"}
	t.Run("another tenant's administrator", func(t *testing.T) {
		_, err := w.rights.ProposeIdentities(t.Context(), admin("b", "dorf"), entitlement.IdentityProposal{Directory: "stadt-ad", Lines: []entitlement.IdentityLine{one}, Reason: "x"})
		if codeOf(err) != provisioner.CodeNotFound {
			t.Errorf("proposes: %v", err)
		}
		good := w.propose(operator, one)
		if _, err := w.rights.ConfirmIdentities(t.Context(), admin("b", "dorf"), good.Hash, "x"); codeOf(err) != provisioner.CodeProposalUnknown {
			t.Errorf("confirms: %v", err)
		}
		if _, err := w.rights.ReadIdentities(t.Context(), provisioner.Actor{ID: "h", Grants: []provisioner.Grant{{Role: provisioner.RoleHelpdesk, Tenant: "stadt"}}}, good.Hash); codeOf(err) != provisioner.CodeNotAllowed {
			t.Errorf("the helpdesk reads: %v", err)
		}
	})
	t.Run("a week later", func(t *testing.T) {
		good := w.propose(operator, one)
		w.update(func(tx *store.Writer) error {
			c := good.IdentityChange
			if err := tx.ForgetIdentityChanges(time.Now().Add(time.Hour)); err != nil {
				return err
			}
			c.ProposedAt = time.Now().Add(-8 * 24 * time.Hour)
			i := good.List[0]
			i.Hash = c.Hash
			if err := tx.AddNewIdentity(i); err != nil {
				return err
			}
			return tx.PutIdentityChange(c)
		})
		if _, err := w.rights.ConfirmIdentities(t.Context(), admin("a", "stadt"), good.Hash, "x"); codeOf(err) != provisioner.CodeProposalUnknown {
			t.Errorf("confirmed: %v", err)
		}
		if again := w.propose(operator, one); time.Since(again.ProposedAt) > time.Minute {
			t.Errorf("proposed anew, and it is still the old one: %+v", again.IdentityChange)
		}
		if n, err := w.rights.ConfirmIdentities(t.Context(), admin("a", "stadt"), good.Hash, "x"); err != nil || n != 1 || w.known("newp010").Person.ID != w.device("p010").Person {
			t.Errorf("confirmed %d, %v", n, err)
		}
	})
	t.Run("only looking", func(t *testing.T) {
		found, err := w.rights.ProposeIdentities(t.Context(), operator, entitlement.IdentityProposal{Directory: "stadt-ad", DryRun: true,
			Lines: []entitlement.IdentityLine{{Line: 1, From: "p011", To: "newp011"}}})
		if err != nil || found.Hash != "" || len(found.List) != 1 {
			t.Errorf("found %+v, %v", found, err)
		}
	})
}

// TestHalfCarriedOver: what was confirmed is done by whoever follows the directory, if the one who confirmed it dies.
func TestHalfCarriedOver(t *testing.T) {
	w := newWorld(t, 20)
	w.rebuild()
	found := w.propose(operator, w.mapped()...)
	w.update(func(tx *store.Writer) error {
		c := found.IdentityChange
		c.ConfirmedAt = tx.Now
		return tx.PutIdentityChange(c)
	})
	w.eventually("everybody is carried over", func() bool {
		return w.known("newp000").Person.ID == w.device("p000").Person && w.known("newp019").Person.ID == w.device("p019").Person
	})
	if w.connected() != 20 {
		t.Errorf("%d sessions are open", w.connected())
	}
}
