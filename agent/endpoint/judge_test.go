package endpoint

import (
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
)

// TestOutcomes is the table of what a "no" means for the laptop.
func TestOutcomes(t *testing.T) {
	const soon = 5 * time.Second
	tests := []struct {
		code            string
		retry           time.Duration
		refused, closed string // what is done: drop, halt, roam, again
		closedSame      bool
		wantAfter       time.Duration
	}{
		{code: "device-revoked", refused: "drop halt", closedSame: true},
		{code: "device-revoked", retry: soon, refused: "drop halt", closedSame: true}, // no storm, whatever is offered
		{code: "device-replaced", refused: "drop halt", closedSame: true},
		{code: "device-unknown", refused: "drop halt", closedSame: true},
		{code: "certificate-expired", refused: "drop halt", closedSame: true},
		{code: "stream-replaced", refused: "drop halt", closedSame: true},
		{code: "device-suspended", refused: "drop halt roam", closedSame: true},
		{code: "not-in-group", refused: "drop halt roam", closedSame: true},
		{code: "no-seat", retry: soon, refused: "drop again", closedSame: true, wantAfter: soon},
		{code: "no-gateway", retry: soon, refused: "drop again", closedSame: true, wantAfter: soon},
		{code: "no-licence", refused: "drop halt roam", closedSame: true},
		{code: "try-later", retry: soon, refused: "again", closed: "drop again", wantAfter: soon},
		{code: "shutting-down", refused: "again", closed: "drop again"},
		{code: "directory-unavailable", retry: soon, refused: "again", closed: "drop again", wantAfter: soon},
		{code: "database-unavailable", retry: soon, refused: "again", closed: "drop again", wantAfter: soon},
		{code: "session-expired", refused: "drop halt roam", closedSame: true},
		{code: "session-expired", retry: soon, refused: "drop again", closedSame: true, wantAfter: soon},
		{code: "gateway-moved", retry: soon, refused: "drop again", closedSame: true, wantAfter: soon},
		{code: "gateway-not-ready", retry: soon, refused: "drop again", closedSame: true, wantAfter: soon},
		{code: "session-unknown", refused: "drop halt roam", closedSame: true},
		// Of two people on one laptop the one who connected last stays, whatever network it comes into.
		{code: "session-elsewhere", refused: "drop halt", closedSame: true},
		{code: "house-rules", refused: "drop halt", closedSame: true},
		// Another network says nothing of anybody who works.
		{code: "session-idle", refused: "drop halt", closedSame: true},
		{code: "something-new", refused: "drop halt roam", closedSame: true},
		{code: "something-new", retry: soon, refused: "drop again", closedSame: true, wantAfter: soon},
	}
	for _, test := range tests {
		p := &control.Problem{Code: test.code, RetryAfter: test.retry, Refused: true}
		refused, closed := judgeRefused(p), judgeClosed(p)
		if got := inWords(refused); got != test.refused {
			t.Errorf("%s (%v) refused: %s, want %s", test.code, test.retry, got, test.refused)
		}
		if test.closedSame {
			test.closed = test.refused
		}
		if got := inWords(closed); got != test.closed {
			t.Errorf("%s (%v) closed: %s, want %s", test.code, test.retry, got, test.closed)
		}
		if refused.after != test.wantAfter {
			t.Errorf("%s (%v): again after %v, want %v", test.code, test.retry, refused.after, test.wantAfter)
		}
	}
}

func inWords(o outcome) string {
	s := ""
	add := func(is bool, word string) {
		if is && s != "" {
			s += " "
		}
		if is {
			s += word
		}
	}
	add(o.drop, "drop")
	add(o.halt, "halt")
	add(o.roam, "roam")
	add(!o.halt, "again")
	return s
}
