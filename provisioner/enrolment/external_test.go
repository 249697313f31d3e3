package enrolment_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/entitlement"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

func desk() provisioner.Actor { return as(provisioner.RoleHelpdesk, "stadt") }

// staffer is somebody of the tenant by her own sign-in.
func staffer(id string) provisioner.Actor {
	a := as(provisioner.RoleStaff, "stadt")
	a.ID = id
	return a
}

func forDays(person, sponsor string, days int) enrolment.ExternalRequest {
	return enrolment.ExternalRequest{Person: person, Sponsor: sponsor, Until: time.Now().AddDate(0, 0, days), Reason: "trainee"}
}

func (w *world) external(t testing.TB, actor provisioner.Actor, r enrolment.ExternalRequest) enrolment.ExternalPerson {
	t.Helper()
	e, err := w.SetExternal(context.Background(), actor, r)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// dayPasses moves the end of somebody's day into the past, and has the duty look.
func (w *world) dayPasses(t testing.TB, e enrolment.ExternalPerson) {
	t.Helper()
	update(t, w.store, func(tx *store.Writer) error {
		x := e.External
		x.Until = tx.Now.Add(-time.Second)
		return tx.PutExternal(x)
	})
	for want := 1; want >= 0; want-- { // once is enough
		update(t, w.store, func(tx *store.Writer) error {
			n, err := enrolment.EndExternals(tx, 10)
			if n != want {
				t.Errorf("the duty ended %d, want %d", n, want)
			}
			return err
		})
	}
}

func TestTheDayOfAnExternalPersonEnds(t *testing.T) {
	w := newWorld(t)
	sponsor, d := w.enrols(t, "stadt", "eva", "SN1"), w.enrols(t, "stadt", "emil", "SN2")
	elsewhere := w.enrols(t, "dorf", "emil", "SN3")
	e := w.external(t, desk(), forDays("emil", "EVA@stadt.example", 90))
	if e.Person != d.Person || e.Sponsor != sponsor.Person || e.SponsorName != "eva" || e.Login != "emil" {
		t.Errorf("%+v", e)
	}
	session := w.opens(t, d)
	w.dayPasses(t, e)
	if got := w.session(t, session.ID); got.ClosedAt.IsZero() || got.ClosedWhy != provisioner.CodeExternalEnded {
		t.Errorf("the session is closed %v, %s", got.ClosedAt, got.ClosedWhy)
	}
	if refusal := w.device(t, d.ID).MayUse(d.Generation); refusal == nil || refusal.Code != provisioner.CodeExternalEnded {
		t.Errorf("the device is told %v", refusal)
	}
	for _, serial := range []string{"SN2", "SN9"} {
		if _, err := w.Enrol(context.Background(), anybody(), request(t, "stadt", "emil", serial)); codeOf(err) != provisioner.CodeExternalEnded {
			t.Errorf("enrolling %s: %v", serial, err)
		}
	}
	if w.device(t, elsewhere.ID).State() != provisioner.DeviceActive {
		t.Error("another tenant has lost her too")
	}
	// What the helpdesk takes and gives back is its own.
	if _, err := w.Suspend(context.Background(), desk(), enrolment.TakeRequest{Device: d.ID, Reason: "lost?"}); err != nil {
		t.Fatal(err)
	}
	if back, err := w.Restore(context.Background(), desk(), enrolment.RestoreRequest{Device: d.ID, Reason: "found"}); err != nil || back.State() != provisioner.DeviceSuspended {
		t.Error("the helpdesk's word gave back what the end of the day took: ", back.SuspendedBy, err)
	}
	// The sponsor renews it himself.
	renewed := w.external(t, staffer(sponsor.Person), forDays(d.Person, "", 30))
	if renewed.Sponsor != sponsor.Person || w.device(t, d.ID).State() != provisioner.DeviceActive {
		t.Errorf("%+v, %v", renewed, w.device(t, d.ID).SuspendedBy)
	}
	w.enrols(t, "stadt", "emil", "SN2")
	// Hired: no day ends for her any more.
	w.dayPasses(t, renewed)
	w.external(t, desk(), enrolment.ExternalRequest{Person: "emil", NoLonger: true, Reason: "hired"})
	if w.device(t, d.ID).State() != provisioner.DeviceActive {
		t.Error("hired, and without access")
	}
	if list, _, err := w.Externals(context.Background(), desk(), enrolment.ExternalsRequest{}); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
	log := strings.Join(w.events(t), "\n")
	for _, want := range []string{`"make external person"`, `"renew external person"`, `"no longer"`, `"the day is over that was agreed for an external person"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the audit log has no %s", want)
		}
	}
}

// A revoked device stays revoked, whatever is renewed.
func TestRenewingGivesNoRevokedDeviceBack(t *testing.T) {
	w := newWorld(t)
	w.enrols(t, "stadt", "eva", "SN1")
	d := w.enrols(t, "stadt", "emil", "SN2")
	e := w.external(t, desk(), forDays("emil", "eva", 1))
	w.dayPasses(t, e)
	if _, err := w.Revoke(context.Background(), desk(), enrolment.TakeRequest{Device: d.ID, Reason: "lost"}); err != nil {
		t.Fatal(err)
	}
	w.external(t, desk(), forDays("emil", "", 1))
	if w.device(t, d.ID).State() != provisioner.DeviceRevoked {
		t.Error("it is back")
	}
}

func TestExternalPeopleOfAGroupNeedASponsor(t *testing.T) {
	w := newWorld(t)
	w.enrols(t, "stadt", "eva", "SN1")
	update(t, w.store, func(tx *store.Writer) error {
		policy := provisioner.DefaultPolicy()
		policy.ExternalGroup = strings.ToUpper(village) // emil is in it
		return tx.PutTenant(provisioner.Tenant{Name: "stadt", Directory: "ldap", StaffGroup: staff, Policy: policy})
	})
	if _, err := w.Enrol(context.Background(), anybody(), request(t, "stadt", "emil", "SN2")); codeOf(err) != provisioner.CodeSponsorMissing {
		t.Errorf("without a sponsor: %v", err)
	}
	w.enrols(t, "stadt", "eva", "SN3") // who is not in it
	w.external(t, desk(), forDays("emil", "eva", 1))
	w.enrols(t, "stadt", "emil", "SN2")
}

func TestSettingAnExternalPersonRefuses(t *testing.T) {
	w := newWorld(t)
	sponsor, d := w.enrols(t, "stadt", "eva", "SN1"), w.enrols(t, "stadt", "emil", "SN2")
	w.enrols(t, "dorf", "vera", "SN3")
	with := func(change func(*enrolment.ExternalRequest)) enrolment.ExternalRequest {
		r := forDays("emil", "eva", 30)
		change(&r)
		return r
	}
	for _, c := range []struct {
		name  string
		actor provisioner.Actor
		r     enrolment.ExternalRequest
		code  provisioner.Code
	}{
		{"no reason", desk(), with(func(r *enrolment.ExternalRequest) { r.Reason = "\n\t " }), provisioner.CodeReasonMissing},
		{"no end", desk(), with(func(r *enrolment.ExternalRequest) { r.Until = time.Time{} }), provisioner.CodeInvalid},
		{"a past end", desk(), with(func(r *enrolment.ExternalRequest) { r.Until = time.Now().Add(-time.Second) }), provisioner.CodeInvalid},
		{"92 days", desk(), with(func(r *enrolment.ExternalRequest) { r.Until = time.Now().AddDate(0, 0, 92) }), provisioner.CodeInvalid},
		{"no sponsor", desk(), with(func(r *enrolment.ExternalRequest) { r.Sponsor = "" }), provisioner.CodeInvalid},
		{"a sponsor whom nobody knows", desk(), with(func(r *enrolment.ExternalRequest) { r.Sponsor = "nobody" }), provisioner.CodeNotFound},
		{"a sponsor of another tenant", desk(), with(func(r *enrolment.ExternalRequest) { r.Sponsor = "vera" }), provisioner.CodeNotFound},
		{"herself", desk(), with(func(r *enrolment.ExternalRequest) { r.Sponsor = "emil" }), provisioner.CodeInvalid},
		{"nobody", desk(), with(func(r *enrolment.ExternalRequest) { r.Person = "nobody" }), provisioner.CodeNotFound},
		{"nobody at all", desk(), with(func(r *enrolment.ExternalRequest) { r.Person = "" }), provisioner.CodeNotFound},
		{"a person of another tenant", desk(), with(func(r *enrolment.ExternalRequest) { r.Person = "vera" }), provisioner.CodeNotFound},
		{"another tenant's helpdesk", as(provisioner.RoleHelpdesk, "kreis"), with(func(*enrolment.ExternalRequest) {}), provisioner.CodeNotFound},
		{"no longer, who never was", desk(), enrolment.ExternalRequest{Person: "emil", NoLonger: true, Reason: "x"}, provisioner.CodeNotFound},
		{"staff, of somebody for whom they do not answer", staffer(sponsor.Person), forDays(d.Person, "", 1), provisioner.CodeNotFound},
		{"staff, of themselves", staffer(d.Person), forDays(d.Person, "eva", 1), provisioner.CodeNotFound},
		{"a planner", as(provisioner.RolePlanner, "stadt"), with(func(*enrolment.ExternalRequest) {}), provisioner.CodeNotAllowed},
		{"a laptop", laptop(d), with(func(*enrolment.ExternalRequest) {}), provisioner.CodeNotAllowed},
		{"an operator who names nobody in several tenants", as(provisioner.RoleOperator, ""), with(func(r *enrolment.ExternalRequest) { r.Person = "nobody" }), provisioner.CodeNotFound},
	} {
		if _, err := w.SetExternal(context.Background(), c.actor, c.r); codeOf(err) != c.code {
			t.Errorf("%s: %v, want %s", c.name, err, c.code)
		}
	}
	w.external(t, desk(), forDays("emil", "eva", 30))
	for name, r := range map[string]enrolment.ExternalRequest{
		"hands her on":     forDays(d.Person, sponsor.Person, 1),
		"lets her go free": {Person: d.Person, NoLonger: true, Reason: "x"},
	} {
		if _, err := w.SetExternal(context.Background(), staffer(sponsor.Person), r); codeOf(err) != provisioner.CodeNotFound {
			t.Errorf("the sponsor %s: %v", name, err)
		}
	}
	if _, err := w.SetExternal(context.Background(), desk(), forDays("eva", "emil", 1)); codeOf(err) != provisioner.CodeInvalid {
		t.Errorf("an external sponsor: %v", err)
	}
}

// A sponsor who leaves takes nothing from anybody; the helpdesk sees it.
func TestASponsorLeaves(t *testing.T) {
	w := newWorld(t)
	sponsor, d := w.enrols(t, "stadt", "eva", "SN1"), w.enrols(t, "stadt", "emil", "SN2")
	w.external(t, desk(), forDays("emil", "eva", 30))
	gone := func() bool {
		t.Helper()
		list, next, err := w.Externals(context.Background(), desk(), enrolment.ExternalsRequest{Tenant: "stadt", Limit: 1})
		if err != nil || next != "" || len(list) != 1 || list[0].Person != d.Person || list[0].SponsorName != "eva" {
			t.Fatal(list, next, err)
		}
		return list[0].SponsorGone
	}
	if gone() {
		t.Error("gone already")
	}
	if list, _, err := w.Externals(context.Background(), staffer(sponsor.Person), enrolment.ExternalsRequest{}); err != nil || len(list) != 1 {
		t.Error("the sponsor sees ", list, err)
	}
	if list, _, err := w.Externals(context.Background(), staffer(d.Person), enrolment.ExternalsRequest{}); err != nil || len(list) != 0 {
		t.Error("others see ", list, err)
	}
	var settled entitlement.Settled
	update(t, w.store, func(tx *store.Writer) error {
		tenant, err := tx.Tenant("stadt")
		if err != nil {
			return err
		}
		person, err := tx.Person(sponsor.Person)
		if err != nil {
			return err
		}
		settled, err = entitlement.Settle(tx, tenant, entitlement.Gone(person, true))
		return err
	})
	if settled.Sponsored != 1 || !gone() {
		t.Errorf("%+v, gone: %v", settled, gone())
	}
	if w.device(t, d.ID).State() != provisioner.DeviceActive {
		t.Error("her access was taken with his")
	}
	if !slices.ContainsFunc(w.events(t), func(e string) bool { return strings.Contains(e, `"sponsor left"`) && strings.Contains(e, d.Person) }) {
		t.Error("nothing is recorded")
	}
}
