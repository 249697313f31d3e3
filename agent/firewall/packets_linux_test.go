package firewall

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// wire is a TUN device whose other end is the test: what is written arrives on
// it, and what the kernel sends through it is read. The kernel has done with a
// packet when writing it returns, so that nothing has to be waited for.
type wire struct {
	t  *testing.T
	fd int
}

// router is a network namespace that is a gateway: laptops behind hd0, the
// inside network behind in0. It is the calling thread's, and ends with it.
type router struct {
	t               *testing.T
	nft             string
	laptops, inside wire
}

func newRouter(t *testing.T) *router {
	t.Helper()
	testneed.Root(t)
	testneed.File(t, "/dev/net/tun")
	r := &router{t: t, nft: testneed.Program(t, "nft")}
	isolate(t)
	r.run("ip", "link", "set", "lo", "up")
	r.laptops, r.inside = newWire(t, "hd0"), newWire(t, "in0")
	for _, args := range []string{
		"addr add 10.80.0.1/16 dev hd0", "-6 addr add fd80:1::1/48 dev hd0 nodad",
		"addr add 10.1.0.1/16 dev in0", "-6 addr add fd00:1::1/64 dev in0 nodad",
		"link set hd0 up", "link set in0 up", "route add default dev in0", "-6 route add default dev in0",
	} {
		r.run("ip", strings.Fields(args)...)
	}
	for _, name := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		write(t, "/proc/sys/net/"+name, "1")
	}
	for _, name := range []string{"all", "hd0", "in0"} {
		write(t, "/proc/sys/net/ipv4/conf/"+name+"/rp_filter", "0") // what keeps false addresses out is to be us
		write(t, "/proc/sys/net/ipv4/conf/"+name+"/send_redirects", "0")
	}
	return r
}

// isolate moves the calling thread into a network namespace of its own, until
// it ends.
func isolate(t testing.TB) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *router) run(name string, args ...string) string {
	r.t.Helper()
	out, err := exec.Command(testneed.Program(r.t, name), args...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// rules is what the kernel has.
func (r *router) rules() string { return r.run("nft", "list", "ruleset") }

func newWire(t *testing.T, name string) wire {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, unix.Close(fd)) })
	var request struct {
		name  [unix.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], name)
	request.flags = unix.IFF_TUN | unix.IFF_NO_PI
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&request))); errno != 0 {
		t.Fatal(errno)
	}
	return wire{t, fd}
}

func (w wire) send(p []byte) {
	w.t.Helper()
	if _, err := unix.Write(w.fd, p); err != nil && !errors.Is(err, unix.EINVAL) { // what is no packet
		w.t.Fatal(err)
	}
}

// received reads what has come but for what the kernel says by itself: which
// multicast it listens to, and who its neighbours are.
func (w wire) received() (list [][]byte) {
	w.t.Helper()
	b := make([]byte, 1<<16)
	for {
		n, err := unix.Read(w.fd, b)
		if errors.Is(err, unix.EAGAIN) {
			return list
		}
		if err != nil {
			w.t.Fatal(err)
		}
		igmp := b[0]>>4 == 4 && b[9] == unix.IPPROTO_IGMP
		local := b[0]>>4 == 6 && b[24] == 0xff && (b[8] == 0 || b[8] == 0xfe) // from no address, or a link's own
		if !igmp && !local {
			list = append(list, append([]byte(nil), b[:n]...))
		}
	}
}

// flow is a connection of UDP or TCP.
type flow struct {
	protocol byte
	from, to netip.AddrPort
}

func udp(from, to string) flow {
	return flow{unix.IPPROTO_UDP, netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)}
}

func tcp(from, to string) flow {
	return flow{unix.IPPROTO_TCP, netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)}
}

func (f flow) back() flow { return flow{f.protocol, f.to, f.from} }

const (
	syn = 0x02
	ack = 0x10
)

// packet is one of the flow, with flags if it is TCP.
func (f flow) packet(flags ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, f.from.Port())
	b = binary.BigEndian.AppendUint16(b, f.to.Port())
	if f.protocol == unix.IPPROTO_UDP {
		b = append(b, 0, 12, 0, 0, 'm', 'o', 'i', 'n')
		return ip(f.protocol, f.from.Addr(), f.to.Addr(), sum(f, b, 6))
	}
	b = append(b, 0, 0, 0, 1, 0, 0, 0, 1, 5<<4, flags[0], 0xff, 0xff, 0, 0, 0, 0)
	return ip(f.protocol, f.from.Addr(), f.to.Addr(), sum(f, b, 16))
}

// echo is an echo request.
func echo(from, to string) []byte {
	f := flow{unix.IPPROTO_ICMP, netip.AddrPortFrom(netip.MustParseAddr(from), 0), netip.AddrPortFrom(netip.MustParseAddr(to), 0)}
	kind := byte(8)
	if f.from.Addr().Is6() {
		f.protocol, kind = unix.IPPROTO_ICMPV6, 128
	}
	return icmp(f, kind, 0, []byte{0, 0, 0, 7, 0, 1, 'h', 'e', 'i', 'm'})
}

// unreachable is ICMP's word that the port of a packet is closed.
func unreachable(from, to string, about []byte) []byte {
	f := flow{unix.IPPROTO_ICMP, netip.AddrPortFrom(netip.MustParseAddr(from), 0), netip.AddrPortFrom(netip.MustParseAddr(to), 0)}
	kind, code := byte(3), byte(3)
	if f.from.Addr().Is6() {
		f.protocol, kind, code = unix.IPPROTO_ICMPV6, 1, 4
	}
	return icmp(f, kind, code, append([]byte{0, 0, 0, 0, 0, 0}, about...))
}

// icmp is a message; rest begins with room for its checksum.
func icmp(f flow, kind, code byte, rest []byte) []byte {
	return ip(f.protocol, f.from.Addr(), f.to.Addr(), sum(f, append([]byte{kind, code}, rest...), 2))
}

// ip puts a header in front.
func ip(protocol byte, from, to netip.Addr, content []byte) []byte {
	if from.Is6() {
		b := []byte{6 << 4, 0, 0, 0, byte(len(content) >> 8), byte(len(content)), protocol, 64}
		return append(append(append(b, from.AsSlice()...), to.AsSlice()...), content...)
	}
	n := 20 + len(content)
	b := []byte{4<<4 | 5, 0, byte(n >> 8), byte(n), 0, 1, 0, 0, 64, protocol, 0, 0}
	b = append(append(b, from.AsSlice()...), to.AsSlice()...)
	binary.BigEndian.PutUint16(b[10:], ^add(0, b))
	return append(b, content...)
}

// sum puts in the checksum with the pseudo-header (RFC 1071); ICMP of IPv4 has none.
func sum(f flow, b []byte, at int) []byte {
	var total uint16
	if f.protocol != unix.IPPROTO_ICMP {
		total = add(total, f.from.Addr().AsSlice())
		total = add(total, f.to.Addr().AsSlice())
		total = add(total, []byte{0, f.protocol, byte(len(b) >> 8), byte(len(b))})
	}
	binary.BigEndian.PutUint16(b[at:], ^add(total, b))
	return b
}

func add(total uint16, b []byte) uint16 {
	n := uint32(total)
	for i := 0; i < len(b); i += 2 {
		n += uint32(b[i]) << 8
		if i+1 < len(b) {
			n += uint32(b[i+1])
		}
	}
	for n > 0xffff {
		n = n>>16 + n&0xffff
	}
	return uint16(n)
}
