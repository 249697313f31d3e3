package session_test

import (
	"context"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
)

// A laptop that opens a second session has only that one: who still asks for the
// first is told where it went.
func TestASecondOpeningEndsTheFirst(t *testing.T) {
	w := newWorld(t, 10)
	w.serve("gw1")
	actor := w.laptop(1)
	first := w.open(actor, session.OpenRequest{Stream: "a"})
	second := w.open(actor, session.OpenRequest{Stream: "a"})
	expect(t, w.Check(context.Background(), actor, "a", first.Session.ID), provisioner.CodeSessionElsewhere)
	_, err := w.Renew(context.Background(), actor, "a", first.Session.ID, provisioner.Usage{})
	expect(t, err, provisioner.CodeSessionElsewhere)
	if err := w.Check(context.Background(), actor, "a", second.Session.ID); err != nil {
		t.Error("the second one: ", err)
	}
}
