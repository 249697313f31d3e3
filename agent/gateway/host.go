package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/heimdraht/heimdraht/agent/firewall"
	"github.com/heimdraht/heimdraht/agent/hostnet"
	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// Host opens an interface that the host's programs and networks can use. It
// needs root's rights, or CAP_NET_ADMIN.
type Host struct {
	// Interface is the name, "hd0".
	Interface string
	// Mode zero: the kernel's WireGuard if there is one, else the embedded.
	Mode wireguard.Mode
	// Logger nil: slog.Default.
	Logger *slog.Logger
}

// Open is a value for Options.Open.
func (h Host) Open(ctx context.Context, setup Setup) (Device, error) {
	network, err := hostnet.Open(hostnet.Options{Logger: h.Logger})
	if err != nil {
		return nil, fmt.Errorf("preparing the host's network: %w", err)
	}
	device, err := wireguard.Open(ctx, wireguard.Options{
		Mode: h.Mode, Name: h.Interface, PrivateKey: setup.PrivateKey,
		ListenPort: setup.ListenPort, MTU: setup.MTU, Logger: h.Logger,
	})
	if err != nil {
		return nil, err
	}
	disturbed := setup.Disturbed
	if disturbed == nil {
		disturbed = func() {}
	}
	filter, err := firewall.Open(disturbed)
	if err != nil {
		return nil, errors.Join(err, device.Close())
	}
	return &hostDevice{Device: device, network: network, filter: filter}, nil
}

// hostDevice is an interface with its place on the host.
type hostDevice struct {
	*wireguard.Device
	network *hostnet.Host
	filter  *firewall.Filter
}

// Configure implements Device. Addresses carry the length of the aggregate, so
// that the host routes it to the interface. Nothing is forwarded before the
// filter stands, and without it nobody is let in.
func (d *hostDevice) Configure(ctx context.Context, setup Setup) error {
	if err := d.filter.Configure(firewall.Setup{
		Interface: d.Name(), Addresses: setup.Addresses, Masquerade: setup.Masquerade, Inside: setup.Inside,
	}); err != nil {
		return err
	}
	return d.network.Set(ctx, hostnet.Config{
		Interface: d.Name(), Addresses: setup.Addresses, MTU: setup.MTU, Forward: true,
	})
}

// Filter implements Device.
func (d *hostDevice) Filter() Filter { return d.filter }

// Facts implements Device.
func (d *hostDevice) Facts() Facts { return factsOf(d.Device) }

// Clear takes away what a gateway has left on the host: the kernel's interface and the packet filter. That there is nothing
// is no error. Forwarding stays on, as after Close.
func (h Host) Clear() error {
	err := wireguard.RemoveKernel(h.Interface)
	// A host that has no packet filter to ask has no table.
	if clearing := firewall.Clear(); errors.Is(clearing, fs.ErrPermission) {
		err = errors.Join(err, clearing)
	}
	if err != nil {
		return fmt.Errorf("taking away what the gateway has left: %w", err)
	}
	return nil
}

// Leave implements Device.
func (d *hostDevice) Leave() error {
	if d.Mode() != wireguard.Kernel {
		return d.Close()
	}
	return errors.Join(d.Device.Leave(), d.filter.Leave())
}

// Close implements Device.
func (d *hostDevice) Close() error {
	return errors.Join(d.network.Clear(context.Background()), d.Device.Close(), d.filter.Close())
}
