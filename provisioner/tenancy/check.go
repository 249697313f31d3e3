package tenancy

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
)

// What one declaration may hold.
const (
	maxText     = 500 // bytes of a name or DN
	maxCA       = 64 << 10
	maxList     = 1000
	maxSeats    = 10_000_000
	maxCents    = 100_000_100
	maxSessions = 1_000_000
	maxDevices  = 100
)

// invalid refuses an object of a declaration. warum and why are one sentence in
// German and in English; args fill both.
func invalid(kind, name, warum, why string, args ...any) *provisioner.Refusal {
	if !isName(name) {
		name = ""
	}
	return provisioner.DeclarationInvalid(kind, name, fmt.Sprintf(warum, args...), fmt.Sprintf(why, args...))
}

// isName is a name as it may stand in files, certificates and addresses.
func isName(s string) bool {
	return s != "" && len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && s[0] != '-'
}

// check judges a declaration by itself. It must be normal.
func check(d Declaration) *provisioner.Refusal {
	for _, v := range d.Directories {
		if refusal := checkDirectory(v); refusal != nil {
			return refusal
		}
	}
	for _, v := range d.Tenants {
		if refusal := checkTenant(v); refusal != nil {
			return refusal
		}
	}
	for _, v := range d.Pools {
		if refusal := checkPool(v); refusal != nil {
			return refusal
		}
	}
	for _, v := range d.Gateways {
		if refusal := checkGateway(v); refusal != nil {
			return refusal
		}
	}
	return checkTwice(d)
}

func checkTwice(d Declaration) *provisioner.Refusal {
	seen := make(map[[2]string]bool)
	for _, object := range d.names() {
		if seen[object] {
			return invalid(object[0], object[1], "der Name steht zweimal da", "it is declared twice")
		}
		seen[object] = true
	}
	return nil
}

// names lists kind and name of every object.
func (d Declaration) names() (list [][2]string) {
	for _, v := range d.Directories {
		list = append(list, [2]string{kindDirectory, v.Name})
	}
	for _, v := range d.Tenants {
		list = append(list, [2]string{kindTenant, v.Name})
	}
	for _, v := range d.Pools {
		list = append(list, [2]string{kindPool, v.Name})
	}
	for _, v := range d.Gateways {
		list = append(list, [2]string{kindGateway, v.Name})
	}
	return list
}

func tooLong(texts ...string) bool {
	return slices.ContainsFunc(texts, func(s string) bool { return len(s) > maxText || strings.ContainsAny(s, "\x00\r\n") })
}

func checkDirectory(d provisioner.Directory) *provisioner.Refusal {
	switch {
	case !isName(d.Name):
		return invalid(kindDirectory, d.Name, "ein Name besteht aus höchstens 63 Kleinbuchstaben, Ziffern und Bindestrichen", "a name has lower-case letters, digits and hyphens, at most 63")
	case len(d.Servers) == 0 || len(d.Servers) > 16:
		return invalid(kindDirectory, d.Name, "es braucht 1 bis 16 Server", "it needs 1 to 16 servers")
	case tooLong(d.BindDN, d.BindPasswordFile, d.Base, d.Flavour) || tooLong(d.Servers...) || len(d.CAPEM) > maxCA:
		return invalid(kindDirectory, d.Name, "ein Wert ist zu lang oder enthält einen Zeilenumbruch", "a value is too long, or has a line break")
	case d.BindDN == "" || d.Base == "":
		return invalid(kindDirectory, d.Name, "bind.dn und base fehlen", "bind.dn and base must be given")
	case !strings.HasPrefix(d.BindPasswordFile, "/"):
		return invalid(kindDirectory, d.Name, "bind.password_file muss ein absoluter Pfad auf dem Rechner des Servers sein", "bind.password_file must be an absolute path on the control plane's machine")
	}
	for _, s := range d.Servers {
		if !strings.HasPrefix(s, "ldaps://") && !strings.HasPrefix(s, "ldap://") {
			return invalid(kindDirectory, d.Name, "der Server %q beginnt weder mit ldaps:// noch mit ldap://", "the server %q begins neither with ldaps:// nor with ldap://", s)
		}
	}
	return nil
}

func checkTenant(t provisioner.Tenant) *provisioner.Refusal {
	switch {
	case !isName(t.Name):
		return invalid(kindTenant, t.Name, "ein Name besteht aus höchstens 63 Kleinbuchstaben, Ziffern und Bindestrichen", "a name has lower-case letters, digits and hyphens, at most 63")
	case t.Site != "" && !isName(t.Site):
		return invalid(kindTenant, t.Name, "site ist ein Name wie der eines Zugangsservers", "site is a name like that of a gateway")
	case tooLong(t.DisplayName, t.Land, t.Directory, t.Base, t.StaffGroup, t.Roles.Helpdesk, t.Roles.Planner, t.Roles.TenantAdmin, t.Provider.Operator, t.Provider.Helpdesk, t.Policy.ExternalGroup, t.Priority.Crisis, t.Priority.Control) ||
		tooLong(t.Provider.Tenants...) || tooLong(t.MailDomains...) || tooLong(t.Policy.DNSDomains...):
		return invalid(kindTenant, t.Name, "ein Wert ist zu lang oder enthält einen Zeilenumbruch", "a value is too long, or has a line break")
	case t.StaffGroup == "":
		return invalid(kindTenant, t.Name, "staff_group fehlt: die Gruppe sagt, wer von zu Hause arbeiten darf", "staff_group must be given: it says who may work from home")
	case t.Policy.DevicesPerPerson < 1 || t.Policy.DevicesPerPerson > maxDevices:
		return invalid(kindTenant, t.Name, "policy.devices_per_person muss von 1 bis %d sein", "policy.devices_per_person must be from 1 to %d", maxDevices)
	case t.Policy.Tunnel != provisioner.TunnelSplit && t.Policy.Tunnel != provisioner.TunnelFull:
		return invalid(kindTenant, t.Name, "policy.tunnel muss split oder full sein", "policy.tunnel must be split or full")
	case !slices.Contains([]provisioner.LocalNetworks{"", provisioner.LocalAllowed, provisioner.LocalDenied}, t.Policy.LocalNetworks):
		return invalid(kindTenant, t.Name, "policy.local_networks muss allow oder deny sein", "policy.local_networks must be allow or deny")
	case t.Policy.LocalNetworks == provisioner.LocalDenied && t.Policy.Tunnel != provisioner.TunnelFull:
		return invalid(kindTenant, t.Name, "policy.local_networks: deny gibt es nur mit tunnel: full", "policy.local_networks: deny is for tunnel: full only")
	case t.Policy.LocalNetworks == provisioner.LocalDenied && len(t.Policy.DNSServers) == 0:
		return invalid(kindTenant, t.Name, "policy.local_networks: deny braucht policy.dns.servers: die Namensserver zu Hause sind dann nicht erreichbar",
			"policy.local_networks: deny needs policy.dns.servers: those at home cannot be reached then")
	case (t.Provider.Helpdesk == "") != (len(t.Provider.Tenants) == 0):
		return invalid(kindTenant, t.Name, "provider.helpdesk und provider.tenants gehören zusammen: wer hilft, und wem", "provider.helpdesk and provider.tenants belong together: who helps, and whom")
	case len(t.Provider.Tenants) > maxList || len(t.MailDomains) > maxList || len(t.Networks) > maxList || len(t.Policy.Access) > maxList || len(t.Policy.DNSServers) > 8 || len(t.Policy.DNSDomains) > 64:
		return invalid(kindTenant, t.Name, "eine Liste ist zu lang", "a list is too long")
	case len(slices.Compact(slices.Clone(t.MailDomains))) != len(t.MailDomains):
		return invalid(kindTenant, t.Name, "eine Maildomain steht zweimal da", "a mail domain stands twice")
	}
	for _, a := range t.Policy.Access {
		if a.Group == "" || tooLong(a.Group) || !a.From.IsZero() && !a.Until.IsZero() && !a.From.Before(a.Until) {
			return invalid(kindTenant, t.Name, "policy.access braucht eine Gruppe und ein Ende nach dem Beginn", "policy.access needs a group, and an end after the beginning")
		}
	}
	for _, n := range t.Networks {
		if n.Group == "" || tooLong(n.Group) || len(n.Allow) > maxList {
			return invalid(kindTenant, t.Name, "ein Netz braucht eine Gruppe und höchstens %d Ziele", "a network needs a group, and at most %d destinations", maxList)
		}
		if refusal := checkDestinations(t.Name, n.Allow); refusal != nil {
			return refusal
		}
	}
	if refusal := checkSpans(t); refusal != nil {
		return refusal
	}
	if refusal := checkHouseRules(t); refusal != nil {
		return refusal
	}
	if refusal := checkProducts(t); refusal != nil {
		return refusal
	}
	return checkPolicy(t)
}

// checkSpans keeps spans of time from being so short that nobody could work, or
// so long that they mean nothing.
func checkSpans(t provisioner.Tenant) *provisioner.Refusal {
	for _, v := range []struct {
		name string
		span time.Duration
		most int64 // days
	}{
		{"policy.sign_in_every", t.Policy.SignInEvery, provisioner.MostSignInDays},
		{"policy.longest_session", t.Policy.LongestSession, provisioner.MostSessionDays},
	} {
		if v.span != 0 && (v.span < time.Hour || v.span > time.Duration(v.most)*24*time.Hour) {
			return invalid(kindTenant, t.Name, "%s muss von einer Stunde bis %d Tage sein, oder never", "%s must be from an hour to %d days, or never", v.name, v.most)
		}
	}
	if v := t.Policy.MinimumAgent; v != (provisioner.MinimumAgent{}) {
		if _, ok := provisioner.ParseAgentVersion(v.Version); !ok {
			return invalid(kindTenant, t.Name, "policy.minimum_agent_version.version muss aus drei Zahlen bestehen, wie 1.4.0", "policy.minimum_agent_version.version must be three numbers, such as 1.4.0")
		}
	}
	if refusal := checkIdle(t); refusal != nil {
		return refusal
	}
	return checkCrisis(t)
}

// checkIdle judges when nobody works in a session.
func checkIdle(t provisioner.Tenant) *provisioner.Refusal {
	least, most := provisioner.SpanText(provisioner.LeastIdle), provisioner.SpanText(provisioner.MostIdle)
	switch p := t.Policy.Idle; {
	case p.After != 0 && !isIdleTime(p.After):
		return invalid(kindTenant, t.Name, "policy.idle.after muss von %s bis %s sein, oder never", "policy.idle.after must be from %s to %s, or never", least, most)
	case p.Below < 1 || p.Below > provisioner.MostIdleBelow:
		return invalid(kindTenant, t.Name, "policy.idle.below muss von 1 bis %d sein", "policy.idle.below must be from 1 to %d", provisioner.MostIdleBelow)
	}
	return nil
}

// checkCrisis judges what is to hold in a crisis.
func checkCrisis(t provisioner.Tenant) *provisioner.Refusal {
	least, most := provisioner.SpanText(provisioner.LeastIdle), provisioner.SpanText(provisioner.MostIdle)
	always := t.Policy.Idle.After
	switch p := t.Crisis; {
	case p.Idle != 0 && !isIdleTime(p.Idle):
		return invalid(kindTenant, t.Name, "crisis.idle muss von %s bis %s sein", "crisis.idle must be from %s to %s", least, most)
	case p.Idle != 0 && always != 0 && p.Idle >= always:
		return invalid(kindTenant, t.Name, "crisis.idle muss kürzer sein als policy.idle.after (%s)", "crisis.idle must be shorter than policy.idle.after (%s)", provisioner.SpanText(always))
	case p.CloseOrdinary && t.Priority == (provisioner.PriorityGroups{}):
		return invalid(kindTenant, t.Name, "crisis.ordinary: closed braucht priority.crisis oder priority.control: sonst käme niemand hinein", "crisis.ordinary: closed needs priority.crisis or priority.control: else nobody would get in")
	}
	return nil
}

func isIdleTime(d time.Duration) bool {
	return d >= provisioner.LeastIdle && d <= provisioner.MostIdle && d%time.Minute == 0
}

func checkHouseRules(t provisioner.Tenant) *provisioner.Refusal {
	h := t.HouseRules
	unfit := func(s string) bool {
		return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' })
	}
	switch {
	case len(h.German) > provisioner.HouseRulesLimit || len(h.English) > provisioner.HouseRulesLimit:
		return invalid(kindTenant, t.Name, "house_rules: ein Text hat mehr als %d Bytes", "house_rules: a text has more than %d bytes", provisioner.HouseRulesLimit)
	case unfit(h.German) || unfit(h.English):
		return invalid(kindTenant, t.Name, "house_rules: die Texte sind reiner Text in UTF-8, ohne Steuerzeichen", "house_rules: the texts are plain UTF-8 text without control characters")
	case tooLong(h.Link) || h.Link != "" && !strings.HasPrefix(h.Link, "https://") && !strings.HasPrefix(h.Link, "http://"):
		return invalid(kindTenant, t.Name, "house_rules.link muss mit https:// oder http:// beginnen", "house_rules.link must begin with https:// or http://")
	}
	return nil
}

func checkDestinations(tenant string, list []provisioner.Destination) *provisioner.Refusal {
	for _, a := range list {
		if !a.Prefix.IsValid() || a.Prefix != a.Prefix.Masked() || a.Prefix.Bits() == 0 {
			return invalid(kindTenant, tenant, "%v ist kein Netz, das man freigeben kann", "%v is no network that can be granted", a.Prefix)
		}
	}
	return nil
}

func checkPolicy(t provisioner.Tenant) *provisioner.Refusal {
	policy, hosts := t.Policy.PasswordExpired, t.Policy.PasswordHosts
	switch policy {
	case "", provisioner.PasswordKeep, provisioner.PasswordHostsOnly, provisioner.PasswordClose:
	default:
		return invalid(kindTenant, t.Name, "policy.password_expired muss keep, password_only oder close sein", "policy.password_expired must be keep, password_only or close")
	}
	switch t.Policy.Approval {
	case "", provisioner.ApprovalNone, provisioner.ApprovalHelpdesk:
	default:
		return invalid(kindTenant, t.Name, "policy.approval muss none oder helpdesk sein", "policy.approval must be none or helpdesk")
	}
	only := policy == provisioner.PasswordHostsOnly
	switch {
	case only && len(hosts) == 0:
		return invalid(kindTenant, t.Name, "password_only braucht policy.password_hosts: wo man das Passwort ändert", "password_only needs policy.password_hosts: where people change their password")
	case !only && len(hosts) > 0:
		return invalid(kindTenant, t.Name, "policy.password_hosts gibt es nur mit password_expired: password_only", "policy.password_hosts is for password_expired: password_only only")
	case len(hosts) > maxList || len(t.Policy.Callers) > maxList:
		return invalid(kindTenant, t.Name, "eine Liste ist zu lang", "a list is too long")
	}
	if refusal := checkDestinations(t.Name, t.Policy.Callers); refusal != nil {
		return refusal
	}
	if refusal := checkConditions(t); refusal != nil {
		return refusal
	}
	return checkDestinations(t.Name, hosts)
}

func checkPool(p provisioner.LicencePool) *provisioner.Refusal {
	switch {
	case !isName(p.Name):
		return invalid(kindPool, p.Name, "ein Name besteht aus höchstens 63 Kleinbuchstaben, Ziffern und Bindestrichen", "a name has lower-case letters, digits and hyphens, at most 63")
	case p.Model != provisioner.PoolConcurrent && p.Model != provisioner.PoolNamed:
		return invalid(kindPool, p.Name, "model muss concurrent oder named sein", "model must be concurrent or named")
	case len(p.Contracts) == 0 || len(p.Contracts) > maxList:
		return invalid(kindPool, p.Name, "ein Vorrat braucht einen Vertrag, und höchstens %d", "a pool needs a contract, and %d at most", maxList)
	case len(p.Shares) == 0:
		return invalid(kindPool, p.Name, "tenants fehlt: niemand könnte es benutzen", "tenants must be given: nobody could use it")
	}
	for i, c := range p.Contracts {
		if refusal := checkContract(p.Name, c); refusal != nil {
			return refusal
		}
		if slices.ContainsFunc(p.Contracts[:i], c.Overlaps) {
			return invalid(kindPool, p.Name, "der Vertrag %s läuft an manchen Tagen zweimal", "the contract %s runs twice on some days", c.Reference)
		}
	}
	if refusal := checkRules(p); refusal != nil {
		return refusal
	}
	var promised int64
	for _, r := range p.Reserved {
		promised += r.Seats
	}
	for i, s := range p.Shares {
		if s.Guarantee < 0 || s.Guarantee > maxSeats {
			return invalid(kindPool, p.Name, "die Zusage an %s muss von 0 bis %d sein", "the guarantee of %s must be from 0 to %d", s.Tenant, maxSeats)
		}
		if i > 0 && p.Shares[i-1].Tenant == s.Tenant {
			return invalid(kindPool, p.Name, "die Verwaltung %s steht zweimal da", "the tenant %s stands twice", s.Tenant)
		}
		promised += s.Guarantee
	}
	if most := provisioner.MostSeats(p.Contracts); promised > most {
		return invalid(kindPool, p.Name, "zugesagt und reserviert sind zusammen %d Plätze, es gibt %d", "guaranteed and reserved are %d seats together, there are %d", promised, most)
	}
	return nil
}

func checkContract(pool string, c provisioner.Contract) *provisioner.Refusal {
	switch {
	case c.Seats < 0 || c.Seats > maxSeats || c.Burst < 0 || c.Burst > maxSeats:
		return invalid(kindPool, pool, "seats und burst müssen von 0 bis %d sein", "seats and burst must be from 0 to %d", maxSeats)
	case c.Price.NetCents < 0 || c.Price.GrossCents < 0 || c.Price.NetCents > maxCents || c.Price.GrossCents > maxCents:
		return invalid(kindPool, pool, "ein Preis darf nicht negativ sein, und höchstens %d Cent", "a price must not be negative, and %d cents at most", maxCents)
	case c.Price.Period != "" && c.Price.Period != provisioner.PerYear && c.Price.Period != provisioner.PerMonth:
		return invalid(kindPool, pool, "ein Preis gilt für year oder month", "a price is for a year or a month")
	case tooLong(c.Reference):
		return invalid(kindPool, pool, "das Zeichen des Vertrags ist zu lang oder enthält einen Zeilenumbruch", "the contract's reference is too long, or has a line break")
	case !c.Until.IsZero() && !c.From.Before(c.Until):
		return invalid(kindPool, pool, "das Ende liegt vor dem Anfang", "it ends before it begins")
	case !c.NoticeBy.IsZero() && !c.Until.IsZero() && c.NoticeBy.After(c.Until):
		return invalid(kindPool, pool, "die Kündigungsfrist endet nach dem Vertrag", "notice would be given after the contract's end")
	}
	return nil
}

// checkRules looks at what holds for the seats of one model only.
func checkRules(p provisioner.LicencePool) *provisioner.Refusal {
	concurrent := p.Model == provisioner.PoolConcurrent
	switch {
	case !concurrent && (p.LendGuaranteed != 0 || p.Recall != 0 || len(p.Reserved) > 0):
		return invalid(kindPool, p.Name, "lend_guaranteed, recall und reserved gibt es nur mit model: concurrent", "lend_guaranteed, recall and reserved are for model: concurrent only")
	case concurrent && (p.TakeBackUnused != 0 || p.HoldAtLeast != 0):
		return invalid(kindPool, p.Name, "take_back_unused und hold_at_least gibt es nur mit model: named", "take_back_unused and hold_at_least are for model: named only")
	case p.LendGuaranteed < 0 || p.LendGuaranteed > 100:
		return invalid(kindPool, p.Name, "lend_guaranteed muss von 0 bis 100 sein", "lend_guaranteed must be from 0 to 100")
	case p.Recall != 0 && (p.Recall < provisioner.LeastIdle || p.Recall > provisioner.MostIdle):
		return invalid(kindPool, p.Name, "recall muss von %s bis %s sein", "recall must be from %s to %s", provisioner.SpanText(provisioner.LeastIdle), provisioner.SpanText(provisioner.MostIdle))
	case p.Recall > 0 && p.LendGuaranteed == 0:
		return invalid(kindPool, p.Name, "recall braucht lend_guaranteed über 0", "recall needs lend_guaranteed above 0")
	case p.TakeBackUnused < 0 || p.HoldAtLeast < 0:
		return invalid(kindPool, p.Name, "eine Zeit darf nicht negativ sein", "a time must not be negative")
	case !concurrent && len(p.WarnForecast) > 0:
		return invalid(kindPool, p.Name, "warn_forecast gibt es nur mit model: concurrent", "warn_forecast is for model: concurrent only")
	case len(p.Reserved) > len(provisioner.PriorityClasses()) || len(p.WarnAt) > maxList || len(p.WarnForecast) > maxList:
		return invalid(kindPool, p.Name, "eine Liste ist zu lang", "a list is too long")
	}
	for i, r := range p.Reserved {
		if r.Class != provisioner.PriorityCrisis && r.Class != provisioner.PriorityControl || i > 0 && p.Reserved[i-1].Class.Rank() >= r.Class.Rank() {
			return invalid(kindPool, p.Name, "reserved nennt crisis und control, jedes einmal", "reserved names crisis and control, each once")
		}
		if r.Seats < 1 || r.Seats > maxSeats {
			return invalid(kindPool, p.Name, "reserved muss von 1 bis %d sein", "reserved must be from 1 to %d", maxSeats)
		}
	}
	if !rises(p.WarnAt, 100) {
		return invalid(kindPool, p.Name, "warn nennt Prozente von 1 bis 100, steigend", "warn names percentages from 1 to 100, rising")
	}
	if !rises(p.WarnForecast, provisioner.MostProbable) {
		return invalid(kindPool, p.Name, "warn_forecast nennt Prozente von 1 bis 99, steigend", "warn_forecast names percentages from 1 to 99, rising")
	}
	return nil
}

// rises reports whether thresholds are percentages up to the highest possible, from the lowest to the highest.
func rises(thresholds []int64, most int64) bool {
	for i, n := range thresholds {
		if n < 1 || n > most || i > 0 && n <= thresholds[i-1] {
			return false
		}
	}
	return true
}

func checkGateway(g provisioner.Gateway) *provisioner.Refusal {
	host, port, err := net.SplitHostPort(g.Endpoint)
	number, bad := strconv.ParseUint(port, 10, 16)
	switch {
	case !isName(g.Name):
		return invalid(kindGateway, g.Name, "ein Name besteht aus höchstens 63 Kleinbuchstaben, Ziffern und Bindestrichen", "a name has lower-case letters, digits and hyphens, at most 63")
	case err != nil || bad != nil || host == "" || number == 0 || tooLong(g.Endpoint):
		return invalid(kindGateway, g.Name, "endpoint muss ein Rechner mit UDP-Port sein", "endpoint must be a host and a UDP port")
	case g.Sessions < 1 || g.Sessions > maxSessions:
		return invalid(kindGateway, g.Name, "sessions muss von 1 bis %d sein", "sessions must be from 1 to %d", maxSessions)
	case g.Weight < 1 || g.Weight > provisioner.MostWeight:
		return invalid(kindGateway, g.Name, "weight muss von 1 bis %d sein", "weight must be from 1 to %d", provisioner.MostWeight)
	case g.Site != "" && !isName(g.Site):
		return invalid(kindGateway, g.Name, "site ist ein Name wie der eines Zugangsservers", "site is a name like that of a gateway")
	case g.Throughput < 0 || g.Throughput > provisioner.MostThroughput:
		return invalid(kindGateway, g.Name, "throughput liegt außerhalb dessen, was ein Rechner kann", "throughput is beyond what a machine can do")
	case len(g.WarnAt) > maxList || !rises(g.WarnAt, 100):
		return invalid(kindGateway, g.Name, "warn nennt Prozente von 1 bis 100, steigend", "warn names percentages from 1 to 100, rising")
	case len(g.Tenants) == 0:
		return invalid(kindGateway, g.Name, "tenants fehlt: niemand könnte es benutzen", "tenants must be given: nobody could use it")
	case len(slices.Compact(slices.Clone(g.Tenants))) != len(g.Tenants):
		return invalid(kindGateway, g.Name, "eine Verwaltung steht zweimal da", "a tenant stands twice")
	}
	if err := (address.Aggregate{V4: g.AggregateV4, V6: g.AggregateV6}).Validate(); err != nil {
		return invalid(kindGateway, g.Name, "aggregate: %v", "aggregate: %v", err)
	}
	return nil
}

// owned is a prefix and whose it is.
type owned struct {
	prefix netip.Prefix
	owner  string
}

// overlap finds two prefixes of different owners that overlap.
func overlap(list []owned) (a, b owned, found bool) {
	slices.SortFunc(list, func(a, b owned) int {
		if c := a.prefix.Addr().Compare(b.prefix.Addr()); c != 0 {
			return c
		}
		return a.prefix.Bits() - b.prefix.Bits()
	})
	var around []owned // prefixes that contain the present one, widest first
	for _, p := range list {
		for len(around) > 0 && !around[len(around)-1].prefix.Overlaps(p.prefix) {
			around = around[:len(around)-1]
		}
		for _, q := range around {
			if q.owner != p.owner {
				return q, p, true
			}
		}
		around = append(around, p)
	}
	return a, b, false
}
