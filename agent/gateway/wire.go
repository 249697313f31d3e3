package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/agent/firewall"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

const (
	// maxSessions is what WireGuard takes; more at once fails half way.
	maxSessions = 65_536
	// maxTombstones bounds what removals can make us remember.
	maxTombstones = 2 * maxSessions
	// maxPage is the protocol's.
	maxPage = 1_000
	// maxAllowedIPs is far more than a branch router needs.
	maxAllowedIPs = 256
	maxAddresses  = 16
	maxInside     = 65_536
	maxGrants     = 4_096
	maxName       = 128

	defaultMTU   = 1420
	minMTU       = 1280 // IPv6 needs it (RFC 8200, section 5)
	maxMTU       = 9000
	defaultGrace = 12 * time.Hour
	maxGrace     = 30 * 24 * time.Hour
)

// place is a revision in its epoch. The zero place is before everything.
type place struct {
	epoch    string
	revision int64
}

// reached says whether p is at or after q. Places of two epochs do not
// compare.
func (p place) reached(q place) bool { return p.epoch == q.epoch && p.revision >= q.revision }

// session is one peer that the control plane wants.
type session struct {
	id string
	// peer's Endpoint is where it was last heard from; its Keepalive is zero.
	peer wireguard.Peer
	// notAfter zero: as long as the session.
	notAfter time.Time
	// access nil: the control plane said nothing of what it may reach.
	access *firewall.List
}

// guard is what holds the session. Networks behind a laptop have none: nothing
// from there passes.
func (s *session) guard() *firewall.Guard { return guardOf(s.peer.AllowedIPs, s.access) }

func guardOf(prefixes []netip.Prefix, access *firewall.List) *firewall.Guard {
	g := &firewall.Guard{List: access}
	for _, prefix := range prefixes {
		if prefix.IsSingleIP() {
			g.Addresses = append(g.Addresses, prefix.Addr())
		}
	}
	return g
}

// on says whether a peer of the device is the session's, with its addresses.
func (s *session) on(p wireguard.Peer) bool {
	return p.PresharedKey == s.peer.PresharedKey && !slices.ContainsFunc(s.peer.AllowedIPs, func(prefix netip.Prefix) bool {
		return !slices.Contains(p.AllowedIPs, prefix)
	})
}

// accessName names what the session may reach. Empty: nobody has said it.
func (s *session) accessName() string {
	if s.access == nil {
		return ""
	}
	return s.access.Name
}

// badPeer is a peer that is left out, and why.
type badPeer struct {
	session string
	why     error
}

type delta struct {
	epoch   string
	after   int64
	upto    place
	removed []string
	added   []*session
	bad     []badPeer
}

type removal struct {
	at       place
	sessions []string
}

// configuration is what the control plane says of the gateway itself.
type configuration struct {
	name       string
	addresses  []netip.Prefix // with host bits, none twice
	listenPort uint16
	mtu        int
	grace      time.Duration
	masquerade bool
	// accessLists: what a session may reach is said of each.
	accessLists bool
	inside      []netip.Prefix
}

func parsePlace(epoch string, revision int64) (place, error) {
	if !isName(epoch) {
		return place{}, fmt.Errorf("the epoch %.40q is no identifier", epoch)
	}
	if revision < 0 {
		return place{}, fmt.Errorf("the revision %d is negative", revision)
	}
	return place{epoch: epoch, revision: revision}, nil
}

// isName accepts what identifiers are made of, so that they can stand in logs.
func isName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func parseDelta(m *heimdrahtv1.Delta) (delta, error) {
	upto, err := parsePlace(m.GetEpoch(), m.GetUpto())
	if err != nil {
		return delta{}, fmt.Errorf("a delta: %w", err)
	}
	if m.GetAfter() < 0 || m.GetAfter() > m.GetUpto() {
		return delta{}, fmt.Errorf("a delta goes from revision %d to %d", m.GetAfter(), m.GetUpto())
	}
	d := delta{epoch: upto.epoch, after: m.GetAfter(), upto: upto, removed: m.GetRemovedSessions()}
	d.added, d.bad = parsePeers(m.GetPeers(), m.GetAccessLists())
	return d, nil
}

func parseRemoval(m *heimdrahtv1.Removal) (removal, error) {
	at, err := parsePlace(m.GetEpoch(), m.GetRevision())
	if err != nil {
		return removal{}, fmt.Errorf("a removal: %w", err)
	}
	for _, id := range m.GetSessions() {
		if !isName(id) {
			return removal{}, fmt.Errorf("a removal: %.40q is no session id", id)
		}
	}
	return removal{at: at, sessions: m.GetSessions()}, nil
}

// parsePeers reads the peers of a message, with the access lists in it.
func parsePeers(list []*heimdrahtv1.Peer, lists []*heimdrahtv1.AccessList) (good []*session, bad []badPeer) {
	access := make(map[string]accessOrNot, len(lists))
	for _, m := range lists {
		var a accessOrNot
		a.list, a.err = parseAccess(m)
		access[m.GetId()] = a
	}
	for _, m := range list {
		s, err := parsePeer(m)
		if name := m.GetAccess(); err == nil && name != "" {
			a, told := access[name]
			switch {
			case !told:
				err = fmt.Errorf("its access list %.*q did not come with it", maxName, name)
			case a.err != nil:
				err = a.err
			default:
				s.access = a.list
			}
		}
		if err != nil {
			bad = append(bad, badPeer{session: fmt.Sprintf("%.*q", maxName, m.GetSessionId()), why: err})
			continue
		}
		good = append(good, s)
	}
	return good, bad
}

func parsePeer(m *heimdrahtv1.Peer) (*session, error) {
	if !isName(m.GetSessionId()) {
		return nil, errors.New("its session id is no identifier")
	}
	s := &session{id: m.GetSessionId()}
	if n := copy(s.peer.PublicKey[:], m.GetPublicKey()); n != len(s.peer.PublicKey) || n != len(m.GetPublicKey()) {
		return nil, fmt.Errorf("its public key has %d bytes, not 32", len(m.GetPublicKey()))
	}
	if s.peer.PublicKey.IsZero() {
		return nil, errors.New("its public key is all zeros")
	}
	if n := copy(s.peer.PresharedKey[:], m.GetPresharedKey()); n != len(s.peer.PresharedKey) || n != len(m.GetPresharedKey()) {
		return nil, fmt.Errorf("its preshared key has %d bytes, not 32", len(m.GetPresharedKey()))
	}
	if s.peer.PresharedKey.IsZero() {
		return nil, errors.New("its preshared key is all zeros")
	}
	if n := len(m.GetAllowedIps()); n == 0 || n > maxAllowedIPs {
		return nil, fmt.Errorf("it has %d allowed IPs, not 1 to %d", n, maxAllowedIPs)
	}
	for _, text := range m.GetAllowedIps() {
		prefix, err := parseAllowed(text)
		if err != nil {
			return nil, err
		}
		s.peer.AllowedIPs = append(s.peer.AllowedIPs, prefix)
	}
	if m.GetNotAfter() != nil {
		if err := m.GetNotAfter().CheckValid(); err != nil {
			return nil, errors.New("its end is no time")
		}
		s.notAfter = m.GetNotAfter().AsTime()
	}
	return s, nil
}

// parseAllowed refuses prefixes that would draw everybody's traffic, or the
// gateway's own, to one peer.
func parseAllowed(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("its allowed IP %.50q is no prefix", text)
	}
	prefix = prefix.Masked()
	addr := prefix.Addr()
	switch {
	case prefix.Bits() == 0:
		return netip.Prefix{}, fmt.Errorf("its allowed IP %v is the whole world", prefix)
	case addr.Is4In6(), addr.IsLoopback(), addr.IsMulticast(), addr.IsUnspecified():
		return netip.Prefix{}, fmt.Errorf("its allowed IP %v is not one that can be routed", prefix)
	}
	return prefix, nil
}

// accessOrNot is a list, or why it is none.
type accessOrNot struct {
	list *firewall.List
	err  error
}

// parseAccess refuses a list as a whole: what is left of it is not what was
// meant.
func parseAccess(m *heimdrahtv1.AccessList) (*firewall.List, error) {
	if !isChainName(m.GetId()) {
		return nil, fmt.Errorf("the access list %.*q has a name that no chain can have", maxName, m.GetId())
	}
	l := &firewall.List{Name: m.GetId(), World: m.GetWorld()}
	var err error
	if l.Targets, err = parseGrants(m.GetGrants()); err == nil {
		l.Callers, err = parseGrants(m.GetCallers())
	}
	if err != nil {
		return nil, fmt.Errorf("the access list %s %w", m.GetId(), err)
	}
	return l, nil
}

func parseGrants(list []*heimdrahtv1.AccessGrant) (targets []firewall.Target, err error) {
	if len(list) > maxGrants {
		return nil, fmt.Errorf("names %d networks, more than %d", len(list), maxGrants)
	}
	for _, grant := range list {
		prefix, err := netip.ParsePrefix(grant.GetPrefix())
		if err != nil || prefix.Addr().Is4In6() {
			return nil, fmt.Errorf("names %.50q, which is no network", grant.GetPrefix())
		}
		if grant.GetPort() > 65535 {
			return nil, fmt.Errorf("names the port %d, which is none", grant.GetPort())
		}
		targets = append(targets, firewall.Target{Prefix: prefix.Masked(), Port: uint16(grant.GetPort())})
	}
	return targets, nil
}

func isChainName(s string) bool {
	return isName(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	})
}

// accessMessage is a list as it came.
func accessMessage(l *firewall.List) *heimdrahtv1.AccessList {
	return &heimdrahtv1.AccessList{Id: l.Name, World: l.World, Grants: grantMessages(l.Targets), Callers: grantMessages(l.Callers)}
}

func grantMessages(targets []firewall.Target) (list []*heimdrahtv1.AccessGrant) {
	for _, t := range targets {
		list = append(list, &heimdrahtv1.AccessGrant{Prefix: t.Prefix.String(), Port: uint32(t.Port)})
	}
	return list
}

func parseConfiguration(m *heimdrahtv1.GatewayConfiguration) (configuration, error) {
	c := configuration{name: m.GetName(), mtu: int(m.GetMtu()), masquerade: m.GetMasquerade(), accessLists: m.GetAccessLists()}
	if !isName(c.name) {
		return c, fmt.Errorf("the gateway's name %.40q is no name", c.name)
	}
	if n := len(m.GetAddresses()); n == 0 || n > maxAddresses {
		return c, fmt.Errorf("the gateway has %d inside addresses, not 1 to %d", n, maxAddresses)
	}
	seen := make(map[netip.Addr]bool)
	for _, text := range m.GetAddresses() {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Bits() == 0 || prefix.Addr().Is4In6() || prefix.Addr().IsUnspecified() ||
			prefix.Addr().IsLoopback() || prefix.Addr().IsMulticast() {
			return c, fmt.Errorf("the inside address %.50q is none with a prefix length", text)
		}
		if seen[prefix.Addr()] {
			return c, fmt.Errorf("the inside address %v stands there twice", prefix.Addr())
		}
		seen[prefix.Addr()] = true
		c.addresses = append(c.addresses, prefix)
	}
	if n := len(m.GetInside()); n > maxInside {
		return c, fmt.Errorf("the gateway has %d networks inside, more than %d", n, maxInside)
	}
	for _, text := range m.GetInside() {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Addr().Is4In6() {
			return c, fmt.Errorf("the inside network %.50q is none", text)
		}
		c.inside = append(c.inside, prefix)
	}
	if m.GetListenPort() > 65535 {
		return c, fmt.Errorf("the port %d is none", m.GetListenPort())
	}
	c.listenPort = uint16(m.GetListenPort())
	if c.mtu == 0 {
		c.mtu = defaultMTU
	}
	if c.mtu < minMTU || c.mtu > maxMTU {
		return c, fmt.Errorf("the MTU %d is not between %d and %d", c.mtu, minMTU, maxMTU)
	}
	switch ms := m.GetGraceMs(); {
	case ms == 0:
		c.grace = defaultGrace
	case ms < 0 || ms > maxGrace.Milliseconds():
		return c, fmt.Errorf("the grace time of %d ms is not between 0 and %v", ms, maxGrace)
	default:
		c.grace = time.Duration(ms) * time.Millisecond
	}
	return c, nil
}
