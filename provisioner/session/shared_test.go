package session_test

import (
	"context"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// on is somebody's device on the laptop with a serial number, for which somebody vouches.
func (w *world) on(serial, tenant string, n int) provisioner.Actor {
	w.t.Helper()
	return w.stating(serial, provisioner.SerialByInvitation, tenant, n)
}

func (w *world) stating(serial string, by provisioner.SerialBy, tenant string, n int) provisioner.Actor {
	w.t.Helper()
	actor := w.laptopOf(tenant, n)
	w.update(func(tx *store.Writer) error {
		d, err := tx.Device(actor.ID)
		if err != nil {
			return err
		}
		if _, err := tx.RevokeDevice(d, "made anew"); err != nil {
			return err
		}
		d.ID, d.SerialNumber, d.SerialBy, d.PublicKey[0] = provisioner.NewID(), serial, by, d.PublicKey[0]^1
		actor.ID = d.ID
		return tx.AddDevice(d)
	})
	return actor
}

func (w *world) stillOpen(o session.Opened) bool {
	w.t.Helper()
	s, err := store.Read(context.Background(), w.store, func(tx *store.Reader) (provisioner.Session, error) { return tx.Session(o.Session.ID) })
	if err != nil {
		w.t.Fatal(err)
	}
	if !s.ClosedAt.IsZero() && s.ClosedWhy != provisioner.CodeSessionElsewhere {
		w.t.Errorf("closed with %s", s.ClosedWhy)
	}
	return s.ClosedAt.IsZero()
}

// A laptop that several people share has one session: that of the person who
// opened last. Machines that tell no serial number have nothing in common, nor do
// those of two tenants.
func TestASharedLaptopHasOneSession(t *testing.T) {
	w := newWorld(t, 10)
	w.serve("gw1")
	eva, emil, other := w.on("S1", "stadt", 1), w.on("S1", "stadt", 2), w.on("S2", "stadt", 3)
	nameless, too := w.laptop(4), w.laptop(5)
	open := func(a provisioner.Actor) session.Opened { return w.open(a, session.OpenRequest{Stream: "s"}) }
	elsewhere, one, two := open(other), open(nameless), open(too)
	evas := open(eva)
	emils := open(emil)
	if w.stillOpen(evas) || !w.stillOpen(emils) {
		t.Errorf("hers is open: %v, his: %v", w.stillOpen(evas), w.stillOpen(emils))
	}
	again := open(eva)
	if w.stillOpen(emils) || !w.stillOpen(again) {
		t.Errorf("his is open: %v, hers: %v", w.stillOpen(emils), w.stillOpen(again))
	}
	for _, o := range []session.Opened{elsewhere, one, two} {
		if !w.stillOpen(o) {
			t.Error("another laptop lost its session")
		}
	}
}

// Who states a colleague's serial number, for which nobody vouches, does not end the
// session there; nor does the colleague end hers.
func TestAStatedSerialNumberEndsNoSession(t *testing.T) {
	w := newWorld(t, 10)
	w.serve("gw1")
	eva, mallory, third := w.on("S1", "stadt", 1), w.stating("S1", "", "stadt", 2), w.stating("S1", "", "stadt", 3)
	evas := w.open(eva, session.OpenRequest{Stream: "s"})
	mallorys, thirds := w.open(mallory, session.OpenRequest{Stream: "s"}), w.open(third, session.OpenRequest{Stream: "s"})
	if !w.stillOpen(evas) || !w.stillOpen(mallorys) || !w.stillOpen(thirds) {
		t.Error("a serial number that was only stated has ended a session")
	}
	again := w.open(eva, session.OpenRequest{Stream: "s"})
	if !w.stillOpen(mallorys) || !w.stillOpen(again) {
		t.Error("the session of who only states the number was ended")
	}
	// Once the helpdesk vouches for it they share the laptop.
	w.update(func(tx *store.Writer) error { return tx.VouchForSerial(mallory.ID, provisioner.SerialByHelpdesk) })
	shared := w.open(mallory, session.OpenRequest{Stream: "s"})
	if w.stillOpen(again) || !w.stillOpen(shared) || !w.stillOpen(thirds) {
		t.Error("with the helpdesk's word it is not one open at a time")
	}
}

// Who has not acknowledged the present house rules opens nothing; what is open
// stays.
func TestHouseRulesBeforeOpening(t *testing.T) {
	w := newWorld(t, 10)
	w.serve("gw1")
	eva := w.laptop(1)
	before := w.open(eva, session.OpenRequest{Stream: "s"})
	rules := provisioner.NewHouseRules("Sperren.", "Lock.", "")
	w.update(func(tx *store.Writer) error {
		v, err := tx.Tenant("stadt")
		if err != nil {
			return err
		}
		v.HouseRules = rules
		return tx.PutTenant(v)
	})
	if !w.stillOpen(before) {
		t.Error("the open session was closed")
	}
	if _, err := w.Renew(t.Context(), eva, "s", before.Session.ID, provisioner.Usage{}); err != nil {
		t.Errorf("it is not renewed: %v", err)
	}
	_, err := w.Open(t.Context(), eva, session.OpenRequest{Stream: "s2"})
	expect(t, err, provisioner.CodeHouseRules)
	if refusal, _ := provisioner.AsRefusal(err); refusal.Rules == nil || *refusal.Rules != rules {
		t.Errorf("told %+v", refusal.Rules)
	}
	w.update(func(tx *store.Writer) error {
		d, err := tx.Device(eva.ID)
		if err != nil {
			return err
		}
		return tx.Acknowledge(d.Person, d.Tenant, rules.Version, d.ID)
	})
	w.open(eva, session.OpenRequest{Stream: "s2"})
}
