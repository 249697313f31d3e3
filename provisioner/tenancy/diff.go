package tenancy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Difference is one thing that applying changes. An object that is new has one
// difference, without a field.
type Difference struct {
	Kind          string // "directory", "tenant", "licence pool", "gateway"
	Name          string
	Field         string // as in the file
	Before, After string
}

// The kinds of objects.
const (
	kindDirectory = "directory"
	kindTenant    = "tenant"
	kindPool      = "licence pool"
	kindGateway   = "gateway"
)

const (
	fieldPasswordHosts = "policy.password_hosts"
	fieldNameServers   = "policy.dns.servers"
	fieldCallers       = "policy.callers"
	fieldExternalGroup = "policy.external_group"
	fieldAccess        = "policy.access"
	fieldNetworks      = "networks"
	fieldPriority      = "priority." // and a class
	fieldProducts      = "products"
	fieldCrisis        = "crisis"
)

// field is a field of an object as a text that tells it from every other value.
type field struct{ name, value string }

// compare lists in which fields after differs from before.
func compare(kind, name string, before, after []field) []Difference {
	var list []Difference
	for i := range after {
		if before[i].value != after[i].value {
			list = append(list, Difference{Kind: kind, Name: name, Field: after[i].name, Before: before[i].value, After: after[i].value})
		}
	}
	return list
}

func directoryFields(d provisioner.Directory) []field {
	return []field{
		{"servers", strings.Join(d.Servers, ", ")},
		{"ca_file", digest(d.CAPEM)},
		{"bind.dn", d.BindDN},
		{"bind.password_file", d.BindPasswordFile},
		{"base", d.Base},
		{"flavour", d.Flavour},
		{"tls", map[bool]string{true: "none"}[d.Plain]},
	}
}

// digest names a long text.
func digest(text string) string {
	if text == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(text))
	return "SHA-256 " + hex.EncodeToString(sum[:8]) + "…"
}

func tenantFields(t provisioner.Tenant) []field {
	return []field{
		{"display_name", t.DisplayName},
		{"land", t.Land},
		{"site", t.Site},
		{"directory", t.Directory},
		{"base", t.Base},
		{"mail_domains", strings.Join(t.MailDomains, ", ")},
		{"staff_group", t.StaffGroup},
		{"roles.helpdesk", t.Roles.Helpdesk},
		{"roles.planner", t.Roles.Planner},
		{"roles.tenant_admin", t.Roles.TenantAdmin},
		{"provider.operator", t.Provider.Operator},
		{"provider.helpdesk", t.Provider.Helpdesk},
		{"provider.tenants", strings.Join(t.Provider.Tenants, ", ")},
		{fieldPriority + "crisis", t.Priority.Crisis},
		{fieldPriority + "control", t.Priority.Control},
		{fieldCrisis, crisisText(t.Crisis)},
		{"policy.devices_per_person", strconv.Itoa(t.Policy.DevicesPerPerson)},
		{"policy.tunnel", string(t.Policy.Tunnel)},
		{"policy.local_networks", string(cmp.Or(t.Policy.LocalNetworks, provisioner.LocalAllowed))},
		{fieldNameServers, join(t.Policy.DNSServers, netip.Addr.String)},
		{"policy.dns.domains", strings.Join(t.Policy.DNSDomains, ", ")},
		{"policy.password_expired", string(cmp.Or(t.Policy.PasswordExpired, provisioner.PasswordKeep))},
		{"policy.approval", string(cmp.Or(t.Policy.Approval, provisioner.ApprovalNone))},
		{fieldCallers, join(t.Policy.Callers, destinationText)},
		{fieldPasswordHosts, join(t.Policy.PasswordHosts, destinationText)},
		{"policy.sign_in_every", provisioner.SpanText(t.Policy.SignInEvery)},
		{"policy.longest_session", provisioner.SpanText(t.Policy.LongestSession)},
		{"policy.idle.after", provisioner.SpanText(t.Policy.Idle.After)},
		{"policy.idle.below", strconv.FormatInt(cmp.Or(t.Policy.Idle.Below, provisioner.DefaultIdleBelow), 10)},
		{"policy.minimum_agent_version.version", t.Policy.MinimumAgent.Version},
		{"policy.minimum_agent_version.refuse_from", dayText(t.Policy.MinimumAgent.From)},
		{"policy.second_factor.enrolling", strconv.FormatBool(t.Policy.SecondFactor.Enrolling)},
		{"policy.second_factor.signing_in_again", strconv.FormatBool(t.Policy.SecondFactor.SigningInAgain)},
		{"policy.conditions", t.Policy.Conditions.Text()},
		{fieldExternalGroup, t.Policy.ExternalGroup},
		{fieldAccess, join(t.Policy.Access, accessText)},
		{fieldNetworks, join(t.Networks, grantText)},
		{"house_rules", t.HouseRules.Version},
		{"house_rules.link", t.HouseRules.Link},
		{fieldProducts, join(t.Products, productText)},
		{"works_agreement", agreementText(t.WorksAgreement)},
	}
}

// adminMayChange lists the fields of a tenant that its own administrator
// decides. Who its people are and what they reach is the operator's.
func adminMayChange(name string) bool {
	return name == "display_name" || name == "staff_group" || strings.HasPrefix(name, "roles.") || strings.HasPrefix(name, fieldPriority) || name == fieldCrisis ||
		strings.HasPrefix(name, "policy.") || strings.HasPrefix(name, "house_rules") || name == fieldProducts || name == "works_agreement"
}

func productText(p provisioner.Product) string {
	text := p.Name + ": " + strings.Join(p.Processes, " | ")
	if p.LicencePool != "" {
		text += " (licence pool " + p.LicencePool + ")"
	}
	return text
}

func agreementText(a provisioner.WorksAgreement) string {
	if a.Reference == "" {
		return ""
	}
	return a.Reference + " of " + dayText(a.Date)
}

// crisisText is a plan as its file has it; empty: nothing is prepared.
func crisisText(p provisioner.CrisisPlan) string {
	if !p.Prepared() {
		return ""
	}
	var parts []string
	if p.Idle > 0 {
		parts = append(parts, "idle: "+provisioner.SpanText(p.Idle))
	}
	parts = append(parts, "hours: "+map[bool]string{true: "lifted", false: "kept"}[p.LiftHours], "ordinary: "+map[bool]string{true: "closed", false: "open"}[p.CloseOrdinary])
	return strings.Join(parts, ", ")
}

func accessText(a provisioner.AccessTime) string {
	parts := []string{a.Group + ":", cmp.Or(a.Days.String(), "every day"), cmp.Or(a.Hours(), "all day")}
	if !a.From.IsZero() {
		parts = append(parts, "from "+dayText(a.From))
	}
	if !a.Until.IsZero() {
		parts = append(parts, "until "+dayText(a.Until.Add(-time.Nanosecond)))
	}
	return strings.Join(parts, " ")
}

func grantText(g provisioner.NetworkGrant) string {
	return g.Group + ": " + join(g.Allow, destinationText)
}

func destinationText(d provisioner.Destination) string {
	if d.Port == 0 {
		return d.Prefix.String()
	}
	return d.Prefix.String() + ":" + strconv.Itoa(int(d.Port))
}

func join[T any](list []T, text func(T) string) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = text(v)
	}
	return strings.Join(out, ", ")
}

func poolFields(p provisioner.LicencePool) []field {
	fields := []field{{"model", string(p.Model)}}
	if len(p.Contracts) == 1 {
		fields = append(fields, contractFields(p.Contracts[0])...)
	} else {
		fields = append(fields, contractFields(provisioner.Contract{})...)
	}
	several := ""
	if len(p.Contracts) != 1 {
		several = join(p.Contracts, contractText)
	}
	return append(fields,
		field{"contracts", several},
		field{"lend_guaranteed", number(p.LendGuaranteed)},
		field{"recall", span(p.Recall)},
		field{"reserved", join(p.Reserved, func(r provisioner.Reserve) string { return string(r.Class) + ": " + number(r.Seats) })},
		field{"take_back_unused", span(p.TakeBackUnused)},
		field{"hold_at_least", span(p.HoldAtLeast)},
		field{"warn", join(p.WarnAt, number)},
		field{"warn_forecast", join(p.WarnForecast, number)},
		field{"tenants", join(p.Shares, func(s provisioner.PoolShare) string { return s.Tenant + ": " + number(s.Guarantee) })},
	)
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// span is empty where a file would say nothing.
func span(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return provisioner.SpanText(d)
}

// contractFields are those of a pool with one contract; of the zero contract all are
// empty.
func contractFields(c provisioner.Contract) []field {
	seats, burst := "", ""
	if c != (provisioner.Contract{}) {
		seats, burst = number(c.Seats), number(c.Burst)
	}
	return []field{
		{"seats", seats},
		{"burst", burst},
		{"from", dayText(c.From)},
		{"until", dayText(c.Until.Add(-time.Nanosecond))}, // exclusive here, included in the file
		{"notice", dayText(c.NoticeBy.Add(-time.Nanosecond))},
		{"contract", c.Reference},
		{"price", priceText(c.Price)},
	}
}

// contractText is one of several contracts.
func contractText(c provisioner.Contract) string {
	var parts []string
	for _, f := range contractFields(c) {
		if f.value != "" {
			parts = append(parts, f.name+" "+f.value)
		}
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

func priceText(p provisioner.Price) string {
	if p.NetCents == 0 && p.GrossCents == 0 {
		return ""
	}
	text := euros(p.NetCents)
	if p.GrossCents != 0 {
		text += " net, " + euros(p.GrossCents) + " gross"
	}
	if p.Period == provisioner.PerMonth {
		return text + " a month"
	}
	return text + " a year"
}

func euros(cents int64) string { return fmt.Sprintf("%d.%02d EUR", cents/100, cents%100) }

// dayText is the calendar day of a contract's date; empty: open.
func dayText(t time.Time) string {
	if t.Year() <= 1 {
		return ""
	}
	year, month, day := provisioner.DayOf(t)
	return fmt.Sprintf("%04d-%02d-%02d", year, month, day)
}

func gatewayFields(g provisioner.Gateway) []field {
	return []field{
		{"endpoint", g.Endpoint},
		{"sessions", strconv.FormatInt(g.Sessions, 10)},
		{"aggregate.v4", prefixText(g.AggregateV4)},
		{"aggregate.v6", prefixText(g.AggregateV6)},
		{"tenants", strings.Join(g.Tenants, ", ")},
		{"masquerade", strconv.FormatBool(g.Masquerade)},
		{"weight", strconv.FormatInt(g.Weight, 10)},
		{"site", g.Site},
		{"throughput", provisioner.BitRateText(g.Throughput)},
		{"warn", join(g.WarnAt, number)},
	}
}

func prefixText(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

// normal brings a declaration to the one form in which it is compared and
// stored: lists without order sorted, defaults filled in.
func normal(d Declaration) Declaration {
	d = Declaration{
		Directories: slices.Clone(d.Directories), Tenants: slices.Clone(d.Tenants),
		Pools: slices.Clone(d.Pools), Gateways: slices.Clone(d.Gateways),
	}
	for i := range d.Tenants {
		t := &d.Tenants[i]
		t.MailDomains = slices.Clone(t.MailDomains)
		for j, m := range t.MailDomains {
			t.MailDomains[j] = strings.ToLower(m)
		}
		slices.Sort(t.MailDomains)
		standard := provisioner.DefaultPolicy()
		t.Policy.DevicesPerPerson = cmp.Or(t.Policy.DevicesPerPerson, standard.DevicesPerPerson)
		t.Policy.Tunnel = cmp.Or(t.Policy.Tunnel, standard.Tunnel)
		t.Policy.Idle.Below = cmp.Or(t.Policy.Idle.Below, standard.Idle.Below)
	}
	for i := range d.Pools {
		p := &d.Pools[i]
		p.Shares = slices.SortedFunc(slices.Values(p.Shares), func(a, b provisioner.PoolShare) int { return strings.Compare(a.Tenant, b.Tenant) })
	}
	for i := range d.Gateways {
		d.Gateways[i].Weight = cmp.Or(d.Gateways[i].Weight, provisioner.DefaultWeight)
		d.Gateways[i].Tenants = slices.Sorted(slices.Values(d.Gateways[i].Tenants))
	}
	return d
}
