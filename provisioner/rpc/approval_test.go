package rpc_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// waitingFor asks for a code for a laptop.
func waitingFor(t *testing.T, tenant string) *heimdrahtv1.BeginEnrolmentRequest {
	t.Helper()
	_, request := provisionertest.NewRequest(t)
	return &heimdrahtv1.BeginEnrolmentRequest{
		Tenant: tenant, CertificateRequest: request, WireguardPublicKey: provisionertest.NewWireGuardKey(),
		DeviceName: "nb-17", SerialNumber: "SN-WAITS", Platform: "linux", AgentVersion: "test",
	}
}

// Two people who approve one laptop at the same time: it is enrolled for one of them, and the other one is told so.
func TestTwoApproveOneLaptop(t *testing.T) {
	s := provisionertest.Start(t, nil)
	agents, approval := heimdrahtv1.NewEnrolmentServiceClient(s.Dial(nil)), heimdrahtv1.NewApprovalServiceClient(s.Dial(nil))
	begun, err := agents.BeginEnrolment(english(), waitingFor(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	request := &heimdrahtv1.ApproveLaptopRequest{UserCode: begun.GetUserCode(), Fingerprint: begun.GetFingerprint()}
	codes := make([]string, 2)
	devices := make([]string, 2)
	var both sync.WaitGroup
	for i, login := range []string{provisionertest.Staff, provisionertest.Second} {
		ctx := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, login))
		both.Go(func() {
			answer, err := approval.ApproveLaptop(ctx, request)
			codes[i], devices[i] = codeOf(err), answer.GetDeviceId()
		})
	}
	both.Wait()
	slices.Sort(codes)
	if codes[0] != "" || codes[1] != "enrolment-code-used" {
		t.Errorf("decided %q", codes)
	}
	told, err := agents.AwaitEnrolment(english(), &heimdrahtv1.AwaitEnrolmentRequest{DeviceCode: begun.GetDeviceCode()})
	if err != nil || !slices.Contains(devices, told.GetEnrolled().GetDeviceId()) || told.GetEnrolled().GetDeviceId() == "" {
		t.Errorf("the laptop is told %v, %v; approved were %q", told, err, devices)
	}
}

// What laptops and people can get wrong.
func TestCodesRefuse(t *testing.T) {
	s := provisionertest.Start(t, nil)
	agents, approval := heimdrahtv1.NewEnrolmentServiceClient(s.Dial(nil)), heimdrahtv1.NewApprovalServiceClient(s.Dial(nil))
	eva := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Staff))
	operator := provisionertest.As(t.Context(), s.Operator)

	_, err := agents.BeginEnrolment(english(), &heimdrahtv1.BeginEnrolmentRequest{})
	expect(t, "a laptop without a key", err, "wireguard-key-invalid")
	_, err = agents.AwaitEnrolment(english(), &heimdrahtv1.AwaitEnrolmentRequest{DeviceCode: strings.Repeat("x", 20000)})
	expect(t, "a device code that nobody has", err, "enrolment-expired")
	_, err = approval.GetWaitingLaptop(english(), &heimdrahtv1.GetWaitingLaptopRequest{UserCode: "BBBB-BBBB"})
	expect(t, "nobody is signed in", err, "not-signed-in")
	_, err = approval.GetWaitingLaptop(operator, &heimdrahtv1.GetWaitingLaptopRequest{UserCode: "BBBB-BBBB"})
	expect(t, "an operator, who has no laptop here", err, "not-allowed")
	_, err = approval.GetWaitingLaptop(eva, &heimdrahtv1.GetWaitingLaptopRequest{UserCode: "\x1b[2J"})
	expect(t, "a code that is none", err, "enrolment-code-unknown")

	begun, err := agents.BeginEnrolment(english(), waitingFor(t, provisionertest.Other))
	if err != nil {
		t.Fatal(err)
	}
	_, err = approval.ApproveLaptop(eva, &heimdrahtv1.ApproveLaptopRequest{UserCode: begun.GetUserCode(), Fingerprint: begun.GetFingerprint()})
	expect(t, "another tenant's laptop", err, "enrolment-code-unknown")
	for i := range 9 {
		_, err = approval.GetWaitingLaptop(eva, &heimdrahtv1.GetWaitingLaptopRequest{UserCode: fmt.Sprintf("BBBB-BBB%c", "CDFGHJKLM"[i])})
		expect(t, "guessing", err, "enrolment-code-unknown")
	}
	_, err = approval.GetWaitingLaptop(eva, &heimdrahtv1.GetWaitingLaptopRequest{UserCode: "BBBB-BBBZ"})
	expect(t, "guessing on", err, "enrolment-code-throttled")
	if refusalOf(err).GetRetryAfterMs() == 0 {
		t.Error("it is not said when to try again")
	}
}

// A server that stops does not wait for laptops that wait for people.
func TestStoppingEndsWaiting(t *testing.T) {
	s := provisionertest.Start(t, nil)
	agents := heimdrahtv1.NewEnrolmentServiceClient(s.Dial(nil))
	begun, err := agents.BeginEnrolment(english(), waitingFor(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	asked := &heimdrahtv1.AwaitEnrolmentRequest{DeviceCode: begun.GetDeviceCode()}
	told := make(chan error, 1)
	go func() {
		for {
			if _, err := agents.AwaitEnrolment(english(), asked); codeOf(err) != "slow-down" {
				told <- err
				return
			}
		}
	}()
	// Until that one waits: of this one the server may not have noticed yet that it has gone.
	for inARow := 0; inARow < 5; {
		ctx, cancel := context.WithTimeout(english(), 100*time.Millisecond)
		_, err := agents.AwaitEnrolment(ctx, asked)
		cancel()
		if inARow++; codeOf(err) != "slow-down" {
			inARow = 0
		}
		time.Sleep(50 * time.Millisecond) // real: the server tells nobody who waits
	}
	s.Stop()
	expect(t, "a laptop that waits", <-told, "shutting-down")
}
