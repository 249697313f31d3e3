package session_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
	"github.com/heimdraht/heimdraht/provisioner/watch"
)

// idleWorld is a world in a bubble, with a gateway and a laptop whose session ends after
// a while without activity.
type idleWorld struct {
	*world
	gateway *watch.Contact
	laptop  provisioner.Actor
	session provisioner.Session
}

func inIdleWorld(t *testing.T, test func(t *testing.T, w *idleWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &idleWorld{world: newWorld(t, 10)}
		w.idle(idleAfter)
		w.gateway = w.serve("gw1")
		w.laptop = w.laptopOf("stadt", 1)
		w.session = w.open(w.laptop, session.OpenRequest{Stream: "a"}).Session
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- w.RunExpiry(ctx) }()
		test(t, w)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (w *world) idle(after time.Duration) {
	w.t.Helper()
	w.change(func(t *provisioner.Tenant) {
		t.Policy.Idle = provisioner.IdlePolicy{After: after, Below: 1000}
		t.Policy.SignInEvery, t.Policy.LongestSession = 0, 0
	})
}

func (w *world) change(how func(*provisioner.Tenant)) {
	w.t.Helper()
	w.update(func(tx *store.Writer) error {
		tenant, err := tx.Tenant("stadt")
		if err != nil {
			return err
		}
		how(&tenant)
		return tx.PutTenant(tenant)
	})
}

const (
	// idleAfter is short: in a bubble too each second that passes is a write of the duty's.
	idleAfter = 10 * time.Minute

	keepalives = 3    // bytes a second
	working    = 1200 // and no more than a text that is typed
)

// passes lets time pass, in which the laptop renews, and moves so many bytes a second through its
// gateway; a negative rate: the gateway says nothing. It ends with the session, and gives for how long
// it went on, since when the laptop is told of its end, and why it ended.
func (w *idleWorld) passes(d time.Duration, rate int64) (lasted, told time.Duration, why error) {
	w.t.Helper()
	const step = 30 * time.Second
	gateway := provisioner.Actor{ID: "gw1", Grants: []provisioner.Grant{{Role: provisioner.RoleGateway}}}
	told = -1
	for begun := time.Now(); ; {
		lasted = time.Since(begun)
		if rate >= 0 {
			seen := session.Seen{Session: w.session.ID, LastHandshake: time.Now(), ReceivedBytes: uint64(rate * 20), SentBytes: uint64(rate * 10)}
			if err := w.Observe(context.Background(), gateway, []session.Seen{seen}); err != nil {
				w.t.Fatal(err)
			}
			w.gateway.Observed(time.Now())
		}
		renewed, err := w.Renew(context.Background(), w.laptop, "a", w.session.ID, provisioner.Usage{})
		switch {
		case err != nil || lasted >= d:
			return lasted, told, err
		case renewed.IdleAt.IsZero():
			told = -1
		case told < 0:
			told = lasted
		}
		for range 6 { // a gateway that says nothing for ten seconds counts as cut off
			time.Sleep(step / 6)
			if rate >= 0 {
				w.gateway.Acknowledged(w.epoch, 1<<40, nil)
			}
		}
	}
}

// Keepalives are no activity. Who does nothing else is told some minutes before, and may
// connect again at once, with the address that she had.
func TestAnIdleSessionEnds(t *testing.T) {
	inIdleWorld(t, func(t *testing.T, w *idleWorld) {
		if lasted, _, err := w.passes(25*time.Minute, working); err != nil {
			t.Fatalf("while she works, after %v: %v", lasted, err)
		}
		lasted, told, err := w.passes(time.Hour, keepalives)
		expect(t, err, provisioner.CodeSessionIdle)
		if refusal, _ := provisioner.AsRefusal(err); refusal.RetryAfter != 0 {
			t.Error("the laptop is told to connect again by itself")
		}
		if lasted < idleAfter || lasted > idleAfter+2*time.Minute || lasted-told < 4*time.Minute || lasted-told > 7*time.Minute {
			t.Errorf("ended after %v, told after %v", lasted, told)
		}
		// A laptop that has not heard of it does not get the next one by itself.
		_, err = w.Open(t.Context(), w.laptop, session.OpenRequest{Stream: "b", Resume: w.session.ID})
		expect(t, err, provisioner.CodeSessionIdle)
		again := w.open(w.laptop, session.OpenRequest{Stream: "b"}).Session
		if again.ID == w.session.ID || again.Gateway != w.session.Gateway || again.AddressIndex != w.session.AddressIndex {
			t.Errorf("again on %s with address %d, before %s with %d", again.Gateway, again.AddressIndex, w.session.Gateway, w.session.AddressIndex)
		}
		former, err := store.Read(t.Context(), w.store, func(tx *store.Reader) (provisioner.Session, error) { return tx.Session(w.session.ID) })
		if err != nil || !former.Traffic.ActiveAt.IsZero() {
			t.Errorf("when she last worked is still known: %v, %v", former.Traffic, err)
		}
	})
}

// Whoever was never seen to work has as long from the opening.
func TestNeverActive(t *testing.T) {
	inIdleWorld(t, func(t *testing.T, w *idleWorld) {
		lasted, _, err := w.passes(time.Hour, 0)
		expect(t, err, provisioner.CodeSessionIdle)
		if lasted < idleAfter || lasted > idleAfter+2*time.Minute {
			t.Errorf("ended after %v", lasted)
		}
	})
}

// Who works on after she was told is told that it goes on, and has the whole time again.
func TestWorkWithdrawsTheWarning(t *testing.T) {
	inIdleWorld(t, func(t *testing.T, w *idleWorld) {
		if _, told, err := w.passes(7*time.Minute, keepalives); err != nil || told < 0 {
			t.Fatalf("told after %v, %v", told, err)
		}
		if _, told, err := w.passes(time.Minute, working); err != nil || told >= 0 {
			t.Errorf("told all the same, after %v, %v", told, err)
		}
		lasted, _, err := w.passes(time.Hour, keepalives)
		expect(t, err, provisioner.CodeSessionIdle)
		if lasted < idleAfter {
			t.Errorf("then it ended after %v", lasted)
		}
	})
}

// A gateway that says nothing proves nothing, and what it tells of a long time may have been
// moved all at once.
func TestASilentGatewayProvesNothing(t *testing.T) {
	inIdleWorld(t, func(t *testing.T, w *idleWorld) {
		if lasted, told, err := w.passes(25*time.Minute, -1); err != nil || told >= 0 {
			t.Fatalf("ended after %v, told after %v, %v", lasted, told, err)
		}
		gateway := provisioner.Actor{ID: "gw1", Grants: []provisioner.Grant{{Role: provisioner.RoleGateway}}}
		if err := w.Observe(t.Context(), gateway, []session.Seen{{Session: w.session.ID, ReceivedBytes: 100_000}}); err != nil {
			t.Fatal(err)
		}
		lasted, _, err := w.passes(time.Hour, keepalives)
		expect(t, err, provisioner.CodeSessionIdle)
		if lasted < idleAfter {
			t.Errorf("ended %v after the gateway was back", lasted)
		}
	})
}

// Where the gateway has nothing to tell of the time, the laptop is told before the end, not by it.
func TestASilentGatewayIsBack(t *testing.T) {
	inIdleWorld(t, func(t *testing.T, w *idleWorld) {
		if _, _, err := w.passes(25*time.Minute, -1); err != nil {
			t.Fatal(err)
		}
		lasted, told, err := w.passes(time.Hour, 0)
		expect(t, err, provisioner.CodeSessionIdle)
		if told < 0 || lasted-told < 4*time.Minute || lasted > 15*time.Minute {
			t.Errorf("ended after %v, told after %v", lasted, told)
		}
	})
}

// While nothing can be written nobody hears anything: who was told before is told again.
func TestAnOutageOfOursEndsNobody(t *testing.T) {
	inIdleWorld(t, func(t *testing.T, w *idleWorld) {
		if _, told, err := w.passes(6*time.Minute, keepalives); err != nil || told < 0 {
			t.Fatalf("told after %v, %v", told, err)
		}
		w.update(func(*store.Writer) error {
			time.Sleep(10 * time.Minute)
			return nil
		})
		lasted, _, err := w.passes(time.Hour, keepalives)
		expect(t, err, provisioner.CodeSessionIdle)
		if lasted < 5*time.Minute || lasted > 13*time.Minute {
			t.Errorf("ended %v after the outage", lasted)
		}
	})
}

func TestSessionsThatDoNotEndForIdleness(t *testing.T) {
	inIdleWorld(t, func(t *testing.T, w *idleWorld) {
		w.idle(0)
		if lasted, told, err := w.passes(25*time.Minute, keepalives); err != nil || told >= 0 {
			t.Errorf("without the policy: ended after %v, told after %v, %v", lasted, told, err)
		}
	})
}

// A policy that becomes stricter holds for the sessions that are open: for who works from
// then on, for who does not as soon as she was told.
func TestAStricterPolicyHoldsAtOnce(t *testing.T) {
	inIdleWorld(t, func(t *testing.T, w *idleWorld) {
		w.idle(0)
		if _, _, err := w.passes(20*time.Minute, working); err != nil {
			t.Fatal(err)
		}
		w.idle(idleAfter)
		lasted, told, err := w.passes(time.Hour, keepalives)
		expect(t, err, provisioner.CodeSessionIdle)
		if lasted < idleAfter || lasted > idleAfter+2*time.Minute || lasted-told < 4*time.Minute {
			t.Errorf("ended after %v, told after %v", lasted, told)
		}
	})
	inIdleWorld(t, func(t *testing.T, w *idleWorld) {
		w.idle(10 * idleAfter)
		if _, _, err := w.passes(2*idleAfter, keepalives); err != nil {
			t.Fatal(err)
		}
		w.idle(idleAfter)
		lasted, told, err := w.passes(time.Hour, keepalives)
		expect(t, err, provisioner.CodeSessionIdle)
		if lasted > 8*time.Minute || told < 0 || lasted-told < 4*time.Minute {
			t.Errorf("ended after %v, told after %v", lasted, told)
		}
	})
}

// Policy ends a session that is old, whoever looks at it for its idleness meanwhile.
func TestOldAndIdle(t *testing.T) {
	inIdleWorld(t, func(t *testing.T, w *idleWorld) {
		ends := time.Now().Add(25 * time.Minute)
		w.update(func(tx *store.Writer) error {
			return tx.SetEnding(w.session, provisioner.Ending{DueAt: tx.Now, EndsAt: ends, Why: provisioner.CodeSessionAged})
		})
		_, _, err := w.passes(time.Hour, working)
		expect(t, err, provisioner.CodeSessionAged)
		if late := time.Since(ends); late < 0 || late > time.Minute {
			t.Errorf("ended %v late", late)
		}
	})
}

// Both engines end what is idle, tell of it before, and leave alone who works.
func TestIdleOnEachEngine(t *testing.T) {
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			o := storetest.SQLite(t)
			if engine == "PostgreSQL" {
				o = storetest.Postgres(t)
			}
			w := &idleWorld{world: newWorldOn(t, o, 10)}
			w.idle(2 * time.Second)
			w.gateway = w.serve("gw1")
			works, rests := w.laptopOf("stadt", 1), w.laptopOf("stadt", 2)
			one, two := w.open(works, session.OpenRequest{Stream: "a"}).Session, w.open(rests, session.OpenRequest{Stream: "b"}).Session
			w.update(func(tx *store.Writer) error {
				// It was active in a moment that is still to come: no rate is reckoned over less than 15 s.
				return tx.Observe("gw1", store.Observed{Session: one.ID}, provisioner.Traffic{At: tx.Now, ActiveAt: tx.Now.Add(time.Hour)})
			})
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- session.LookOften(ctx, w.Service) }()
			told := false
			for until := time.Now().Add(time.Minute); time.Now().Before(until); {
				w.gateway.Observed(time.Now())
				renewed, err := w.Renew(t.Context(), rests, "b", two.ID, provisioner.Usage{})
				if err != nil {
					expect(t, err, provisioner.CodeSessionIdle)
					break
				}
				told = told || !renewed.IdleAt.IsZero()
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if err := w.Check(t.Context(), rests, "b", two.ID); err == nil || !told {
				t.Errorf("who rests: %v, told %v", err, told)
			}
			if err := w.Check(t.Context(), works, "a", one.ID); err != nil {
				t.Errorf("who works: %v", err)
			}
			list, err := store.Read(t.Context(), w.store, func(tx *store.Reader) ([]provisioner.Session, error) {
				return tx.SessionsToLook(time.Now(), provisioner.Session{}, 10)
			})
			if err != nil || len(list) != 0 {
				t.Errorf("%d sessions are looked at again and again, %v", len(list), err)
			}
		})
	}
}

// Who works only in the session that she is leaving is not idle.
func TestNotIdleInTheFormer(t *testing.T) {
	inIdleWorld(t, func(t *testing.T, w *idleWorld) {
		other := w.serve("gw2")
		w.drain("gw1", 2*time.Hour)
		moved := w.open(w.laptop, session.OpenRequest{Stream: "a", Beside: true})
		if moved.Leaving.ID != w.session.ID {
			t.Fatalf("%+v beside %+v", moved.Session, moved.Leaving)
		}
		gateway := func(name string) provisioner.Actor {
			return provisioner.Actor{ID: name, Grants: []provisioner.Grant{{Role: provisioner.RoleGateway}}}
		}
		works := func(d time.Duration, rate uint64) (err error) {
			for begun := time.Now(); err == nil && time.Since(begun) < d; {
				for range 6 {
					time.Sleep(5 * time.Second)
					w.gateway.Acknowledged(w.epoch, 1<<40, nil)
					other.Acknowledged(w.epoch, 1<<40, nil)
				}
				for name, seen := range map[string]session.Seen{
					"gw1": {Session: w.session.ID, LastHandshake: time.Now(), ReceivedBytes: rate * 30},
					"gw2": {Session: moved.Session.ID, LastHandshake: time.Now(), ReceivedBytes: keepalives * 30},
				} {
					if err := w.Observe(context.Background(), gateway(name), []session.Seen{seen}); err != nil {
						return err
					}
				}
				w.gateway.Observed(time.Now())
				other.Observed(time.Now())
				_, err = w.Renew(context.Background(), w.laptop, "a", moved.Session.ID, provisioner.Usage{})
			}
			return err
		}
		if err := works(3*idleAfter, working); err != nil {
			t.Errorf("while she works: %v", err)
		}
		expect(t, works(3*idleAfter, keepalives), provisioner.CodeSessionIdle)
		expect(t, w.CheckLeaving(context.Background(), w.laptop, w.session.ID), provisioner.CodeSessionIdle)
	})
}
