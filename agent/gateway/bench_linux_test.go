package gateway

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/agent/firewall"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/internal/testneed"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// full is a gateway with sessions on a real interface, held by a real packet
// filter.
func full(b *testing.B, sessions int) *Gateway {
	b.Helper()
	testneed.Root(b)
	testneed.File(b, "/dev/net/tun")
	runtime.LockOSThread() // the network ends with the benchmark's thread
	check(b, unix.Unshare(unix.CLONE_NEWNET))
	private, err := wireguard.GeneratePrivateKey()
	check(b, err)
	setup := Setup{PrivateKey: private, MTU: 1420, Addresses: []netip.Prefix{netip.MustParsePrefix("10.80.0.1/16"), netip.MustParsePrefix("fd80:1::1/48")}}
	device, err := Host{Interface: "hd0", Mode: wireguard.Userspace}.Open(b.Context(), setup)
	check(b, err)
	b.Cleanup(func() { check(b, device.Close()) })
	check(b, device.Configure(b.Context(), setup))
	g := &Gateway{
		log: slog.New(slog.DiscardHandler), wakeInstaller: make(chan struct{}, 1), wakeSender: make(chan struct{}, 1), journal: nothing{},
		book: book{
			wanted: newWanted(), pending: newPending(), installed: make(map[wireguard.Key]installed),
			movedEndpoints: make(map[string]struct{}), traces: make(map[string]wireguard.Key),
		},
	}
	g.confirmed, g.readings, g.blocked = make(map[string]struct{}), make(map[string]reading), make(map[wireguard.Key]struct{})
	g.opened(device, setup, nil)
	g.waitForgetting(b) // what was before: until then nobody new has an address
	for n := range sessions {
		g.wanted.put(benchSession(n))
	}
	g.touchAll()
	g.settleRounds(b)
	if len(g.installed) != sessions {
		b.Fatalf("%d peers of %d", len(g.installed), sessions)
	}
	return g
}

func benchSession(n int) *session {
	p := peer(n, n)
	good, bad := parsePeers([]*heimdrahtv1.Peer{p}, nil)
	if len(bad) > 0 {
		panic(bad[0].why)
	}
	good[0].access = &firewall.List{Name: fmt.Sprint("stadt-", n%10), Targets: []firewall.Target{{Prefix: netip.MustParsePrefix("10.1.0.0/16")}}}
	return good[0]
}

func (g *Gateway) settleRounds(b *testing.B) {
	b.Helper()
	for more := true; more; {
		var err error
		more, err = g.round(b.Context())
		check(b, err)
	}
}

// nothing is a journal that keeps nothing.
type nothing struct{}

func (nothing) Append(...[]byte) error         { return nil }
func (nothing) Compact(iter.Seq[[]byte]) error { return nil }
func (nothing) Size() int64                    { return 0 }
func (nothing) Close() error                   { return nil }

// BenchmarkChange is a session that opens, gets another access list, and ends,
// beside others: device and packet filter.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("sessions=%d", n), func(b *testing.B) {
			g := full(b, n)
			step := func(keys []wireguard.Key) {
				g.pending.touch(keys, g.loses)
				g.settleRounds(b)
			}
			measured(b, func() {
				step(g.wanted.put(benchSession(20_000)))
				other := benchSession(20_000)
				other.access = benchSession(20_001).access
				step(g.wanted.put(other))
				step(g.wanted.drop(other.id))
			})
		})
	}
}

// BenchmarkReconcile is what a gateway on which nothing has changed costs: the
// look at its device and filter every half minute, and the whole state held
// against them, as after a lost connection.
func BenchmarkReconcile(b *testing.B) {
	g := full(b, 10_000)
	for name, do := range map[string]func(){
		"pass":  func() { g.observe(context.Background(), true); g.restoreFilter(); g.settleRounds(b) },
		"whole": func() { g.touchAll(); g.settleRounds(b) },
	} {
		b.Run("peers=10000/"+name, func(b *testing.B) {
			measured(b, do)
		})
	}
}

// BenchmarkHandover is an address that goes from one session to another on a gateway whose kernel remembers many connections:
// until the one is gone and can be acknowledged, and until the other is there.
func BenchmarkHandover(b *testing.B) {
	for _, connections := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			g := full(b, 1_000)
			connect(b, connections)
			var gone, there time.Duration
			holder, heir := benchSession(20_000), benchSession(20_001)
			heir.peer.AllowedIPs = holder.peer.AllowedIPs
			g.pending.touch(g.wanted.put(holder), g.loses)
			g.settleRounds(b)
			for b.Loop() {
				began := time.Now()
				g.gone, g.again = nil, time.Time{}
				keys := g.wanted.drop(holder.id)
				g.removed([]string{holder.id}, false)
				g.pending.touch(append(keys, g.wanted.put(heir)...), g.loses)
				g.settleRounds(b)
				if len(g.gone) != 1 {
					b.Fatal("the removal waits")
				}
				gone += time.Since(began)
				g.waitForgetting(b)
				g.settleRounds(b)
				if g.installed[heir.peer.PublicKey].session != heir.id {
					b.Fatal("the heir is not there")
				}
				there += time.Since(began)
				holder, heir = heir, holder
			}
			b.ReportMetric(gone.Seconds()*1000/float64(b.N), "gone-ms/op")
			b.ReportMetric(there.Seconds()*1000/float64(b.N), "there-ms/op")
		})
	}
}

// waitForgetting has connections ended.
func (g *Gateway) waitForgetting(b *testing.B) {
	b.Helper()
	g.forget(b.Context(), time.Now(), false)
	for g.running != nil {
		<-g.wakeInstaller
		g.forgotten()
	}
	if g.inheritProblem != nil {
		b.Fatal(g.inheritProblem)
	}
}

// connect has the kernel remember connections: of this network to itself.
func connect(b *testing.B, n int) {
	b.Helper()
	link, err := netlink.LinkByName("lo")
	check(b, err)
	check(b, netlink.LinkSetUp(link))
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	check(b, err)
	for i := range n {
		to := &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, byte(1 + i>>16), byte(i >> 8), byte(i)}}
		// Nobody answers there, which the next call is told.
		if err := unix.Sendto(fd, []byte{0}, 0, to); err != nil && !errors.Is(err, unix.ECONNREFUSED) {
			b.Fatal(err)
		}
	}
	check(b, unix.Close(fd))
	count, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count")
	check(b, err)
	if remembered, err := strconv.Atoi(strings.TrimSpace(string(count))); err != nil || remembered < n/2 {
		b.Fatalf("%d connections remembered, of %d: %v", remembered, n, err)
	}
}

// measured tells the processor's time too: on a machine with other work the other
// one says little.
func measured(b *testing.B, do func()) {
	b.Helper()
	runtime.GC() // of what making the peers has left
	before := processorTime(b)
	for b.Loop() {
		do()
	}
	b.ReportMetric(float64((processorTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
