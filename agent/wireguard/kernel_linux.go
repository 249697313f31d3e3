package wireguard

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

const (
	// kernelPeers and kernelAllowedIPs are the most in one call. Above either, wgctrl sends one message a
	// peer, which is twice as slow and, worse, loses the preshared key of a peer that is removed and added
	// again in the same call.
	kernelPeers      = 32
	kernelAllowedIPs = 256

	// linkAlias tells our interfaces from those that somebody else has called the same.
	linkAlias = "heimdraht"
)

// kernelDevice is the kernel's WireGuard. The process is the only one that changes it.
type kernelDevice struct {
	name    string
	client  *wgctrl.Client
	stopped chan struct{}
}

// openKernel makes the interface, or takes over one that a killed process left.
func openKernel(o Options) (backend, facts, error) {
	// The link comes first: making it loads the kernel's module, and wgctrl looks for WireGuard only when it
	// is made itself.
	made, err := ensureLink(o)
	var k *kernelDevice
	var port uint16
	if err == nil {
		k, port, err = startKernel(o)
	}
	if err != nil {
		if made {
			err = errors.Join(err, removeLink(o.Name))
		}
		return nil, facts{}, err
	}
	return k, facts{mode: Kernel, name: o.Name, listenPort: port}, nil
}

// ensureLink makes the link and says whether it did, or finds it. One that somebody else has made is not touched.
func ensureLink(o Options) (made bool, err error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = o.Name, o.MTU
	link := netlink.Link(&netlink.Wireguard{LinkAttrs: attrs})
	switch err := netlink.LinkAdd(link); {
	case err == nil:
		return true, mark(link) // which the kernel does not take while it makes one
	case errors.Is(err, unix.EOPNOTSUPP):
		return false, fmt.Errorf("%w: %w", ErrKernelUnsupported, err)
	case !errors.Is(err, unix.EEXIST):
		return false, fmt.Errorf("making the interface: %w", err)
	}
	if link, err = netlink.LinkByName(o.Name); err != nil {
		return false, fmt.Errorf("finding the interface: %w", err)
	}
	if err := ours(link, o); err != nil {
		return false, err
	}
	if err := netlink.LinkSetMTU(link, o.MTU); err != nil {
		return false, fmt.Errorf("setting the MTU: %w", err)
	}
	return false, nil
}

// ours refuses a link that is there and somebody else's.
func ours(link netlink.Link, o Options) error {
	switch {
	case link.Type() != "wireguard":
		return fmt.Errorf("%w: %s is of type %s", ErrNameTaken, o.Name, link.Type())
	case link.Attrs().Alias == linkAlias:
		return nil
	}
	client, err := wgctrl.New()
	if err != nil {
		return fmt.Errorf("reaching the kernel's WireGuard: %w", err)
	}
	device, err := client.Device(o.Name)
	if err = errors.Join(err, client.Close()); err != nil {
		return fmt.Errorf("looking whose the interface %s is: %w", o.Name, err)
	}
	if Key(device.PublicKey) != o.PrivateKey.PublicKey() { // ours, if a version made it that had no mark
		return fmt.Errorf("%w: %s has another key", ErrNameTaken, o.Name)
	}
	return mark(link)
}

func mark(link netlink.Link) error {
	if err := netlink.LinkSetAlias(link, linkAlias); err != nil {
		return fmt.Errorf("marking the interface: %w", err)
	}
	return nil
}

// startKernel configures the device itself and switches the link on.
func startKernel(o Options) (*kernelDevice, uint16, error) {
	client, err := wgctrl.New()
	if err != nil {
		return nil, 0, fmt.Errorf("reaching the kernel's WireGuard: %w", err)
	}
	k := &kernelDevice{name: o.Name, client: client, stopped: make(chan struct{})}
	private, port, mark := wgtypes.Key(o.PrivateKey), int(o.ListenPort), int(o.FirewallMark)
	config := wgtypes.Config{PrivateKey: &private, FirewallMark: &mark}
	if o.ListenPort != 0 {
		config.ListenPort = &port
	}
	err = client.ConfigureDevice(o.Name, config)
	if err == nil {
		err = linkUp(o.Name)
	}
	var device *wgtypes.Device
	if err == nil {
		device, err = client.Device(o.Name)
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("configuring the interface: %w", err), client.Close())
	}
	return k, uint16(device.ListenPort), nil
}

// removeLink deletes the interface. That it is gone already is what was wanted.
func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding the interface %s: %w", name, err)
	}
	if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("removing the interface %s: %w", name, err)
	}
	return nil
}

func (k *kernelDevice) configure(changes []Change) error {
	// Peers only: a call that also sets a field of the device, such as the mark, makes the kernel walk over
	// all peers.
	config := wgtypes.Config{Peers: make([]wgtypes.PeerConfig, len(changes))}
	for i, change := range changes {
		config.Peers[i] = kernelPeer(change)
	}
	if err := k.client.ConfigureDevice(k.name, config); err != nil {
		return fmt.Errorf("configuring %s: %w", k.name, err)
	}
	return nil
}

// kernelPeer translates a change for wgctrl.
func kernelPeer(change Change) wgtypes.PeerConfig {
	peer := change.Peer
	if change.Remove {
		// UpdateOnly keeps the kernel from making a peer that is absent, only to remove it.
		return wgtypes.PeerConfig{PublicKey: wgtypes.Key(peer.PublicKey), Remove: true, UpdateOnly: true}
	}
	preshared, keepalive := wgtypes.Key(peer.PresharedKey), peer.Keepalive
	config := wgtypes.PeerConfig{
		PublicKey: wgtypes.Key(peer.PublicKey), PresharedKey: &preshared, PersistentKeepaliveInterval: &keepalive,
	}
	if peer.Endpoint.IsValid() {
		config.Endpoint = net.UDPAddrFromAddrPort(unmapped(peer.Endpoint))
	}
	if change.KeepAllowedIPs {
		return config
	}
	config.ReplaceAllowedIPs = true
	config.AllowedIPs = make([]net.IPNet, len(peer.AllowedIPs))
	for i, prefix := range peer.AllowedIPs {
		config.AllowedIPs[i] = net.IPNet{
			IP:   prefix.Addr().AsSlice(),
			Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
		}
	}
	return config
}

func (k *kernelDevice) dump() ([]PeerStatus, error) {
	device, err := k.client.Device(k.name)
	if err != nil {
		return nil, fmt.Errorf("asking the kernel for the peers of %s: %w", k.name, err)
	}
	peers := make([]PeerStatus, len(device.Peers))
	for i := range device.Peers {
		peers[i] = kernelStatus(&device.Peers[i])
	}
	return peers, nil
}

// kernelStatus translates a peer from wgctrl.
func kernelStatus(peer *wgtypes.Peer) PeerStatus {
	status := PeerStatus{
		Peer: Peer{
			PublicKey: Key(peer.PublicKey), PresharedKey: PresharedKey(peer.PresharedKey),
			Keepalive: peer.PersistentKeepaliveInterval.Truncate(time.Second),
		},
		LastHandshake: peer.LastHandshakeTime,
		Rx:            uint64(max(0, peer.ReceiveBytes)), Tx: uint64(max(0, peer.TransmitBytes)),
	}
	if peer.Endpoint != nil {
		status.Endpoint = unmapped(peer.Endpoint.AddrPort())
	}
	for _, allowed := range peer.AllowedIPs {
		addr, ok := netip.AddrFromSlice(allowed.IP)
		ones, bits := allowed.Mask.Size()
		if !ok || bits == 0 {
			continue
		}
		if bits == 32 {
			addr = addr.Unmap()
		}
		status.AllowedIPs = append(status.AllowedIPs, netip.PrefixFrom(addr, ones))
	}
	return status
}

func (k *kernelDevice) limits() (peers, allowedIPs int) { return kernelPeers, kernelAllowedIPs }

func (k *kernelDevice) done() <-chan struct{} { return k.stopped }

func (k *kernelDevice) close() error { return errors.Join(removeLink(k.name), k.leave()) }

func (k *kernelDevice) leave() error {
	close(k.stopped)
	if err := k.client.Close(); err != nil {
		return fmt.Errorf("closing the connection to the kernel: %w", err)
	}
	return nil
}

// RemoveKernel takes away the kernel's WireGuard interface of that name, which a process has left. One that is somebody
// else's, or none, is left alone.
func RemoveKernel(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding the interface %s: %w", name, err)
	}
	if link.Type() != "wireguard" || link.Attrs().Alias != linkAlias {
		return nil
	}
	return removeLink(name)
}
