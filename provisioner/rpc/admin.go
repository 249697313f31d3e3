package rpc

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/tenancy"
)

type adminHandler struct {
	heimdrahtv1.UnimplementedAdminServiceServer
	tenancy *tenancy.Service
}

func (h *adminHandler) Diff(ctx context.Context, r *heimdrahtv1.DiffRequest) (*heimdrahtv1.DiffResponse, error) {
	d, err := toDeclaration(r.GetDeclaration())
	if err != nil {
		return nil, err
	}
	list, err := h.tenancy.Diff(ctx, actorOf(ctx), d)
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.DiffResponse{Differences: fromDifferences(list)}, nil
}

func (h *adminHandler) Apply(ctx context.Context, r *heimdrahtv1.ApplyRequest) (*heimdrahtv1.ApplyResponse, error) {
	d, err := toDeclaration(r.GetDeclaration())
	if err != nil {
		return nil, err
	}
	list, err := h.tenancy.Apply(ctx, actorOf(ctx), d, r.GetReason())
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.ApplyResponse{Differences: fromDifferences(list)}, nil
}

func (h *adminHandler) CreateGatewayToken(ctx context.Context, r *heimdrahtv1.CreateGatewayTokenRequest) (*heimdrahtv1.CreateGatewayTokenResponse, error) {
	token, expires, err := h.tenancy.CreateGatewayToken(ctx, actorOf(ctx), r.GetGateway())
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.CreateGatewayTokenResponse{Token: token, ExpiresAt: timestamppb.New(expires)}, nil
}

// Join lets a gateway in.
func (h *gatewayHandler) Join(ctx context.Context, r *heimdrahtv1.JoinRequest) (*heimdrahtv1.JoinResponse, error) {
	joined, err := h.tenancy.JoinGateway(ctx, actorOf(ctx), tenancy.JoinRequest{
		Token: r.GetToken(), CertificateRequest: r.GetCertificateRequest(), PublicKey: r.GetWireguardPublicKey(), AgentVersion: r.GetAgentVersion(),
	})
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.JoinResponse{Gateway: joined.Gateway, Certificate: fromCertificate(joined.Certificate)}, nil
}

func fromDifferences(list []tenancy.Difference) []*heimdrahtv1.Difference {
	out := make([]*heimdrahtv1.Difference, len(list))
	for i, d := range list {
		out[i] = &heimdrahtv1.Difference{Kind: d.Kind, Name: d.Name, Field: d.Field, Before: d.Before, After: d.After}
	}
	return out
}

// toDeclaration reads a declaration; texts that are no prefixes, addresses or
// dates are refused with the object's name.
func toDeclaration(m *heimdrahtv1.Declaration) (d tenancy.Declaration, err error) {
	for _, v := range m.GetDirectories() {
		d.Directories = append(d.Directories, provisioner.Directory{
			Name: v.GetName(), Servers: v.GetServers(), CAPEM: v.GetCaPem(), BindDN: v.GetBindDn(),
			BindPasswordFile: v.GetBindPasswordFile(), Base: v.GetBase(), Flavour: v.GetFlavour(), Plain: v.GetPlain(),
		})
	}
	for _, v := range m.GetTenants() {
		t, err := toTenant(v)
		if err != nil {
			return d, err
		}
		d.Tenants = append(d.Tenants, t)
	}
	for _, v := range m.GetLicencePools() {
		p, err := toPool(v)
		if err != nil {
			return d, err
		}
		d.Pools = append(d.Pools, p)
	}
	for _, v := range m.GetGateways() {
		g := provisioner.Gateway{Name: v.GetName(), Endpoint: v.GetEndpoint(), Sessions: v.GetSessions(), Tenants: v.GetTenants(), Masquerade: v.GetMasquerade(),
			Weight: v.GetWeight(), Site: v.GetSite(), Throughput: v.GetThroughputBits(), WarnAt: v.GetWarnAt()}
		if g.AggregateV4, err = toPrefix(v.GetAggregateV4()); err == nil {
			g.AggregateV6, err = toPrefix(v.GetAggregateV6())
		}
		if err != nil {
			return d, unreadable("gateway", v.GetName(), err)
		}
		d.Gateways = append(d.Gateways, g)
	}
	return d, nil
}

func unreadable(kind, name string, err error) error {
	why := printable(err.Error())
	return provisioner.DeclarationInvalid(kind, printable(name), "ein Wert ist nicht lesbar ("+why+")", "a value cannot be read ("+why+")")
}

func toTenant(m *heimdrahtv1.TenantDeclaration) (provisioner.Tenant, error) {
	t := provisioner.Tenant{
		Name: m.GetName(), DisplayName: m.GetDisplayName(), Land: m.GetLand(), Site: m.GetSite(), Directory: m.GetDirectory(), Base: m.GetBase(),
		MailDomains: m.GetMailDomains(), StaffGroup: m.GetStaffGroup(),
		Roles: provisioner.RoleGroups{
			Helpdesk: m.GetRoles().GetHelpdesk(), Planner: m.GetRoles().GetPlanner(), TenantAdmin: m.GetRoles().GetTenantAdmin(),
		},
		Provider: provisioner.ProviderRoles{
			Operator: m.GetProvider().GetOperator(), Helpdesk: m.GetProvider().GetHelpdesk(), Tenants: m.GetProvider().GetTenants(),
		},
		Priority: provisioner.PriorityGroups{Crisis: m.GetPriority().GetCrisis(), Control: m.GetPriority().GetControl()},
		Policy: provisioner.Policy{
			DevicesPerPerson: int(m.GetPolicy().GetDevicesPerPerson()), Tunnel: provisioner.Tunnel(m.GetPolicy().GetTunnel()),
			LocalNetworks: provisioner.LocalNetworks(m.GetPolicy().GetLocalNetworks()),
			DNSDomains:    m.GetPolicy().GetDnsDomains(), PasswordExpired: provisioner.PasswordPolicy(m.GetPolicy().GetPasswordExpired()),
			Approval:      provisioner.ApprovalPolicy(m.GetPolicy().GetApproval()),
			ExternalGroup: m.GetPolicy().GetExternalGroup(),
		},
	}
	t.Crisis = toCrisisPlan(m.GetCrisis())
	var err error
	if t.Policy.Conditions, err = toConditionPolicy(m.GetPolicy().GetConditions()); err != nil {
		return t, unreadable("tenant", t.Name, err)
	}
	signingIn(m.GetPolicy(), &t.Policy)
	t.HouseRules = provisioner.NewHouseRules(m.GetHouseRules().GetGerman(), m.GetHouseRules().GetEnglish(), m.GetHouseRules().GetLink())
	for _, s := range m.GetPolicy().GetDnsServers() {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return t, unreadable("tenant", t.Name, err)
		}
		t.Policy.DNSServers = append(t.Policy.DNSServers, a)
	}
	for _, v := range m.GetProducts() {
		t.Products = append(t.Products, provisioner.Product{Name: v.GetName(), Processes: v.GetProcesses(), LicencePool: v.GetLicencePool()})
	}
	t.WorksAgreement.Reference = m.GetWorksAgreement().GetReference()
	if t.WorksAgreement.Date, err = toDay(m.GetWorksAgreement().GetDate(), 0); err != nil {
		return t, unreadable("tenant", t.Name, err)
	}
	if t.Policy.Callers, err = toDestinations(m.GetPolicy().GetCallers()); err != nil {
		return t, unreadable("tenant", t.Name, err)
	}
	if v := m.GetPolicy().GetMinimumAgentVersion(); v != nil {
		// What is no version is told by its field (tenancy).
		if t.Policy.MinimumAgent.Version = v.GetVersion(); v.GetVersion() != "" {
			t.Policy.MinimumAgent.Version, _ = provisioner.ParseAgentVersion(v.GetVersion())
		}
		if t.Policy.MinimumAgent.From, err = toDay(v.GetRefuseFrom(), 0); err != nil {
			return t, unreadable("tenant", t.Name, err)
		}
	}
	if t.Policy.PasswordHosts, err = toDestinations(m.GetPolicy().GetPasswordHosts()); err != nil {
		return t, unreadable("tenant", t.Name, err)
	}
	if t.Policy.Access, err = toAccess(m.GetPolicy().GetAccess()); err != nil {
		return t, unreadable("tenant", t.Name, err)
	}
	for _, n := range m.GetNetworks() {
		grant := provisioner.NetworkGrant{Group: n.GetGroup()}
		if grant.Allow, err = toDestinations(n.GetAllow()); err != nil {
			return t, unreadable("tenant", t.Name, err)
		}
		t.Networks = append(t.Networks, grant)
	}
	return t, nil
}

// signingIn reads when people have to sign in again, and with what, and when nobody works. What an older
// program does not say is as the default has it.
func signingIn(m *heimdrahtv1.Policy, p *provisioner.Policy) {
	standard := provisioner.DefaultPolicy()
	p.SignInEvery, p.LongestSession = standard.SignInEvery, standard.LongestSession
	if m != nil && m.SignInEveryS != nil {
		p.SignInEvery = seconds(m.GetSignInEveryS())
	}
	if m != nil && m.LongestSessionS != nil {
		p.LongestSession = seconds(m.GetLongestSessionS())
	}
	p.Idle.After, p.Idle.Below = standard.Idle.After, m.GetIdle().GetBelow()
	if i := m.GetIdle(); i != nil && i.AfterS != nil {
		p.Idle.After = seconds(i.GetAfterS())
	}
	p.SecondFactor = provisioner.SecondFactorPolicy{
		Enrolling: m.GetSecondFactor().GetEnrolling(), SigningInAgain: m.GetSecondFactor().GetSigningInAgain(),
	}
}

// seconds is a span of the wire; one that no Duration holds is out of every range.
func seconds(n int64) time.Duration {
	const most = int64(math.MaxInt64 / time.Second)
	return time.Duration(max(min(n, most), -1)) * time.Second
}

func toDestinations(texts []string) (list []provisioner.Destination, err error) {
	for _, s := range texts {
		d, err := toDestination(s)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

func toPool(m *heimdrahtv1.LicencePoolDeclaration) (provisioner.LicencePool, error) {
	p := provisioner.LicencePool{
		Name: m.GetName(), Model: provisioner.PoolModel(m.GetModel()), LendGuaranteed: m.GetLendGuaranteed(), Recall: seconds(m.GetRecallS()),
		TakeBackUnused: seconds(m.GetTakeBackUnusedS()), HoldAtLeast: seconds(m.GetHoldAtLeastS()), WarnAt: m.GetWarnAt(),
		WarnForecast: m.GetWarnForecast(),
	}
	for _, s := range m.GetTenants() {
		p.Shares = append(p.Shares, provisioner.PoolShare{Tenant: s.GetTenant(), Guarantee: s.GetGuarantee()})
	}
	for _, r := range m.GetReserved() {
		p.Reserved = append(p.Reserved, provisioner.Reserve{Class: provisioner.PriorityClass(r.GetClass()), Seats: r.GetSeats()})
	}
	contracts := m.GetContracts()
	if len(contracts) == 0 { // a program of the version before
		contracts = []*heimdrahtv1.ContractDeclaration{{
			Reference: m.GetContract(), Seats: m.GetSeats(), Burst: m.GetBurst(), From: m.GetFrom(), Until: m.GetUntil(),
			NetCents: m.GetCentsPerSeatYear(), Period: string(provisioner.PerYear),
		}}
	}
	for _, v := range contracts {
		c := provisioner.Contract{
			Reference: v.GetReference(), Seats: v.GetSeats(), Burst: v.GetBurst(),
			Price: provisioner.Price{NetCents: v.GetNetCents(), GrossCents: v.GetGrossCents(), Period: provisioner.PricePeriod(v.GetPeriod())},
		}
		var errs [3]error
		c.From, errs[0] = toDay(v.GetFrom(), 0)
		c.Until, errs[1] = toDay(v.GetUntil(), 1)
		c.NoticeBy, errs[2] = toDay(v.GetNotice(), 1)
		if err := errors.Join(errs[:]...); err != nil {
			return p, unreadable("licence pool", p.Name, err)
		}
		p.Contracts = append(p.Contracts, c)
	}
	return p, nil
}

func toAccess(list []*heimdrahtv1.AccessTime) (out []provisioner.AccessTime, err error) {
	for _, m := range list {
		a := provisioner.AccessTime{Group: m.GetGroup()}
		var errs [4]error
		a.Days, errs[0] = provisioner.ParseWeekdays(m.GetDays())
		a.Begin, a.End, errs[1] = provisioner.ParseHours(m.GetHours())
		a.From, errs[2] = toDay(m.GetFrom(), 0)
		a.Until, errs[3] = toDay(m.GetUntil(), 1)
		if err := errors.Join(errs[:]...); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// toDay is when a calendar day, or the one `later` days after it, begins.
func toDay(s string, later int) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	day, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return time.Time{}, err
	}
	return provisioner.DayBegins(day.Year(), day.Month(), day.Day()+later), nil
}

func toPrefix(s string) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, nil
	}
	return netip.ParsePrefix(s)
}

// toDestination reads a prefix, optionally with ":port" behind its length.
func toDestination(s string) (d provisioner.Destination, err error) {
	address, rest, _ := strings.Cut(s, "/")
	length, port, hasPort := strings.Cut(rest, ":")
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return d, fmt.Errorf("%q has no port from 1 to 65535 behind the colon", s)
		}
		d.Port = uint16(n)
	}
	d.Prefix, err = netip.ParsePrefix(address + "/" + length)
	return d, err
}
