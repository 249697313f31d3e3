package wireguard

import (
	"net/netip"
	"testing"
	"time"
)

// An echo request is answered by the other end, and the answer shows in the counters: in both families, and by no
// address that nobody has.
func TestNetEcho(t *testing.T) {
	gateway, laptop := openGateway(t), openLaptop(t, 1)
	apply(t, gateway, Change{Peer: onGateway(laptop, 1)})
	apply(t, laptop, Change{Peer: onLaptop(gateway, 1)})
	received := func() uint64 {
		peers, err := laptop.Peers(t.Context())
		if err != nil || len(peers) != 1 {
			t.Fatalf("%v, %v", peers, err)
		}
		return peers[0].Rx
	}
	comes := func(before uint64) bool {
		for end := time.Now().Add(patience); time.Now().Before(end); {
			if received() > before {
				return true
			}
			time.Sleep(time.Millisecond) // real: a counter tells nobody that it has moved
		}
		return false
	}
	if err := laptop.Net().Echo(gatewayInside); err != nil || !comes(0) { // with it comes the handshake
		t.Fatalf("%v, received %d", err, received())
	}
	for _, to := range []netip.Addr{gatewayInside, gatewayInside6} {
		before := received()
		// A round trip before it, so that nothing of what came before is taken for the answer.
		if err := laptop.Net().Echo(to); err != nil || !comes(before) {
			t.Errorf("%s: %v, nothing came back", to, err)
		}
	}
	if err := laptop.Net().Echo(netip.MustParseAddr("10.80.0.99")); err != nil {
		t.Error(err)
	}
}
