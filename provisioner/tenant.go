package provisioner

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Tenant is one administration. Its name is its identity and never changes.
type Tenant struct {
	Name        string
	DisplayName string
	Land        string // of the Federal Republic, two letters; empty: none
	Site        string `json:",omitempty"` // whose gateways its people go to first; empty: any
	Directory   string // name of the Directory it uses
	Base        string // where its people are; empty: the directory's base
	MailDomains []string
	StaffGroup  string // whose members may enrol and open sessions
	Roles       RoleGroups
	Provider    ProviderRoles
	Policy      Policy
	Networks    []NetworkGrant
	HouseRules  HouseRules // what everybody must have acknowledged
	Priority    PriorityGroups
	Crisis      CrisisPlan
	// CrisisSince is when somebody switched the plan on. Zero: it is off. It is no part of the declaration.
	CrisisSince time.Time `json:"-"`

	Products       []Product      `json:",omitempty"` // whose use is metered; none without an agreement
	WorksAgreement WorksAgreement `json:",omitzero"`
}

// RoleGroups names the directory group of each role; empty: nobody has it.
type RoleGroups struct {
	Helpdesk    string
	Planner     string
	TenantAdmin string
}

// ProviderRoles are what people of this tenant do for others: the IT provider is
// a tenant itself. Empty: nothing.
type ProviderRoles struct {
	Operator string   // group of those who run the control plane, with every right in every tenant
	Helpdesk string   // group of those who are the helpdesk of Tenants
	Tenants  []string // by name
}

// Tunnel says what goes through it.
type Tunnel string

// The two kinds of tunnel.
const (
	TunnelSplit Tunnel = "split" // the granted networks
	TunnelFull  Tunnel = "full"  // everything
)

// LocalNetworks says whether a laptop in a full tunnel reaches what is in the same network: the printer at home.
type LocalNetworks string

// What a tenant can choose.
const (
	LocalAllowed LocalNetworks = "allow"
	LocalDenied  LocalNetworks = "deny" // nothing but getting an address, the control plane and the gateway
)

// Policy is what a tenant decides for its people.
type Policy struct {
	DevicesPerPerson int // at least 1
	Tunnel           Tunnel
	// LocalNetworks under TunnelFull. Empty: LocalAllowed.
	LocalNetworks LocalNetworks `json:",omitempty"`
	DNSServers    []netip.Addr
	DNSDomains    []string
	// PasswordExpired is what holds while a password has expired or must be changed. Empty: PasswordKeep.
	PasswordExpired PasswordPolicy
	// PasswordHosts is all that can be reached meanwhile under PasswordHostsOnly.
	PasswordHosts []Destination
	// Callers are who inside may begin connections to laptops, each to its port of the laptop; port zero: to every one.
	Callers []Destination `json:",omitempty"`
	// Approval is whose word a new device needs besides its person's. Empty: ApprovalNone.
	Approval ApprovalPolicy
	// SignInEvery is how old the last proof of a device's person may be when a session is opened. Zero: any age.
	SignInEvery time.Duration
	// LongestSession is how long a session may last without a new sign-in. Zero: for ever.
	LongestSession time.Duration
	SecondFactor   SecondFactorPolicy
	// ExternalGroup is whose members need somebody who answers for them before they enrol a laptop. Empty: nobody
	// does by the directory's word.
	ExternalGroup string
	Idle          IdlePolicy
	// Access is when people may be connected. None: always.
	Access []AccessTime
	// Conditions are what laptops must meet before a session opens.
	Conditions ConditionPolicy `json:",omitzero"`
	// MinimumAgent is from which version on laptops' agents may open sessions.
	MinimumAgent MinimumAgent `json:",omitzero"`
}

// SecondFactorPolicy says for what people who have no role above staff need a second factor too.
type SecondFactorPolicy struct {
	Enrolling      bool
	SigningInAgain bool
}

// ApprovalPolicy is whose word a new device needs before it connects.
type ApprovalPolicy string

// What a tenant can choose.
const (
	ApprovalNone     ApprovalPolicy = "none"
	ApprovalHelpdesk ApprovalPolicy = "helpdesk" // or a tenant administrator, or an operator
)

// PasswordPolicy is what an expired password takes away.
type PasswordPolicy string

// What a tenant can choose. The password itself is changed over the connection, by most people.
const (
	PasswordKeep      PasswordPolicy = "keep"          // nothing
	PasswordHostsOnly PasswordPolicy = "password_only" // everything but Policy.PasswordHosts
	PasswordClose     PasswordPolicy = "close"         // access
)

// DefaultPolicy is what holds where a tenant's file is silent.
func DefaultPolicy() Policy {
	return Policy{DevicesPerPerson: 2, Tunnel: TunnelSplit, SignInEvery: 7 * 24 * time.Hour, LongestSession: 12 * time.Hour,
		Idle: IdlePolicy{After: time.Hour, Below: DefaultIdleBelow}}
}

// GroupAll in a NetworkGrant means everybody in the staff group.
const GroupAll = "all"

// NetworkGrant lets the members of a group reach destinations.
type NetworkGrant struct {
	Group string
	Allow []Destination
}

// Destination is a prefix, and a port of it; port zero: every port.
type Destination struct {
	Prefix netip.Prefix
	Port   uint16
}

// Directory is one LDAP service as it was declared.
type Directory struct {
	Name             string
	Servers          []string // in order of preference
	CAPEM            string   // empty: the system's authorities
	BindDN           string
	BindPasswordFile string // a path; the password is read where it is used
	Base             string
	Flavour          string // empty: found from the root DSE
	Plain            bool   // ldap:// without StartTLS
}

// NamedGroup is a group whose membership decides something for a tenant.
type NamedGroup struct {
	Field string // of the tenant's file
	DN    string
}

// GroupsNamed lists every group that the tenant's file names, by its fields: staff, roles,
// external people, priority, networks and times.
func (t Tenant) GroupsNamed() []NamedGroup {
	groups := []NamedGroup{
		{"staff_group", t.StaffGroup}, {"roles.helpdesk", t.Roles.Helpdesk}, {"roles.planner", t.Roles.Planner}, {"roles.tenant_admin", t.Roles.TenantAdmin},
		{"provider.operator", t.Provider.Operator}, {"provider.helpdesk", t.Provider.Helpdesk}, {"policy.external_group", t.Policy.ExternalGroup},
		{"priority.crisis", t.Priority.Crisis}, {"priority.control", t.Priority.Control},
	}
	for _, n := range t.Networks {
		groups = append(groups, NamedGroup{"networks", n.Group})
	}
	for _, a := range t.Policy.Access {
		groups = append(groups, NamedGroup{"policy.access", a.Group})
	}
	return slices.DeleteFunc(groups, func(g NamedGroup) bool { return g.DN == "" || g.DN == GroupAll })
}

// GroupsAsked lists the groups of GroupsNamed, each once.
func (t Tenant) GroupsAsked() []string {
	var groups []string
	for _, g := range t.GroupsNamed() {
		groups = append(groups, g.DN)
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

// InGroup reports whether group is among groups. Distinguished names are
// compared without regard to case (RFC 4517, caseIgnoreMatch, which all
// naming attributes in use follow).
func InGroup(groups []string, group string) bool {
	return group != "" && slices.ContainsFunc(groups, func(g string) bool { return strings.EqualFold(g, group) })
}

// IsStaff reports whether somebody in groups may use the tenant's access.
func (t Tenant) IsStaff(groups []string) bool { return InGroup(groups, t.StaffGroup) }

// GrantsOf gives the roles of a person in this tenant. Staff is among them for
// members of the staff group.
func (t Tenant) GrantsOf(groups []string) []Grant {
	var grants []Grant
	for _, r := range []struct {
		role  Role
		group string
	}{
		{RoleStaff, t.StaffGroup},
		{RoleHelpdesk, t.Roles.Helpdesk},
		{RolePlanner, t.Roles.Planner},
		{RoleTenantAdmin, t.Roles.TenantAdmin},
	} {
		if InGroup(groups, r.group) {
			grants = append(grants, Grant{Role: r.role, Tenant: t.Name})
		}
	}
	if InGroup(groups, t.Provider.Helpdesk) {
		for _, name := range t.Provider.Tenants {
			if g := (Grant{Role: RoleHelpdesk, Tenant: name}); !slices.Contains(grants, g) {
				grants = append(grants, g)
			}
		}
	}
	if InGroup(groups, t.Provider.Operator) {
		grants = append(grants, Grant{Role: RoleOperator})
	}
	return grants
}

// AllDestinations lists what any of the tenant's people may reach, now or while a password has expired.
func (t Tenant) AllDestinations() []Destination {
	all := slices.Clone(t.Policy.PasswordHosts)
	for _, n := range t.Networks {
		all = append(all, n.Allow...)
	}
	return all
}

// GrantsAll reports whether every one of the destinations lies within a network that some of the tenant's people reach.
func (t Tenant) GrantsAll(list []Destination) bool {
	return !slices.ContainsFunc(list, func(d Destination) bool {
		return !slices.ContainsFunc(t.Networks, func(n NetworkGrant) bool {
			return slices.ContainsFunc(n.Allow, func(a Destination) bool { return a.contains(d) })
		})
	})
}

func (d Destination) contains(other Destination) bool {
	return d.Prefix.Bits() <= other.Prefix.Bits() && d.Prefix.Contains(other.Prefix.Addr()) && (d.Port == 0 || d.Port == other.Port)
}

// Destinations lists what somebody with this standing may reach, sorted, each once.
func (t Tenant) Destinations(s Standing) []Destination {
	var all []Destination
	if t.PasswordOnly(s) {
		all = slices.Clone(t.Policy.PasswordHosts)
	} else {
		for _, n := range t.Networks {
			if n.Group == GroupAll || InGroup(s.Groups, n.Group) {
				all = append(all, n.Allow...)
			}
		}
	}
	slices.SortFunc(all, func(a, b Destination) int {
		if c := a.Prefix.Addr().Compare(b.Prefix.Addr()); c != 0 {
			return c
		}
		if c := a.Prefix.Bits() - b.Prefix.Bits(); c != 0 {
			return c
		}
		return int(a.Port) - int(b.Port)
	})
	return slices.Compact(all)
}
