package session_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/watch"
)

// silence is what becomes of a session whose laptop says nothing more.
type silence struct {
	*world
	gateway *watch.Contact
	session provisioner.Session
	at      time.Duration // since it was opened
}

// shakesHands has the gateway see a handshake of the session.
func (s silence) shakesHands(t *testing.T) {
	t.Helper()
	gateway := provisioner.Actor{ID: "gw1", Grants: []provisioner.Grant{{Role: provisioner.RoleGateway}}}
	if err := s.Observe(context.Background(), gateway, []session.Seen{{Session: s.session.ID, LastHandshake: time.Now()}}); err != nil {
		t.Error(err)
	}
}

func TestHowSilenceEndsASession(t *testing.T) {
	const lease, long = provisioner.Lease, provisioner.UnrenewedLimit - 10*time.Minute
	for _, c := range []struct {
		name      string
		unwatched time.Duration             // before anybody looks for what has expired
		happens   func(*testing.T, silence) // each 8 s
		after     time.Duration             // at least, and a minute more at the most
	}{
		{"the gateway is cut off: the lease alone", 0, func(*testing.T, silence) {}, lease},
		{"the gateway sees nothing of it", 0, func(_ *testing.T, s silence) { s.gateway.Observed(time.Now()) }, lease},
		{"the gateway sees handshakes for some time", 0, func(t *testing.T, s silence) {
			if s.at <= 20*time.Minute {
				s.shakesHands(t)
			}
			s.gateway.Observed(time.Now())
		}, 20*time.Minute + provisioner.OnlineWithin},
		{"the gateway lives and says nothing of peers", long, func(_ *testing.T, s silence) { s.gateway.Acknowledged("", 0, nil) }, provisioner.UnrenewedLimit},
		{"traffic goes on for ever", long, func(t *testing.T, s silence) {
			s.shakesHands(t)
			s.gateway.Observed(time.Now())
		}, provisioner.UnrenewedLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got := endOfSilence(t, c.unwatched, c.happens); got < c.after || got > c.after+time.Minute {
					t.Errorf("closed after %v, want %v", got, c.after)
				}
			})
		})
	}
}

func endOfSilence(t *testing.T, unwatched time.Duration, happens func(*testing.T, silence)) (after time.Duration) {
	t.Helper()
	w := newWorld(t, 10)
	w.idle(0) // handshakes are no activity
	ctx, stop := context.WithCancel(context.Background())
	s := silence{world: w, gateway: w.serve("gw1")}
	actor := w.laptop(1)
	s.session = w.open(actor, session.OpenRequest{Stream: "a"}).Session
	time.Sleep(unwatched)
	s.at = unwatched
	happens(t, s)
	ended := make(chan error, 1)
	go func() { ended <- w.RunExpiry(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	const step = 8 * time.Second // in less than store.ContactFresh
	for s.at < 24*time.Hour {
		time.Sleep(step)
		s.at += step
		happens(t, s)
		if err := w.Check(ctx, actor, "a", s.session.ID); err != nil {
			expect(t, err, provisioner.CodeSessionExpired)
			return s.at
		}
	}
	return 0
}

// While nothing can be written, laptops cannot renew: that is no silence of
// theirs.
func TestAPauseOfOursEndsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 10)
		ctx, stop := context.WithCancel(context.Background())
		w.serve("gw1")
		actor := w.laptop(1)
		opened := w.open(actor, session.OpenRequest{Stream: "a"})
		ended := make(chan error, 1)
		go func() { ended <- w.RunExpiry(ctx) }()
		time.Sleep(provisioner.Lease - 10*time.Second)
		w.update(func(*store.Writer) error {
			time.Sleep(10 * time.Minute)
			return nil
		})
		time.Sleep(provisioner.Lease - 30*time.Second)
		if err := w.Check(ctx, actor, "a", opened.Session.ID); err != nil {
			t.Error("closed for a pause that was ours: ", err)
		}
		time.Sleep(2 * time.Minute)
		expect(t, w.Check(ctx, actor, "a", opened.Session.ID), provisioner.CodeSessionExpired)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// What a crash leaves behind holds no seat for longer than a lease after serving resumed: a
// session whose laptop is gone, and a seat that was kept for a laptop that was moved, and does
// not come. However long nobody served, nothing ends before that.
func TestAfterACrashASeatIsFreeWithinALease(t *testing.T) {
	for _, away := range []time.Duration{0, 30 * time.Second, 2 * time.Hour} {
		t.Run(away.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2)
				w.idle(0)
				w.serve("gw1")
				gone, moved := w.laptop(1), w.laptop(2)
				w.open(gone, session.OpenRequest{Stream: "a"})
				w.open(moved, session.OpenRequest{Stream: "b"})
				w.update(func(tx *store.Writer) error {
					_, err := tx.CloseSessionOf(moved.ID, provisioner.CodeGatewayMoved)
					return err
				})
				time.Sleep(away)

				serving := session.New(session.Options{Store: w.store, Standings: standings{w}, Confirmations: w.contacts, Keys: keys{}, Logger: w.Logger})
				resumed, gateway := time.Now(), w.serve("gw1")
				ctx, stop := context.WithCancel(context.Background())
				ended := make(chan error, 2)
				go func() { ended <- serving.RunExpiry(ctx) }()
				go func() { ended <- serving.RunQueue(ctx) }()
				held := int64(2)
				for held > 0 && time.Since(resumed) < provisioner.Lease+time.Hour {
					time.Sleep(5 * time.Second)
					gateway.Observed(time.Now())
					var err error
					if held, err = store.Read(ctx, w.store, func(tx *store.Reader) (int64, error) { return tx.SeatsHeld("vpn") }); err != nil {
						t.Fatal(err)
					}
					if _, err := store.Read(ctx, w.store, func(tx *store.Reader) (provisioner.Session, error) { return tx.OpenSessionOf(gone.ID) }); err != nil && time.Since(resumed) < provisioner.Lease {
						t.Errorf("the session is gone after %v: %v", time.Since(resumed), err)
					}
				}
				// Who looks does so each some seconds.
				if took := time.Since(resumed); held > 0 || took > provisioner.Lease+time.Minute {
					t.Errorf("%d seats are held %v after serving resumed", held, took)
				}
				stop()
				for range 2 {
					if err := <-ended; err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}
