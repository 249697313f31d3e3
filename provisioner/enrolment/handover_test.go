package enrolment_test

import (
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
)

// A laptop goes to a colleague: the one device is dead, the others on it stay,
// and he can enrol it.
func TestHandOver(t *testing.T) {
	w := newWorld(t)
	evas, emils := w.enrols(t, "stadt", "eva", "S1"), w.enrols(t, "stadt", "emil", "S2")
	w.opens(t, evas)
	desk := as(provisioner.RoleHelpdesk, "stadt")
	r := enrolment.HandOverRequest{TakeRequest: enrolment.TakeRequest{Device: evas.ID[:8], Reason: "new post"}, To: "emil"}
	taken, v, err := w.HandOver(t.Context(), desk, r)
	if err != nil {
		t.Fatal(err)
	}
	if taken.Device.State() != provisioner.DeviceRevoked || len(taken.Confirmations) != 1 || v.SerialNumber != "S1" || v.Login != "emil" || v.Token == "" {
		t.Errorf("handed over: %+v, %+v", taken, v)
	}
	if got := w.device(t, emils.ID); got.State() != provisioner.DeviceActive {
		t.Errorf("another laptop of his: %+v", got)
	}
	if refusal := w.device(t, evas.ID).MayUse(evas.Generation); refusal == nil || refusal.Code != provisioner.CodeDeviceRevoked {
		t.Errorf("her keys: %v", refusal)
	}
	log := strings.Join(w.events(t), "\n")
	for _, want := range []string{`"action":"hand over device"`, `"action":"revoke device"`, `"action":"invite"`, `"handed over from device":"` + evas.ID} {
		if !strings.Contains(log, want) {
			t.Errorf("the audit log lacks %s", want)
		}
	}
	// Again: another token in place of the first.
	_, next, err := w.HandOver(t.Context(), desk, r)
	if err != nil || next.Token == v.Token {
		t.Errorf("again: %+v, %v", next, err)
	}
	if _, err := w.EnrolInvited(t.Context(), anybody(), invited(t, v.Token, "S1")); codeOf(err) != provisioner.CodeInvitationOver {
		t.Errorf("the first token: %v", err)
	}
	e, err := w.EnrolInvited(t.Context(), anybody(), invited(t, next.Token, "S1"))
	if err != nil || e.Device.Person != emils.Person || e.Device.ID == evas.ID {
		t.Errorf("enrolled %+v, %v", e, err)
	}
}

// A laptop that was handed over to the wrong colleague is handed over to the right one: the
// first has nothing of it, and what somebody else was invited to stays.
func TestHandOverCorrected(t *testing.T) {
	w := newWorld(t)
	evas := w.enrols(t, "stadt", "eva", "S1")
	desk := as(provisioner.RoleHelpdesk, "stadt")
	give := func(to string) enrolment.Invited {
		t.Helper()
		_, v, err := w.HandOver(t.Context(), desk, enrolment.HandOverRequest{TakeRequest: enrolment.TakeRequest{Device: evas.ID, Reason: "new post"}, To: to})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	shared, err := w.Invite(t.Context(), desk, enrolment.InviteRequest{Tenant: "stadt", Lines: []enrolment.InviteLine{{Login: "eva", SerialNumber: "S1"}}})
	if err != nil || shared[0].Refusal != nil {
		t.Fatal(shared, err)
	}
	wrong := give("emil")
	right := give("uta")
	if _, err := w.EnrolInvited(t.Context(), anybody(), invited(t, wrong.Token, "S1")); codeOf(err) != provisioner.CodeInvitationOver {
		t.Errorf("the wrong one: %v", err)
	}
	if log := strings.Join(w.events(t), "\n"); !strings.Contains(log, `"action":"withdraw invitation"`) {
		t.Error("the audit log does not say that it was withdrawn")
	}
	for name, v := range map[string]enrolment.Invited{"the right one": right, "who shares it": shared[0]} {
		if _, err := w.EnrolInvited(t.Context(), anybody(), invited(t, v.Token, "S1")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// On a shared laptop only the named device moves.
func TestHandOverOfASharedLaptop(t *testing.T) {
	w := newWorld(t)
	evas, emils := w.enrols(t, "stadt", "eva", "S1"), w.enrols(t, "stadt", "emil", "S1")
	if evas.ID == emils.ID {
		t.Fatal("two people have one device")
	}
	r := enrolment.HandOverRequest{TakeRequest: enrolment.TakeRequest{Device: evas.ID, Reason: "x"}, To: "emil"}
	if _, _, err := w.HandOver(t.Context(), as(provisioner.RoleHelpdesk, "stadt"), r); err != nil {
		t.Fatal(err)
	}
	if a, b := w.device(t, evas.ID).State(), w.device(t, emils.ID).State(); a != provisioner.DeviceRevoked || b != provisioner.DeviceActive {
		t.Errorf("hers is %s, his %s", a, b)
	}
}

// What is refused changes nothing.
func TestHandOverRefuses(t *testing.T) {
	w := newWorld(t)
	evas := w.enrols(t, "stadt", "eva", "S1")
	nameless := w.enrols(t, "stadt", "emil", "")
	desk := as(provisioner.RoleHelpdesk, "stadt")
	for name, c := range map[string]struct {
		actor           provisioner.Actor
		device, to, why string
		want            provisioner.Code
	}{
		"no reason":           {actor: desk, device: evas.ID, to: "emil", why: " \x00", want: provisioner.CodeReasonMissing},
		"nobody":              {actor: desk, device: evas.ID, to: "niemand", why: "x", want: provisioner.CodeLoginUnknown},
		"outside the group":   {actor: desk, device: evas.ID, to: "max", why: "x", want: provisioner.CodeNotInGroup},
		"another tenant's":    {actor: as(provisioner.RoleHelpdesk, "dorf"), device: evas.ID, to: "emil", why: "x", want: provisioner.CodeNotFound},
		"staff":               {actor: as(provisioner.RoleStaff, "stadt"), device: evas.ID, to: "emil", why: "x", want: provisioner.CodeNotAllowed},
		"hers already":        {actor: desk, device: evas.ID, to: "eva", why: "x", want: provisioner.CodeInvalid},
		"no serial number":    {actor: desk, device: nameless.ID, to: "eva", why: "x", want: provisioner.CodeInvalid},
		"a device of nobody":  {actor: desk, device: strings.Repeat("a", 26), to: "emil", why: "x", want: provisioner.CodeNotFound},
		"too short a device":  {actor: desk, device: "abc", to: "emil", why: "x", want: provisioner.CodeInvalid},
		"an endless reason":   {actor: desk, device: nameless.ID, to: "niemand", why: strings.Repeat("x", 1<<20), want: provisioner.CodeLoginUnknown},
		"somebody of another": {actor: desk, device: evas.ID, to: "vera", why: "x", want: provisioner.CodeNotInGroup},
	} {
		r := enrolment.HandOverRequest{TakeRequest: enrolment.TakeRequest{Device: c.device, Reason: c.why}, To: c.to}
		if _, _, err := w.HandOver(t.Context(), c.actor, r); codeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if d := w.device(t, evas.ID); d.State() != provisioner.DeviceActive {
		t.Errorf("it is %s", d.State())
	}
}
