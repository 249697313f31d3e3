package endpoint

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// A laptop trusts its control plane with the way into the office and with nothing else. These are the
// limits; what exceeds them is refused whole, never installed in part.
const (
	maxAllowedIPs  = 1000
	maxDNSServers  = 8
	maxDNSDomains  = 100
	minMTU         = 1280 // what IPv6 asks of every link: RFC 8200, section 5
	maxMTU         = 1500
	defaultMTU     = 1420
	maxKeepalive   = 300 * time.Second
	maxNameLength  = 253 // of a DNS name in text: RFC 1035, section 2.3.4
	maxLabelLength = 63
	maxIDLength    = 128
	// Keepalives keep the way through home routers open; and without them nobody could tell a silent tunnel
	// from a dead one.
	defaultKeepalive = 25 * time.Second
	// A split tunnel may cover less than this share of a family's addresses: two halves of the internet are
	// a full tunnel by another name. All of IPv6 that is in use is one eighth (2000::/3).
	maxShare4 = 0.5
	maxShare6 = 0.125
)

// settings are what a session installs on the laptop: a TunnelConfiguration that has passed the checks.
type settings struct {
	// Addresses are single hosts. What else goes through the tunnel is for AllowedIPs to say, not for the
	// length of an address's prefix.
	Addresses   []netip.Addr
	GatewayName string
	// Probes are the gateway's own addresses inside. Empty: nothing there answers probes.
	Probes []netip.Addr
	// Host is a name or an address.
	Host         string
	Port         uint16
	PublicKey    wireguard.Key
	PresharedKey wireguard.PresharedKey
	AllowedIPs   []netip.Prefix
	FullTunnel   bool
	// LocalDenied, with FullTunnel: the network that the laptop is in is not reached either.
	LocalDenied bool
	DNSServers  []netip.Addr
	// DNSDomains empty, with servers present: all names are asked there.
	DNSDomains []string
	MTU        int
	Keepalive  time.Duration
}

// equal says whether the two would be installed alike.
func (s *settings) equal(other *settings) bool {
	return s != nil && other != nil &&
		slices.Equal(s.Addresses, other.Addresses) && s.GatewayName == other.GatewayName && slices.Equal(s.Probes, other.Probes) &&
		s.Host == other.Host && s.Port == other.Port &&
		s.PublicKey == other.PublicKey && s.PresharedKey == other.PresharedKey &&
		slices.Equal(s.AllowedIPs, other.AllowedIPs) && s.FullTunnel == other.FullTunnel && s.LocalDenied == other.LocalDenied &&
		slices.Equal(s.DNSServers, other.DNSServers) && slices.Equal(s.DNSDomains, other.DNSDomains) &&
		s.MTU == other.MTU && s.Keepalive == other.Keepalive
}

// rejection is why a configuration is not installed, as clauses for people.
type rejection struct{ german, english string }

func (r *rejection) Error() string { return "refusing the configuration: " + r.english }

// reject makes a rejection. What came from outside goes in as quoted text: it may contain anything.
func reject(german, english string, args ...any) error {
	return &rejection{german: fmt.Sprintf(german, args...), english: fmt.Sprintf(english, args...)}
}

// checkConfiguration turns what the control plane sent into settings, or returns a *rejection. own is the
// laptop's public key, which no gateway may have.
func checkConfiguration(c *heimdrahtv1.TunnelConfiguration, own wireguard.Key) (*settings, error) {
	if c == nil {
		return nil, reject("es sind keine", "there are none")
	}
	s := &settings{GatewayName: c.GetGatewayName(), FullTunnel: c.GetFullTunnel(), LocalDenied: c.GetLocalNetworksDenied()}
	if !plainText(s.GatewayName) {
		return nil, reject("der Name des Zugangsservers enthält unzulässige Zeichen oder ist zu lang",
			"the gateway's name contains characters that are not allowed, or is too long")
	}
	for _, step := range []func(*heimdrahtv1.TunnelConfiguration, *settings) error{
		takeAddresses, takeEndpoint, takeKeys, takeAllowedIPs, takeProbes, takeDNS, takeNumbers,
	} {
		if err := step(c, s); err != nil {
			return nil, err
		}
	}
	if s.PublicKey == own {
		return nil, reject("der Schlüssel des Zugangsservers ist der dieses Laptops",
			"the gateway's key is this laptop's own")
	}
	return s, nil
}

func takeAddresses(c *heimdrahtv1.TunnelConfiguration, s *settings) error {
	if n := len(c.GetAddresses()); n == 0 || n > 2 {
		return reject("sie enthalten %d Adressen statt einer oder zwei", "they have %d addresses, not one or two", n)
	}
	for _, raw := range c.GetAddresses() {
		prefix, err := netip.ParsePrefix(raw)
		if err != nil || !hostAddress(prefix.Addr()) {
			return reject("die Adresse %s ist ungültig", "the address %s is not valid", quote(raw))
		}
		for _, other := range s.Addresses {
			if other.Is4() == prefix.Addr().Is4() {
				return reject("sie enthalten zwei Adressen derselben Art", "they have two addresses of one family")
			}
		}
		s.Addresses = append(s.Addresses, prefix.Addr())
	}
	return nil
}

func takeEndpoint(c *heimdrahtv1.TunnelConfiguration, s *settings) error {
	raw := c.GetGatewayEndpoint()
	invalid := func() error {
		return reject("die Anschrift %s des Zugangsservers ist ungültig", "the gateway's endpoint %s is not valid", quote(raw))
	}
	host, portText, err := net.SplitHostPort(raw)
	if err != nil {
		return invalid()
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return invalid()
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast() {
			return invalid()
		}
	} else if !dnsName(host) {
		return invalid()
	}
	s.Host, s.Port = host, uint16(port)
	return nil
}

func takeKeys(c *heimdrahtv1.TunnelConfiguration, s *settings) error {
	if len(c.GetGatewayPublicKey()) != len(s.PublicKey) {
		return reject("der Schlüssel des Zugangsservers hat %d statt 32 Byte",
			"the gateway's key has %d bytes, not 32", len(c.GetGatewayPublicKey()))
	}
	if len(c.GetPresharedKey()) != len(s.PresharedKey) {
		return reject("der gemeinsame Schlüssel hat %d statt 32 Byte",
			"the preshared key has %d bytes, not 32", len(c.GetPresharedKey()))
	}
	copy(s.PublicKey[:], c.GetGatewayPublicKey())
	copy(s.PresharedKey[:], c.GetPresharedKey())
	if s.PublicKey.IsZero() || s.PresharedKey.IsZero() {
		return reject("ein Schlüssel besteht aus Nullen", "a key is all zeros")
	}
	return nil
}

func takeAllowedIPs(c *heimdrahtv1.TunnelConfiguration, s *settings) error {
	if n := len(c.GetAllowedIps()); n == 0 || n > maxAllowedIPs {
		return reject("sie nennen %d Netze statt 1 bis %d", "they name %d networks, not 1 to %d", n, maxAllowedIPs)
	}
	defaults := 0
	seen := make(map[netip.Prefix]bool, len(c.GetAllowedIps()))
	for _, raw := range c.GetAllowedIps() {
		prefix, err := netip.ParsePrefix(raw)
		if err != nil || prefix.Addr().Is4In6() {
			return reject("das Netz %s ist ungültig", "the network %s is not valid", quote(raw))
		}
		prefix = prefix.Masked()
		switch {
		case prefix.Bits() == 0 && !s.FullTunnel:
			return reject("sie wollen allen Verkehr umleiten, ohne es anzukündigen",
				"they would redirect all traffic without saying so")
		case prefix.Bits() == 0:
			defaults++
		case ownNetwork(prefix):
			return reject("das Netz %s gehört zum Laptop selbst", "the network %s is the laptop's own", quote(raw))
		}
		if !seen[prefix] {
			seen[prefix] = true
			s.AllowedIPs = append(s.AllowedIPs, prefix)
		}
	}
	if s.FullTunnel && defaults == 0 {
		return reject("sie kündigen an, allen Verkehr umzuleiten, nennen aber nur einzelne Netze",
			"they say that they redirect all traffic, and name single networks only")
	}
	if s.LocalDenied && !s.FullTunnel {
		return reject("sie sperren das Netz, in dem der Laptop ist, ohne allen Verkehr umzuleiten",
			"they close the network that the laptop is in, and do not redirect all traffic")
	}
	if share4, share6 := shares(s.AllowedIPs); !s.FullTunnel && (share4 >= maxShare4 || share6 >= maxShare6) {
		return reject("ihre Netze umfassen zusammen fast das ganze Internet",
			"their networks together are most of the internet")
	}
	return nil
}

// takeProbes takes the addresses by which the gateway is asked whether it is there. They lie inside: who asked outside
// would be told by somebody else.
func takeProbes(c *heimdrahtv1.TunnelConfiguration, s *settings) error {
	if n := len(c.GetGatewayAddresses()); n > 2 {
		return reject("sie nennen %d Adressen des Zugangsservers statt höchstens zwei", "they name %d addresses of the gateway, not two at most", n)
	}
	for _, raw := range c.GetGatewayAddresses() {
		addr, err := netip.ParseAddr(raw)
		if err != nil || !hostAddress(addr) || !covered(addr, s.AllowedIPs) {
			return reject("die Adresse %s des Zugangsservers ist unbrauchbar", "the gateway's address %s is unusable", quote(raw))
		}
		s.Probes = append(s.Probes, addr)
	}
	return nil
}

// shares returns which share of each family's addresses the prefixes cover at most.
func shares(prefixes []netip.Prefix) (share4, share6 float64) {
	for _, prefix := range prefixes {
		if prefix.Addr().Is4() {
			share4 += math.Ldexp(1, -prefix.Bits())
		} else {
			share6 += math.Ldexp(1, -prefix.Bits())
		}
	}
	return share4, share6
}

func takeDNS(c *heimdrahtv1.TunnelConfiguration, s *settings) error {
	if n := len(c.GetDnsServers()); n > maxDNSServers {
		return reject("sie nennen %d Namensserver; erlaubt sind %d", "they name %d name servers; %d are allowed", n, maxDNSServers)
	}
	if n := len(c.GetDnsDomains()); n > maxDNSDomains {
		return reject("sie nennen %d Domänen; erlaubt sind %d", "they name %d domains; %d are allowed", n, maxDNSDomains)
	}
	if len(c.GetDnsDomains()) > 0 && len(c.GetDnsServers()) == 0 {
		return reject("sie nennen Domänen, aber keinen Namensserver", "they name domains and no name server")
	}
	for _, raw := range c.GetDnsServers() {
		addr, err := netip.ParseAddr(raw)
		if err != nil || !hostAddress(addr) {
			return reject("der Namensserver %s ist ungültig", "the name server %s is not valid", quote(raw))
		}
		if !slices.Contains(s.DNSServers, addr) {
			s.DNSServers = append(s.DNSServers, addr)
		}
	}
	for _, raw := range c.GetDnsDomains() {
		domain := strings.ToLower(strings.TrimSuffix(raw, "."))
		if !dnsName(domain) {
			return reject("die Domäne %s ist ungültig", "the domain %s is not valid", quote(raw))
		}
		if !slices.Contains(s.DNSDomains, domain) {
			s.DNSDomains = append(s.DNSDomains, domain)
		}
	}
	return nil
}

func takeNumbers(c *heimdrahtv1.TunnelConfiguration, s *settings) error {
	s.MTU = defaultMTU
	if mtu := c.GetMtu(); mtu != 0 {
		if mtu < minMTU || mtu > maxMTU {
			return reject("die Paketgröße (MTU) %d liegt nicht zwischen %d und %d",
				"the MTU of %d is not between %d and %d", mtu, minMTU, maxMTU)
		}
		s.MTU = int(mtu)
	}
	s.Keepalive = defaultKeepalive
	if seconds := c.GetPersistentKeepaliveS(); seconds != 0 {
		if time.Duration(seconds)*time.Second > maxKeepalive {
			return reject("der Abstand der Lebenszeichen von %d s ist zu lang",
				"the keepalive of %d s is too long", seconds)
		}
		s.Keepalive = time.Duration(seconds) * time.Second
	}
	return nil
}

// hostAddress says whether one machine of a network may have the address.
func hostAddress(addr netip.Addr) bool {
	return addr.IsValid() && addr.Zone() == "" && !addr.Is4In6() && !addr.IsUnspecified() && !addr.IsLoopback() &&
		!addr.IsMulticast() && !addr.IsLinkLocalUnicast()
}

// ownNetwork says whether the prefix lies in one that never leaves a machine or its link.
func ownNetwork(prefix netip.Prefix) bool {
	addr := prefix.Addr()
	if addr.Is4() {
		return addr.IsLoopback() && prefix.Bits() >= 8 || addr.IsLinkLocalUnicast() && prefix.Bits() >= 16 ||
			addr.IsMulticast() && prefix.Bits() >= 4 || addr.As4()[0] == 0 && prefix.Bits() >= 8
	}
	return addr.IsLoopback() || addr.IsLinkLocalUnicast() && prefix.Bits() >= 10 || addr.IsMulticast() && prefix.Bits() >= 8 ||
		addr.IsUnspecified() && prefix.Bits() == 128
}

// dnsName says whether the name is one that may stand in a resolver's configuration: labels of letters,
// digits, hyphens and (as directories have them) underscores.
func dnsName(name string) bool {
	if name == "" || len(name) > maxNameLength {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > maxLabelLength || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !inName(c) {
				return false
			}
		}
	}
	return true
}

func inName(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// plainText says whether a short text from outside may be shown on a terminal.
func plainText(s string) bool { return len(s) <= maxNameLength && printable(s) }

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
}

// quote makes foreign text fit to be shown: short, on one line, nothing that a terminal would obey.
func quote(s string) string {
	const shown = 60
	if r := []rune(s); len(r) > shown {
		s = string(r[:shown]) + "…"
	}
	return strconv.Quote(s)
}

// validID says whether a session's or a device's id can be what it claims.
func validID(id string) bool { return id != "" && len(id) <= maxIDLength && plainText(id) }
