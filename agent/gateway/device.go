package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/heimdraht/heimdraht/agent/firewall"
	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// Setup is what the device must be like.
type Setup struct {
	PrivateKey wireguard.PrivateKey
	// ListenPort is the UDP port. Zero: any free one.
	ListenPort uint16
	// MTU in bytes, never zero.
	MTU int
	// Addresses are the gateway's own inside the tunnels, with the length of
	// the aggregate that is routed to the interface.
	Addresses []netip.Prefix
	// Masquerade hides the laptops behind the gateway's own address.
	Masquerade bool
	// Inside are the networks of all tenants.
	Inside []netip.Prefix
	// Disturbed is called when the device's Filter may have been lost. It does
	// not block.
	Disturbed func()
}

// sameDevice says whether the device can stay open; the rest is configured on
// it while tunnels go on.
func (s Setup) sameDevice(t Setup) bool {
	return s.PrivateKey == t.PrivateKey && s.ListenPort == t.ListenPort && s.MTU == t.MTU
}

func (s Setup) equal(t Setup) bool {
	return s.sameDevice(t) && s.Masquerade == t.Masquerade && slices.Equal(s.Addresses, t.Addresses) && slices.Equal(s.Inside, t.Inside)
}

// Device is what carries the tunnels. Apply and Peers are those of
// wireguard.Device. All methods are called from one goroutine.
type Device interface {
	Apply(ctx context.Context, changes []wireguard.Change) error
	Peers(ctx context.Context) ([]wireguard.PeerStatus, error)
	// Configure brings everything but key, port and MTU to what the setup says.
	// Idempotent, and called once before the first Apply, after the Filter was told of the sessions that it begins with.
	Configure(ctx context.Context, setup Setup) error
	// Filter is what holds sessions to what they may reach. Nil: the device has
	// none, and leads nowhere but into this process.
	Filter() Filter
	// Facts are for the status: they do not change while the device is open.
	Facts() Facts
	// Done is closed when the device has stopped by itself or by Close.
	Done() <-chan struct{}
	// Close takes the interface away, and with it all tunnels. Idempotent.
	Close() error
	// Leave is Close, but tunnels that the kernel carries stay, with their addresses and the packet filter, for the next
	// one that opens the device.
	Leave() error
}

// Filter is a firewall.Filter, or one of a test.
type Filter interface {
	Apply(changes []firewall.Change) error
	Inherits(session string, address netip.Addr) bool
	Forget(addresses []netip.Addr) (end func(context.Context) error, err error)
	Forgotten()
	Lost() bool
	Restore() error
}

// Facts are what people want to know of a device.
type Facts struct {
	// Interface is empty for netstack.
	Interface string
	// Mode is "kernel", "userspace" or "netstack".
	Mode       string
	ListenPort uint16
}

// Netstack opens devices that need neither root nor a TUN device: the tunnels
// end in this process. For demonstrations and tests.
type Netstack struct {
	// Listen is the local address of the UDP socket. Zero: all.
	Listen netip.Addr
	// Addresses are answered to besides the gateway's own: hosts "behind" it.
	Addresses []netip.Addr
	// Change may alter the options before the device is opened. Nil: nothing.
	Change func(*wireguard.Options)
	// Opened is given each device, to listen and dial on its Net. Nil: nobody.
	Opened func(*wireguard.Device)
}

// Open is a value for Options.Open.
func (n Netstack) Open(ctx context.Context, setup Setup) (Device, error) {
	options := wireguard.Options{
		Mode: wireguard.Netstack, PrivateKey: setup.PrivateKey, ListenPort: setup.ListenPort, MTU: setup.MTU,
		Source: n.Listen, Addresses: n.inside(setup),
	}
	if n.Change != nil {
		n.Change(&options)
	}
	device, err := wireguard.Open(ctx, options)
	if err != nil {
		return nil, err
	}
	if n.Opened != nil {
		n.Opened(device)
	}
	return &netstackDevice{Device: device, netstack: n}, nil
}

func (n Netstack) inside(setup Setup) []netip.Addr {
	var addresses []netip.Addr
	for _, prefix := range setup.Addresses {
		addresses = append(addresses, prefix.Addr())
	}
	return append(addresses, n.Addresses...)
}

type netstackDevice struct {
	*wireguard.Device
	netstack Netstack
}

// Configure implements Device. There is nothing to masquerade: connections
// into the world are this process's own.
func (d *netstackDevice) Configure(_ context.Context, setup Setup) error {
	if err := d.Net().SetAddresses(d.netstack.inside(setup)); err != nil {
		return fmt.Errorf("setting the inside addresses: %w", err)
	}
	return nil
}

// Filter implements Device.
func (d *netstackDevice) Filter() Filter { return nil }

// Facts implements Device.
func (d *netstackDevice) Facts() Facts { return factsOf(d.Device) }

func factsOf(d *wireguard.Device) Facts {
	return Facts{Interface: d.Name(), Mode: d.Mode().String(), ListenPort: d.ListenPort()}
}
