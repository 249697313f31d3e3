package enrolment_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// signedIn is somebody of the staff at the command line; she was known before.
func (w *world) signedIn(t testing.TB, tenant, login string) provisioner.Actor {
	t.Helper()
	proof, err := w.SignIn.Prove(context.Background(), anybody(), request(t, tenant, login, "").Credentials)
	if err != nil {
		t.Fatal(err)
	}
	return provisioner.Actor{
		ID: proof.Person.ID, Name: proof.Person.DisplayName, Grants: []provisioner.Grant{{Role: provisioner.RoleStaff, Tenant: tenant}},
		Source: "192.0.2.7", Language: "en",
	}
}

func (w *world) begins(t testing.TB, tenant, serial string) (enrolment.Begun, enrolment.BeginRequest) {
	t.Helper()
	r := enrolment.BeginRequest{Tenant: tenant, Laptop: request(t, "", "", serial).Laptop}
	b, err := w.Begin(context.Background(), anybody(), r)
	if err != nil {
		t.Fatal(err)
	}
	return b, r
}

func decision(b enrolment.Begun) enrolment.DecideRequest {
	return enrolment.DecideRequest{UserCode: b.UserCode, Fingerprint: b.Fingerprint}
}

func TestApproveByCode(t *testing.T) {
	w := newWorld(t)
	eva := w.signedIn(t, "stadt", "eva")
	b, r := w.begins(t, "", "S1")
	if len(b.UserCode) != 9 || b.UserCode[4] != '-' || strings.Trim(b.UserCode, "BCDFGHJKLMNPQRSTVWXZ-") != "" {
		t.Errorf("code %q", b.UserCode)
	}
	typed := " " + strings.ToLower(strings.ReplaceAll(b.UserCode, "-", " ")) + " "
	shown, err := w.Waiting(t.Context(), eva, typed)
	if err != nil {
		t.Fatal(err)
	}
	if shown.Name != r.DeviceName || shown.SerialNumber != "S1" || shown.Platform != "linux" || shown.Source != "192.0.2.1" ||
		shown.Fingerprint != b.Fingerprint || shown.Fingerprint != provisioner.Key(r.PublicKey).Fingerprint() {
		t.Errorf("shown %+v", shown)
	}
	e, err := w.Approve(t.Context(), eva, decision(b))
	if err != nil {
		t.Fatal(err)
	}
	d := w.device(t, e.Device.ID)
	if d.Person != eva.ID || d.Tenant != "stadt" || !bytes.Equal(d.PublicKey[:], r.PublicKey) || d.State() != provisioner.DeviceActive {
		t.Errorf("enrolled %+v", d)
	}
	// The laptop may ask as often as its connection breaks.
	for range 2 {
		a, err := w.Await(t.Context(), anybody(), b.DeviceCode)
		if err != nil || a == nil || a.Device != d.ID || a.PersonName != "eva" || !bytes.Equal(a.Certificate.Leaf, e.Certificate.Leaf) ||
			!a.Certificate.RenewAt.Equal(e.Certificate.RenewAt.Truncate(time.Nanosecond)) {
			t.Fatalf("told %+v, %v", a, err)
		}
	}
	log := w.events(t)
	if len(log) != 1 || !strings.Contains(log[0], `"way":"code"`) || !strings.Contains(log[0], "192.0.2.1") || !strings.Contains(log[0], `"name":"eva"`) {
		t.Errorf("audit log %q", log)
	}
	if _, err := w.Approve(t.Context(), eva, decision(b)); codeOf(err) != provisioner.CodeEnrolmentUsed {
		t.Errorf("approved twice: %v", err)
	}
	if _, err := w.Approve(t.Context(), w.signedIn(t, "dorf", "vera"), decision(b)); codeOf(err) != provisioner.CodeEnrolmentUnknown {
		t.Errorf("another tenant learns that the code was there: %v", err)
	}
}

func TestCodeRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		ask  func(t *testing.T, w *world, b enrolment.Begun) (provisioner.Actor, enrolment.DecideRequest)
		want provisioner.Code
	}{
		{"nobody", func(_ *testing.T, _ *world, b enrolment.Begun) (provisioner.Actor, enrolment.DecideRequest) {
			return anybody(), decision(b)
		}, provisioner.CodeNotSignedIn},
		{"the helpdesk", func(_ *testing.T, _ *world, b enrolment.Begun) (provisioner.Actor, enrolment.DecideRequest) {
			return as(provisioner.RoleHelpdesk, "stadt"), decision(b)
		}, provisioner.CodeNotAllowed},
		{"the operator", func(_ *testing.T, _ *world, b enrolment.Begun) (provisioner.Actor, enrolment.DecideRequest) {
			return as(provisioner.RoleOperator, ""), decision(b)
		}, provisioner.CodeNotAllowed},
		{"no code", func(t *testing.T, w *world, b enrolment.Begun) (provisioner.Actor, enrolment.DecideRequest) {
			return w.signedIn(t, "stadt", "eva"), enrolment.DecideRequest{Fingerprint: b.Fingerprint}
		}, provisioner.CodeEnrolmentUnknown},
		{"an endless code", func(t *testing.T, w *world, b enrolment.Begun) (provisioner.Actor, enrolment.DecideRequest) {
			return w.signedIn(t, "stadt", "eva"), enrolment.DecideRequest{UserCode: strings.Repeat(b.UserCode, 1<<16), Fingerprint: b.Fingerprint}
		}, provisioner.CodeEnrolmentUnknown},
		{"another code", func(t *testing.T, w *world, b enrolment.Begun) (provisioner.Actor, enrolment.DecideRequest) {
			return w.signedIn(t, "stadt", "eva"), enrolment.DecideRequest{UserCode: "BBBB-BBBB", Fingerprint: b.Fingerprint}
		}, provisioner.CodeEnrolmentUnknown},
		{"a laptop that was not seen", func(t *testing.T, w *world, b enrolment.Begun) (provisioner.Actor, enrolment.DecideRequest) {
			return w.signedIn(t, "stadt", "eva"), enrolment.DecideRequest{UserCode: b.UserCode, Fingerprint: "0000 0000 0000 0000 0000"}
		}, provisioner.CodeEnrolmentUnknown},
		{"another tenant's laptop", func(t *testing.T, w *world, b enrolment.Begun) (provisioner.Actor, enrolment.DecideRequest) {
			return w.signedIn(t, "dorf", "vera"), decision(b)
		}, provisioner.CodeEnrolmentUnknown},
		{"one device too many", func(t *testing.T, w *world, b enrolment.Begun) (provisioner.Actor, enrolment.DecideRequest) {
			w.enrols(t, "stadt", "eva", "S8")
			w.enrols(t, "stadt", "eva", "S9")
			return w.signedIn(t, "stadt", "eva"), decision(b)
		}, provisioner.CodeDeviceLimit},
		{"out of the group by now", func(t *testing.T, w *world, b enrolment.Begun) (provisioner.Actor, enrolment.DecideRequest) {
			eva := w.signedIn(t, "stadt", "eva")
			w.changes(t, "stadt", func(tenant *provisioner.Tenant) { tenant.StaffGroup = village })
			return eva, decision(b)
		}, provisioner.CodeNotInGroup},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			b, _ := w.begins(t, "stadt", "S1")
			actor, r := c.ask(t, w, b)
			devices, events := fmt.Sprint(w.devices(t)), len(w.events(t))
			if _, err := w.Approve(t.Context(), actor, r); codeOf(err) != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if fmt.Sprint(w.devices(t)) != devices || len(w.events(t)) != events {
				t.Error("a refused approval has left something behind")
			}
			// It waits on: who may can still approve it.
			if v, err := store.Read(t.Context(), w.store, func(tx *store.Reader) (store.WaitingLaptop, error) {
				return tx.WaitingLaptopOf(b.DeviceCode)
			}); err != nil || v.State != store.LaptopWaits {
				t.Errorf("the laptop is %q, %v", v.State, err)
			}
		})
	}
}

func TestCodesCannotBeGuessed(t *testing.T) {
	w := newWorld(t)
	eva, emil := w.signedIn(t, "stadt", "eva"), w.signedIn(t, "stadt", "emil")
	b, _ := w.begins(t, "stadt", "S1")
	var wrong int
	for ; wrong < 100; wrong++ {
		_, err := w.Waiting(t.Context(), eva, fmt.Sprintf("BBBBBBB%c", "BCDFGHJKLMNPQRSTVWXZ"[wrong%20]))
		if codeOf(err) == provisioner.CodeEnrolmentThrottled {
			break
		}
		if codeOf(err) != provisioner.CodeEnrolmentUnknown {
			t.Fatal(err)
		}
	}
	if wrong != 10 {
		t.Errorf("%d wrong codes were let through", wrong)
	}
	for _, ask := range []func() error{
		func() error { _, err := w.Waiting(t.Context(), eva, b.UserCode); return err },
		func() error { _, err := w.Approve(t.Context(), eva, decision(b)); return err },
		func() error { return w.Deny(t.Context(), eva, decision(b)) },
	} {
		if err := ask(); codeOf(err) != provisioner.CodeEnrolmentThrottled {
			t.Errorf("the right one after too many wrong ones: %v", err)
		}
	}
	if _, err := w.Approve(t.Context(), emil, decision(b)); err != nil {
		t.Errorf("somebody else is held up: %v", err)
	}
}

// Who loses her access by the directory's word, and keeps it only until somebody has
// decided, gets nothing more.
func TestWhoIsHeldGetsNoFurtherDevice(t *testing.T) {
	w := newWorld(t)
	eva := w.signedIn(t, "stadt", "eva")
	may := func(tx *store.Writer) error {
		return enrolment.MayAdd(tx, provisioner.Device{Tenant: "stadt", Person: eva.ID})
	}
	update(t, w.store, may)
	update(t, w.store, func(tx *store.Writer) error {
		p, err := tx.Person(eva.ID)
		return errors.Join(err, tx.PutHeldLoss(store.HeldLoss{Person: p, Tenant: "stadt", Why: provisioner.WhyGroup}))
	})
	if err := w.store.Update(t.Context(), may); codeOf(err) != provisioner.CodeAccessHeld {
		t.Errorf("a further device for who is held: %v", err)
	}
}

func TestDeny(t *testing.T) {
	w := newWorld(t)
	eva := w.signedIn(t, "stadt", "eva")
	b, _ := w.begins(t, "", "S1")
	if err := w.Deny(t.Context(), eva, decision(b)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Await(t.Context(), anybody(), b.DeviceCode); codeOf(err) != provisioner.CodeEnrolmentDenied {
		t.Errorf("the laptop is told %v", err)
	}
	if _, err := w.Approve(t.Context(), eva, decision(b)); codeOf(err) != provisioner.CodeEnrolmentUsed {
		t.Errorf("approved after that: %v", err)
	}
	if log := w.events(t); len(log) != 1 || !strings.Contains(log[0], `"action":"deny enrolment"`) {
		t.Errorf("audit log %q", log)
	}
}

// Two people have seen the same laptop and approve it at once: it is enrolled for
// one, and the other one is told that it is decided.
func TestOneApproves(t *testing.T) {
	w := newWorld(t)
	people := []provisioner.Actor{w.signedIn(t, "stadt", "eva"), w.signedIn(t, "stadt", "emil")}
	b, _ := w.begins(t, "stadt", "S1")
	var seen sync.WaitGroup // both are about to decide
	seen.Add(len(people))
	w.looked = func() {
		seen.Done()
		seen.Wait()
	}
	codes := make([]provisioner.Code, len(people))
	var all sync.WaitGroup
	for i, who := range people {
		all.Go(func() {
			_, err := w.Approve(t.Context(), who, decision(b))
			codes[i] = codeOf(err)
		})
	}
	all.Wait()
	slices.Sort(codes)
	if codes[0] != "" || codes[1] != provisioner.CodeEnrolmentUsed {
		t.Errorf("decided %q", codes)
	}
	if n := len(w.devices(t)); n != 1 || len(w.events(t)) != 1 {
		t.Errorf("%d devices, %d records", n, len(w.events(t)))
	}
}

// Who denies while somebody is about to approve has denied.
func TestDeniedIsDenied(t *testing.T) {
	w := newWorld(t)
	eva, emil := w.signedIn(t, "stadt", "eva"), w.signedIn(t, "stadt", "emil")
	b, _ := w.begins(t, "stadt", "S1")
	w.looked = func() {
		if err := w.Deny(t.Context(), emil, decision(b)); err != nil {
			t.Error(err)
		}
	}
	if _, err := w.Approve(t.Context(), eva, decision(b)); codeOf(err) != provisioner.CodeEnrolmentUsed {
		t.Errorf("approved: %v", err)
	}
	if n := len(w.devices(t)); n != 0 {
		t.Errorf("%d devices", n)
	}
}

func TestBeginRefuses(t *testing.T) {
	w := newWorld(t)
	known := w.enrols(t, "stadt", "eva", "S1")
	for _, c := range []struct {
		name  string
		spoil func(*enrolment.BeginRequest)
		want  provisioner.Code
	}{
		{"no key", func(r *enrolment.BeginRequest) { r.PublicKey = nil }, provisioner.CodeKeyInvalid},
		{"a used key", func(r *enrolment.BeginRequest) { r.PublicKey = known.PublicKey[:] }, provisioner.CodeKeyInUse},
		{"no certificate request", func(r *enrolment.BeginRequest) { r.CertificateRequest = nil }, provisioner.CodeCSRInvalid},
		{"an endless certificate request", func(r *enrolment.BeginRequest) { r.CertificateRequest = make([]byte, 1<<20) }, provisioner.CodeCSRInvalid},
		{"an endless serial number", func(r *enrolment.BeginRequest) { r.SerialNumber = strings.Repeat("7", 1<<20) }, provisioner.CodeInvalid},
	} {
		r := enrolment.BeginRequest{Laptop: request(t, "", "", "S2").Laptop}
		c.spoil(&r)
		if _, err := w.Begin(t.Context(), anybody(), r); codeOf(err) != c.want {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	// Names that would steer a terminal are shown without that, and are no longer than they may be.
	r := enrolment.BeginRequest{Laptop: request(t, "", "", "S2").Laptop}
	r.DeviceName, r.Platform = "\x1b[2J\u202e"+strings.Repeat("ä", 1<<16), "\x00linux\n"
	b, err := w.Begin(t.Context(), anybody(), r)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := w.Waiting(t.Context(), w.signedIn(t, "stadt", "eva"), b.UserCode)
	if err != nil || strings.ContainsAny(shown.Name+shown.Platform, "\x1b\u202e\x00\n") || len([]rune(shown.Name)) > 64 {
		t.Errorf("shown %+v, %v", shown, err)
	}
}

func TestWaitingIsBounded(t *testing.T) {
	w := newWorld(t)
	here := anybody()
	var n int
	for ; n < 1000; n++ {
		if _, err := w.Begin(t.Context(), here, enrolment.BeginRequest{Laptop: request(t, "", "", "").Laptop}); codeOf(err) == provisioner.CodeEnrolmentsFull {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n != 64 {
		t.Errorf("%d laptops of one network wait", n)
	}
	here.Source = "2001:db8:1:2::3"
	if _, err := w.Begin(t.Context(), here, enrolment.BeginRequest{Laptop: request(t, "", "", "").Laptop}); err != nil {
		t.Errorf("another network is held up: %v", err)
	}
}

// inTime runs a world in a bubble, whose time goes on when all wait.
func inTime(t *testing.T, do func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) { do(t, newWorld(t)) })
}

func TestAwaitHolds(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		eva := w.signedIn(t, "stadt", "eva")
		b, _ := w.begins(t, "", "S1")
		began := time.Now()
		if a, err := w.Await(t.Context(), anybody(), b.DeviceCode); a != nil || err != nil {
			t.Fatalf("told %+v, %v", a, err)
		}
		if held := time.Since(began); held < 5*time.Second || held > 15*time.Second {
			t.Errorf("held for %v", held)
		}
		type told struct {
			a   *store.WaitingAnswer
			err error
		}
		answers := make(chan told, 1)
		go func() {
			a, err := w.Await(t.Context(), anybody(), b.DeviceCode)
			answers <- told{a, err}
		}()
		synctest.Wait()
		if _, err := w.Await(t.Context(), anybody(), b.DeviceCode); codeOf(err) != provisioner.CodeSlowDown {
			t.Errorf("a second call at once: %v", err)
		}
		began = time.Now()
		if _, err := w.Approve(t.Context(), eva, decision(b)); err != nil {
			t.Fatal(err)
		}
		if got := <-answers; got.err != nil || got.a == nil || time.Since(began) > time.Second {
			t.Errorf("told %+v after %v", got, time.Since(began))
		}
	})
}

func TestCodesExpire(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		eva := w.signedIn(t, "stadt", "eva")
		late, _ := w.begins(t, "", "S1")
		good, _ := w.begins(t, "", "S2")
		if _, err := w.Approve(t.Context(), eva, decision(good)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15*time.Minute + time.Second)
		for _, ask := range []func() error{
			func() error { _, err := w.Waiting(t.Context(), eva, late.UserCode); return err },
			func() error { _, err := w.Approve(t.Context(), eva, decision(late)); return err },
			func() error { return w.Deny(t.Context(), eva, decision(late)) },
		} {
			if err := ask(); codeOf(err) != provisioner.CodeEnrolmentUnknown {
				t.Errorf("after its time: %v", err)
			}
		}
		for _, code := range []string{late.DeviceCode, "", provisioner.NewSecret(), late.UserCode} {
			if _, err := w.Await(t.Context(), anybody(), code); codeOf(err) != provisioner.CodeEnrolmentExpired {
				t.Errorf("the laptop is told %v", err)
			}
		}
		// Who was approved finds the answer the next morning.
		time.Sleep(20 * time.Hour)
		update(t, w.store, func(tx *store.Writer) error { return tx.ForgetWaitingLaptops(tx.Now) })
		if a, err := w.Await(t.Context(), anybody(), good.DeviceCode); err != nil || a == nil {
			t.Errorf("told %+v, %v", a, err)
		}
		time.Sleep(5 * time.Hour)
		update(t, w.store, func(tx *store.Writer) error { return tx.ForgetWaitingLaptops(tx.Now) })
		if _, err := w.Await(t.Context(), anybody(), good.DeviceCode); codeOf(err) != provisioner.CodeEnrolmentExpired {
			t.Errorf("kept for ever: %v", err)
		}
	})
}

// Whatever people do with codes, each is decided at most once, by somebody of the
// tenant that the laptop named, and every device belongs to who approved it.
func TestCodesAreDecidedOnce(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"stadt", "dorf"} {
		w.changes(t, name, func(tenant *provisioner.Tenant) { tenant.Policy.DevicesPerPerson = 1 << 20 })
	}
	people := []provisioner.Actor{w.signedIn(t, "stadt", "eva"), w.signedIn(t, "stadt", "emil"), w.signedIn(t, "dorf", "vera")}
	type laptop struct {
		begun   enrolment.Begun
		tenant  string
		decided bool
	}
	networks := 0
	rapid.Check(t, func(rt *rapid.T) {
		networks++
		at := anybody()
		at.Source = fmt.Sprintf("192.0.3.%d", networks%256)
		var laptops []*laptop
		for _, step := range rapid.SliceOfN(rapid.IntRange(0, 99), 1, 12).Draw(rt, "steps") {
			if step < 40 || len(laptops) == 0 {
				l := &laptop{tenant: []string{"", "stadt", "dorf"}[step%3]}
				var err error
				if l.begun, err = w.Begin(t.Context(), at, enrolment.BeginRequest{Tenant: l.tenant, Laptop: request(t, "", "", "").Laptop}); err != nil {
					rt.Fatal(err)
				}
				laptops = append(laptops, l)
				continue
			}
			l, who := laptops[step%len(laptops)], people[step%len(people)]
			home := who.Grants[0].Tenant
			update(t, w.store, func(tx *store.Writer) error { return tx.ClearFailures("c:" + who.ID) })
			var err error
			if step%5 == 0 {
				err = w.Deny(t.Context(), who, decision(l.begun))
			} else {
				var e enrolment.Enrolled
				e, err = w.Approve(t.Context(), who, decision(l.begun))
				if err == nil && (e.Device.Person != who.ID || e.Device.Tenant != home) {
					rt.Fatalf("%s has enrolled %+v", who.Name, e.Device)
				}
			}
			want := provisioner.Code("")
			switch {
			case l.tenant != "" && l.tenant != home:
				want = provisioner.CodeEnrolmentUnknown
			case l.decided:
				want = provisioner.CodeEnrolmentUsed
			default:
				l.decided, l.tenant = true, home
			}
			if codeOf(err) != want {
				rt.Fatalf("%s decides on %+v: got %v, want %q", who.Name, l, err, want)
			}
		}
	})
}
