package enrolment_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

func TestEnrol(t *testing.T) {
	w := newWorld(t)
	r := request(t, "stadt", "eva", " 5cg1234xyz ")
	r.DeviceName = "Evas\x1b[2J Laptop\u202e\n"
	e, err := w.Enrol(t.Context(), anybody(), r)
	if err != nil {
		t.Fatal(err)
	}
	d := w.device(t, e.Device.ID)
	if d.Name != "Evas [2J Laptop" || d.SerialNumber != "5CG1234XYZ" || d.Generation != 1 || d.Tenant != "stadt" ||
		d.State() != provisioner.DeviceActive || !bytes.Equal(d.PublicKey[:], r.PublicKey) || e.Replaced || e.PersonName != "eva" {
		t.Errorf("enrolled %+v as %+v", e, d)
	}
	leaf, err := x509.ParseCertificate(e.Certificate.Leaf)
	if err != nil {
		t.Fatal(err)
	}
	if len(leaf.URIs) != 1 || !strings.HasSuffix(leaf.URIs[0].String(), "/tenant/stadt/device/"+d.ID+"/generation/1") {
		t.Errorf("the certificate names %v", leaf.URIs)
	}
	if !leaf.NotAfter.Equal(d.CertificateNotAfter) || !leaf.NotAfter.Equal(e.Certificate.NotAfter) || len(e.Certificate.Authorities) != 1 {
		t.Errorf("certificate until %v, noted until %v", leaf.NotAfter, d.CertificateNotAfter)
	}
	log := w.events(t)
	if len(log) != 1 || !strings.Contains(log[0], `"action":"enrol"`) || !strings.Contains(log[0], d.ID) || !strings.Contains(log[0], `"name":"eva"`) {
		t.Errorf("audit log %q", log)
	}
}

// Every "no" after the password was proven; none leaves a device behind, and
// the helpdesk sees each.
func TestEnrolRefuses(t *testing.T) {
	spoil := func(change func(*enrolment.EnrolRequest)) func(testing.TB, *world) enrolment.EnrolRequest {
		return func(t testing.TB, _ *world) enrolment.EnrolRequest {
			r := request(t, "stadt", "eva", "S1")
			change(&r)
			return r
		}
	}
	key := func(b ...byte) []byte { return append(b, make([]byte, 32-len(b))...) }
	for _, c := range []struct {
		name    string
		request func(testing.TB, *world) enrolment.EnrolRequest
		want    provisioner.Code
	}{
		{"wrong password", spoil(func(r *enrolment.EnrolRequest) { r.Credentials.Password = "falsch" }), provisioner.CodeSignInFailed},
		{"wrong password and a bad key", spoil(func(r *enrolment.EnrolRequest) { r.Credentials.Password, r.PublicKey = "falsch", nil }), provisioner.CodeSignInFailed},
		{"outside the group", spoil(func(r *enrolment.EnrolRequest) { r.Credentials.Login = "max" }), provisioner.CodeNotInGroup},
		{"no key", spoil(func(r *enrolment.EnrolRequest) { r.PublicKey = nil }), provisioner.CodeKeyInvalid},
		{"short key", spoil(func(r *enrolment.EnrolRequest) { r.PublicKey = r.PublicKey[:31] }), provisioner.CodeKeyInvalid},
		{"long key", spoil(func(r *enrolment.EnrolRequest) { r.PublicKey = append(r.PublicKey, 0) }), provisioner.CodeKeyInvalid},
		{"zero key", spoil(func(r *enrolment.EnrolRequest) { r.PublicKey = key() }), provisioner.CodeKeyInvalid},
		{"key of order one", spoil(func(r *enrolment.EnrolRequest) { r.PublicKey = key(1) }), provisioner.CodeKeyInvalid},
		{"key in another encoding", spoil(func(r *enrolment.EnrolRequest) { r.PublicKey[31] |= 0x80 }), provisioner.CodeKeyInvalid},
		{"key beyond the field", spoil(func(r *enrolment.EnrolRequest) {
			r.PublicKey = append(append([]byte{0xf6}, slices.Repeat([]byte{0xff}, 30)...), 0x7f) // 9 + 2^255-19
		}), provisioner.CodeKeyInvalid},
		{"no certificate request", spoil(func(r *enrolment.EnrolRequest) { r.CertificateRequest = nil }), provisioner.CodeCSRInvalid},
		{"cut certificate request", spoil(func(r *enrolment.EnrolRequest) { r.CertificateRequest = r.CertificateRequest[:40] }), provisioner.CodeCSRInvalid},
		{"endless serial number", spoil(func(r *enrolment.EnrolRequest) { r.SerialNumber = strings.Repeat("7", 1<<20) }), provisioner.CodeInvalid},
		{"another device's key", func(t testing.TB, w *world) enrolment.EnrolRequest {
			d := w.enrols(t, "stadt", "emil", "S2")
			r := request(t, "stadt", "eva", "S1")
			r.PublicKey = d.PublicKey[:]
			return r
		}, provisioner.CodeKeyInUse},
		{"the gateway's key", func(t testing.TB, w *world) enrolment.EnrolRequest {
			r := request(t, "stadt", "eva", "S1")
			update(t, w.store, func(tx *store.Writer) error { return tx.ClaimKey(provisioner.Key(r.PublicKey), "gateway gw1") })
			return r
		}, provisioner.CodeKeyInUse},
		{"a dead key of the same laptop", func(t testing.TB, w *world) enrolment.EnrolRequest {
			d := w.enrols(t, "stadt", "emil", "S2")
			w.enrols(t, "stadt", "emil", "S2")
			r := request(t, "stadt", "emil", "S2")
			r.PublicKey = d.PublicKey[:]
			return r
		}, provisioner.CodeKeyInUse},
		{"a third laptop", func(t testing.TB, w *world) enrolment.EnrolRequest {
			w.enrols(t, "stadt", "eva", "S1")
			w.enrols(t, "stadt", "eva", "")
			return request(t, "stadt", "eva", "S3")
		}, provisioner.CodeDeviceLimit},
		{"a suspended laptop without serial number", func(t testing.TB, w *world) enrolment.EnrolRequest {
			d := w.enrols(t, "stadt", "eva", "")
			if _, err := w.Suspend(t.Context(), as(provisioner.RoleHelpdesk, "stadt"), enrolment.TakeRequest{Device: d.ID, Reason: "lost"}); err != nil {
				t.Fatal(err)
			}
			return request(t, "stadt", "eva", "Default string")
		}, provisioner.CodeDeviceSuspended},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			r := c.request(t, w)
			devices, events := w.devices(t), len(w.events(t))
			_, err := w.Enrol(t.Context(), anybody(), r)
			if codeOf(err) != c.want {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if after := w.devices(t); fmt.Sprint(after) != fmt.Sprint(devices) {
				t.Errorf("a refused enrolment changed the devices from %v to %v", devices, after)
			}
			if len(w.events(t)) != events {
				t.Error("a refused enrolment is in the audit log as done")
			}
			var told bool
			for _, p := range w.found(t) {
				for _, v := range read(t, w, func(tx *store.Reader) ([]store.RecentRefusal, error) { return tx.RefusalsOf(p.Person, "stadt", 5) }) {
					told = told || v.Code == c.want
				}
			}
			if !told && c.want != provisioner.CodeSignInFailed { // then nobody is known yet
				t.Error("the helpdesk does not see it")
			}
		})
	}
}

// devices are all of stadt, each in one line.
func (w *world) devices(t testing.TB) (list []string) {
	t.Helper()
	for _, p := range w.found(t) {
		for _, d := range read(t, w, func(tx *store.Reader) ([]provisioner.Device, error) { return tx.DevicesOf(p.Person.ID, "stadt") }) {
			list = append(list, fmt.Sprintf("%s %d %s %s", d.ID, d.Generation, d.PublicKey, d.State()))
		}
	}
	return list
}

func (w *world) found(t testing.TB) []store.FoundPerson {
	t.Helper()
	return read(t, w, func(tx *store.Reader) ([]store.FoundPerson, error) {
		return tx.FindPeople(provisioner.Within("stadt"), "stadt.example", 100)
	})
}

func TestEnrolAgainReplaces(t *testing.T) {
	w := newWorld(t)
	first := w.enrols(t, "stadt", "eva", "S1")
	session := w.opens(t, first)
	e, err := w.Enrol(t.Context(), anybody(), request(t, "stadt", "eva", "s1"))
	if err != nil {
		t.Fatal(err)
	}
	if !e.Replaced || e.Device.ID != first.ID || e.Device.Generation != 2 || e.Device.PublicKey == first.PublicKey {
		t.Errorf("replaced %+v by %+v", first, e.Device)
	}
	if s := w.session(t, session.ID); s.ClosedAt.IsZero() || s.ClosedWhy != provisioner.CodeDeviceReplaced {
		t.Errorf("the old keys' session: %+v", s)
	}
	if refusal := w.device(t, first.ID).MayUse(1); refusal == nil || refusal.Code != provisioner.CodeDeviceReplaced {
		t.Errorf("the old certificate: %v", refusal)
	}
	// Another person on the same machine, and the same person in another
	// tenant, have devices of their own.
	if other := w.enrols(t, "stadt", "emil", "S1"); other.ID == first.ID {
		t.Error("another person took the device over")
	}
	if other := w.enrols(t, "dorf", "emil", "S1"); other.ID == first.ID {
		t.Error("another tenant took the device over")
	}
}

func TestSuspensionIsNotShakenOff(t *testing.T) {
	w := newWorld(t)
	d := w.enrols(t, "stadt", "eva", "S1")
	if _, err := w.Suspend(t.Context(), as(provisioner.RoleHelpdesk, "stadt"), enrolment.TakeRequest{Device: d.ID, Reason: "lost"}); err != nil {
		t.Fatal(err)
	}
	w.enrols(t, "stadt", "eva", "S1")
	if got := w.device(t, d.ID); got.State() != provisioner.DeviceSuspended || got.Generation != 2 {
		t.Errorf("after enrolling again: %+v", got)
	}
}

func TestRevokedLaptopBecomesAnother(t *testing.T) {
	w := newWorld(t)
	d := w.enrols(t, "stadt", "eva", "S1")
	if _, err := w.Revoke(t.Context(), as(provisioner.RoleHelpdesk, "stadt"), enrolment.TakeRequest{Device: d.ID, Reason: "lost"}); err != nil {
		t.Fatal(err)
	}
	if again := w.enrols(t, "stadt", "eva", "S1"); again.ID == d.ID {
		t.Error("a revoked device came back")
	}
	if got := w.device(t, d.ID); got.State() != provisioner.DeviceRevoked || got.Generation != 1 {
		t.Errorf("the revoked device: %+v", got)
	}
}

func TestSerialNumbersThatNameNoMachine(t *testing.T) {
	w := newWorld(t)
	a := w.enrols(t, "stadt", "eva", "To be filled by O.E.M.")
	b := w.enrols(t, "stadt", "eva", "to be filled by o.e.m.")
	if a.ID == b.ID {
		t.Error("two laptops with a placeholder for a serial number replaced each other")
	}
	for _, serial := range []string{"0000000", "None", "\u200b", "XXXXXX"} {
		if d := enrolledSerial(t, serial); d != "" {
			t.Errorf("%q was kept as %q", serial, d)
		}
	}
}

func enrolledSerial(t *testing.T, serial string) string {
	t.Helper()
	return newWorld(t).enrols(t, "stadt", "eva", serial).SerialNumber
}

// However people enrol and are refused, the limit holds and no key serves
// twice.
func TestDeviceLimitHolds(t *testing.T) {
	w := newWorld(t)
	keys := make(map[provisioner.Key]bool)
	var living []provisioner.Device
	rapid.Check(t, func(rt *rapid.T) {
		for _, d := range living { // each run begins without laptops
			if _, err := w.Revoke(t.Context(), as(provisioner.RoleOperator, ""), enrolment.TakeRequest{Device: d.ID, Reason: "x"}); err != nil {
				rt.Fatal(err)
			}
		}
		living = nil
		for range rapid.IntRange(1, 8).Draw(rt, "enrolments") {
			r := request(t, "stadt", "eva", rapid.SampledFrom([]string{"", "S1", "S2", "S3"}).Draw(rt, "serial"))
			e, err := w.Enrol(t.Context(), anybody(), r)
			switch codeOf(err) {
			case "":
				if keys[e.Device.PublicKey] {
					rt.Fatal("a key served twice")
				}
				keys[e.Device.PublicKey] = true
			case provisioner.CodeDeviceLimit:
			default:
				rt.Fatal(err)
			}
			if rapid.Bool().Draw(rt, "revoke") && err == nil {
				if _, err := w.Revoke(t.Context(), as(provisioner.RoleOperator, ""), enrolment.TakeRequest{Device: e.Device.ID, Reason: "x"}); err != nil {
					rt.Fatal(err)
				}
			}
			if err == nil {
				living = slices.DeleteFunc(read(t, w, func(tx *store.Reader) ([]provisioner.Device, error) {
					return tx.DevicesOf(e.Device.Person, "stadt")
				}), func(d provisioner.Device) bool { return d.State() == provisioner.DeviceRevoked })
			}
			if len(living) > 2 {
				rt.Fatalf("%d laptops", len(living))
			}
		}
	})
}

func TestRenewCertificate(t *testing.T) {
	expired := func(a provisioner.Actor) provisioner.Actor {
		a.Expired = true
		return a
	}
	for _, c := range []struct {
		name     string
		actor    func(*testing.T, *world, provisioner.Device) provisioner.Actor
		login    string
		password string
		want     provisioner.Code
		audited  bool
	}{
		{name: "in time", actor: func(_ *testing.T, _ *world, d provisioner.Device) provisioner.Actor { return laptop(d) }},
		{name: "expired, no password", want: provisioner.CodeCertificateExpired,
			actor: func(_ *testing.T, _ *world, d provisioner.Device) provisioner.Actor { return expired(laptop(d)) }},
		{name: "expired, with the password", login: "eva", password: password, audited: true,
			actor: func(_ *testing.T, _ *world, d provisioner.Device) provisioner.Actor { return expired(laptop(d)) }},
		{name: "expired, wrong password", login: "eva", password: "falsch", want: provisioner.CodeSignInFailed,
			actor: func(_ *testing.T, _ *world, d provisioner.Device) provisioner.Actor { return expired(laptop(d)) }},
		{name: "expired, a colleague's password", login: "emil", password: password, want: provisioner.CodeNotAllowed,
			actor: func(_ *testing.T, _ *world, d provisioner.Device) provisioner.Actor { return expired(laptop(d)) }},
		{name: "expired and revoked", login: "eva", password: password, want: provisioner.CodeDeviceRevoked,
			actor: func(t *testing.T, w *world, d provisioner.Device) provisioner.Actor {
				if _, err := w.Revoke(t.Context(), as(provisioner.RoleHelpdesk, "stadt"), enrolment.TakeRequest{Device: d.ID, Reason: "x"}); err != nil {
					t.Fatal(err)
				}
				return expired(laptop(d))
			}},
		{name: "suspended", want: provisioner.CodeDeviceSuspended,
			actor: func(t *testing.T, w *world, d provisioner.Device) provisioner.Actor {
				if _, err := w.Suspend(t.Context(), as(provisioner.RoleHelpdesk, "stadt"), enrolment.TakeRequest{Device: d.ID, Reason: "x"}); err != nil {
					t.Fatal(err)
				}
				return laptop(d)
			}},
		{name: "of a replaced generation", want: provisioner.CodeDeviceReplaced,
			actor: func(t *testing.T, w *world, d provisioner.Device) provisioner.Actor {
				w.enrols(t, "stadt", "eva", "S1")
				return laptop(d)
			}},
		{name: "unknown device", want: provisioner.CodeDeviceUnknown,
			actor: func(_ *testing.T, _ *world, d provisioner.Device) provisioner.Actor {
				d.ID = provisioner.NewID()
				return laptop(d)
			}},
		{name: "nobody", want: provisioner.CodeNotSignedIn,
			actor: func(*testing.T, *world, provisioner.Device) provisioner.Actor { return anybody() }},
		{name: "an operator", want: provisioner.CodeNotAllowed,
			actor: func(*testing.T, *world, provisioner.Device) provisioner.Actor {
				return as(provisioner.RoleOperator, "")
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			d := w.enrols(t, "stadt", "eva", "S1")
			actor := c.actor(t, w, d)
			events := len(w.events(t))
			r := enrolment.RenewRequest{CertificateRequest: csr(t), Login: c.login}
			r.Password = signin.Password(c.password)
			got, err := w.RenewCertificate(t.Context(), actor, r)
			if codeOf(err) != c.want {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if (len(w.events(t)) > events) != c.audited {
				t.Errorf("the audit log grew by %d", len(w.events(t))-events)
			}
			if c.want != "" {
				return
			}
			if after := w.device(t, d.ID); !after.CertificateNotAfter.Equal(got.NotAfter) || after.Generation != d.Generation || after.PublicKey != d.PublicKey {
				t.Errorf("renewed %+v to %+v", d, after)
			}
			if left := time.Until(got.RenewAt); left < 19*24*time.Hour || left > 21*24*time.Hour {
				t.Errorf("to be renewed in %v", left)
			}
		})
	}
}

func TestRenewGatewayCertificate(t *testing.T) {
	w := newWorld(t)
	update(t, w.store, func(tx *store.Writer) error {
		return tx.JoinGateway("gw1", provisioner.Key(newKey(t)), time.Now(), "1.0")
	})
	actor := as(provisioner.RoleGateway, "")
	actor.ID, actor.Generation = "gw1", 1
	if _, err := w.RenewCertificate(t.Context(), actor, enrolment.RenewRequest{CertificateRequest: []byte("x")}); codeOf(err) != provisioner.CodeCSRInvalid {
		t.Errorf("a bad request: %v", err)
	}
	got, err := w.RenewCertificate(t.Context(), actor, enrolment.RenewRequest{CertificateRequest: csr(t)})
	if err != nil {
		t.Fatal(err)
	}
	if g := read(t, w, func(tx *store.Reader) (store.GatewayState, error) { return tx.Gateway("gw1") }); !g.CertificateNotAfter.Equal(got.NotAfter) {
		t.Errorf("noted until %v", g.CertificateNotAfter)
	}
	for want, change := range map[provisioner.Code]func(*provisioner.Actor){
		provisioner.CodeGatewayReplaced: func(a *provisioner.Actor) { a.Generation = 2 },
		provisioner.CodeGatewayExpired:  func(a *provisioner.Actor) { a.Expired = true },
	} {
		a := actor
		change(&a)
		if _, err := w.RenewCertificate(t.Context(), a, enrolment.RenewRequest{CertificateRequest: csr(t)}); codeOf(err) != want {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	actor.ID = "gw2"
	if _, err := w.RenewCertificate(t.Context(), actor, enrolment.RenewRequest{CertificateRequest: csr(t)}); codeOf(err) != provisioner.CodeGatewayReplaced {
		t.Errorf("a gateway that is not declared: %v", err)
	}
}
