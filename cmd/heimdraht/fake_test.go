package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpccredentials "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// Secrets that must appear nowhere but where they belong.
const (
	goodPassword = "correct-horse"
	goodOneTime  = "one-time-7x"
	goodToken    = "staff-token-abc"
	goodCode     = "123456"
)

// fake is a control plane whose answers are written down. It keeps what it
// was asked.
type fake struct {
	heimdrahtv1.UnimplementedAuthServiceServer
	heimdrahtv1.UnimplementedHelpdeskServiceServer
	heimdrahtv1.UnimplementedCapacityServiceServer
	heimdrahtv1.UnimplementedInvitationServiceServer
	heimdrahtv1.UnimplementedAdminServiceServer
	heimdrahtv1.UnimplementedDirectoryServiceServer
	heimdrahtv1.UnimplementedAuditServiceServer
	heimdrahtv1.UnimplementedApprovalServiceServer
	heimdrahtv1.UnimplementedStaticServiceServer
	heimdrahtv1.UnimplementedExternalServiceServer
	heimdrahtv1.UnimplementedPrivacyServiceServer
	heimdrahtv1.UnimplementedReportServiceServer
	heimdrahtv1.UnimplementedLicenceServiceServer

	address string // host:port#fingerprint

	mu       sync.Mutex
	requests []string
	tests    int // of warnings
}

func startFake(t testing.TB) (*fake, func()) {
	t.Helper()
	certificate, ca, err := serverCertificate()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{address: fmt.Sprintf("%s#%s", listener.Addr(), control.FingerprintOf(ca))}
	server := grpc.NewServer(
		grpc.Creds(grpccredentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13})),
		grpc.UnaryInterceptor(f.intercept),
	)
	heimdrahtv1.RegisterAuthServiceServer(server, f)
	heimdrahtv1.RegisterHelpdeskServiceServer(server, f)
	heimdrahtv1.RegisterCapacityServiceServer(server, f)
	heimdrahtv1.RegisterAdminServiceServer(server, f)
	heimdrahtv1.RegisterDirectoryServiceServer(server, f)
	heimdrahtv1.RegisterAuditServiceServer(server, f)
	heimdrahtv1.RegisterApprovalServiceServer(server, f)
	heimdrahtv1.RegisterInvitationServiceServer(server, f)
	heimdrahtv1.RegisterStaticServiceServer(server, f)
	heimdrahtv1.RegisterExternalServiceServer(server, f)
	heimdrahtv1.RegisterPrivacyServiceServer(server, f)
	heimdrahtv1.RegisterReportServiceServer(server, f)
	heimdrahtv1.RegisterLicenceServiceServer(server, f)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	return f, func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func serverCertificate() (tls.Certificate, *x509.Certificate, error) {
	caPublic, caKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	now := time.Now()
	caTemplate := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, caTemplate, caTemplate, caPublic, caKey)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, caTemplate, public, caKey)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	ca, err := x509.ParseCertificate(caDER)
	return tls.Certificate{Certificate: [][]byte{leafDER, caDER}, PrivateKey: key}, ca, err
}

// intercept keeps the request, and lets nobody in without the token.
func (f *fake) intercept(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	text, err := protojson.Marshal(request.(proto.Message))
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer // protojson varies its blanks on purpose
	if err := json.Compact(&compact, text); err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.requests = append(f.requests, path.Base(info.FullMethod)+" "+compact.String())
	f.mu.Unlock()
	anonymous := strings.HasSuffix(info.FullMethod, "/Login") || strings.HasSuffix(info.FullMethod, "/RedeemToken") || strings.HasSuffix(info.FullMethod, "Factor") && strings.Contains(info.FullMethod, "AuthService")
	if first(ctx, "authorization") != "Bearer "+goodToken && !anonymous {
		return nil, refuse(ctx, codes.Unauthenticated, "not-signed-in",
			"Ihre Anmeldung ist abgelaufen.", "Melden Sie sich an: heimdraht login.", "Your sign-in has expired.", "Sign in: heimdraht login.")
	}
	return next(ctx, request)
}

func (f *fake) takeRequests() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := strings.Join(f.requests, "\n") + "\n"
	f.requests = nil
	return all
}

func first(ctx context.Context, key string) string {
	if all := metadata.ValueFromIncomingContext(ctx, key); len(all) > 0 {
		return all[0]
	}
	return ""
}

func refuse(ctx context.Context, c codes.Code, code, sentenceDE, nextDE, sentence, next string) error {
	r := &heimdrahtv1.Refusal{Code: code, Sentence: sentence, NextStep: next}
	if first(ctx, "accept-language") == "de" {
		r.Sentence, r.NextStep = sentenceDE, nextDE
	}
	s, err := status.New(c, code).WithDetails(r)
	if err != nil {
		return err
	}
	return s.Err()
}

func at(s string) *timestamppb.Timestamp {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return timestamppb.New(t)
}

func (f *fake) token() *heimdrahtv1.StaffToken {
	return &heimdrahtv1.StaffToken{Token: goodToken, ExpiresAt: at("2027-01-15T16:00:00Z")}
}

func (f *fake) Login(ctx context.Context, r *heimdrahtv1.LoginRequest) (*heimdrahtv1.LoginResponse, error) {
	if r.GetPassword() != goodPassword {
		return nil, refuse(ctx, codes.Unauthenticated, "sign-in-failed",
			"Die Anmeldung hat nicht geklappt.", "Prüfen Sie Benutzername und Passwort.", "Signing in did not work.", "Check user name and password.")
	}
	if r.GetLogin() == "hilde" { // has a role above staff
		switch r.GetCode() {
		case "":
			return nil, refuse(ctx, codes.Unauthenticated, "factor-needed", "Es braucht noch einen Code.", "Geben Sie ihn ein.", "It takes a code too.", "Type it.")
		case goodCode:
		default:
			return nil, refuse(ctx, codes.Unauthenticated, "factor-wrong", "Der Code stimmt nicht.", "Warten Sie auf den nächsten.", "The code is not right.", "Wait for the next one.")
		}
	}
	return &heimdrahtv1.LoginResponse{Token: f.token(), DisplayName: "Erika Beispiel", RecoveryCodesLeft: 2}, nil
}

func (f *fake) BeginFactor(ctx context.Context, r *heimdrahtv1.BeginFactorRequest) (*heimdrahtv1.BeginFactorResponse, error) {
	if r.GetToken() != goodOneTime || r.GetPassword() != goodPassword {
		return nil, refuse(ctx, codes.Unauthenticated, "token-invalid", "Der Schlüssel gilt nicht.", "Lassen Sie sich einen neuen geben.", "The token is not valid.", "Ask for a new one.")
	}
	return &heimdrahtv1.BeginFactorResponse{Secret: "GEZDGNBVGY3TQOJQ", Uri: "otpauth://totp/Stadt:hilde?secret=GEZDGNBVGY3TQOJQ"}, nil
}

func (f *fake) ConfirmFactor(ctx context.Context, r *heimdrahtv1.ConfirmFactorRequest) (*heimdrahtv1.ConfirmFactorResponse, error) {
	if r.GetCode() != goodCode {
		return nil, refuse(ctx, codes.Unauthenticated, "factor-wrong", "Der Code stimmt nicht.", "Warten Sie auf den nächsten.", "The code is not right.", "Wait for the next one.")
	}
	return &heimdrahtv1.ConfirmFactorResponse{Token: f.token(), DisplayName: "Hilde Helferin", RecoveryCodes: []string{"aaaa-bbbb-cccc-dddd", "eeee-ffff-gggg-hhhh"}}, nil
}

func (f *fake) IssueFactorToken(context.Context, *heimdrahtv1.IssueFactorTokenRequest) (*heimdrahtv1.IssueFactorTokenResponse, error) {
	return &heimdrahtv1.IssueFactorTokenResponse{Token: "factor-token-1", ExpiresAt: at("2026-11-23T09:30:00Z")}, nil
}

func resetProposal() *heimdrahtv1.Proposal {
	return &heimdrahtv1.Proposal{
		ProposalId: "prop1", Action: "reset factor", Tenant: "stadt", ObjectName: "Erika Müller", Reason: "phone gone", Details: map[string]string{"identity checked": "seen"},
		ProposedBy: "Hilde Helferin", ProposedAt: at("2026-11-22T09:30:00Z"), ExpiresAt: at("2026-11-23T09:30:00Z"),
	}
}

func (f *fake) ResetFactor(_ context.Context, r *heimdrahtv1.ResetFactorRequest) (*heimdrahtv1.ResetFactorResponse, error) {
	if r.GetPersonId() == "boss" {
		return &heimdrahtv1.ResetFactorResponse{Proposal: resetProposal()}, nil
	}
	return &heimdrahtv1.ResetFactorResponse{}, nil
}

func (f *fake) Take(ctx context.Context, r *heimdrahtv1.TakeRequest) (*heimdrahtv1.TakeResponse, error) {
	switch {
	case r.GetDryRun():
		return &heimdrahtv1.TakeResponse{Devices: 45, People: 40}, nil
	case r.GetTenant() == "city" && !r.GetEmergency():
		p := resetProposal()
		p.Action, p.ObjectName, p.Details = "take many", "tenant city", map[string]string{"action": "revoke device", "people": "40"}
		return &heimdrahtv1.TakeResponse{Devices: 45, People: 40, Proposal: p}, nil
	case r.GetTenant() == "empty":
		return &heimdrahtv1.TakeResponse{}, nil
	}
	return &heimdrahtv1.TakeResponse{Devices: 45, People: 40, TakingId: cmp.Or(r.GetGateway(), "taking1")}, nil
}

func (f *fake) FollowTaking(r *heimdrahtv1.FollowTakingRequest, stream grpc.ServerStreamingServer[heimdrahtv1.FollowTakingResponse]) error {
	if r.GetTakingId() == "broken" {
		return nil
	}
	for _, done := range []int64{0, 20, 45} {
		answer := &heimdrahtv1.FollowTakingResponse{Done: done, Devices: 45, Finished: done == 45}
		if answer.GetFinished() {
			answer.Confirmations = confirmations(r.GetTakingId())
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) ListProposals(context.Context, *heimdrahtv1.ListProposalsRequest) (*heimdrahtv1.ListProposalsResponse, error) {
	return &heimdrahtv1.ListProposalsResponse{Proposals: []*heimdrahtv1.Proposal{resetProposal()}}, nil
}

func (f *fake) ConfirmProposal(ctx context.Context, r *heimdrahtv1.ConfirmProposalRequest) (*heimdrahtv1.ConfirmProposalResponse, error) {
	if r.GetProposalId() != "prop1" {
		return nil, refuse(ctx, codes.NotFound, "proposal-unknown", "Den gibt es nicht.", "Lassen Sie ihn noch einmal machen.", "There is no such proposal.", "Have it made again.")
	}
	return &heimdrahtv1.ConfirmProposalResponse{Proposal: resetProposal()}, nil
}

func (f *fake) WithdrawProposal(context.Context, *heimdrahtv1.WithdrawProposalRequest) (*heimdrahtv1.WithdrawProposalResponse, error) {
	return &heimdrahtv1.WithdrawProposalResponse{Proposal: resetProposal()}, nil
}

func (f *fake) RedeemToken(ctx context.Context, r *heimdrahtv1.RedeemTokenRequest) (*heimdrahtv1.RedeemTokenResponse, error) {
	if r.GetToken() != goodOneTime {
		return nil, refuse(ctx, codes.Unauthenticated, "token-invalid", "Der Schlüssel gilt nicht.", "Lassen Sie sich einen neuen geben.", "The token is not valid.", "Ask for a new one.")
	}
	return &heimdrahtv1.RedeemTokenResponse{Token: f.token()}, nil
}

func (f *fake) Logout(context.Context, *heimdrahtv1.LogoutRequest) (*heimdrahtv1.LogoutResponse, error) {
	return &heimdrahtv1.LogoutResponse{}, nil
}

func (f *fake) WhoAmI(context.Context, *heimdrahtv1.WhoAmIRequest) (*heimdrahtv1.WhoAmIResponse, error) {
	return &heimdrahtv1.WhoAmIResponse{
		DisplayName: "Erika Beispiel", ExpiresAt: at("2027-01-15T16:00:00Z"),
		Roles: []*heimdrahtv1.RoleGrant{{Role: heimdrahtv1.Caller_CALLER_HELPDESK, Tenant: "stadt"}, {Role: heimdrahtv1.Caller_CALLER_OPERATOR}},
	}, nil
}

func erika() *heimdrahtv1.Person {
	return &heimdrahtv1.Person{PersonId: "perika", Tenant: "stadt", DisplayName: "Erika Müller", Login: "mueller", Mail: "erika@stadt.example", Devices: 2, Connected: true}
}

func (f *fake) FindPeople(_ context.Context, r *heimdrahtv1.FindPeopleRequest) (*heimdrahtv1.FindPeopleResponse, error) {
	switch r.GetQuery() {
	case "nobody":
		return &heimdrahtv1.FindPeopleResponse{}, nil
	case "10.80.0.5":
		found := erika()
		found.MatchedBy = "address"
		return &heimdrahtv1.FindPeopleResponse{People: []*heimdrahtv1.Person{found}}, nil
	case "evil":
		return &heimdrahtv1.FindPeopleResponse{People: []*heimdrahtv1.Person{
			{PersonId: "pevil", Tenant: "stadt", DisplayName: "\x1b[31mRot\x1b[0m\nneu\u009b2J \u202eteksreV", Login: "=HYPERLINK(\"x\")", Mail: "+49", Devices: 1},
			{PersonId: "pwide", Tenant: "stadt", DisplayName: "山田太郎", Login: "mu\u0308ller", Mail: " @sum", Devices: 0},
		}}, nil
	}
	return &heimdrahtv1.FindPeopleResponse{
		People: []*heimdrahtv1.Person{erika(), {PersonId: "p2", Tenant: "dorf", DisplayName: strings.Repeat("Müller-", 8) + "Ende", Login: "m"}},
		More:   true,
	}, nil
}

func laptop(state heimdrahtv1.DeviceState) *heimdrahtv1.Device {
	return &heimdrahtv1.Device{
		DeviceId: "dlaptop", Tenant: "stadt", PersonId: "perika", PersonName: "Erika Müller", Name: "nb-17", SerialNumber: "SN1", Platform: "linux",
		State: state, WireguardPublicKey: "a2V5", EnrolledAt: at("2026-07-01T10:00:00Z"), CertificateNotAfter: at("2026-12-01T10:00:00Z"), AgentVersion: "1.0",
		Session: &heimdrahtv1.Session{SessionId: "s1", Gateway: "gw1", Addresses: []string{"10.80.0.5", "fd80:1::5"}, Online: true},
	}
}

func (f *fake) GetPerson(ctx context.Context, r *heimdrahtv1.GetPersonRequest) (*heimdrahtv1.GetPersonResponse, error) {
	if r.GetPersonId() != "perika" {
		return nil, refuse(ctx, codes.NotFound, "not-found", "Person gibt es nicht: "+r.GetPersonId()+".", "Prüfen Sie die Angabe.", "There is no such person: "+r.GetPersonId()+".", "Check what you typed.")
	}
	lost := laptop(heimdrahtv1.DeviceState_DEVICE_STATE_REVOKED)
	lost.DeviceId, lost.Name, lost.Session, lost.StateReason = "dlost", "nb-09", nil, "lost"
	return &heimdrahtv1.GetPersonResponse{
		Person: erika(), DirectoryStatus: "active", DirectoryReadAt: at("2026-11-22T09:30:00Z"),
		Devices:  []*heimdrahtv1.Device{laptop(heimdrahtv1.DeviceState_DEVICE_STATE_ACTIVE), lost},
		Refusals: []*heimdrahtv1.RecentRefusal{{At: at("2026-11-22T09:00:00Z"), Code: "sign-in-failed", Cause: "wrong password", Source: "192.0.2.7"}},
	}, nil
}

func (f *fake) GetDevice(ctx context.Context, r *heimdrahtv1.GetDeviceRequest) (*heimdrahtv1.GetDeviceResponse, error) {
	switch r.GetDeviceId() {
	case "fault":
		s, err := status.New(codes.Internal, "x").WithDetails(&heimdrahtv1.Fault{Id: "f-123"})
		if err != nil {
			return nil, err
		}
		return nil, s.Err()
	case "evil":
		return nil, refuse(ctx, codes.NotFound, "not-found", "\x1b]0;x\x07", "", "There is no \x1b]0;title\x07laptop.", "Go \u202eaway.")
	}
	return &heimdrahtv1.GetDeviceResponse{Device: laptop(heimdrahtv1.DeviceState_DEVICE_STATE_ACTIVE)}, nil
}

func confirmations(id string) []*heimdrahtv1.GatewayConfirmation {
	all := []*heimdrahtv1.GatewayConfirmation{{Gateway: "gw1", Confirmed: true, AfterMs: 12}}
	switch id {
	case "cutoff":
		all = append(all, &heimdrahtv1.GatewayConfirmation{Gateway: "gw2", GraceUntil: at("2026-11-22T21:30:00Z")}, &heimdrahtv1.GatewayConfirmation{Gateway: "gw3"})
	case "unheld":
		return nil
	}
	return all
}

func (f *fake) RevokeDevice(_ context.Context, r *heimdrahtv1.RevokeDeviceRequest) (*heimdrahtv1.RevokeDeviceResponse, error) {
	return &heimdrahtv1.RevokeDeviceResponse{Device: laptop(heimdrahtv1.DeviceState_DEVICE_STATE_REVOKED), Confirmations: confirmations(r.GetDeviceId())}, nil
}

func (f *fake) SuspendDevice(_ context.Context, r *heimdrahtv1.SuspendDeviceRequest) (*heimdrahtv1.SuspendDeviceResponse, error) {
	return &heimdrahtv1.SuspendDeviceResponse{Device: laptop(heimdrahtv1.DeviceState_DEVICE_STATE_SUSPENDED), Confirmations: confirmations(r.GetDeviceId())}, nil
}

func (f *fake) RestoreDevice(context.Context, *heimdrahtv1.RestoreDeviceRequest) (*heimdrahtv1.RestoreDeviceResponse, error) {
	return &heimdrahtv1.RestoreDeviceResponse{Device: laptop(heimdrahtv1.DeviceState_DEVICE_STATE_ACTIVE)}, nil
}

func (f *fake) RevokePerson(_ context.Context, r *heimdrahtv1.RevokePersonRequest) (*heimdrahtv1.RevokePersonResponse, error) {
	if r.GetPersonId() == "none" {
		return &heimdrahtv1.RevokePersonResponse{}, nil
	}
	return &heimdrahtv1.RevokePersonResponse{Devices: devicesOf(laptop(heimdrahtv1.DeviceState_DEVICE_STATE_REVOKED)), Confirmations: confirmations(r.GetPersonId())}, nil
}

// ListSessions has 2,500 sessions in tenant "city", two elsewhere.
func (f *fake) ListSessions(_ context.Context, r *heimdrahtv1.ListSessionsRequest) (*heimdrahtv1.ListSessionsResponse, error) {
	s := func(n int) *heimdrahtv1.Session {
		return &heimdrahtv1.Session{
			SessionId: fmt.Sprint("s", n), DeviceId: fmt.Sprint("d", n), Tenant: "stadt", PersonId: fmt.Sprint("p", n), PersonName: "Erika Müller", DeviceName: "nb-17",
			Gateway: "gw1", Addresses: []string{"10.80.0.5", "fd80:1::5"}, LeaseUntil: at("2026-11-22T09:35:00Z"), Online: n == 0, LicencePool: "vpn", Leaving: n == 1,
		}
	}
	total := 2
	switch r.GetTenant() {
	case "city":
		total = 2500
	case "empty":
		total = 0
	}
	start := 0
	if _, err := fmt.Sscan(r.GetPageToken(), &start); err != nil && r.GetPageToken() != "" {
		return nil, err
	}
	end := min(total, start+int(r.GetLimit()))
	answer := &heimdrahtv1.ListSessionsResponse{}
	for n := start; n < end; n++ {
		answer.Sessions = append(answer.Sessions, s(n))
	}
	if end < total {
		answer.NextPageToken = fmt.Sprint(end)
	}
	return answer, nil
}

func (f *fake) GetConcurrency(context.Context, *heimdrahtv1.GetConcurrencyRequest) (*heimdrahtv1.GetConcurrencyResponse, error) {
	return &heimdrahtv1.GetConcurrencyResponse{
		At: at("2026-11-22T09:30:00Z"),
		Tenants: []*heimdrahtv1.TenantConcurrency{
			{Tenant: "stadt", Sessions: &heimdrahtv1.Count{Value: 731}}, {Tenant: "dorf", Sessions: &heimdrahtv1.Count{Withheld: true}, Until: at("2026-11-22T09:00:00Z")}},
		Pools:    []*heimdrahtv1.PoolUsage{{Pool: "vpn", Seats: 1200, Burst: 50, Held: &heimdrahtv1.Count{Value: 0}}},
		Gateways: []*heimdrahtv1.GatewayConcurrency{{Gateway: "gw1", Capacity: 1500, Sessions: &heimdrahtv1.Count{Value: 731}}},
	}, nil
}

// GetUsage plays six hours of four tenants, of which one has a name like a formula.
func (f *fake) GetUsage(ctx context.Context, r *heimdrahtv1.GetUsageRequest) (*heimdrahtv1.GetUsageResponse, error) {
	if r.GetBy() == heimdrahtv1.UsageBy_USAGE_BY_PROVIDER {
		return nil, notOperator(ctx)
	}
	begins := at("2026-10-25T00:00:00Z").AsTime() // clocks go back
	answer := &heimdrahtv1.GetUsageResponse{From: timestamppb.New(begins), To: timestamppb.New(begins.Add(6 * time.Hour)), StepSeconds: r.GetStepSeconds()}
	for _, name := range []string{"stadt", "dorf", "=SUM(A1)"} {
		if r.GetName() != "" && r.GetName() != name {
			continue
		}
		series := &heimdrahtv1.UsageSeries{By: r.GetBy(), Name: name}
		for i, n := range []int64{2, 40, 731, 900, 610, 0} {
			p := &heimdrahtv1.UsagePoint{At: timestamppb.New(begins.Add(time.Duration(i) * time.Hour)), Minutes: 60}
			switch {
			case i == 5:
				p.Minutes = 0
			case n < 5 || name == "dorf":
				withheld := &heimdrahtv1.Count{Withheld: true}
				p.Sessions, p.Queue, p.Opened = &heimdrahtv1.UsageGauge{Withheld: true}, &heimdrahtv1.UsageGauge{Withheld: true}, withheld
				p.ReceivedBytes, p.SentBytes = withheld, withheld
			default:
				p.Sessions = &heimdrahtv1.UsageGauge{Max: n, Mean: proto.Float64(float64(n) - 0.25), P95: proto.Int64(n - 1)}
				p.Queue, p.Opened = &heimdrahtv1.UsageGauge{Max: n / 100}, &heimdrahtv1.Count{Value: n / 10}
				p.ReceivedBytes, p.SentBytes = &heimdrahtv1.Count{Value: n * 1_000_000}, &heimdrahtv1.Count{Value: 700}
				p.Refused = []*heimdrahtv1.UsageRefused{{Reason: heimdrahtv1.RefusalReason_REFUSAL_REASON_NO_SEAT, Attempts: &heimdrahtv1.Count{Value: n / 100}}}
				p.Incomplete = i == 3
			}
			series.Points = append(series.Points, p)
		}
		answer.Series = append(answer.Series, series)
	}
	return answer, nil
}

func (f *fake) ListProducts(_ context.Context, r *heimdrahtv1.ListProductsRequest) (*heimdrahtv1.ListProductsResponse, error) {
	answer := &heimdrahtv1.ListProductsResponse{At: at("2026-11-22T09:30:00Z")}
	if r.GetTenant() == "empty" {
		return answer, nil
	}
	n, withheld := func(n int64) *heimdrahtv1.Count { return &heimdrahtv1.Count{Value: n} }, &heimdrahtv1.Count{Withheld: true}
	answer.Products = []*heimdrahtv1.ProductUse{
		{Tenant: "stadt", Product: "citrix", Sessions: n(212), HighestToday: n(298), Highest_30Days: n(377), LicencePool: "citrix", Seats: 400,
			AgreementReference: "DV 2026-03", AgreementDate: "2026-03-01",
			Versions: []*heimdrahtv1.ProductVersionUse{{Version: "24.2.0", Sessions: n(207), Highest_30Days: n(360)}, {Version: "23.9", Sessions: withheld, Highest_30Days: n(17)}}},
		{Tenant: "stadt", Product: "phone", Sessions: withheld, HighestToday: withheld, Highest_30Days: n(6), AgreementReference: "DV 2026-03", AgreementDate: "2026-03-01",
			Until: at("2026-11-22T09:00:00Z")},
	}
	return answer, nil
}

func differences(d *heimdrahtv1.Declaration) []*heimdrahtv1.Difference {
	if len(d.GetTenants()) == 0 {
		return nil
	}
	return []*heimdrahtv1.Difference{
		{Kind: "directory", Name: "stadt-ad"},
		{Kind: "tenant", Name: "stadt", Field: "policy.tunnel", Before: "split", After: "full"},
		{Kind: "tenant", Name: "stadt", Field: "land", After: "HE"},
	}
}

func (f *fake) Diff(_ context.Context, r *heimdrahtv1.DiffRequest) (*heimdrahtv1.DiffResponse, error) {
	return &heimdrahtv1.DiffResponse{Differences: differences(r.GetDeclaration())}, nil
}

func (f *fake) Apply(_ context.Context, r *heimdrahtv1.ApplyRequest) (*heimdrahtv1.ApplyResponse, error) {
	return &heimdrahtv1.ApplyResponse{Differences: differences(r.GetDeclaration())}, nil
}

func (f *fake) CreateGatewayToken(ctx context.Context, r *heimdrahtv1.CreateGatewayTokenRequest) (*heimdrahtv1.CreateGatewayTokenResponse, error) {
	if r.GetGateway() != "gw1" {
		return nil, refuse(ctx, codes.NotFound, "not-found", "Gibt es nicht.", "Prüfen Sie die Angabe.", "There is no such gateway: "+r.GetGateway()+".", "Check what you typed.")
	}
	return &heimdrahtv1.CreateGatewayTokenResponse{Token: "join-me", ExpiresAt: at("2026-11-23T09:30:00Z")}, nil
}

func (f *fake) SwitchCrisis(ctx context.Context, r *heimdrahtv1.SwitchCrisisRequest) (*heimdrahtv1.SwitchCrisisResponse, error) {
	c := &heimdrahtv1.Crisis{Tenant: r.GetTenant(), Plan: &heimdrahtv1.CrisisPlan{IdleS: 900, LiftHours: true}}
	switch {
	case r.GetTenant() == "dorf":
		return nil, refuse(ctx, codes.FailedPrecondition, "crisis-unprepared",
			"Für die Verwaltung dorf ist kein Krisenbetrieb vorbereitet.", "Ergänzen Sie die Datei.", "No crisis mode is prepared for the tenant dorf.", "Add to its file.")
	case r.GetOn():
		c.Since, c.Reason = at("2026-11-23T09:30:00Z"), r.GetReason()
	}
	return &heimdrahtv1.SwitchCrisisResponse{Crisis: c, Changed: r.GetReason() != "again"}, nil
}

func (f *fake) ListCrises(_ context.Context, r *heimdrahtv1.ListCrisesRequest) (*heimdrahtv1.ListCrisesResponse, error) {
	if r.GetTenant() == "dorf" {
		return &heimdrahtv1.ListCrisesResponse{}, nil
	}
	return &heimdrahtv1.ListCrisesResponse{Crises: []*heimdrahtv1.Crisis{
		{Tenant: "kreis", Plan: &heimdrahtv1.CrisisPlan{CloseOrdinary: true}},
		{Tenant: "stadt", Plan: &heimdrahtv1.CrisisPlan{IdleS: 900, LiftHours: true}, Since: at("2026-11-23T09:30:00Z"), Reason: "Hochwasser"},
	}}, nil
}

func (f *fake) CountConditions(_ context.Context, r *heimdrahtv1.CountConditionsRequest) (*heimdrahtv1.CountConditionsResponse, error) {
	if r.GetTenant() == "dorf" {
		return &heimdrahtv1.CountConditionsResponse{}, nil
	}
	n := func(v int64) *heimdrahtv1.Count { return &heimdrahtv1.Count{Value: v} }
	return &heimdrahtv1.CountConditionsResponse{Devices: n(1210), Conditions: []*heimdrahtv1.ConditionCount{
		{Name: "disk_encryption", Demand: "required", Met: n(1180), Unmet: n(17), Unknown: n(8), Unasked: n(5)},
		{Name: "firewall", Demand: "reported", Met: n(1201), Unmet: &heimdrahtv1.Count{Withheld: true}, Unknown: &heimdrahtv1.Count{Withheld: true}},
	}}, nil
}

func (f *fake) ListGateways(context.Context, *heimdrahtv1.ListGatewaysRequest) (*heimdrahtv1.ListGatewaysResponse, error) {
	return &heimdrahtv1.ListGatewaysResponse{Gateways: []*heimdrahtv1.Gateway{
		{Name: "gw1", Endpoint: "vpn1.stadt.example:51820", Joined: true, Connected: true, Sessions: 731, Capacity: 1500, AcknowledgedRevision: 41, Revision: 43,
			LastContact: at("2026-11-22T09:30:00Z"), CertificateNotAfter: at("2026-12-20T09:30:00Z"), AgentVersion: "1.0", Tenants: []string{"stadt", "dorf"}},
		{Name: "gw4", Endpoint: "vpn4.stadt.example:51820", Joined: true, Connected: true, Heard: true, Sessions: 12, StaticSessions: 3, Capacity: 500, AcknowledgedRevision: 43, Revision: 43,
			LastContact: at("2026-11-22T09:30:00Z"), CertificateNotAfter: at("2026-12-20T09:30:00Z"), AgentVersion: "1.0", Tenants: []string{"stadt"},
			AddressesTaken: 13, Addresses: 65536, Weight: 50, Site: "mitte", Throughput: 412_345_678, ThroughputLimit: 2_000_000_000, CpuPermille: 127, Leaving: true,
			Drain:       &heimdrahtv1.GatewayDrain{Since: at("2026-11-22T09:00:00Z"), Deadline: at("2026-11-22T11:00:00Z"), Reason: "new disks"},
			Maintenance: &heimdrahtv1.GatewayMaintenance{From: at("2026-11-24T20:00:00Z"), Until: at("2026-11-24T22:00:00Z"), Reason: "new kernel"}},
		{Name: "gw2", Endpoint: "vpn2.stadt.example:51820", Joined: true, Capacity: 500, Revision: 43, AcknowledgedRevision: 43, LastContact: at("2026-11-21T09:30:00Z")},
		{Name: "gw3", Endpoint: "vpn3.stadt.example:51820", Capacity: 500, Revision: 43},
	}}, nil
}
