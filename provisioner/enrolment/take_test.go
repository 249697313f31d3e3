package enrolment_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

func TestRevoke(t *testing.T) {
	w := newWorld(t)
	d := w.enrols(t, "stadt", "eva", "S1")
	session := w.opens(t, d)
	before := w.revision(t)
	hilde := as(provisioner.RoleHelpdesk, "stadt")
	taken, err := w.Revoke(t.Context(), hilde, enrolment.TakeRequest{Device: strings.ToUpper(d.ID[:8]), Reason: "lost on\x07 the train\n"})
	if err != nil {
		t.Fatal(err)
	}
	if taken.Device.State() != provisioner.DeviceRevoked || taken.Device.RevokedWhy != "lost on the train" {
		t.Errorf("device %+v", taken.Device)
	}
	s := w.session(t, session.ID)
	if s.ClosedAt.IsZero() || s.ClosedWhy != provisioner.CodeDeviceRevoked || s.ClosedRevision != before+2 {
		t.Errorf("session %+v at revision %d", s, before)
	}
	if len(taken.Confirmations) != 1 || !taken.Confirmations[0].Confirmed || w.waits.debts[0] != (store.Debt{Session: session.ID, Gateway: "gw1", Revision: s.ClosedRevision}) {
		t.Errorf("confirmed %+v of %+v", taken.Confirmations, w.waits.debts)
	}
	if w.waits.patience > 5*time.Second || w.waits.patience < 4*time.Second {
		t.Errorf("waited up to %v", w.waits.patience)
	}
	log := w.events(t)
	last := log[len(log)-1]
	for _, part := range []string{`"action":"revoke device"`, `"kind":"helpdesk"`, `"id":"` + d.ID + `"`, `"reason":"lost on the train"`, `"source":"192.0.2.9"`} {
		if !strings.Contains(last, part) {
			t.Errorf("the audit record lacks %s: %s", part, last)
		}
	}

	// Again: nothing changes, the gateways are waited for again.
	revision := w.revision(t)
	again, err := w.Revoke(t.Context(), hilde, enrolment.TakeRequest{Device: d.ID, Reason: "really", Wait: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if w.revision(t) != revision || len(w.events(t)) != len(log) || again.Device.RevokedWhy != "lost on the train" || len(again.Confirmations) != 1 {
		t.Errorf("revoking again: %+v", again)
	}
	if w.waits.patience > time.Minute {
		t.Errorf("waited up to %v", w.waits.patience)
	}
	// The gateway has confirmed meanwhile: nothing is owed.
	epoch := read(t, w, (*store.Reader).Position).Epoch
	update(t, w.store, func(tx *store.Writer) error {
		_, err := tx.PutContact(store.Contact{Gateway: "gw1", Connected: true, ContactAt: time.Now(), Epoch: epoch, Revision: revision}, true)
		return err
	})
	again, err = w.Revoke(t.Context(), hilde, enrolment.TakeRequest{Device: d.ID, Reason: "really"})
	if err != nil || len(again.Confirmations) != 0 {
		t.Errorf("after the gateway has confirmed: %+v, %v", again.Confirmations, err)
	}
}

func TestSuspendAndRestore(t *testing.T) {
	w := newWorld(t)
	d := w.enrols(t, "stadt", "eva", "S1")
	session := w.opens(t, d)
	hilde := as(provisioner.RoleHelpdesk, "stadt")
	taken, err := w.Suspend(t.Context(), hilde, enrolment.TakeRequest{Device: d.ID, Reason: "on leave"})
	if err != nil {
		t.Fatal(err)
	}
	if taken.Device.State() != provisioner.DeviceSuspended || taken.Device.SuspendedBy[0].Reason != "on leave" || len(taken.Confirmations) != 1 {
		t.Errorf("suspended %+v", taken)
	}
	if s := w.session(t, session.ID); s.ClosedWhy != provisioner.CodeDeviceSuspended {
		t.Errorf("session %+v", s)
	}
	restored, err := w.Restore(t.Context(), hilde, enrolment.RestoreRequest{Device: d.ID, Reason: "is back"})
	if err != nil || restored.State() != provisioner.DeviceActive || restored.PublicKey != d.PublicKey {
		t.Errorf("restored %+v, %v", restored, err)
	}
	events, revision := len(w.events(t)), w.revision(t)
	if _, err := w.Restore(t.Context(), hilde, enrolment.RestoreRequest{Device: d.ID, Reason: "is back"}); err != nil {
		t.Errorf("restoring again: %v", err)
	}
	if len(w.events(t)) != events || w.revision(t) != revision {
		t.Error("restoring what does not rest changed something")
	}
}

// What the directory took comes back with the directory, what the helpdesk
// took with the helpdesk.
func TestEachSourceGivesBackItsOwn(t *testing.T) {
	w := newWorld(t)
	d := w.enrols(t, "stadt", "eva", "S1")
	hilde, follower := as(provisioner.RoleHelpdesk, "stadt"), provisioner.System("directory")
	for _, actor := range []provisioner.Actor{hilde, follower} {
		if _, err := w.Suspend(t.Context(), actor, enrolment.TakeRequest{Device: d.ID, Reason: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	restored, err := w.Restore(t.Context(), hilde, enrolment.RestoreRequest{Device: d.ID, Reason: "is back"})
	if err != nil || restored.State() != provisioner.DeviceSuspended || restored.SuspendedBy[0].Source != provisioner.SuspendedByDirectory {
		t.Errorf("the helpdesk gave back what the directory took: %+v, %v", restored, err)
	}
}

func TestTakingRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		actor  provisioner.Actor
		device func(provisioner.Device) string
		reason string
		want   provisioner.Code
	}{
		{"nobody", anybody(), whole, "x", provisioner.CodeNotSignedIn},
		{"staff", as(provisioner.RoleStaff, "stadt"), whole, "x", provisioner.CodeNotAllowed},
		{"planner", as(provisioner.RolePlanner, "stadt"), whole, "x", provisioner.CodeNotAllowed},
		{"gateway", as(provisioner.RoleGateway, ""), whole, "x", provisioner.CodeNotAllowed},
		{"no reason", as(provisioner.RoleHelpdesk, "stadt"), whole, "", provisioner.CodeReasonMissing},
		{"a reason of blanks", as(provisioner.RoleHelpdesk, "stadt"), whole, " \n\u200b", provisioner.CodeReasonMissing},
		{"no such device", as(provisioner.RoleHelpdesk, "stadt"), func(provisioner.Device) string { return provisioner.NewID() }, "x", provisioner.CodeNotFound},
		{"a joker", as(provisioner.RoleHelpdesk, "stadt"), func(provisioner.Device) string { return "%%%%%%%%" }, "x", provisioner.CodeNotFound},
		{"too short", as(provisioner.RoleHelpdesk, "stadt"), func(d provisioner.Device) string { return d.ID[:5] }, "x", provisioner.CodeInvalid},
		{"the neighbour's helpdesk", as(provisioner.RoleHelpdesk, "dorf"), whole, "x", provisioner.CodeNotFound},
		{"the neighbour's administrator", as(provisioner.RoleTenantAdmin, "dorf"), whole, "x", provisioner.CodeNotFound},
		{"the own administrator", as(provisioner.RoleTenantAdmin, "stadt"), whole, "x", ""},
		{"the operator", as(provisioner.RoleOperator, ""), whole, "x", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			d := w.enrols(t, "stadt", "eva", "S1")
			if _, err := w.Suspend(t.Context(), c.actor, enrolment.TakeRequest{Device: c.device(d), Reason: c.reason}); codeOf(err) != c.want {
				t.Errorf("suspend: got %v, want %q", err, c.want)
			}
			if _, err := w.Restore(t.Context(), c.actor, enrolment.RestoreRequest{Device: c.device(d), Reason: c.reason}); codeOf(err) != c.want {
				t.Errorf("restore: got %v, want %q", err, c.want)
			}
			if _, err := w.Revoke(t.Context(), c.actor, enrolment.TakeRequest{Device: c.device(d), Reason: c.reason}); codeOf(err) != c.want {
				t.Errorf("revoke: got %v, want %q", err, c.want)
			}
			if got := w.device(t, d.ID).State(); (got == provisioner.DeviceActive) != (c.want != "") {
				t.Errorf("the device is %s", got)
			}
		})
	}
}

func whole(d provisioner.Device) string { return d.ID }

func TestRevokedCannotRestOrReturn(t *testing.T) {
	w := newWorld(t)
	d := w.enrols(t, "stadt", "eva", "S1")
	hilde := as(provisioner.RoleHelpdesk, "stadt")
	if _, err := w.Revoke(t.Context(), hilde, enrolment.TakeRequest{Device: d.ID, Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Suspend(t.Context(), hilde, enrolment.TakeRequest{Device: d.ID, Reason: "x"}); codeOf(err) != provisioner.CodeDeviceRevoked {
		t.Errorf("suspend: %v", err)
	}
	if _, err := w.Restore(t.Context(), hilde, enrolment.RestoreRequest{Device: d.ID, Reason: "x"}); codeOf(err) != provisioner.CodeDeviceRevoked {
		t.Errorf("restore: %v", err)
	}
}

func TestRevokePerson(t *testing.T) {
	w := newWorld(t)
	first, second := w.enrols(t, "stadt", "emil", "S1"), w.enrols(t, "stadt", "emil", "S2")
	elsewhere := w.enrols(t, "dorf", "emil", "S1")
	w.opens(t, first)
	w.opens(t, second)
	operator := as(provisioner.RoleOperator, "")
	if _, err := w.RevokePerson(t.Context(), operator, enrolment.RevokePersonRequest{Person: first.Person, Reason: "left"}); codeOf(err) != provisioner.CodeTenantMissing {
		t.Errorf("a person in two tenants: %v", err)
	}
	if _, err := w.RevokePerson(t.Context(), operator, enrolment.RevokePersonRequest{Person: first.Person}); codeOf(err) != provisioner.CodeReasonMissing {
		t.Errorf("no reason: %v", err)
	}
	if _, err := w.RevokePerson(t.Context(), as(provisioner.RoleHelpdesk, "dorf"), enrolment.RevokePersonRequest{Person: first.Person, Tenant: "stadt", Reason: "left"}); codeOf(err) != provisioner.CodeNotFound {
		t.Errorf("the neighbour's helpdesk: %v", err)
	}
	taken, err := w.RevokePerson(t.Context(), as(provisioner.RoleHelpdesk, "stadt"), enrolment.RevokePersonRequest{Person: first.Person, Reason: "left"})
	if err != nil {
		t.Fatal(err)
	}
	if len(taken.Devices) != 2 || len(taken.Confirmations) != 2 {
		t.Errorf("taken %+v", taken)
	}
	for _, d := range taken.Devices {
		if d.State() != provisioner.DeviceRevoked {
			t.Errorf("device %+v", d)
		}
	}
	if got := w.device(t, elsewhere.ID).State(); got != provisioner.DeviceActive {
		t.Errorf("the device in the other tenant is %s", got)
	}
	log := strings.Join(w.events(t), "\n")
	if strings.Count(log, `"action":"revoke device"`) != 2 || strings.Count(log, `"action":"revoke person"`) != 1 {
		t.Errorf("audit log:\n%s", log)
	}
	events := len(w.events(t))
	if _, err := w.RevokePerson(t.Context(), operator, enrolment.RevokePersonRequest{Person: first.Person, Tenant: "stadt", Reason: "left"}); err != nil || len(w.events(t)) != events {
		t.Errorf("again: %v, %d records", err, len(w.events(t))-events)
	}
}

// Whoever asks, a device or person of another tenant is answered like one that
// nobody has.
func TestForeignAndUnknownAreAnsweredAlike(t *testing.T) {
	w := newWorld(t)
	theirs := w.enrols(t, "stadt", "eva", "S1")
	roles := []provisioner.Role{
		provisioner.RoleAnonymous, provisioner.RoleDevice, provisioner.RoleGateway, provisioner.RoleStaff,
		provisioner.RoleHelpdesk, provisioner.RolePlanner, provisioner.RoleTenantAdmin,
	}
	ask := []func(provisioner.Actor, string) error{
		func(a provisioner.Actor, id string) error {
			_, err := w.Revoke(t.Context(), a, enrolment.TakeRequest{Device: id, Reason: "x"})
			return err
		},
		func(a provisioner.Actor, id string) error {
			_, err := w.Suspend(t.Context(), a, enrolment.TakeRequest{Device: id, Reason: "x"})
			return err
		},
		func(a provisioner.Actor, id string) error {
			_, err := w.Restore(t.Context(), a, enrolment.RestoreRequest{Device: id, Reason: "x"})
			return err
		},
		func(a provisioner.Actor, id string) error {
			_, err := w.RevokePerson(t.Context(), a, enrolment.RevokePersonRequest{Person: id, Reason: "x"})
			return err
		},
		func(a provisioner.Actor, id string) error {
			_, err := w.RevokePerson(t.Context(), a, enrolment.RevokePersonRequest{Person: id, Tenant: "stadt", Reason: "x"})
			return err
		},
	}
	rapid.Check(t, func(rt *rapid.T) {
		var grants []provisioner.Grant
		for _, r := range rapid.SliceOfN(rapid.SampledFrom(roles), 1, 4).Draw(rt, "roles") {
			grants = append(grants, provisioner.Grant{Role: r, Tenant: "dorf"})
		}
		actor := provisioner.Actor{ID: "x", Grants: grants, Language: rapid.SampledFrom([]string{"de", "en"}).Draw(rt, "language")}
		n := rapid.IntRange(0, 26).Draw(rt, "length")
		foreign := rapid.SampledFrom([]string{theirs.ID, theirs.Person}).Draw(rt, "foreign")[:n]
		unknown := provisioner.NewID()[:n]
		which := rapid.IntRange(0, len(ask)-1).Draw(rt, "use case")
		a, b := ask[which](actor, foreign), ask[which](actor, unknown)
		if a == nil || b == nil {
			rt.Fatalf("answered: %v, %v", a, b)
		}
		// A shorter one may be a word of the sentence, such as "you".
		if strings.ReplaceAll(a.Error(), foreign, "X") != strings.ReplaceAll(b.Error(), unknown, "X") && n > 5 {
			rt.Fatalf("told apart:\n%v\n%v", a, b)
		}
		if codeOf(a) != codeOf(b) {
			rt.Fatalf("told apart: %v, %v", a, b)
		}
		if w.device(t, theirs.ID).State() != provisioner.DeviceActive {
			rt.Fatal("it was done")
		}
	})
}

func TestAmbiguousPrefix(t *testing.T) {
	w := newWorld(t)
	d := w.enrols(t, "stadt", "eva", "S1")
	twin := d
	twin.ID = d.ID[:20] + strings.Repeat("7", 6)
	twin.SerialNumber = "S2"
	twin.PublicKey = provisioner.Key(newKey(t))
	update(t, w.store, func(tx *store.Writer) error { return tx.AddDevice(twin) })
	hilde := as(provisioner.RoleHelpdesk, "stadt")
	if _, err := w.Revoke(t.Context(), hilde, enrolment.TakeRequest{Device: d.ID[:20], Reason: "x"}); codeOf(err) != provisioner.CodeAmbiguous {
		t.Errorf("got %v", err)
	}
	states := []provisioner.DeviceState{w.device(t, d.ID).State(), w.device(t, twin.ID).State()}
	if slices.Contains(states, provisioner.DeviceRevoked) {
		t.Errorf("states %v", states)
	}
	if _, err := w.Revoke(t.Context(), hilde, enrolment.TakeRequest{Device: d.ID, Reason: "x"}); err != nil {
		t.Errorf("the whole id: %v", err)
	}
}
