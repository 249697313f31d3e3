package hostnet

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
)

// FirewallMark is what the tunnel's own encrypted packets must carry (wireguard.Options.FirewallMark), and what
// Around puts on others that go around it. It is also the number of the routing table; both are wg-quick's,
// which administrators know, and wg-quick looks for other numbers by itself where these are taken.
const FirewallMark = 51820

// Options say where the host keeps things. The zero value is the usual host, without a journal.
type Options struct {
	// StateDir holds the journal: what was changed, and the former resolv.conf. It must exist. Empty: nothing is
	// remembered beyond this process, and resolv.conf is not touched.
	StateDir string
	// ResolvConf zero: /etc/resolv.conf.
	ResolvConf string
	// Resolvconf is the program resolvconf. Zero: /sbin/resolvconf or /usr/sbin/resolvconf, if there is one.
	Resolvconf string
	// Bus is the address of the D-Bus system bus. Zero: the usual one.
	Bus string
	// Logger zero: slog.Default.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.ResolvConf == "" {
		o.ResolvConf = "/etc/resolv.conf"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Config is what one tunnel interface needs of the host.
type Config struct {
	// Interface is the name of the interface, which exists. Required.
	Interface string
	// Addresses of the interface, for example 10.80.0.1/32. Others are taken away from it.
	Addresses []netip.Prefix
	// MTU in bytes. Zero: it stays as it is.
	MTU int
	// Routes are the networks behind the interface. They may cover the addresses of the gateway and of the control
	// plane: packets with the FirewallMark go around the interface. A network that the host itself reaches more
	// precisely stays the host's. Those of a family in which the interface has no address are closed. One
	// interface on a host can have routes or a full tunnel.
	Routes []netip.Prefix
	// FullTunnel sends everything through the interface, except the host's own networks and packets with the
	// FirewallMark.
	FullTunnel bool
	// LocalDenied, with FullTunnel: the host's own networks are reached through the interface too, so mostly not at all. What
	// carries the FirewallMark, getting an address and finding neighbours excepted, nothing leaves or enters elsewhere.
	LocalDenied bool
	// Forward makes the host a router, as gateways are. It is not undone by Clear: others may rely on it by then.
	Forward bool
	// DNS are the name servers to ask. Zero: those of the host stay alone.
	DNS DNS
	// Former is another interface whose tunnel goes on beside this one, for the connections that began in it. Zero: none.
	// It takes a Host that HoldsTwo.
	Former Former
}

// Former is a tunnel into which no connection is led any more. What comes from its addresses still leaves by it. When it is not
// named any more its interface is taken away too, if that is still there: a killed process has left it.
type Former struct {
	// Interface is its name. Empty: there is none.
	Interface string
	// Addresses, Routes and FullTunnel are as they were in the Config of that interface.
	Addresses  []netip.Prefix
	Routes     []netip.Prefix
	FullTunnel bool
}

// DNS says which names are asked of which servers.
type DNS struct {
	// Servers in the order in which to ask them. None: DNS stays as it is.
	Servers []netip.Addr
	// Domains are the ones to ask of these servers, and to search for short names. None: all names.
	//
	// systemd-resolved, Windows and macOS can ask different servers for different domains. Where there is only a
	// resolv.conf, all names are asked of these servers first, and of the host's former ones only if these do not
	// answer.
	Domains []string
}

func (c Config) validate() error {
	if c.Interface == "" {
		return errors.New("the interface has no name")
	}
	if c.MTU != 0 && (c.MTU < 576 || c.MTU > 65535) {
		return fmt.Errorf("an MTU of %d bytes is not between 576 and 65,535", c.MTU)
	}
	if c.Former.Interface == c.Interface {
		return fmt.Errorf("the interface %s beside itself", c.Interface)
	}
	for _, list := range [][]netip.Prefix{c.Addresses, c.Routes, c.Former.Addresses, c.Former.Routes} {
		for _, prefix := range list {
			if !prefix.IsValid() || prefix.Addr().Is4In6() {
				return fmt.Errorf("%v is no prefix", prefix)
			}
		}
	}
	for _, route := range c.Routes {
		if route.Bits() == 0 {
			return errors.New("a route to everything is a full tunnel")
		}
	}
	if c.LocalDenied && !c.FullTunnel {
		return errors.New("local networks are denied in a full tunnel only")
	}
	if len(c.DNS.Domains) > 0 && len(c.DNS.Servers) == 0 {
		return errors.New("domains without a name server to ask for them")
	}
	for _, server := range c.DNS.Servers {
		if !server.IsValid() || server.Is4In6() {
			return errors.New("a name server has no address")
		}
	}
	for _, domain := range c.DNS.Domains {
		// The domain ends up in files of lines and words, and in commands.
		if strings.Trim(domain, ".") == "" || strings.ContainsFunc(domain, func(r rune) bool { return r <= ' ' || strings.ContainsRune("#;,*\"\\\x7f", r) }) {
			return fmt.Errorf("%q is no domain", domain)
		}
	}
	return nil
}

// hasFamily says whether one of the interface's addresses is of the family of like.
func (c Config) hasFamily(like netip.Addr) bool {
	for _, address := range c.Addresses {
		if address.Addr().Is4() == like.Is4() {
			return true
		}
	}
	return false
}

// ConflictError says that a network is already reached in another way, as when the home network uses the addresses
// of the office. The rest of the configuration is in force.
type ConflictError struct {
	// Network is the one that cannot be routed, Interface the one that has it.
	Network   netip.Prefix
	Interface string
}

// Error names the network and who has it.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("the network %v is already reached over %s", e.Network, e.Interface)
}

// TakenError says that somebody else uses the routing table of this package, most likely another WireGuard program, or
// leads everything elsewhere.
type TakenError struct {
	// Interface is that of the other one. Empty: it cannot be told.
	Interface string
	// Everything: it is not the table that is taken, but the default route.
	Everything bool
	Table      int
}

// Error names the table and the other interface.
func (e *TakenError) Error() string {
	who := "somebody else"
	if e.Interface != "" {
		who = "the interface " + e.Interface
	}
	if e.Everything {
		return "everything is led elsewhere by " + who
	}
	return fmt.Sprintf("the routing table %d is used by %s", e.Table, who)
}
