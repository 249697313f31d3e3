package hostnet

import (
	"errors"
	"io/fs"
	"net/netip"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// TestLookAtThisMachine changes nothing: it only looks whether Windows' answers are understood.
func TestLookAtThisMachine(t *testing.T) {
	have, err := newSystem().look(t.Context(), "no such interface")
	if errors.Is(err, windows.ERROR_NOT_SUPPORTED) {
		testneed.Missing(t, "needs Windows itself: Wine lacks "+err.Error())
	}
	check(t, err)
	if have.there {
		t.Error("an interface that is not there")
	}
	for _, w := range have.ways {
		if !w.to.IsValid() {
			t.Errorf("not understood: %+v", w)
		}
		t.Logf("%+v", w)
	}
	if _, ok := leave(have.ways, netip.MustParseAddr("127.0.0.1"), "no such interface"); !ok {
		t.Error("no way to this machine itself")
	}
	err = newSystem().act(t.Context(), "no such interface", step{verb: addAddress, prefix: netip.MustParsePrefix("10.80.0.5/32")})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an address for it: %v", err)
	}
}
