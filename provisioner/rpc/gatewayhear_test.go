package rpc

import (
	"math"
	"testing"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func TestHandshakesAreNeverAheadOfUs(t *testing.T) {
	now := time.Now()
	for age, want := range map[int64]time.Time{
		0: now, 1500: now.Add(-1500 * time.Millisecond),
		-1: {}, math.MinInt64: {}, math.MaxInt64: {}, math.MaxInt64/1_000_000 + 1: {}, math.MaxInt64 / 1_000_000 * 3: {},
	} {
		if got := handshakeOf(&heimdrahtv1.PeerObservation{LastHandshakeAgeMs: &age}, now); !got.Equal(want) {
			t.Errorf("an age of %d ms: %v, want %v", age, got, want)
		}
	}
	if got := handshakeOf(&heimdrahtv1.PeerObservation{}, now); !got.IsZero() {
		t.Errorf("no age: %v", got)
	}
}
