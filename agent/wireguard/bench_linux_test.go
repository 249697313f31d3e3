package wireguard

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// place is a network namespace with a thread that lives in it: a WireGuard socket belongs to the namespace of the
// thread that opened it.
type place struct {
	do  chan func()
	tid int
}

func newPlace(b *testing.B) *place {
	p := &place{do: make(chan func())}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		p.tid = unix.Gettid()
		started <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range p.do {
			f()
		}
	}()
	must(b, <-started)
	b.Cleanup(func() { close(p.do) })
	return p
}

// in runs f in the place.
func in[T any](p *place, f func() (T, error)) (v T, err error) {
	done := make(chan struct{})
	p.do <- func() {
		defer close(done)
		v, err = f()
	}
	<-done
	return v, err
}

func (p *place) run(b *testing.B, f func() error) {
	b.Helper()
	_, err := in(p, func() (struct{}, error) { return struct{}{}, f() })
	must(b, err)
}

// deaf is a TUN device that tells no news: upon some of them wireguard-go opens its socket anew, by whatever thread.
type deaf struct {
	tun.Device
	news chan tun.Event
}

func (d deaf) Events() <-chan tun.Event { return d.news }

func (d deaf) Close() error {
	close(d.news)
	return d.Device.Close()
}

// plain is a device as wireguard-go's own program makes it.
func plain(name string, config string) (io.Closer, error) {
	link, err := tun.CreateTUN(name, 1420)
	if err != nil {
		return nil, err
	}
	d := device.NewDevice(deaf{link, make(chan tun.Event)}, conn.NewDefaultBind(), device.NewLogger(device.LogLevelSilent, ""))
	if err := d.IpcSet(config); err != nil {
		return nil, err
	}
	return closer(d.Close), d.Up()
}

// laptopPortion is what the laptop's agent takes at a time.
const laptopPortion = 32

type closer func()

func (c closer) Close() error { c(); return nil }

// configOf is a device with one peer, in the words of wireguard-go's configuration protocol.
func configOf(own PrivateKey, port int, peer Peer) string {
	var s strings.Builder
	fmt.Fprintf(&s, "private_key=%s\nlisten_port=%d\npublic_key=%s\npreshared_key=%s\n", hex.EncodeToString(own[:]), port, hex.EncodeToString(peer.PublicKey[:]), hex.EncodeToString(peer.PresharedKey[:]))
	for _, prefix := range peer.AllowedIPs {
		fmt.Fprintf(&s, "allowed_ip=%s\n", prefix)
	}
	if peer.Endpoint.IsValid() {
		fmt.Fprintf(&s, "endpoint=%s\n", peer.Endpoint)
	}
	return s.String()
}

// BenchmarkThroughput sends TCP between a laptop and a gateway, through plain wireguard-go on both sides and through our
// device on one of them, seven pairs of each in turn. Both ratios are the medians of the pairs'; that of what came through for
// the processor's time tells more on a machine that does other work.
func BenchmarkThroughput(b *testing.B) {
	testneed.Root(b)
	testneed.File(b, "/dev/net/tun")
	for name, v := range map[string]struct {
		ours way
		down bool
	}{
		"gateway":     {ours: way{gateway: true}},
		"laptop/up":   {ours: way{laptop: true}},
		"laptop/down": {ours: way{laptop: true}, down: true},
	} {
		b.Run(name, func(b *testing.B) {
			w := newWire(b)
			for b.Loop() {
				var ratios, cheaper, ours, plains []float64
				for range 7 {
					p, plainSpent := w.measure(b, way{}, v.down)
					o, oursSpent := w.measure(b, v.ours, v.down)
					ratios, cheaper = append(ratios, o/p), append(cheaper, o/oursSpent*plainSpent/p)
					ours, plains = append(ours, o), append(plains, p)
				}
				for _, list := range [][]float64{ratios, cheaper, ours, plains} {
					slices.Sort(list)
				}
				b.ReportMetric(ratios[3], "ratio")
				b.ReportMetric(cheaper[3], "cpu-ratio")
				b.ReportMetric(ours[3], "Mbit/s")
				b.ReportMetric(plains[3], "plain-Mbit/s")
			}
		})
	}
}

// way says on which sides the device is ours.
type way struct{ gateway, laptop bool }

// wire is a laptop's place and a gateway's, with a cable between them.
type wire struct {
	gateway, laptop     *place
	toLaptop, toGateway Peer
}

func newWire(b *testing.B) *wire {
	w := &wire{
		gateway: newPlace(b), laptop: newPlace(b),
		toLaptop:  Peer{PublicKey: testKey(b, 2).PublicKey(), PresharedKey: psk(1), AllowedIPs: prefixes("10.80.1.1/32")},
		toGateway: Peer{PublicKey: testKey(b, 1).PublicKey(), PresharedKey: psk(1), AllowedIPs: prefixes("10.80.0.0/16"), Endpoint: netip.MustParseAddrPort("192.0.2.1:51820")},
	}
	w.gateway.run(b, func() error {
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "near", MTU: 1500, TxQLen: 1000}, PeerName: "far"}); err != nil {
			return err
		}
		far, err := netlink.LinkByName("far")
		if err != nil {
			return err
		}
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), w.laptop.tid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		address(b, "near", "192.0.2.1/24")
		return netlink.LinkSetNsFd(far, fd)
	})
	w.laptop.run(b, func() error { address(b, "far", "192.0.2.2/24"); return nil })
	return w
}

// openOn opens a device with one peer, plain or ours.
func openOn(b *testing.B, ours bool, key PrivateKey, port uint16, portion int, peer Peer) (io.Closer, error) {
	if !ours {
		return plain("hd0", configOf(key, int(port), peer))
	}
	d, err := Open(context.WithoutCancel(b.Context()), Options{
		Mode: Userspace, Name: "hd0", PrivateKey: key, ListenPort: port, Portion: portion, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	return d, d.Apply(b.Context(), []Change{{Peer: peer}})
}

// measure gives the Mbit/s of one connection from the laptop, up or down, and the share of a core that it took. Both devices are new ones: one would hold on to its
// session with the other's predecessor.
func (w *wire) measure(b *testing.B, ours way, down bool) (mbits, cores float64) {
	listener, err := in(w.gateway, func() (net.Listener, error) {
		d, err := openOn(b, ours.gateway, testKey(b, 1), 51820, 0, w.toLaptop)
		if err != nil {
			return nil, err
		}
		address(b, "hd0", "10.80.0.1/16")
		l, err := net.Listen("tcp", "10.80.0.1:5001")
		return &closesToo{Listener: l, with: d}, err
	})
	must(b, err)
	defer func() { must(b, listener.Close()) }()
	far, err := in(w.laptop, func() (io.Closer, error) {
		d, err := openOn(b, ours.laptop, testKey(b, 2), 0, laptopPortion, w.toGateway)
		if err == nil {
			address(b, "hd0", "10.80.1.1/16")
		}
		return d, err
	})
	must(b, err)
	defer func() { must(b, far.Close()) }()

	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			close(accepted)
			return
		}
		accepted <- conn
	}()
	from, err := in(w.laptop, func() (net.Conn, error) { return net.DialTimeout("tcp", "10.80.0.1:5001", 10*time.Second) })
	must(b, err)
	to, ok := <-accepted
	if !ok {
		b.Fatal("nobody answered the laptop")
	}
	if down {
		from, to = to, from
	}
	before, began := processor(b), time.Now()
	mbits = sent(b, from, to)
	return mbits, (processor(b) - before).Seconds() / time.Since(began).Seconds()
}

// closesToo closes what stands behind a listener with it.
type closesToo struct {
	net.Listener
	with io.Closer
}

func (c *closesToo) Close() error {
	_ = c.Listener.Close()
	return c.with.Close()
}

// sent gives how many Mbit/s come through within a second and a half. It closes both ends.
func sent(b *testing.B, from, to net.Conn) float64 {
	b.Helper()
	received := make(chan float64, 1)
	go func() {
		defer func() { _ = to.Close() }()
		buffer := make([]byte, 1<<16)
		start, total := time.Now(), 0
		for {
			n, err := to.Read(buffer)
			total += n
			if err != nil {
				break
			}
		}
		received <- float64(total) * 8 / time.Since(start).Seconds() / 1e6
	}()
	block := make([]byte, 1<<16)
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); {
		if _, err := from.Write(block); err != nil {
			b.Fatal(err)
		}
	}
	must(b, from.Close())
	return <-received
}

// BenchmarkObserve reads what 10,000 peers did, all of which moved since. A gateway does so each 30 s, and never more
// often than 300 times as long as it takes.
func BenchmarkObserve(b *testing.B) {
	const peers = 10_000
	d, err := Open(b.Context(), Options{Mode: Netstack, PrivateKey: testKey(b, 1), Addresses: []netip.Addr{netip.MustParseAddr("10.80.0.1")}, SmallFootprint: true})
	must(b, err)
	defer func() { must(b, d.Close()) }()
	changes := make([]Change, peers)
	for i := range changes {
		key := testKey(b, 3)
		key[1], key[2] = byte(i), byte(i>>8)
		changes[i].Peer = Peer{PublicKey: key.PublicKey(), AllowedIPs: prefixes(fmt.Sprintf("10.81.%d.%d/32", i/250, 1+i%250))}
	}
	must(b, d.Apply(b.Context(), changes))
	var observer Observer
	rx, before := uint64(0), processor(b)
	for b.Loop() {
		dump, err := d.Peers(b.Context())
		must(b, err)
		rx += 148
		for i := range dump {
			dump[i].Rx = rx
		}
		if n := len(observer.Observe(dump)); n != peers {
			b.Fatalf("%d of %d peers", n, peers)
		}
	}
	spent := (processor(b) - before) / time.Duration(b.N)
	b.ReportMetric(float64(spent.Microseconds())/1000, "cpu-ms/op")
	b.ReportMetric(100*spent.Seconds()/30, "%core")
}

// processor is the time that this process has had of it.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	must(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
