package rpc_test

import (
	"context"
	"crypto/tls"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused tells the code of a refusal, with its sentence and next step there.
func refused(t *testing.T, err error) string {
	t.Helper()
	for _, d := range status.Convert(err).Details() {
		if r, ok := d.(*heimdrahtv1.Refusal); ok {
			if r.GetSentence() == "" || r.GetNextStep() == "" {
				t.Errorf("%s has no words", r.GetCode())
			}
			return r.GetCode()
		}
	}
	return status.Convert(err).Message()
}

// A laptop comes back after months in a drawer. Its certificate opens nothing
// any more; with the password the same device goes on, at its former address.
func TestALaptopWithAnOutdatedCertificate(t *testing.T) {
	s := provisionertest.Start(t, nil)
	s.JoinGateway("gw1").Run()
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	opened, err := provisionertest.Open(s.Attach(t.Context(), laptop), "")
	must(t, err)
	address := opened.GetOpened().GetConfiguration().GetAddresses()[0]

	old := laptop
	old.Certificate = s.Dated(laptop.Certificate, time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))
	_, err = s.Attach(t.Context(), old).Recv()
	if got := refused(t, err); got != "certificate-expired" {
		t.Errorf("attaching: %q", got)
	}
	early := laptop
	early.Certificate = s.Dated(laptop.Certificate, time.Now().Add(time.Hour), time.Now().Add(24*time.Hour))
	_, err = s.Attach(t.Context(), early).Recv()
	if got := refused(t, err); got != "certificate-not-yet-valid" {
		t.Errorf("attaching with a certificate of tomorrow: %q", got)
	}

	_, request := provisionertest.NewRequest(t)
	enrolment := heimdrahtv1.NewEnrolmentServiceClient(s.Dial(&old.Certificate))
	for _, c := range []struct{ name, login, password, code string }{
		{"no password", "", "", "certificate-expired"},
		{"wrong password", provisionertest.Staff, "falsch", "sign-in-failed"},
		{"a colleague's password", provisionertest.Second, provisionertest.Password, "not-allowed"},
	} {
		_, err := enrolment.RenewCertificate(t.Context(), &heimdrahtv1.RenewCertificateRequest{CertificateRequest: request, Login: c.login, Password: c.password})
		if got := refused(t, err); got != c.code {
			t.Errorf("%s: %q, want %q", c.name, got, c.code)
		}
	}
	key, request := provisionertest.NewRequest(t)
	answer, err := enrolment.RenewCertificate(t.Context(), &heimdrahtv1.RenewCertificateRequest{
		CertificateRequest: request, Login: provisionertest.Staff, Password: provisionertest.Password,
	})
	must(t, err)
	back := laptop
	back.Certificate = tls.Certificate{Certificate: [][]byte{answer.GetCertificate().GetLeaf()}, PrivateKey: key}
	again, err := provisionertest.Open(s.Attach(t.Context(), back), "")
	must(t, err)
	if got := again.GetOpened().GetConfiguration().GetAddresses(); len(got) == 0 || got[0] != address {
		t.Errorf("the address was %s and is %v", address, got)
	}
	desk := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	device, err := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil)).GetDevice(desk, &heimdrahtv1.GetDeviceRequest{DeviceId: laptop.ID})
	must(t, err)
	if device.GetDevice().GetState() != heimdrahtv1.DeviceState_DEVICE_STATE_ACTIVE {
		t.Errorf("the device is %v", device)
	}
}

// A gateway has nobody with a password: it needs a new token, and is told so.
func TestAGatewayWithAnOutdatedCertificate(t *testing.T) {
	s := provisionertest.Start(t, nil)
	joined := s.JoinGateway("gw1")
	old := s.Dated(joined.Certificate, time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))
	_, request := provisionertest.NewRequest(t)
	_, err := heimdrahtv1.NewEnrolmentServiceClient(s.Dial(&old)).RenewCertificate(t.Context(), &heimdrahtv1.RenewCertificateRequest{CertificateRequest: request})
	if got := refused(t, err); got != "gateway-certificate-expired" {
		t.Errorf("renewing: %q", got)
	}
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "accept-language", "de"), 10*time.Second)
	defer cancel()
	stream, err := heimdrahtv1.NewGatewayServiceClient(s.Dial(&old)).Sync(ctx)
	must(t, err)
	_, err = stream.Recv()
	if got := refused(t, err); got != "gateway-certificate-expired" {
		t.Errorf("syncing: %q", got)
	}
	s.JoinGateway("gw1").Run()
	if _, err := provisionertest.Open(s.Attach(t.Context(), s.Enrol(provisionertest.Staff, "SN1")), ""); err != nil {
		t.Error("after joining again: ", err)
	}
}
