package helpdesk_test

import (
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/helpdesk"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Whose connection is meant, by whatever is typed; and nobody of another tenant.
func TestExplainFindsWhoIsMeant(t *testing.T) {
	w := newWorld(t)
	w.person(t, "stadt", "eva", "Eva Müller")
	w.person(t, "stadt", "emil", "Emil Müller")
	w.person(t, "dorf", "nora", "Nora Fremd")
	w.connects(t, "stadt/eva", "vpn")
	d, p := w.devices["stadt/eva"], w.persons["stadt/eva"]
	desk := as(provisioner.RoleHelpdesk, "stadt")
	for what, r := range map[string]helpdesk.ExplainRequest{
		"device": {Device: d.ID}, "beginning of a device": {Query: d.ID[:8]}, "person": {Person: p.ID}, "person id as a search": {Query: p.ID},
		"name": {Query: "eva müller"}, "serial number": {Query: d.SerialNumber}, "key": {Query: d.PublicKey.String()},
	} {
		e, err := w.Explain(t.Context(), desk, r)
		if err != nil || e.Person.Person.ID != p.ID || e.Device == nil || e.Device.ID != d.ID || e.Finding.Cause.Code == "" {
			t.Errorf("%s: %+v, %v", what, e, err)
		}
	}
	if e, err := w.Explain(t.Context(), desk, helpdesk.ExplainRequest{Query: "müller"}); err != nil || len(e.Candidates) != 2 || e.Finding.Cause.Code != "" {
		t.Errorf("of two: %+v, %v", e, err)
	}
	foreign := w.devices["dorf/nora"]
	for what, r := range map[string]helpdesk.ExplainRequest{
		"foreign device": {Device: foreign.ID}, "foreign person": {Person: foreign.Person}, "foreign name": {Query: "nora"}, "foreign device as a search": {Query: foreign.ID},
		"own device, another tenant": {Device: d.ID, Tenant: "dorf"},
	} {
		if _, err := w.Explain(t.Context(), desk, r); codeOf(err) != provisioner.CodeNotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := w.Explain(t.Context(), desk, helpdesk.ExplainRequest{}); codeOf(err) != provisioner.CodeInvalid {
		t.Errorf("of nobody: %v", err)
	}
	if _, err := w.Explain(t.Context(), as(provisioner.RolePlanner, "stadt"), helpdesk.ExplainRequest{Query: "eva"}); codeOf(err) != provisioner.CodeNotAllowed {
		t.Errorf("a planner: %v", err)
	}
}

// A person has the laptop that is connected in question, else the one that was
// refused last, else the newest that lives.
func TestWhichLaptopIsInQuestion(t *testing.T) {
	w := newWorld(t)
	w.person(t, "stadt", "eva", "Eva Müller")
	first := w.devices["stadt/eva"]
	second := first
	second.ID, second.SerialNumber, second.Name, second.PublicKey = provisioner.NewID(), "SN-NEW", "new", provisioner.Key{9}
	second.EnrolledAt = time.Now().Add(time.Minute)
	w.update(t, func(tx *store.Writer) error { return tx.AddDevice(second) })
	desk := as(provisioner.RoleHelpdesk, "stadt")
	in := func(what, want string) {
		t.Helper()
		e, err := w.Explain(t.Context(), desk, helpdesk.ExplainRequest{Person: first.Person})
		if err != nil || e.Device.ID != want || len(e.Others) != 1 {
			t.Errorf("%s: %+v, %v", what, e.Device, err)
		}
	}
	in("the newest", second.ID)
	w.update(t, func(tx *store.Writer) error {
		return tx.NoteDeviceRefusal(store.RecentRefusal{Tenant: "stadt", Person: first.Person, Device: first.ID, Code: provisioner.CodeNoSeat})
	})
	in("the one that was refused", first.ID)
	w.update(t, func(tx *store.Writer) error {
		d, err := tx.Device(first.ID)
		if err != nil {
			return err
		}
		_, err = tx.RevokeDevice(d, "lost")
		return err
	})
	in("the one that lives", second.ID)
}

// The look is recorded, with the cause that was told.
func TestALookForACauseIsRecorded(t *testing.T) {
	w := newWorld(t)
	w.person(t, "stadt", "eva", "Eva Müller")
	p := w.persons["stadt/eva"]
	e, err := w.Explain(t.Context(), as(provisioner.RoleHelpdesk, "stadt"), helpdesk.ExplainRequest{Query: "eva"})
	if err != nil {
		t.Fatal(err)
	}
	last, err := store.Read(t.Context(), w.store, func(tx *store.Reader) (audit.Event, error) {
		return tx.LastEvent("stadt", audit.Object{Kind: "person", ID: p.ID})
	})
	if err != nil || last.Action != string(provisioner.ActionExplain) || last.Details["cause"] != string(e.Finding.Cause.Code) {
		t.Errorf("recorded %+v, %v", last, err)
	}
}
