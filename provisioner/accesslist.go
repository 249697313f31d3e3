package provisioner

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"reflect"
)

// AccessList is what a session may reach, as its gateway holds it to it. Sessions
// that may reach the same share one.
type AccessList struct {
	// ID names tenant and content: another content is another list.
	ID     string
	Grants []Destination
	// World: everything that is inside of nobody, too.
	World bool
	// Callers may begin connections to the laptop; the port is the laptop's.
	Callers []Destination
}

// dnsPort is where name servers answer.
const dnsPort = 53

// Access is what somebody with this standing may reach: what she is granted, the
// tenant's name servers as such, and under a full tunnel the world. Whoever may call
// laptops, for remote help, may call hers, whatever she may reach herself.
func (t Tenant) Access(s Standing) AccessList {
	all := append(t.Destinations(s), t.NameServers()...)
	var l AccessList
	for i, d := range all {
		d.Prefix = d.Prefix.Masked()
		if !covered(all, i) {
			l.Grants = append(l.Grants, d)
		}
	}
	l.World = t.Policy.Tunnel == TunnelFull && !t.PasswordOnly(s)
	for _, d := range t.Policy.Callers {
		d.Prefix = d.Prefix.Masked()
		l.Callers = append(l.Callers, d)
	}
	sum := sha256.Sum256(fmt.Append(nil, l.World, l.Grants, l.Callers))
	l.ID = t.Name + "_" + hex.EncodeToString(sum[:8])
	return l
}

// NameServers lists the tenant's as destinations.
func (t Tenant) NameServers() (list []Destination) {
	for _, server := range t.Policy.DNSServers {
		list = append(list, Destination{Prefix: netip.PrefixFrom(server, server.BitLen()), Port: dnsPort})
	}
	return list
}

// covered reports whether another destination contains one, or the same comes before it.
func covered(all []Destination, i int) bool {
	for j, other := range all {
		if j != i && other.contains(all[i]) && (j < i || !all[i].contains(other)) {
			return true
		}
	}
	return false
}

// SameAccess reports whether both declarations of a tenant let everybody reach the same.
func (t Tenant) SameAccess(u Tenant) bool {
	reach := func(t Tenant) []any {
		return []any{t.Networks, t.Policy.Tunnel, t.Policy.DNSServers, t.Policy.PasswordExpired, t.Policy.PasswordHosts, t.Policy.Callers}
	}
	return reflect.DeepEqual(reach(t), reach(u))
}
