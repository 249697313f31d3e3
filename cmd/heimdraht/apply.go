package main

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/config"
)

type applyCommand struct {
	File   []string `short:"f" sep:"none" placeholder:"FILE" help:"${apply_file}"`
	More   []string `arg:"" optional:"" name:"file" help:"${apply_more}"`
	DryRun bool     `help:"${apply_dry_run}"`
	Reason string   `placeholder:"TEXT" help:"${reason}"`
}

// Run compares reviewed files with what the server has, and applies them.
func (c *applyCommand) Run(ctx context.Context, a *app) error {
	files := append(c.File, c.More...)
	if len(c.File) == 0 {
		return usageError{words{"welche Dateien? Nennen Sie sie mit -f", "which files? Name them with -f"}.in(a.language), "heimdraht apply"}
	}
	declared, err := loadDeclaration(files...)
	if err != nil {
		return err
	}
	declaration := declarationOf(declared)
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		if c.DryRun {
			r, err := k.adm.Diff(ctx, &heimdrahtv1.DiffRequest{Declaration: declaration})
			if err != nil {
				return err
			}
			return a.showDifferences(r.GetDifferences(), false)
		}
		r, err := k.adm.Apply(ctx, &heimdrahtv1.ApplyRequest{Declaration: declaration, Reason: c.Reason})
		if err != nil {
			return err
		}
		return a.showDifferences(r.GetDifferences(), true)
	})
}

// loadDeclaration reads what files declare.
func loadDeclaration(files ...string) (config.Declaration, error) {
	declared, err := config.LoadDeclaration(files...)
	var path *fs.PathError
	if errors.As(err, &path) {
		return declared, unreadable(path.Path, err)
	}
	return declared, err
}

func (a *app) showDifferences(all []*heimdrahtv1.Difference, applied bool) error {
	if a.form != formTable {
		return list(a.printer, "differences", differenceColumns(), all, pair{"applied", applied})
	}
	last := ""
	for _, d := range all {
		object := d.GetKind() + " " + d.GetName()
		switch {
		case d.GetField() == "":
			a.say(words{"%s (neu)", "%s (new)"}, object)
		case object != last:
			a.say(words{"%s", "%s"}, object)
		}
		last = object
		if d.GetField() != "" {
			a.say(words{"  %s: %s -> %s", "  %s: %s -> %s"}, d.GetField(), orDash(d.GetBefore()), orDash(d.GetAfter()))
		}
	}
	switch {
	case len(all) == 0:
		a.hint(words{"Es ist schon alles so.", "Everything is so already."})
	case applied:
		a.hint(words{"Angewendet.", "Applied."})
	default:
		a.hint(words{"Nichts wurde geändert (--dry-run).", "Nothing was changed (--dry-run)."})
	}
	return nil
}

func differenceColumns() []column[*heimdrahtv1.Difference] {
	return []column[*heimdrahtv1.Difference]{
		{"kind", words{}, func(d *heimdrahtv1.Difference) any { return d.GetKind() }},
		{"name", words{}, func(d *heimdrahtv1.Difference) any { return d.GetName() }},
		{"field", words{}, func(d *heimdrahtv1.Difference) any { return d.GetField() }},
		{"before", words{}, func(d *heimdrahtv1.Difference) any { return d.GetBefore() }},
		{"after", words{}, func(d *heimdrahtv1.Difference) any { return d.GetAfter() }},
	}
}

// declarationOf translates what the files say into the protocol.
func declarationOf(d config.Declaration) *heimdrahtv1.Declaration {
	var out heimdrahtv1.Declaration
	for _, x := range d.Directories {
		out.Directories = append(out.Directories, &heimdrahtv1.DirectoryDeclaration{
			Name: x.Name, Servers: x.Servers, CaPem: x.CAPEM, BindDn: x.BindDN, BindPasswordFile: x.BindPasswordFile,
			Base: x.Base, Flavour: x.Flavour, Plain: x.Plain,
		})
	}
	for _, x := range d.Tenants {
		out.Tenants = append(out.Tenants, tenantOf(x))
	}
	for _, x := range d.Pools {
		out.LicencePools = append(out.LicencePools, poolOf(x))
	}
	for _, x := range d.Gateways {
		out.Gateways = append(out.Gateways, &heimdrahtv1.GatewayDeclaration{
			Name: x.Name, Endpoint: x.Endpoint, Sessions: x.Sessions, AggregateV4: prefixText(x.AggregateV4),
			AggregateV6: prefixText(x.AggregateV6), Tenants: x.Tenants, Masquerade: x.Masquerade,
			Weight: x.Weight, Site: x.Site, ThroughputBits: x.Throughput, WarnAt: x.WarnAt,
		})
	}
	return &out
}

// providerOf is nil for a tenant whose people do nothing for others.
func providerOf(p provisioner.ProviderRoles) *heimdrahtv1.ProviderRoles {
	if p.Operator == "" && p.Helpdesk == "" {
		return nil
	}
	return &heimdrahtv1.ProviderRoles{Operator: p.Operator, Helpdesk: p.Helpdesk, Tenants: p.Tenants}
}

// priorityOf is nil for a tenant in which nobody goes first.
func priorityOf(p provisioner.PriorityGroups) *heimdrahtv1.PriorityGroups {
	if p == (provisioner.PriorityGroups{}) {
		return nil
	}
	return &heimdrahtv1.PriorityGroups{Crisis: p.Crisis, Control: p.Control}
}

// crisisOf is nil for a tenant that has prepared nothing.
func crisisOf(p provisioner.CrisisPlan) *heimdrahtv1.CrisisPlan {
	if !p.Prepared() {
		return nil
	}
	return &heimdrahtv1.CrisisPlan{IdleS: int64(p.Idle.Seconds()), LiftHours: p.LiftHours, CloseOrdinary: p.CloseOrdinary}
}

// conditionsOf is nil for a tenant that asks nothing of laptops.
func conditionsOf(p provisioner.ConditionPolicy) *heimdrahtv1.ConditionPolicy {
	if len(p.Asked()) == 0 {
		return nil
	}
	out := &heimdrahtv1.ConditionPolicy{
		Demands: make(map[string]string), ScreenLockMinutes: int32(p.ScreenLockMinutes), GraceDays: int32(p.GraceDays), DenyUnknown: p.DenyUnknown,
		SupportedUntil: make(map[string]string),
	}
	for c, demand := range p.Demands {
		out.Demands[string(c)] = string(demand)
	}
	for _, e := range p.SystemEnds {
		out.SupportedUntil[e.System] = dayText(e.Until)
	}
	return out
}

func tenantOf(t provisioner.Tenant) *heimdrahtv1.TenantDeclaration {
	out := &heimdrahtv1.TenantDeclaration{
		Name: t.Name, DisplayName: t.DisplayName, Land: t.Land, Site: t.Site, Directory: t.Directory, Base: t.Base,
		MailDomains: t.MailDomains, StaffGroup: t.StaffGroup,
		Roles:    &heimdrahtv1.Roles{Helpdesk: t.Roles.Helpdesk, Planner: t.Roles.Planner, TenantAdmin: t.Roles.TenantAdmin},
		Provider: providerOf(t.Provider),
		Priority: priorityOf(t.Priority),
		Crisis:   crisisOf(t.Crisis),
		Policy: &heimdrahtv1.Policy{
			DevicesPerPerson: uint32(t.Policy.DevicesPerPerson), Tunnel: string(t.Policy.Tunnel), DnsDomains: t.Policy.DNSDomains,
			PasswordExpired: string(t.Policy.PasswordExpired), PasswordHosts: destinationTexts(t.Policy.PasswordHosts),
			LocalNetworks: string(t.Policy.LocalNetworks), Callers: destinationTexts(t.Policy.Callers),
			Approval:     string(t.Policy.Approval),
			SignInEveryS: proto.Int64(int64(t.Policy.SignInEvery.Seconds())), LongestSessionS: proto.Int64(int64(t.Policy.LongestSession.Seconds())),
			Idle: &heimdrahtv1.IdlePolicy{AfterS: proto.Int64(int64(t.Policy.Idle.After.Seconds())), Below: t.Policy.Idle.Below},
			SecondFactor: &heimdrahtv1.SecondFactorPolicy{
				Enrolling: t.Policy.SecondFactor.Enrolling, SigningInAgain: t.Policy.SecondFactor.SigningInAgain,
			},
			ExternalGroup: t.Policy.ExternalGroup,
			Conditions:    conditionsOf(t.Policy.Conditions),
		},
	}
	if v := t.Policy.MinimumAgent; v.Version != "" {
		out.Policy.MinimumAgentVersion = &heimdrahtv1.MinimumAgentVersion{Version: v.Version}
		out.Policy.MinimumAgentVersion.RefuseFrom, _ = spanTexts(v.From, time.Time{})
	}
	if h := t.HouseRules; h.German != "" {
		out.HouseRules = &heimdrahtv1.HouseRulesDeclaration{German: h.German, English: h.English, Link: h.Link}
	}
	for _, v := range t.Products {
		out.Products = append(out.Products, &heimdrahtv1.ProductDeclaration{Name: v.Name, Processes: v.Processes, LicencePool: v.LicencePool})
	}
	if w := t.WorksAgreement; w.Reference != "" {
		out.WorksAgreement = &heimdrahtv1.WorksAgreement{Reference: w.Reference, Date: dayText(w.Date)}
	}
	for _, v := range t.Policy.Access {
		m := &heimdrahtv1.AccessTime{Group: v.Group, Days: v.Days.String(), Hours: v.Hours()}
		m.From, m.Until = spanTexts(v.From, v.Until)
		out.Policy.Access = append(out.Policy.Access, m)
	}
	for _, s := range t.Policy.DNSServers {
		out.Policy.DnsServers = append(out.Policy.DnsServers, s.String())
	}
	for _, n := range t.Networks {
		out.Networks = append(out.Networks, &heimdrahtv1.NetworkGrant{Group: n.Group, Allow: destinationTexts(n.Allow)})
	}
	return out
}

func poolOf(p provisioner.LicencePool) *heimdrahtv1.LicencePoolDeclaration {
	out := &heimdrahtv1.LicencePoolDeclaration{
		Name: p.Name, Model: string(p.Model), LendGuaranteed: p.LendGuaranteed, RecallS: int64(p.Recall / time.Second),
		TakeBackUnusedS: int64(p.TakeBackUnused / time.Second), HoldAtLeastS: int64(p.HoldAtLeast / time.Second), WarnAt: p.WarnAt,
		WarnForecast: p.WarnForecast,
	}
	for _, c := range p.Contracts {
		m := &heimdrahtv1.ContractDeclaration{
			Reference: c.Reference, Seats: c.Seats, Burst: c.Burst,
			NetCents: c.Price.NetCents, GrossCents: c.Price.GrossCents, Period: string(c.Price.Period),
		}
		m.From, m.Until = spanTexts(c.From, c.Until)
		_, m.Notice = spanTexts(time.Time{}, c.NoticeBy)
		out.Contracts = append(out.Contracts, m)
	}
	if len(p.Contracts) == 1 { // also as a control plane of the version before knows it
		c := p.Contracts[0]
		out.Seats, out.Burst, out.Contract, out.CentsPerSeatYear = c.Seats, c.Burst, c.Reference, c.Price.CentsAYear()
		out.From, out.Until = spanTexts(c.From, c.Until)
	}
	for _, r := range p.Reserved {
		out.Reserved = append(out.Reserved, &heimdrahtv1.Reserve{Class: string(r.Class), Seats: r.Seats})
	}
	for _, s := range p.Shares {
		out.Tenants = append(out.Tenants, &heimdrahtv1.PoolShare{Tenant: s.Tenant, Guarantee: s.Guarantee})
	}
	return out
}

// spanTexts are the first and the last day of a span.
func spanTexts(from, until time.Time) (first, last string) {
	if !from.IsZero() {
		first = dayText(from)
	}
	if !until.IsZero() {
		last = dayText(until.Add(-time.Nanosecond)) // exclusive there, included here
	}
	return first, last
}

func dayText(t time.Time) string {
	year, month, day := provisioner.DayOf(t)
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

func prefixText(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

func destinationTexts(list []provisioner.Destination) (texts []string) {
	for _, d := range list {
		texts = append(texts, destinationText(d))
	}
	return texts
}

// destinationText is how a file writes a destination.
func destinationText(d provisioner.Destination) string {
	if d.Port == 0 {
		return d.Prefix.String()
	}
	return d.Prefix.String() + ":" + strconv.Itoa(int(d.Port))
}
