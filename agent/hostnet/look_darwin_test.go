package hostnet

import (
	"net/netip"
	"testing"
)

// TestLookAtThisMachine changes nothing: it only looks whether macOS' answers are understood.
func TestLookAtThisMachine(t *testing.T) {
	have, err := newSystem().look(t.Context(), "utun99")
	check(t, err)
	if have.there {
		t.Error("an interface that is not there")
	}
	for _, w := range have.ways {
		if !w.to.IsValid() || w.by == "" {
			t.Errorf("not understood: %+v", w)
		}
		t.Logf("%+v", w)
	}
	if _, ok := leave(have.ways, netip.MustParseAddr("127.0.0.1"), "utun99"); !ok {
		t.Error("no way to this machine itself")
	}
}
