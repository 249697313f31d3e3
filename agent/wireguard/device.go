package wireguard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
)

// Mode says where the tunnel's packets are encrypted.
type Mode int

const (
	// Auto is Kernel where the kernel can, else Userspace. It is never Netstack: programs on the host would
	// not notice that they are not connected.
	Auto Mode = iota
	// Kernel is the kernel's own WireGuard. Linux only.
	Kernel
	// Userspace is wireguard-go in this process on a TUN device, which the host's programs can use. Needs
	// the same rights as Kernel.
	Userspace
	// Netstack is wireguard-go with a network stack in this process, which only this process can use,
	// through Device.Net. Needs no rights.
	Netstack
)

// String names the mode for people.
func (m Mode) String() string {
	switch m {
	case Auto:
		return "auto"
	case Kernel:
		return "kernel"
	case Userspace:
		return "userspace"
	case Netstack:
		return "netstack"
	}
	return fmt.Sprintf("mode %d", int(m))
}

// ErrNameTaken says that there is an interface of that name which is somebody
// else's. It has not been touched.
var ErrNameTaken = errors.New("there is another interface of that name already")

// ErrKernelUnsupported says that this system has no WireGuard in its kernel, or may not load it.
var ErrKernelUnsupported = errors.New("the kernel has no WireGuard")

// ErrNoNetstack says that this program was built without a network stack (build tag nonetstack).
var ErrNoNetstack = errors.New("this program has no network stack")

// defaultMTU leaves room for WireGuard's 60 to 80 bytes in a packet of 1,500, over IPv6 too.
const defaultMTU = 1420

// Options say which device to open.
type Options struct {
	// Mode zero: Auto.
	Mode Mode
	// Name of the interface, for example hd0. Not used by Netstack. On macOS the system chooses another one.
	Name string
	// PrivateKey of the device. Required.
	PrivateKey PrivateKey
	// ListenPort is the UDP port. Zero: any free one.
	ListenPort uint16
	// MTU in bytes. Zero: 1420.
	MTU int
	// FirewallMark is put on the encrypted packets, so that a full tunnel's routes can let them past. Zero:
	// none. Kernel and Userspace only.
	FirewallMark uint32

	// Addresses are the addresses inside the tunnel that a Netstack device answers to; several are allowed.
	// On other devices they are the host's: package hostnet.
	Addresses []netip.Addr
	// NameServers are the servers inside the tunnel that a Netstack device asks for names. None: it can
	// dial addresses only.
	NameServers []netip.Addr
	// Foreign is given the TCP connections of peers to addresses that are not a Netstack device's own, so that a
	// gateway can stand for everything behind it. Nil: they are refused. With it, the device cannot dial its
	// own addresses.
	Foreign Handler
	// Source is the local address of the UDP socket. Zero: all of them. Not for Kernel. Load tests give
	// each device its own address from 127.0.0.0/8, because WireGuard under load limits the handshakes of
	// each source address.
	Source netip.Addr
	// SmallFootprint handles one packet at a time, which takes 175 KB a device instead of 25 MB and makes
	// it slower. Not for Kernel.
	SmallFootprint bool
	// Portion is how many packets a Userspace device on Linux takes at a time, each of which keeps 64 KB three times over.
	// Zero: as many as the kernel hands over, 128, which suits a gateway. Elsewhere it is one anyway.
	Portion int

	// Logger zero: slog.Default. Handshakes and packets are not logged at any level: that would be a record
	// of people's working hours.
	Logger *slog.Logger
}

// withDefaults fills in what may be left out and says what is wrong.
func (o Options) withDefaults() (Options, error) {
	if o.PrivateKey.IsZero() {
		return o, errors.New("a device needs a private key")
	}
	if o.Mode < Auto || o.Mode > Netstack {
		return o, fmt.Errorf("there is no %v", o.Mode)
	}
	if o.Name == "" && o.Mode != Netstack {
		return o, errors.New("an interface needs a name")
	}
	if o.MTU == 0 {
		o.MTU = defaultMTU
	}
	if o.MTU < 576 || o.MTU > 65535 {
		return o, fmt.Errorf("an MTU of %d bytes is not between 576 and 65,535", o.MTU)
	}
	ownSocket := o.SmallFootprint || o.Source.IsValid()
	if o.FirewallMark != 0 && (o.Mode == Netstack || ownSocket) {
		return o, errors.New("a firewall mark needs a device in the kernel or on a TUN, with the usual socket")
	}
	if ownSocket && (o.Mode == Kernel || o.Mode == Auto) {
		return o, errors.New("a source address and a small footprint are for the modes userspace and netstack, chosen by name")
	}
	if o.Portion < 0 {
		return o, fmt.Errorf("packets cannot be taken %d at a time", o.Portion)
	}
	if (len(o.Addresses)+len(o.NameServers) > 0 || o.Foreign != nil) && o.Mode != Netstack {
		return o, errors.New("addresses, name servers and foreign connections are the host's, except in mode netstack")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, nil
}

// Handler is given a connection that a peer opened to an address which is not the device's own. It runs in a
// goroutine of its own and owns the connection.
type Handler func(conn net.Conn, to netip.AddrPort)

// backend is one way to have WireGuard. Its methods are called one at a time.
type backend interface {
	// configure applies the changes in order, in one call to WireGuard. After an error some may be applied.
	configure(changes []Change) error
	// dump returns all peers.
	dump() ([]PeerStatus, error)
	// limits are the most peers, and the most allowed IPs over all of them, in one call.
	limits() (peers, allowedIPs int)
	// done is closed when the device has stopped for good.
	done() <-chan struct{}
	// close stops the device and takes its interface away.
	close() error
	// leave lets go of the device, and leaves interface and peers where the system carries them by itself; elsewhere it
	// is close.
	leave() error
}

// facts are what a backend knows once it is open.
type facts struct {
	mode       Mode
	name       string
	listenPort uint16
	net        *Net
}

// Device is an open WireGuard interface. All methods are safe for concurrent use.
type Device struct {
	facts
	publicKey Key
	log       *slog.Logger

	mu      sync.Mutex // one call to WireGuard at a time: the kernel's dumps come back short otherwise
	backend backend
	table   *addressTable
	closed  bool
}

// Open makes the interface, brings it up and listens. An interface of that name which a killed process left
// in the kernel is taken over with its peers, so that their traffic goes on; Peers tells which they are.
//
// The error wraps ErrKernelUnsupported if only Kernel would do and there is none, fs.ErrPermission if the
// process may not make interfaces.
func Open(ctx context.Context, options Options) (*Device, error) {
	o, err := options.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("opening a WireGuard device: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("opening a WireGuard device: %w", err)
	}
	b, known, err := openBackend(o)
	if err != nil {
		what := "interface " + o.Name
		if o.Mode == Netstack {
			what = "device in this process"
		}
		return nil, fmt.Errorf("opening the WireGuard %s: %w", what, err)
	}
	d := &Device{facts: known, publicKey: o.PrivateKey.PublicKey(), log: o.Logger, backend: b, table: newAddressTable()}
	inherited, err := b.dump()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading the peers of %s: %w", d.name, err), b.close())
	}
	for _, peer := range inherited {
		d.table.inherit(peer.Peer)
	}
	if len(inherited) > 0 {
		o.Logger.Info("took over a WireGuard interface with its peers", "interface", d.name, "peers", len(inherited))
	}
	return d, nil
}

// openBackend opens the way that the mode asks for.
func openBackend(o Options) (backend, facts, error) {
	switch o.Mode {
	case Netstack:
		return openNetstack(o)
	case Userspace:
		return openUserspace(o)
	case Kernel:
		return openKernel(o)
	}
	b, known, err := openKernel(o)
	if !errors.Is(err, ErrKernelUnsupported) {
		return b, known, err
	}
	o.Logger.Info("no WireGuard in the kernel: using a TUN device", "interface", o.Name, "reason", err)
	return openUserspace(o)
}

// PublicKey returns the device's own public key.
func (d *Device) PublicKey() Key { return d.publicKey }

// ListenPort returns the UDP port that the device listens on.
func (d *Device) ListenPort() uint16 { return d.listenPort }

// Name returns the interface's name, which is empty for Netstack.
func (d *Device) Name() string { return d.name }

// Mode returns Kernel, Userspace or Netstack.
func (d *Device) Mode() Mode { return d.mode }

// Net returns the network inside the tunnel, or nil if the device is not in mode Netstack.
func (d *Device) Net() *Net { return d.net }

// Done returns a channel that is closed when the device has stopped: after Close, or because its interface
// was taken away by somebody else. The kernel does not tell of the latter; Apply and Peers fail then.
func (d *Device) Done() <-chan struct{} { return d.backend.done() }

// Peers returns all peers. With 29,000 it takes 0.1 s and a removal waits that long: leave pauses. A peer
// that is missing from one dump is not certain to be gone.
func (d *Device) Peers(ctx context.Context) ([]PeerStatus, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.usable(ctx); err != nil {
		return nil, fmt.Errorf("reading the WireGuard peers: %w", err)
	}
	dump, err := d.backend.dump()
	if err != nil {
		return nil, fmt.Errorf("reading the WireGuard peers: %w", err)
	}
	return dump, nil
}

// usable says why the device cannot be used: the context is over, or the device closed (net.ErrClosed).
func (d *Device) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.closed {
		return net.ErrClosed
	}
	select {
	case <-d.backend.done():
		return net.ErrClosed
	default:
		return nil
	}
}

// LeaveBy has the encrypted packets to a gateway leave by the interface of that number, on Windows and macOS, which
// have no firewall marks: those to other addresses of its family leave by it too. Other systems are content with the
// mark.
func (d *Device) LeaveBy(gateway netip.Addr, index uint32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	bound, ok := d.backend.(interface {
		leaveBy(ipv4 bool, index uint32) error
	})
	if d.closed || !ok {
		return nil
	}
	if err := bound.leaveBy(gateway.Unmap().Is4(), index); err != nil {
		return fmt.Errorf("leading encrypted packets by interface %d: %w", index, err)
	}
	return nil
}

// Close stops the device and removes its interface, and with it all its traffic. It may be called more than
// once.
func (d *Device) Close() error {
	return d.end("closing the WireGuard device", func() error { return d.backend.close() })
}

// Leave lets go of the device as Close does, but a Kernel device stays with its peers and goes on carrying their traffic,
// for the next Open to take over. Somebody must: nobody looks after it until then.
func (d *Device) Leave() error {
	return d.end("leaving the WireGuard device", func() error { return d.backend.leave() })
}

func (d *Device) end(what string, how func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	if err := how(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
