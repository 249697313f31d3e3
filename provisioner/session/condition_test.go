package session_test

import (
	"context"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// ask has the tenant ask something of laptops from now on.
func (w *world) ask(p provisioner.ConditionPolicy) {
	w.t.Helper()
	w.update(func(tx *store.Writer) error {
		t, err := tx.Tenant("stadt")
		if err != nil {
			return err
		}
		t.Policy.Conditions = p
		return tx.PutTenant(t)
	})
}

func (w *world) kept(a provisioner.Actor) string {
	w.t.Helper()
	d, err := store.Read(context.Background(), w.store, func(tx *store.Reader) (provisioner.Device, error) { return tx.Device(a.ID) })
	if err != nil {
		w.t.Fatal(err)
	}
	return provisioner.ConditionsText(d.Conditions)
}

func says(p provisioner.ConditionPolicy, disk provisioner.Answer) *session.ConditionReport {
	return &session.ConditionReport{Question: p.Question(), Answers: map[provisioner.Condition]provisioner.Answer{provisioner.DiskEncryption: disk}}
}

// A laptop is asked first; it is warned while the grace lasts, refused afterwards, and let in again when it has been
// put right. Who is connected stays so, and what is kept is an answer and a day.
func TestALaptopMeetsItsConditions(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := provisioner.ConditionPolicy{Demands: map[provisioner.Condition]provisioner.Demand{provisioner.DiskEncryption: provisioner.DemandRequired}, GraceDays: 2}
		laptop := w.laptop(1)
		opened := w.open(laptop, session.OpenRequest{Stream: "a", Conditions: &session.ConditionReport{}})
		if opened.Asks != nil || opened.Session.ID == "" {
			t.Fatalf("nothing is to be asked, and a session opened: %+v", opened)
		}
		w.ask(p)
		if opened := w.open(laptop, session.OpenRequest{Stream: "a", Conditions: &session.ConditionReport{}}); opened.Asks == nil || opened.Session.ID != "" {
			t.Fatalf("it was not asked: %+v", opened)
		}
		opened = w.open(laptop, session.OpenRequest{Stream: "a", Conditions: says(p, provisioner.AnswerNo)})
		if opened.Warning == nil || opened.Warning.Code != provisioner.CodeConditionGrace {
			t.Fatalf("it is warned with %v", opened.Warning)
		}
		if got := w.kept(laptop); got != "disk_encryption=no@2000-01-01" {
			t.Errorf("kept is %q", got)
		}
		p.GraceDays = 0
		w.ask(p)
		moved := w.open(laptop, session.OpenRequest{Stream: "b", Conditions: says(p, provisioner.AnswerNo)})
		if moved.Session.ID == "" {
			t.Error("who was connected is cut off")
		}
		if err := w.Close(context.Background(), laptop, moved.Session.ID); err != nil {
			t.Fatal(err)
		}
		_, err := w.Open(context.Background(), laptop, session.OpenRequest{Stream: "c", Conditions: says(p, provisioner.AnswerNo)})
		expect(t, err, provisioner.CodeConditionUnmet)
		if opened := w.open(laptop, session.OpenRequest{Stream: "c", Conditions: says(p, provisioner.AnswerYes)}); opened.Session.ID == "" || opened.Warning != nil {
			t.Errorf("it has been put right: %+v", opened)
		}
		// One of the version before says nothing: not known, which is allowed unless policy says otherwise.
		w.open(laptop, session.OpenRequest{Stream: "d"})
		if got := w.kept(laptop); got != "disk_encryption=unknown" {
			t.Errorf("kept is %q", got)
		}
		w.ask(provisioner.ConditionPolicy{})
		w.open(laptop, session.OpenRequest{Stream: "e", Conditions: &session.ConditionReport{}})
		if got := w.kept(laptop); got != "" {
			t.Errorf("nothing is asked, and %q is kept", got)
		}
	})
}
