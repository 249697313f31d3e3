package enrolment_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/access"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// wantsApproval lets a tenant's new devices wait for its helpdesk.
func (w *world) wantsApproval(t testing.TB, name string) {
	t.Helper()
	w.changes(t, name, func(tenant *provisioner.Tenant) { tenant.Policy.Approval = provisioner.ApprovalHelpdesk })
}

// changes declares a tenant anew.
func (w *world) changes(t testing.TB, name string, change func(*provisioner.Tenant)) {
	t.Helper()
	update(t, w.store, func(tx *store.Writer) error {
		tenant, err := tx.Tenant(name)
		if err != nil {
			return err
		}
		change(&tenant)
		return tx.PutTenant(tenant)
	})
}

func (w *world) awaiting(t testing.TB, actor provisioner.Actor) (ids []string) {
	t.Helper()
	list, err := w.Awaiting(t.Context(), actor, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		ids = append(ids, v.Device.ID)
	}
	return ids
}

// Whatever the way of enrolling, the device rests until the helpdesk has spoken.
func TestNewDevicesAwaitApproval(t *testing.T) {
	w := newWorld(t)
	before := w.enrols(t, "stadt", "emil", "S0")
	w.wantsApproval(t, "stadt")
	hilde := as(provisioner.RoleHelpdesk, "stadt")
	e, err := w.Enrol(t.Context(), anybody(), request(t, "stadt", "eva", "S1"))
	if err != nil || !e.AwaitsApproval {
		t.Fatalf("enrolled %+v, %v", e, err)
	}
	b, _ := w.begins(t, "stadt", "S2")
	coded, err := w.Approve(t.Context(), w.signedIn(t, "stadt", "eva"), decision(b))
	if err != nil || !coded.AwaitsApproval {
		t.Fatalf("enrolled %+v, %v", coded, err)
	}
	if a, err := w.Await(t.Context(), anybody(), b.DeviceCode); err != nil || !a.AwaitsApproval {
		t.Errorf("the laptop is told %+v, %v", a, err)
	}
	if got := w.awaiting(t, hilde); len(got) != 2 || !slices.Contains(got, e.Device.ID) || !slices.Contains(got, coded.Device.ID) {
		t.Errorf("waiting are %v", got)
	}
	if got := w.awaiting(t, as(provisioner.RoleHelpdesk, "dorf")); len(got) != 0 {
		t.Errorf("the neighbours see %v", got)
	}
	if r := w.device(t, e.Device.ID).MayUse(1); r == nil || r.Code != provisioner.CodeApprovalAwaited || r.RetryAfter == 0 {
		t.Errorf("the laptop is refused with %v", r)
	}
	if w.device(t, before.ID).State() != provisioner.DeviceActive {
		t.Error("what was there before the policy waits too")
	}
	d, err := w.ApproveDevice(t.Context(), hilde, enrolment.ReleaseRequest{Device: e.Device.ID, Generation: 1, Reason: "seen at the counter"})
	if err != nil || d.State() != provisioner.DeviceActive {
		t.Fatalf("approved %+v, %v", d, err)
	}
	d, err = w.DenyDevice(t.Context(), hilde, enrolment.ReleaseRequest{Device: coded.Device.ID, Generation: 1, Reason: "not one of ours"})
	if err != nil || d.State() != provisioner.DeviceRevoked || d.RevokedWhy != "not one of ours" {
		t.Fatalf("denied %+v, %v", d, err)
	}
	log := strings.Join(w.events(t), "\n")
	for _, want := range []string{`"action":"approve device"`, `"action":"deny device"`, "seen at the counter", "not one of ours", `"waits for":"approval"`} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in the audit log", want)
		}
	}
	for _, id := range []string{e.Device.ID, coded.Device.ID, before.ID} {
		if _, err := w.ApproveDevice(t.Context(), hilde, enrolment.ReleaseRequest{Device: id, Generation: 1, Reason: "x"}); codeOf(err) != provisioner.CodeApprovalOver {
			t.Errorf("decided again: %v", err)
		}
	}
}

// New keys on a serial number that was approved wait again, also for who says
// that serial number and has another laptop; and they are no longer those seen.
func TestReplacedKeysAwaitApproval(t *testing.T) {
	w := newWorld(t)
	w.wantsApproval(t, "stadt")
	hilde := as(provisioner.RoleHelpdesk, "stadt")
	first := w.enrols(t, "stadt", "eva", "S1")
	again := w.enrols(t, "stadt", "eva", "S1")
	if again.ID != first.ID {
		t.Fatal("another device")
	}
	if _, err := w.ApproveDevice(t.Context(), hilde, enrolment.ReleaseRequest{Device: first.ID, Generation: 1, Reason: "x"}); codeOf(err) != provisioner.CodeApprovalOver {
		t.Errorf("keys that nobody has seen were approved: %v", err)
	}
	if _, err := w.ApproveDevice(t.Context(), hilde, enrolment.ReleaseRequest{Device: first.ID, Generation: 2, Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.RenewCertificate(t.Context(), laptop(again), enrolment.RenewRequest{CertificateRequest: csr(t)}); err != nil {
		t.Fatal(err)
	}
	if w.device(t, first.ID).State() != provisioner.DeviceActive {
		t.Error("a renewed certificate waits again")
	}
	w.enrols(t, "stadt", "eva", "S1")
	if !w.device(t, first.ID).AwaitsApproval() {
		t.Error("replaced keys do not wait")
	}
}

// Each source gives back its own: neither the helpdesk's restoring nor the
// directory is an approval, nor is an approval a restoring.
func TestApprovalIsASourceOfItsOwn(t *testing.T) {
	w := newWorld(t)
	w.wantsApproval(t, "stadt")
	hilde := as(provisioner.RoleHelpdesk, "stadt")
	d := w.enrols(t, "stadt", "eva", "S1")
	if _, err := w.Suspend(t.Context(), hilde, enrolment.TakeRequest{Device: d.ID, Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	if r := w.device(t, d.ID).MayUse(1); r == nil || r.Code != provisioner.CodeDeviceSuspended {
		t.Errorf("refused with %v", r)
	}
	if _, err := w.Restore(t.Context(), hilde, enrolment.RestoreRequest{Device: d.ID, Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	if !w.device(t, d.ID).AwaitsApproval() {
		t.Error("restoring has approved")
	}
	if _, err := w.Suspend(t.Context(), hilde, enrolment.TakeRequest{Device: d.ID, Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	approved, err := w.ApproveDevice(t.Context(), hilde, enrolment.ReleaseRequest{Device: d.ID, Generation: 1, Reason: "x"})
	if err != nil || approved.State() != provisioner.DeviceSuspended {
		t.Errorf("approving has restored: %+v, %v", approved, err)
	}
}

func TestReleaseRefuses(t *testing.T) {
	w := newWorld(t)
	w.wantsApproval(t, "stadt")
	d := w.enrols(t, "stadt", "eva", "S1")
	for _, c := range []struct {
		name   string
		actor  provisioner.Actor
		reason string
		want   provisioner.Code
	}{
		{"nobody", anybody(), "x", provisioner.CodeNotSignedIn},
		{"staff", as(provisioner.RoleStaff, "stadt"), "x", provisioner.CodeNotAllowed},
		{"planner", as(provisioner.RolePlanner, "stadt"), "x", provisioner.CodeNotAllowed},
		{"the neighbour's helpdesk", as(provisioner.RoleHelpdesk, "dorf"), "x", provisioner.CodeNotFound},
		{"no reason", as(provisioner.RoleHelpdesk, "stadt"), " \u200b", provisioner.CodeReasonMissing},
	} {
		r := enrolment.ReleaseRequest{Device: d.ID, Generation: 1, Reason: c.reason}
		if _, err := w.ApproveDevice(t.Context(), c.actor, r); codeOf(err) != c.want {
			t.Errorf("approve, %s: got %v, want %q", c.name, err, c.want)
		}
		if _, err := w.DenyDevice(t.Context(), c.actor, r); codeOf(err) != c.want {
			t.Errorf("deny, %s: got %v, want %q", c.name, err, c.want)
		}
	}
	if !w.device(t, d.ID).AwaitsApproval() {
		t.Error("it was done")
	}
}

// Somebody vouches for a serial number by an invitation for that laptop, or by approving
// the device; a password does not, nor an invitation for any laptop. New keys keep it.
func TestWhoVouchesForSerialNumbers(t *testing.T) {
	w := newWorld(t)
	desk := as(provisioner.RoleHelpdesk, "stadt")
	lines := []enrolment.InviteLine{{Login: "eva", SerialNumber: "S1"}, {Login: "uta"}}
	list, err := w.Invite(t.Context(), desk, enrolment.InviteRequest{Tenant: "stadt", AnyLaptop: true, Lines: lines})
	if err != nil {
		t.Fatal(err)
	}
	var devices []provisioner.Device
	for i, serial := range []string{"S1", "S2"} {
		e, err := w.EnrolInvited(t.Context(), anybody(), invited(t, list[i].Token, serial))
		if err != nil {
			t.Fatal(err)
		}
		devices = append(devices, e.Device)
	}
	devices = append(devices, w.enrols(t, "stadt", "emil", "S3"))
	for i, want := range []provisioner.SerialBy{provisioner.SerialByInvitation, "", ""} {
		if got := w.device(t, devices[i].ID).SerialBy; got != want {
			t.Errorf("%s: %q vouches, want %q", devices[i].SerialNumber, got, want)
		}
	}
	if again := w.enrols(t, "stadt", "eva", "S1"); again.ID != devices[0].ID || w.device(t, again.ID).SerialBy != provisioner.SerialByInvitation {
		t.Errorf("with new keys: %+v", w.device(t, again.ID))
	}
	update(t, w.store, func(tx *store.Writer) error { return access.Await(tx, w.device(t, devices[2].ID)) })
	if _, err := w.ApproveDevice(t.Context(), desk, enrolment.ReleaseRequest{Device: devices[2].ID, Generation: 1, Reason: "seen"}); err != nil {
		t.Fatal(err)
	}
	if got := w.device(t, devices[2].ID).SerialBy; got != provisioner.SerialByHelpdesk {
		t.Errorf("approved: %q vouches", got)
	}
}
