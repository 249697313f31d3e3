package hostnet

import (
	"net/netip"
	"testing"

	"golang.org/x/net/icmp"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// The kernel answers an echo request to its own addresses, in both families.
func TestEcho(t *testing.T) {
	testneed.Root(t)
	for _, c := range []struct{ to, network string }{{"127.0.0.1", "ip4:icmp"}, {"::1", "ip6:ipv6-icmp"}} {
		t.Run(c.to, func(t *testing.T) {
			to := netip.MustParseAddr(c.to)
			listener, err := icmp.ListenPacket(c.network, c.to)
			if err != nil {
				testneed.Missing(t, "no "+c.to+": "+err.Error())
			}
			t.Cleanup(func() {
				if err := listener.Close(); err != nil {
					t.Error(err)
				}
			})
			if err := Echo(to); err != nil {
				t.Fatal(err)
			}
			for request, answer := false, false; !request || !answer; {
				b := make([]byte, 1500)
				n, _, err := listener.ReadFrom(b)
				if err != nil {
					t.Fatal(err)
				}
				switch b[:n][0] {
				case 8, 128:
					request = true
				case 0, 129:
					answer = true
				}
			}
		})
	}
}
