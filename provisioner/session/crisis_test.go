package session_test

import (
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const crisisTeam = "CN=Krisenstab,DC=stadt"

// crisis prepares a plan, and switches it on or off.
func (w *world) crisis(plan provisioner.CrisisPlan, on bool) {
	w.t.Helper()
	w.change(func(t *provisioner.Tenant) { t.Priority.Crisis, t.Crisis = crisisTeam, plan })
	w.update(func(tx *store.Writer) (err error) {
		if on {
			_, err = tx.BeginCrisis("stadt", "flood")
		} else {
			_, err = tx.EndCrisis("stadt")
		}
		return err
	})
}

// In a crisis that is closed to everybody else nobody loses what she has: her session goes on, and
// so does the next one where the control plane has ended it.
func TestACrisisIsClosedToNewcomers(t *testing.T) {
	w := newWorld(t, 10)
	w.serve("gw1")
	w.serve("gw2")
	eva, emil, anna := w.laptop(1), w.laptop(2), w.laptop(3)
	team := w.device(anna.ID).Person
	w.standing = func(p provisioner.Person) (provisioner.Standing, error) {
		s := provisioner.Standing{Person: p.ID, Tenant: "stadt", Groups: []string{staff}, ReadAt: time.Now()}
		if p.ID == team {
			s.Groups = append(s.Groups, crisisTeam)
		}
		return s, nil
	}
	evas := w.open(eva, session.OpenRequest{Stream: "a"}).Session
	w.crisis(provisioner.CrisisPlan{CloseOrdinary: true}, true)
	_, err := w.Open(t.Context(), emil, session.OpenRequest{Stream: "b"})
	expect(t, err, provisioner.CodeCrisisMode)
	if refusal, _ := provisioner.AsRefusal(err); refusal.RetryAfter < 10*time.Minute {
		t.Errorf("the laptop asks again after %v", refusal.RetryAfter)
	}
	refusals, err := store.Read(t.Context(), w.store, func(tx *store.Reader) ([]store.RecentRefusal, error) {
		return tx.RefusalsOf(provisioner.Person{ID: w.device(emil.ID).Person}, "stadt", 10)
	})
	if err != nil || len(refusals) != 1 || refusals[0].Code != provisioner.CodeCrisisMode {
		t.Errorf("the helpdesk sees %+v, %v", refusals, err)
	}
	w.open(anna, session.OpenRequest{Stream: "c"})
	if resumed := w.open(eva, session.OpenRequest{Stream: "d", Resume: evas.ID}); !resumed.Resumed {
		t.Error("her session does not go on")
	}
	next := w.open(eva, session.OpenRequest{Stream: "d"}).Session // as at a quiet moment
	ended := func(why provisioner.Code) {
		t.Helper()
		w.update(func(tx *store.Writer) error {
			_, err := tx.CloseSessionOf(eva.ID, why)
			return err
		})
	}
	ended(provisioner.CodeGatewayMoved)
	if again := w.open(eva, session.OpenRequest{Stream: "d"}).Session; again.ID == next.ID {
		t.Error("it is the session that was closed")
	}
	for _, why := range []provisioner.Code{provisioner.CodeSessionClosed, provisioner.CodeSessionIdle} {
		ended(why)
		_, err = w.Open(t.Context(), eva, session.OpenRequest{Stream: "d"})
		expect(t, err, provisioner.CodeCrisisMode)
		w.crisis(provisioner.CrisisPlan{CloseOrdinary: true}, false)
		w.open(eva, session.OpenRequest{Stream: "d"})
		w.crisis(provisioner.CrisisPlan{CloseOrdinary: true}, true)
	}
}

// The crisis's idle time holds for sessions that are open, and no longer than the crisis.
func TestTheIdleTimeOfACrisis(t *testing.T) {
	inIdleWorld(t, func(t *testing.T, w *idleWorld) {
		w.idle(time.Hour)
		plan := provisioner.CrisisPlan{Idle: 10 * time.Minute}
		if _, _, err := w.passes(20*time.Minute, keepalives); err != nil {
			t.Fatal(err)
		}
		w.crisis(plan, true)
		if _, told, err := w.passes(3*time.Minute, keepalives); err != nil || told < 0 {
			t.Errorf("told after %v, %v", told, err)
		}
		w.crisis(plan, false)
		if _, told, err := w.passes(15*time.Minute, keepalives); err != nil || told >= 0 {
			t.Errorf("after the crisis, told after %v, %v", told, err)
		}
		w.crisis(plan, true)
		lasted, _, err := w.passes(time.Hour, keepalives)
		expect(t, err, provisioner.CodeSessionIdle)
		if lasted > 8*time.Minute {
			t.Errorf("ended after %v", lasted)
		}
	})
}
