package rpc_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

func english() context.Context {
	return metadata.AppendToOutgoingContext(context.Background(), "accept-language", "en")
}

// codeOf is the code of a refusal; empty for none.
func codeOf(err error) string { return refusalOf(err).GetCode() }

// refusalOf is nil where a call was not refused.
func refusalOf(err error) *heimdrahtv1.Refusal {
	for _, d := range status.Convert(err).Details() {
		if r, ok := d.(*heimdrahtv1.Refusal); ok {
			return r
		}
	}
	return nil
}

func expect(t *testing.T, what string, err error, code string) {
	t.Helper()
	if got := codeOf(err); got != code {
		t.Errorf("%s: got %q (%v), want the refusal %s", what, got, err, code)
	}
}

// open opens a session and gives its order.
func open(t *testing.T, stream heimdrahtv1.SessionService_AttachClient) *heimdrahtv1.SessionOpened {
	t.Helper()
	answer, err := provisionertest.Open(stream, "")
	if err != nil || answer.GetOpened() == nil {
		t.Fatalf("opening: %v, %v", answer, err)
	}
	return answer.GetOpened()
}

func TestTheMainJob(t *testing.T) {
	s := provisionertest.Start(t, nil)
	g := s.JoinGateway("gw1")
	g.Run()
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	stream := s.Attach(t.Context(), laptop)
	opened := open(t, stream)
	c := opened.GetConfiguration()
	if !bytes.Equal(c.GetGatewayPublicKey(), g.PublicKey) || c.GetGatewayEndpoint() != "vpn1.stadt.example:51820" || c.GetMtu() != 1420 {
		t.Errorf("configuration %v", c)
	}
	peer := g.Peer(opened.GetSessionId())
	if peer == nil || !bytes.Equal(peer.GetPresharedKey(), c.GetPresharedKey()) || !bytes.Equal(peer.GetPublicKey(), laptop.PublicKey) ||
		strings.Join(peer.GetAllowedIps(), " ") != strings.Join(c.GetAddresses(), " ") {
		t.Errorf("the gateway holds %v", peer)
	}

	desk := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	client := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	sessions, err := client.ListSessions(desk, &heimdrahtv1.ListSessionsRequest{})
	if err != nil || len(sessions.GetSessions()) != 1 || sessions.GetSessions()[0].GetDeviceId() != laptop.ID {
		t.Errorf("sessions %v, %v", sessions, err)
	}
	revoked, err := client.RevokeDevice(desk, &heimdrahtv1.RevokeDeviceRequest{DeviceId: laptop.ID[:8], Reason: "stolen"})
	if err != nil || len(revoked.GetConfirmations()) != 1 || !revoked.GetConfirmations()[0].GetConfirmed() {
		t.Fatalf("revoked %v, %v", revoked, err)
	}
	if left := g.Sessions(); len(left) != 0 {
		t.Errorf("after the confirmation the gateway holds %v", left)
	}
	order, err := stream.Recv()
	if err != nil || order.GetClosed().GetWhy().GetCode() != "device-revoked" {
		t.Errorf("the laptop is told %v, %v", order, err)
	}
	_, err = stream.Recv()
	expect(t, "the laptop's stream", err, "device-revoked")
	_, err = provisionertest.Open(s.Attach(t.Context(), laptop), "")
	expect(t, "a new session", err, "device-revoked")
	_, csr := provisionertest.NewRequest(t)
	_, err = heimdrahtv1.NewEnrolmentServiceClient(s.Dial(&laptop.Certificate)).RenewCertificate(english(), &heimdrahtv1.RenewCertificateRequest{CertificateRequest: csr})
	expect(t, "a new certificate", err, "device-revoked")
}

func TestSeatsAddressesAndResumption(t *testing.T) {
	s := provisionertest.Start(t, nil)
	g := s.JoinGateway("gw1")
	g.Run()
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	first := open(t, s.Attach(t.Context(), laptop))

	// A broken stream closes nothing; of two streams the newer wins.
	newer := s.Attach(t.Context(), laptop)
	answer, err := provisionertest.Open(newer, first.GetSessionId())
	if err != nil || !answer.GetOpened().GetResumed() || !bytes.Equal(answer.GetOpened().GetConfiguration().GetPresharedKey(), first.GetConfiguration().GetPresharedKey()) {
		t.Fatalf("resumed %v, %v", answer, err)
	}

	// The control plane goes and comes back: session, seat and address stay.
	g.Stop()
	s.Stop()
	s.Run()
	g.Run()
	back := s.Attach(t.Context(), laptop)
	if answer, err := provisionertest.Open(back, first.GetSessionId()); err != nil || !answer.GetOpened().GetResumed() {
		t.Fatalf("after a restart %v, %v", answer, err)
	}
	if err := back.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Renew{Renew: &heimdrahtv1.RenewSession{SessionId: first.GetSessionId()}}}); err != nil {
		t.Fatal(err)
	}
	if order, err := back.Recv(); err != nil || order.GetRenewed().GetSessionId() != first.GetSessionId() {
		t.Errorf("renewed %v, %v", order, err)
	}
	operator := provisionertest.As(t.Context(), s.Operator)
	use, err := heimdrahtv1.NewCapacityServiceClient(s.Dial(nil)).GetConcurrency(operator, &heimdrahtv1.GetConcurrencyRequest{})
	if err != nil || use.GetPools()[0].GetHeld().GetValue() != 1 || use.GetGateways()[0].GetSessions().GetValue() != 1 {
		t.Errorf("in use %v, %v", use, err)
	}

	// Closed by its owner; opened anew: another session, the same address.
	if err := back.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Close{Close: &heimdrahtv1.CloseSession{SessionId: first.GetSessionId()}}}); err != nil {
		t.Fatal(err)
	}
	if order, err := back.Recv(); err != nil || order.GetClosed().GetWhy().GetCode() != "session-closed" {
		t.Errorf("closed %v, %v", order, err)
	}
	again := open(t, back)
	if again.GetSessionId() == first.GetSessionId() || again.GetConfiguration().GetAddresses()[0] != first.GetConfiguration().GetAddresses()[0] {
		t.Errorf("opened anew %v, first %v", again, first)
	}
}

func TestSuspensionRestsAndComesBack(t *testing.T) {
	s := provisionertest.Start(t, nil)
	g := s.JoinGateway("gw1")
	g.Run()
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	open(t, s.Attach(t.Context(), laptop))
	desk := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	client := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	suspended, err := client.SuspendDevice(desk, &heimdrahtv1.SuspendDeviceRequest{DeviceId: laptop.ID, Reason: "parental leave"})
	if err != nil || suspended.GetDevice().GetState() != heimdrahtv1.DeviceState_DEVICE_STATE_SUSPENDED || !suspended.GetConfirmations()[0].GetConfirmed() {
		t.Fatalf("suspended %v, %v", suspended, err)
	}
	_, err = provisionertest.Open(s.Attach(t.Context(), laptop), "")
	expect(t, "opening while suspended", err, "device-suspended")
	if _, err := client.RestoreDevice(desk, &heimdrahtv1.RestoreDeviceRequest{DeviceId: laptop.ID, Reason: "back"}); err != nil {
		t.Fatal(err)
	}
	open(t, s.Attach(t.Context(), laptop))
}

func TestAGatewayThatDoesNotConfirmIsNamed(t *testing.T) {
	s := provisionertest.Start(t, nil)
	g := s.JoinGateway("gw1")
	g.Run()
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	open(t, s.Attach(t.Context(), laptop))
	g.Stop()
	desk := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	client := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	request := &heimdrahtv1.RevokeDeviceRequest{DeviceId: laptop.ID, Reason: "stolen", WaitMs: 50}
	revoked, err := client.RevokeDevice(desk, request)
	if err != nil || len(revoked.GetConfirmations()) != 1 {
		t.Fatalf("revoked %v, %v", revoked, err)
	}
	c := revoked.GetConfirmations()[0]
	if left := time.Until(c.GetGraceUntil().AsTime()); c.GetConfirmed() || c.GetGateway() != "gw1" || left < 11*time.Hour || left > 12*time.Hour {
		t.Errorf("confirmation %v", c)
	}
	g.Run() // comes back, is told, confirms
	request.WaitMs = 10_000
	revoked, err = client.RevokeDevice(desk, request)
	if err != nil || len(revoked.GetConfirmations()) > 0 && !revoked.GetConfirmations()[0].GetConfirmed() {
		t.Errorf("revoked again %v, %v", revoked, err)
	}
	if left := g.Sessions(); len(left) != 0 {
		t.Errorf("the gateway still holds %v", left)
	}
}

func TestEnrolmentRefuses(t *testing.T) {
	s := provisionertest.Start(t, nil)
	laptop := s.Enrol(provisionertest.Second, "SN0")
	gateway := s.JoinGateway("gw1")
	_, csr := provisionertest.NewRequest(t)
	for _, c := range []struct {
		name   string
		change func(*heimdrahtv1.EnrolRequest)
		code   string
	}{
		{"wrong password", func(r *heimdrahtv1.EnrolRequest) { r.Password = "falsch" }, "sign-in-failed"},
		{"empty password", func(r *heimdrahtv1.EnrolRequest) { r.Password = "" }, "sign-in-failed"},
		{"unknown person", func(r *heimdrahtv1.EnrolRequest) { r.Login = "niemand" }, "sign-in-failed"},
		{"everybody", func(r *heimdrahtv1.EnrolRequest) { r.Login = "*" }, "sign-in-failed"},
		{"unknown tenant", func(r *heimdrahtv1.EnrolRequest) { r.Tenant = "dorf" }, "sign-in-failed"},
		{"no tenant", func(r *heimdrahtv1.EnrolRequest) { r.Tenant = "" }, "sign-in-failed"},
		{"a password of 10 KB", func(r *heimdrahtv1.EnrolRequest) { r.Password = strings.Repeat("x", 10<<10) }, "sign-in-failed"},
		{"outside the group", func(r *heimdrahtv1.EnrolRequest) { r.Login = provisionertest.Outsider }, "not-in-group"},
		// Her password is right, but OpenLDAP does not say so to somebody who is locked.
		{"locked by the administrator", func(r *heimdrahtv1.EnrolRequest) { r.Login = provisionertest.Disabled }, "sign-in-failed"},
		{"short WireGuard key", func(r *heimdrahtv1.EnrolRequest) { r.WireguardPublicKey = []byte("short") }, "wireguard-key-invalid"},
		{"no WireGuard key", func(r *heimdrahtv1.EnrolRequest) { r.WireguardPublicKey = make([]byte, 32) }, "wireguard-key-invalid"},
		{"another laptop's key", func(r *heimdrahtv1.EnrolRequest) { r.WireguardPublicKey = laptop.PublicKey }, "wireguard-key-in-use"},
		{"the gateway's own key", func(r *heimdrahtv1.EnrolRequest) { r.WireguardPublicKey = gateway.PublicKey }, "wireguard-key-in-use"},
		{"no certificate request", func(r *heimdrahtv1.EnrolRequest) { r.CertificateRequest = nil }, "certificate-request-invalid"},
		{"a broken certificate request", func(r *heimdrahtv1.EnrolRequest) { r.CertificateRequest = csr[:50] }, "certificate-request-invalid"},
		{"a forged certificate request", func(r *heimdrahtv1.EnrolRequest) {
			r.CertificateRequest = bytes.Clone(csr)
			r.CertificateRequest[len(csr)-1] ^= 1
		}, "certificate-request-invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &heimdrahtv1.EnrolRequest{
				Tenant: provisionertest.Tenant, Login: provisionertest.Staff, Password: provisionertest.Password,
				CertificateRequest: csr, WireguardPublicKey: provisionertest.NewWireGuardKey(), DeviceName: "x", SerialNumber: "SN " + c.name,
			}
			c.change(r)
			if c.code == "sign-in-failed" {
				r.Login = strings.Replace(r.Login, provisionertest.Staff, "eve"+fmt.Sprint(len(c.name)), 1) // a throttle of her own
			}
			began := time.Now()
			_, err := heimdrahtv1.NewEnrolmentServiceClient(s.Dial(nil)).Enrol(english(), r)
			expect(t, c.name, err, c.code)
			if took := time.Since(began); c.code == "sign-in-failed" && took < 450*time.Millisecond {
				t.Errorf("answered after %v, not at the next half second", took)
			}
			if strings.Contains(fmt.Sprint(err), provisionertest.Password) {
				t.Error("the answer shows the password")
			}
		})
	}
}

func TestReinstalledLaptopReplacesItself(t *testing.T) {
	s := provisionertest.Start(t, nil)
	g := s.JoinGateway("gw1")
	g.Run()
	before := s.Enrol(provisionertest.Staff, "SN1")
	stream := s.Attach(t.Context(), before)
	first := open(t, stream)
	after := s.Enrol(provisionertest.Staff, "SN1")
	if after.ID != before.ID {
		t.Errorf("device %s became %s", before.ID, after.ID)
	}
	order, err := stream.Recv()
	if err != nil || order.GetClosed().GetWhy().GetCode() != "device-replaced" {
		t.Errorf("the old installation is told %v, %v", order, err)
	}
	second := open(t, s.Attach(t.Context(), after))
	if second.GetConfiguration().GetAddresses()[0] != first.GetConfiguration().GetAddresses()[0] {
		t.Error("the address did not stay")
	}
	_, err = provisionertest.Open(s.Attach(t.Context(), before), "")
	expect(t, "the old certificate", err, "device-replaced")
	s.Enrol(provisionertest.Staff, "SN2")
	_, csr := provisionertest.NewRequest(t)
	_, err = heimdrahtv1.NewEnrolmentServiceClient(s.Dial(nil)).Enrol(english(), &heimdrahtv1.EnrolRequest{
		Tenant: provisionertest.Tenant, Login: provisionertest.Staff, Password: provisionertest.Password,
		CertificateRequest: csr, WireguardPublicKey: provisionertest.NewWireGuardKey(), SerialNumber: "SN3",
	})
	expect(t, "a third laptop", err, "device-limit")
}

// certificate makes one that our authority did not sign.
func foreign(t *testing.T, uri string) tls.Certificate {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: uri},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestCallersMustProveThemselves(t *testing.T) {
	s := provisionertest.Start(t, nil)
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	gateway := s.JoinGateway("gw1")
	stranger := foreign(t, "device")
	attach := func(c *tls.Certificate) error {
		stream, err := heimdrahtv1.NewSessionServiceClient(s.Dial(c)).Attach(english())
		if err != nil {
			return err
		}
		_, err = stream.Recv()
		return err
	}
	expect(t, "attach without a certificate", attach(nil), "not-signed-in")
	expect(t, "attach with a foreign certificate", attach(&stranger), "certificate-foreign")
	expect(t, "attach as a gateway", attach(&gateway.Certificate), "not-allowed")
	list := func(ctx context.Context, c *tls.Certificate) error {
		_, err := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(c)).ListSessions(ctx, &heimdrahtv1.ListSessionsRequest{})
		return err
	}
	expect(t, "sessions without a token", list(english(), nil), "not-signed-in")
	expect(t, "sessions with a made-up token", list(provisionertest.As(t.Context(), "aaaa"), nil), "not-signed-in")
	expect(t, "sessions as a device", list(english(), &laptop.Certificate), "not-allowed")
	expect(t, "sessions as a planner", list(provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Planner)), nil), "not-allowed")
	if _, err := healthpb.NewHealthClient(s.Dial(nil)).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Error("health is anonymous: ", err)
	}
	token := s.Login(provisionertest.Tenant, provisionertest.Helpdesk)
	auth := heimdrahtv1.NewAuthServiceClient(s.Dial(nil))
	if _, err := auth.Logout(provisionertest.As(t.Context(), token), &heimdrahtv1.LogoutRequest{}); err != nil {
		t.Fatal(err)
	}
	expect(t, "sessions after signing out", list(provisionertest.As(t.Context(), token), nil), "not-signed-in")
}

func TestJoinTokensWorkOnce(t *testing.T) {
	s := provisionertest.Start(t, nil)
	operator := provisionertest.As(t.Context(), s.Operator)
	admin := heimdrahtv1.NewAdminServiceClient(s.Dial(nil))
	_, err := admin.CreateGatewayToken(operator, &heimdrahtv1.CreateGatewayTokenRequest{Gateway: "gw9"})
	expect(t, "a token of an undeclared gateway", err, "not-found")
	token, err := admin.CreateGatewayToken(operator, &heimdrahtv1.CreateGatewayTokenRequest{Gateway: "gw1"})
	if err != nil {
		t.Fatal(err)
	}
	join := func(token string, change func(*heimdrahtv1.JoinRequest)) error {
		_, csr := provisionertest.NewRequest(t)
		r := &heimdrahtv1.JoinRequest{Token: token, CertificateRequest: csr, WireguardPublicKey: provisionertest.NewWireGuardKey()}
		change(r)
		_, err := heimdrahtv1.NewGatewayServiceClient(s.Dial(nil)).Join(english(), r)
		return err
	}
	expect(t, "a wrong token", join("wrong", func(*heimdrahtv1.JoinRequest) {}), "token-invalid")
	expect(t, "a bad key", join(token.GetToken(), func(r *heimdrahtv1.JoinRequest) { r.WireguardPublicKey = nil }), "wireguard-key-invalid")
	expect(t, "a bad request", join(token.GetToken(), func(r *heimdrahtv1.JoinRequest) { r.CertificateRequest = []byte("x") }), "certificate-request-invalid")
	if err := join(token.GetToken(), func(*heimdrahtv1.JoinRequest) {}); err != nil {
		t.Error("mistakes used the token up: ", err)
	}
	expect(t, "a replayed token", join(token.GetToken(), func(*heimdrahtv1.JoinRequest) {}), "token-invalid")
}

func TestAGatewayThatJoinsAgainReplacesItself(t *testing.T) {
	s := provisionertest.Start(t, nil)
	old := s.JoinGateway("gw1")
	old.Run()
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	stream := s.Attach(t.Context(), laptop)
	open(t, stream)
	fresh := s.JoinGateway("gw1")
	fresh.Run()
	order, err := stream.Recv()
	if err != nil || order.GetClosed().GetWhy().GetCode() != "gateway-moved" || order.GetClosed().GetWhy().GetRetryAfterMs() == 0 {
		t.Errorf("the laptop is told %v, %v", order, err)
	}
	if opened := open(t, stream); !bytes.Equal(opened.GetConfiguration().GetGatewayPublicKey(), fresh.PublicKey) {
		t.Error("the laptop got the former key")
	}
	sync := func(c *tls.Certificate, first *heimdrahtv1.SyncRequest) error {
		stream, err := heimdrahtv1.NewGatewayServiceClient(s.Dial(c)).Sync(english())
		if err != nil {
			return err
		}
		if err := stream.Send(first); err != nil {
			return err
		}
		_, err = stream.Recv()
		return err
	}
	hello := func(key []byte) *heimdrahtv1.SyncRequest {
		return &heimdrahtv1.SyncRequest{Event: &heimdrahtv1.SyncRequest_Hello{Hello: &heimdrahtv1.SyncHello{WireguardPublicKey: key}}}
	}
	expect(t, "the former certificate", sync(&old.Certificate, hello(old.PublicKey)), "gateway-replaced")
	expect(t, "another key", sync(&fresh.Certificate, hello(old.PublicKey)), "gateway-key-changed")
	expect(t, "no hello", sync(&fresh.Certificate, &heimdrahtv1.SyncRequest{}), "protocol")
}

// raw sends bytes as they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, errors.New("not bytes")
	}
	return b, nil
}
func (raw) Unmarshal([]byte, any) error { return nil }
func (raw) Name() string                { return "proto" }

func TestMalformedAndOversizeMessagesHurtNobody(t *testing.T) {
	s := provisionertest.Start(t, nil)
	conn := s.Dial(nil)
	const method = heimdrahtv1.EnrolmentService_Enrol_FullMethodName
	err := conn.Invoke(t.Context(), method, bytes.Repeat([]byte{0xff}, 100), new([]byte), grpc.ForceCodec(raw{}))
	if c := status.Code(err); c != codes.Internal && c != codes.InvalidArgument {
		t.Errorf("nonsense: %v", err)
	}
	err = conn.Invoke(t.Context(), method, make([]byte, 5<<20), new([]byte), grpc.ForceCodec(raw{}))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("5 MB: %v", err)
	}
	if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Error("afterwards: ", err)
	}
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	stream := s.Attach(t.Context(), laptop)
	if err := stream.Send(&heimdrahtv1.AttachRequest{}); err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	expect(t, "an empty event", err, "protocol")
}

// A helpdesk that tries ids of another tenant learns nothing, not even that
// they exist: the answer is that for an id that nobody has.
func TestForeignTenantsDoNotExist(t *testing.T) {
	s := provisionertest.Start(t, nil)
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	own := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	client := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	found, err := client.FindPeople(own, &heimdrahtv1.FindPeopleRequest{Query: provisionertest.Staff})
	if err != nil || len(found.GetPeople()) != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
	person := found.GetPeople()[0].GetPersonId()
	other := provisionertest.As(t.Context(), s.Login(provisionertest.Other, provisionertest.Stranger))
	if found, err := client.FindPeople(other, &heimdrahtv1.FindPeopleRequest{Query: provisionertest.Staff}); err != nil || len(found.GetPeople()) != 0 {
		t.Errorf("found %v, %v", found, err)
	}
	nobody := strings.Repeat("a", 26)
	for name, call := range map[string]func(device, person string) error{
		"GetDevice": func(d, _ string) error {
			_, err := client.GetDevice(other, &heimdrahtv1.GetDeviceRequest{DeviceId: d})
			return err
		},
		"RevokeDevice": func(d, _ string) error {
			_, err := client.RevokeDevice(other, &heimdrahtv1.RevokeDeviceRequest{DeviceId: d, Reason: "x"})
			return err
		},
		"SuspendDevice": func(d, _ string) error {
			_, err := client.SuspendDevice(other, &heimdrahtv1.SuspendDeviceRequest{DeviceId: d, Reason: "x"})
			return err
		},
		"RestoreDevice": func(d, _ string) error {
			_, err := client.RestoreDevice(other, &heimdrahtv1.RestoreDeviceRequest{DeviceId: d, Reason: "x"})
			return err
		},
		"GetPerson": func(_, p string) error {
			_, err := client.GetPerson(other, &heimdrahtv1.GetPersonRequest{PersonId: p})
			return err
		},
		"RevokePerson": func(_, p string) error {
			_, err := client.RevokePerson(other, &heimdrahtv1.RevokePersonRequest{PersonId: p, Reason: "x"})
			return err
		},
	} {
		exists, missing := call(laptop.ID, person), call(nobody, nobody)
		if codeOf(exists) != codeOf(missing) || codeOf(exists) == "" {
			t.Errorf("%s: for another tenant's %v, for nobody's %v", name, exists, missing)
		}
	}
	if list, err := client.ListSessions(other, &heimdrahtv1.ListSessionsRequest{}); err != nil || len(list.GetSessions()) != 0 {
		t.Errorf("sessions %v, %v", list, err)
	}
	_, err = client.ListSessions(other, &heimdrahtv1.ListSessionsRequest{Tenant: provisionertest.Tenant})
	expect(t, "sessions of the other tenant by name", err, "not-allowed")
	if shown, err := client.GetDevice(own, &heimdrahtv1.GetDeviceRequest{DeviceId: laptop.ID}); err != nil || shown.GetDevice().GetState() != heimdrahtv1.DeviceState_DEVICE_STATE_ACTIVE {
		t.Errorf("the device is %v, %v", shown, err)
	}
}

func TestPlannersAreToldNoSmallNumbers(t *testing.T) {
	s := provisionertest.Start(t, nil)
	g := s.JoinGateway("gw1")
	g.Run()
	open(t, s.Attach(t.Context(), s.Enrol(provisionertest.Staff, "SN1")))
	client := heimdrahtv1.NewCapacityServiceClient(s.Dial(nil))
	planner := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Planner))
	use, err := client.GetConcurrency(planner, &heimdrahtv1.GetConcurrencyRequest{})
	if err != nil || len(use.GetTenants()) != 1 || !use.GetTenants()[0].GetSessions().GetWithheld() || !use.GetPools()[0].GetHeld().GetWithheld() ||
		use.GetPools()[0].GetHeld().GetValue() != 0 || len(use.GetGateways()) != 0 {
		t.Errorf("a planner is told %v, %v", use, err)
	}
	admin := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Admin))
	use, err = client.GetConcurrency(admin, &heimdrahtv1.GetConcurrencyRequest{})
	if err != nil || use.GetTenants()[0].GetSessions().GetValue() != 1 {
		t.Errorf("the tenant's administrator is told %v, %v", use, err)
	}
}
