package session_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// agedWorld is a world in a bubble with other spans in its policy than the usual
// ones.
func agedWorld(t *testing.T, signIn, longest time.Duration, test func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 10)
		w.policy(signIn, longest)
		w.serve("gw1")
		test(t, w)
	})
}

func (w *world) policy(signIn, longest time.Duration) {
	w.t.Helper()
	w.update(func(tx *store.Writer) error {
		tenant, err := tx.Tenant("stadt")
		if err != nil {
			return err
		}
		tenant.Policy.SignInEvery, tenant.Policy.LongestSession = signIn, longest
		return tx.PutTenant(tenant)
	})
}

// signedIn makes the last sign-in on a laptop one of that long ago.
func (w *world) signedIn(laptop provisioner.Actor, ago time.Duration) {
	w.t.Helper()
	w.update(func(tx *store.Writer) error { return tx.NoteSignIn(laptop.ID, tx.Now.Add(-ago)) })
}

// directoryIs says whether the directory is heard.
func (w *world) directoryIs(state store.FollowingState) {
	w.t.Helper()
	w.update(func(tx *store.Writer) error {
		return tx.PutFollowing(store.Following{Directory: "ad", State: state, Since: tx.Now, HeardAt: tx.Now})
	})
}

// works renews a session for a time in which nobody looks for what has expired:
// a duty writes each second. Then somebody looks for three minutes, or until the
// session is no more; it gives why.
func (w *world) works(laptop provisioner.Actor, id string, d time.Duration) error {
	w.t.Helper()
	for until := time.Now().Add(d - 3*time.Minute); time.Now().Before(until); time.Sleep(min(4*time.Minute, time.Until(until))) {
		if _, err := w.Renew(context.Background(), laptop, "a", id, provisioner.Usage{}); err != nil {
			return err
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.RunExpiry(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	}()
	for range 6 {
		if _, err := w.Renew(context.Background(), laptop, "a", id, provisioner.Usage{}); err != nil {
			return err
		}
		time.Sleep(30 * time.Second)
	}
	return nil
}

func TestNoSessionLastsForEver(t *testing.T) {
	agedWorld(t, 0, 12*time.Hour, func(t *testing.T, w *world) {
		laptop := w.laptop(1)
		first := w.open(laptop, session.OpenRequest{Stream: "a"}).Session
		if err := w.works(laptop, first.ID, 14*time.Hour-2*time.Minute); err != nil {
			t.Fatal("before its time: ", err)
		}
		err := w.works(laptop, first.ID, 4*time.Minute)
		expect(t, err, provisioner.CodeSessionAged)
		if refusal, _ := provisioner.AsRefusal(err); refusal.RetryAfter == 0 {
			t.Error("the laptop does not learn that it may open the next one")
		}
		w.serve("gw1")
		w.open(laptop, session.OpenRequest{Stream: "a"})
	})
}

// Whoever comes back finds her session with the same end, however often her
// stream breaks.
func TestResumingPutsNothingOff(t *testing.T) {
	agedWorld(t, 0, 2*time.Hour, func(t *testing.T, w *world) {
		laptop := w.laptop(1)
		first := w.open(laptop, session.OpenRequest{Stream: "a"}).Session
		for range 4 {
			if err := w.works(laptop, first.ID, 50*time.Minute); err != nil {
				t.Fatal(err)
			}
			again := w.open(laptop, session.OpenRequest{Stream: "a", Resume: first.ID})
			if !again.Resumed || again.Session.Ending != first.Ending {
				t.Errorf("resumed %v, ends %+v, before %+v", again.Resumed, again.Session.Ending, first.Ending)
			}
		}
		expect(t, w.works(laptop, first.ID, time.Hour), provisioner.CodeSessionAged)
	})
}

// A session that was opened while no policy knew an end gets one when its laptop
// comes back.
func TestASessionOfBeforeGetsAnEnd(t *testing.T) {
	agedWorld(t, 0, 0, func(t *testing.T, w *world) {
		laptop := w.laptop(1)
		first := w.open(laptop, session.OpenRequest{Stream: "a"}).Session
		if err := w.works(laptop, first.ID, 5*time.Hour); err != nil {
			t.Fatal(err)
		}
		w.policy(0, 2*time.Hour)
		again := w.open(laptop, session.OpenRequest{Stream: "a", Resume: first.ID}).Session
		if !again.Ending.IsDue(time.Now()) || time.Until(again.Ending.EndsAt) != provisioner.QuietWithin {
			t.Errorf("ends %+v", again.Ending)
		}
		if err := w.works(laptop, first.ID, provisioner.QuietWithin-2*time.Minute); err != nil {
			t.Error("before its time: ", err)
		}
		expect(t, w.works(laptop, first.ID, 4*time.Minute), provisioner.CodeSessionAged)
	})
}

func TestSignInIsNeeded(t *testing.T) {
	agedWorld(t, 6*time.Hour, 0, func(t *testing.T, w *world) {
		one, two := w.laptop(1), w.laptop(2)
		w.signedIn(two, time.Hour)
		// Of the first nothing is written down: it counts from now.
		first, second := w.open(one, session.OpenRequest{Stream: "a"}).Session, w.open(two, session.OpenRequest{Stream: "a"}).Session
		if !first.Ending.DueAt.Equal(time.Now().Add(6*time.Hour)) || !second.Ending.DueAt.Equal(time.Now().Add(5*time.Hour)) {
			t.Errorf("due at %v and %v", first.Ending, second.Ending)
		}
		if err := w.works(two, second.ID, 5*time.Hour+time.Minute); err != nil {
			t.Fatal("before its time: ", err)
		}
		// At a quiet moment it asks for another one, and the one that it has ends with the answer.
		_, err := w.Open(t.Context(), two, session.OpenRequest{Stream: "a"})
		expect(t, err, provisioner.CodeSignInNeeded)
		expect(t, w.Check(t.Context(), two, "a", second.ID), provisioner.CodeSignInNeeded)
		_, err = w.Open(t.Context(), two, session.OpenRequest{Stream: "b"})
		expect(t, err, provisioner.CodeSignInNeeded)
		// That one laptop has to says nothing of the other.
		if err := w.works(one, first.ID, 3*time.Minute); err != nil {
			t.Error("the other laptop: ", err)
		}
		w.signedIn(two, 0)
		w.serve("gw1")
		w.open(two, session.OpenRequest{Stream: "a"})
	})
}

// A laptop that knows nothing of all this goes on working until it is ended.
func TestAnOldAgentIsEndedInTheEnd(t *testing.T) {
	agedWorld(t, 2*time.Hour, 0, func(t *testing.T, w *world) {
		laptop := w.laptop(1)
		first := w.open(laptop, session.OpenRequest{Stream: "a"}).Session
		if err := w.works(laptop, first.ID, 4*time.Hour-2*time.Minute); err != nil {
			t.Fatal("before its time: ", err)
		}
		err := w.works(laptop, first.ID, 4*time.Minute)
		expect(t, err, provisioner.CodeSignInNeeded)
		if refusal, _ := provisioner.AsRefusal(err); refusal.RetryAfter != 0 {
			t.Error("the laptop is told to try again by itself")
		}
	})
}

// Nobody can sign in while the directory does not answer: nobody is thrown out for
// it, or kept out, as long as that is bounded.
func TestASilentDirectoryPutsTheSignInOff(t *testing.T) {
	agedWorld(t, 2*time.Hour, 0, func(t *testing.T, w *world) {
		laptop := w.laptop(1)
		w.directoryIs(store.FollowingDown)
		first := w.open(laptop, session.OpenRequest{Stream: "a"}).Session
		for range 8 { // somebody looks in time
			if err := w.works(laptop, first.ID, 3*time.Hour); err != nil {
				t.Fatal("while the directory is silent: ", err)
			}
		}
		expect(t, w.works(laptop, first.ID, 2*time.Hour+5*time.Minute), provisioner.CodeSignInNeeded)
		// Its last word counts as long as Standings says so: the opening comes from that.
		said := time.Now().Add(-time.Hour)
		w.standing = func(p provisioner.Person) (provisioner.Standing, error) {
			return provisioner.Standing{Person: p.ID, Tenant: "stadt", Groups: []string{staff}, ReadAt: said}, nil
		}
		w.serve("gw1")
		let := w.open(laptop, session.OpenRequest{Stream: "a"}).Session
		if got := time.Until(let.Ending.EndsAt); got != provisioner.QuietWithin {
			t.Errorf("let in for %v", got)
		}
		// Once it is heard, they have the rest of their time, and then it takes a sign-in.
		w.directoryIs(store.FollowingLive)
		_, err := w.Open(t.Context(), laptop, session.OpenRequest{Stream: "a"})
		expect(t, err, provisioner.CodeSignInNeeded)
	})
}

// A directory that nobody follows, and that answers when it is asked, is not silent.
func TestADirectoryThatAnswersIsNotSilent(t *testing.T) {
	agedWorld(t, 2*time.Hour, 0, func(t *testing.T, w *world) {
		laptop := w.laptop(1)
		w.signedIn(laptop, 3*time.Hour)
		w.directoryIs(store.FollowingDown)
		_, err := w.Open(t.Context(), laptop, session.OpenRequest{Stream: "a"})
		expect(t, err, provisioner.CodeSignInNeeded)
	})
}
