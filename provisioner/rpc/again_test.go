package rpc_test

import (
	"testing"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

const week = 7 * 24 * time.Hour

// strictTown wants a second factor of employees.
func strictTown(t *testing.T, p *heimdrahtv1.SecondFactorPolicy) *provisionertest.Server {
	t.Helper()
	d := provisionertest.Declaration()
	d.Tenants[0].Policy.SecondFactor = p
	return provisionertest.StartWith(t, provisionertest.Options{Declaration: d})
}

// renew sends a renewal and gives what comes with the answer: nil if nothing does
// before the answer to the next one.
func renew(t *testing.T, stream heimdrahtv1.SessionService_AttachClient, id string) (ending *heimdrahtv1.SessionEnding) {
	t.Helper()
	for range 2 {
		if err := stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Renew{Renew: &heimdrahtv1.RenewSession{SessionId: id}}}); err != nil {
			t.Fatal(err)
		}
	}
	for renewed := 0; renewed < 2; {
		order, err := stream.Recv()
		switch {
		case err != nil:
			t.Fatal(err)
		case order.GetEnding() != nil:
			if ending != nil {
				t.Error("told twice")
			}
			ending = order.GetEnding()
		case order.GetRenewed() != nil:
			renewed++
		default:
			t.Fatalf("got %v", order)
		}
	}
	return ending
}

// A session whose sign-in is due is announced, on each stream and once; signing in
// takes what policy wants; then it goes on.
func TestASessionIsAnnouncedToEndAndGoesOn(t *testing.T) {
	s := strictTown(t, &heimdrahtv1.SecondFactorPolicy{SigningInAgain: true})
	s.JoinGateway("gw1").Run()
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	id := open(t, s.Attach(t.Context(), laptop)).GetSessionId()
	s.SignedInAt(laptop.ID, time.Now().Add(-week-time.Hour)) // starts anew

	var stream heimdrahtv1.SessionService_AttachClient
	for name := range map[string]bool{"first": true, "after it broke": true} {
		stream = s.Attach(t.Context(), laptop)
		order, err := provisionertest.Open(stream, id)
		if err != nil || !order.GetOpened().GetResumed() {
			t.Fatal(order, err)
		}
		order, err = stream.Recv()
		ending := order.GetEnding()
		if err != nil || ending.GetSessionId() != id || ending.GetWhy().GetCode() != "sign-in-needed" {
			t.Fatalf("%s: told %v, %v", name, order, err)
		}
		if within := time.Duration(ending.GetWithinMs()) * time.Millisecond; within < 110*time.Minute || within > 2*time.Hour {
			t.Errorf("%s: ends within %v", name, within)
		}
		if again := renew(t, stream, id); again != nil {
			t.Errorf("%s: told again: %v", name, again)
		}
	}

	enrolment := heimdrahtv1.NewEnrolmentServiceClient(s.Dial(&laptop.Certificate))
	ask := func(login, password, code string) error {
		_, err := enrolment.SignInAgain(t.Context(), &heimdrahtv1.SignInAgainRequest{Login: login, Password: password, Code: code})
		return err
	}
	code := s.RecoveryCode(provisionertest.Tenant, provisionertest.Staff)
	expect(t, "a wrong password", ask(provisionertest.Staff, "falsch", code), "sign-in-failed")
	expect(t, "somebody else", ask(provisionertest.Second, provisionertest.Password, ""), "other-person")
	expect(t, "no code", ask(provisionertest.Staff, provisionertest.Password, ""), "factor-needed")
	expect(t, "a wrong code", ask(provisionertest.Staff, provisionertest.Password, "xxxx"), "factor-wrong")
	if ending := renew(t, stream, id); ending != nil {
		t.Errorf("after what was refused: %v", ending)
	}
	if err := ask(provisionertest.Staff, provisionertest.Password, code); err != nil {
		t.Fatal(err)
	}
	if ending := renew(t, stream, id); ending == nil || ending.GetWhy() != nil {
		t.Errorf("after signing in: %v", ending)
	}
	expect(t, "the code once more", ask(provisionertest.Staff, provisionertest.Password, code), "factor-wrong")
	// A stranger has no laptop to sign in on.
	_, err := heimdrahtv1.NewEnrolmentServiceClient(s.Dial(nil)).SignInAgain(t.Context(), &heimdrahtv1.SignInAgainRequest{})
	expect(t, "without a certificate", err, "not-signed-in")
}

// Without a sign-in no session opens, and one that is open ends with the asking;
// another laptop of hers is another matter.
func TestNoSessionWithoutASignIn(t *testing.T) {
	s := provisionertest.Start(t, nil)
	gateway := s.JoinGateway("gw1")
	laptop, other := s.Enrol(provisionertest.Staff, "SN1"), s.Enrol(provisionertest.Staff, "SN2")
	gateway.Run()
	id := open(t, s.Attach(t.Context(), laptop)).GetSessionId()
	gateway.Stop()
	s.SignedInAt(laptop.ID, time.Now().Add(-week-time.Minute))
	gateway.Run()
	stream := s.Attach(t.Context(), laptop)
	if order, err := provisionertest.Open(stream, id); err != nil || !order.GetOpened().GetResumed() {
		t.Fatal(order, err)
	}
	if order, err := stream.Recv(); err != nil || order.GetEnding() == nil {
		t.Fatal(order, err)
	}
	order, err := provisionertest.Open(stream, "") // at a quiet moment
	if err != nil || order.GetRefused().GetCode() != "sign-in-needed" && order.GetClosed().GetWhy().GetCode() != "sign-in-needed" {
		t.Fatal(order, err)
	}
	if _, err := heimdrahtv1.NewEnrolmentServiceClient(s.Dial(&laptop.Certificate)).SignInAgain(t.Context(),
		&heimdrahtv1.SignInAgainRequest{Login: provisionertest.Staff, Password: provisionertest.Password}); err != nil {
		t.Fatal(err)
	}
	open(t, s.Attach(t.Context(), laptop))
	open(t, s.Attach(t.Context(), other))
}

// Where enrolling takes a code, it takes one that counts, and so does an expired
// certificate where signing in again does.
func TestEnrollingTakesACode(t *testing.T) {
	s := strictTown(t, &heimdrahtv1.SecondFactorPolicy{Enrolling: true, SigningInAgain: true})
	enrol := func(code string) (provisionertest.Laptop, error) {
		l := provisionertest.NewLaptop(t)
		return provisionertest.TryEnrolAs(t.Context(), s.Dial(nil), l, &heimdrahtv1.EnrolRequest{
			Login: provisionertest.Staff, Password: provisionertest.Password, Code: code, SerialNumber: "SN1",
		})
	}
	_, err := enrol("")
	expect(t, "without a factor", err, "factor-missing")
	code := s.RecoveryCode(provisionertest.Tenant, provisionertest.Staff)
	_, err = enrol("")
	expect(t, "without a code", err, "factor-needed")
	_, err = enrol("000000x")
	expect(t, "with no code", err, "factor-wrong")
	laptop, err := enrol(code)
	if err != nil {
		t.Fatal(err)
	}
	_, err = enrol(code)
	expect(t, "with a code that was used", err, "factor-wrong")

	expired := s.Dated(laptop.Certificate, time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))
	_, request := provisionertest.NewRequest(t)
	renew := func(code string) error {
		_, err := heimdrahtv1.NewEnrolmentServiceClient(s.Dial(&expired)).RenewCertificate(t.Context(), &heimdrahtv1.RenewCertificateRequest{
			CertificateRequest: request, Login: provisionertest.Staff, Password: provisionertest.Password, Code: code,
		})
		return err
	}
	expect(t, "renewing without a code", renew(""), "factor-needed")
	if err := renew(s.RecoveryCode(provisionertest.Tenant, provisionertest.Staff)); err != nil {
		t.Error(err)
	}
}
