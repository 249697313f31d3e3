package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

const (
	takeRevoke  = heimdrahtv1.TakeAction_TAKE_ACTION_REVOKE
	takeSuspend = heimdrahtv1.TakeAction_TAKE_ACTION_SUSPEND
	takeRestore = heimdrahtv1.TakeAction_TAKE_ACTION_RESTORE
)

// crowdOf is a town with so many laptops, of as many people, and one of another
// person's besides.
func crowdOf(t *testing.T, n int) (s *provisionertest.Server, laptops []provisionertest.Laptop) {
	t.Helper()
	s = provisionertest.StartWith(t, provisionertest.Options{People: n})
	for i := range n {
		laptops = append(laptops, s.Enrol(provisionertest.Login(i), fmt.Sprint("SN", i)))
	}
	return s, laptops
}

// finished follows a taking to its end.
func finished(ctx context.Context, t *testing.T, desk heimdrahtv1.HelpdeskServiceClient, id string) *heimdrahtv1.FollowTakingResponse {
	t.Helper()
	stream, err := desk.FollowTaking(ctx, &heimdrahtv1.FollowTakingRequest{TakingId: id, WaitMs: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	var last *heimdrahtv1.FollowTakingResponse
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.GetDone() < last.GetDone() {
			t.Errorf("%d are done after %d", r.GetDone(), last.GetDone())
		}
		last = r
	}
	if !last.GetFinished() {
		t.Fatalf("it ended before its time: %v", last)
	}
	return last
}

// states counts the devices of a town by state.
func states(t *testing.T, s *provisionertest.Server, laptops []provisionertest.Laptop) map[heimdrahtv1.DeviceState]int {
	t.Helper()
	desk := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	count := make(map[heimdrahtv1.DeviceState]int)
	for _, l := range laptops {
		d, err := desk.GetDevice(provisionertest.As(t.Context(), s.Operator), &heimdrahtv1.GetDeviceRequest{DeviceId: l.ID})
		if err != nil {
			t.Fatal(err)
		}
		count[d.GetDevice().GetState()]++
	}
	return count
}

// More than twenty people at once take two people, or an emergency; what is taken
// can be given back, and gateways confirm it.
func TestTakeMany(t *testing.T) {
	const n = 45
	s, laptops := crowdOf(t, n)
	s.JoinGateway("gw1").Run()
	for _, l := range laptops[:3] {
		stream := s.Attach(t.Context(), l)
		if _, err := provisionertest.Open(stream, ""); err != nil {
			t.Fatal(err)
		}
	}
	desk := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	hilde := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	admin := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Admin))
	r := &heimdrahtv1.TakeRequest{Action: takeSuspend, Tenant: provisionertest.Tenant, Reason: "Umzug", DryRun: true}
	if answer, err := desk.Take(hilde, r); err != nil || answer.GetDevices() != n || answer.GetPeople() != n || answer.GetTakingId() != "" || answer.GetProposal() != nil {
		t.Fatalf("only counting: %v, %v", answer, err)
	}
	r.DryRun = false
	answer, err := desk.Take(hilde, r)
	if err != nil || answer.GetProposal() == nil || answer.GetTakingId() != "" {
		t.Fatalf("proposing: %v, %v", answer, err)
	}
	if got := states(t, s, laptops); got[heimdrahtv1.DeviceState_DEVICE_STATE_ACTIVE] != n {
		t.Errorf("before anybody confirmed: %v", got)
	}
	id := answer.GetProposal().GetProposalId()
	_, err = desk.ConfirmProposal(hilde, &heimdrahtv1.ConfirmProposalRequest{ProposalId: id})
	expect(t, "by the one who proposed it", err, "four-eyes")
	if _, err := desk.ConfirmProposal(admin, &heimdrahtv1.ConfirmProposalRequest{ProposalId: id}); err != nil {
		t.Fatal(err)
	}
	done := finished(hilde, t, desk, id)
	if done.GetDone() != n || len(done.GetConfirmations()) != 1 || !done.GetConfirmations()[0].GetConfirmed() {
		t.Errorf("done: %v", done)
	}
	if got := states(t, s, laptops); got[heimdrahtv1.DeviceState_DEVICE_STATE_SUSPENDED] != n {
		t.Errorf("after it: %v", got)
	}
	// Once more there is nothing to do.
	if answer, err := desk.Take(hilde, &heimdrahtv1.TakeRequest{Action: takeRestore, Tenant: provisionertest.Tenant, Reason: "zurück", Emergency: true}); err != nil || answer.GetTakingId() == "" {
		t.Fatalf("an emergency: %v, %v", answer, err)
	} else if done := finished(hilde, t, desk, answer.GetTakingId()); done.GetDone() != n {
		t.Errorf("restored: %v", done)
	}
	if got := states(t, s, laptops); got[heimdrahtv1.DeviceState_DEVICE_STATE_ACTIVE] != n {
		t.Errorf("given back: %v", got)
	}
	if answer, err := desk.Take(hilde, &heimdrahtv1.TakeRequest{Action: takeRestore, Tenant: provisionertest.Tenant, Reason: "zurück"}); err != nil || answer.GetDevices() != 0 || answer.GetTakingId() != "" {
		t.Errorf("nothing to give back: %v, %v", answer, err)
	}
	// One gateway's, one person's.
	person := staffOf(t, s, provisionertest.Login(7))
	answer, err = desk.Take(hilde, &heimdrahtv1.TakeRequest{Action: takeRevoke, PersonId: person, Reason: "Kündigung"})
	if err != nil || answer.GetDevices() != 1 {
		t.Fatalf("of a person: %v, %v", answer, err)
	}
	finished(hilde, t, desk, answer.GetTakingId())
	answer, err = desk.Take(provisionertest.As(t.Context(), s.Operator), &heimdrahtv1.TakeRequest{Action: takeRevoke, AgentVersion: "test", Reason: "Schwachstelle", Emergency: true})
	if err != nil || answer.GetDevices() != n-1 {
		t.Fatalf("of a version: %v, %v", answer, err)
	}
	finished(provisionertest.As(t.Context(), s.Operator), t, desk, answer.GetTakingId())
	if got := states(t, s, laptops); got[heimdrahtv1.DeviceState_DEVICE_STATE_REVOKED] != n {
		t.Errorf("revoked: %v", got)
	}
}

// A suspension for a time ends by itself, and what the helpdesk took for good
// does not.
func TestSuspendForATime(t *testing.T) {
	s, laptops := crowdOf(t, 2)
	desk, hilde := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil)), provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	for i, ends := range []*timestamppb.Timestamp{timestamppb.New(time.Now().Add(1500 * time.Millisecond)), nil} {
		answer, err := desk.Take(hilde, &heimdrahtv1.TakeRequest{
			Action: takeSuspend, PersonId: staffOf(t, s, provisionertest.Login(i)), Reason: "Elternzeit", EndsAt: ends,
		})
		if err != nil {
			t.Fatal(err)
		}
		finished(hilde, t, desk, answer.GetTakingId())
	}
	if got := states(t, s, laptops); got[heimdrahtv1.DeviceState_DEVICE_STATE_SUSPENDED] != 2 {
		t.Fatalf("suspended: %v", got)
	}
	late := time.After(20 * time.Second)
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for states(t, s, laptops[:1])[heimdrahtv1.DeviceState_DEVICE_STATE_ACTIVE] != 1 {
		select {
		case <-look.C:
		case <-late:
			t.Fatal("access has not come back")
		}
	}
	if got := states(t, s, laptops[1:]); got[heimdrahtv1.DeviceState_DEVICE_STATE_SUSPENDED] != 1 {
		t.Errorf("what has no end: %v", got)
	}
}

// What cannot be meant is refused, and nothing is told of other tenants.
func TestTakeRefuses(t *testing.T) {
	s, _ := crowdOf(t, 1)
	desk := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	hilde := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	planner := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Planner))
	stranger := provisionertest.As(t.Context(), s.Login(provisionertest.Other, provisionertest.Stranger))
	operator := provisionertest.As(t.Context(), s.Operator)
	person := staffOf(t, s, provisionertest.Login(0))
	past, future := timestamppb.New(time.Now().Add(-time.Hour)), timestamppb.New(time.Now().Add(time.Hour))
	for _, c := range []struct {
		name string
		ctx  context.Context
		r    *heimdrahtv1.TakeRequest
		want string
	}{
		{"a planner", planner, &heimdrahtv1.TakeRequest{Action: takeRevoke, Tenant: provisionertest.Tenant, Reason: "x"}, "not-allowed"},
		{"another tenant", stranger, &heimdrahtv1.TakeRequest{Action: takeRevoke, Tenant: provisionertest.Tenant, Reason: "x"}, "not-allowed"},
		{"a tenant that there is not", stranger, &heimdrahtv1.TakeRequest{Action: takeRevoke, Tenant: "nirgends", Reason: "x"}, "not-allowed"},
		{"another tenant's person", stranger, &heimdrahtv1.TakeRequest{Action: takeRevoke, PersonId: person, Reason: "x"}, "not-found"},
		{"everywhere, as the helpdesk", hilde, &heimdrahtv1.TakeRequest{Action: takeRevoke, Gateway: "gw1", Reason: "x"}, "not-allowed"},
		{"nobody", operator, &heimdrahtv1.TakeRequest{Action: takeRevoke, Reason: "x"}, "invalid"},
		{"nothing", operator, &heimdrahtv1.TakeRequest{Tenant: provisionertest.Tenant, Reason: "x"}, "protocol"},
		{"no such tenant", operator, &heimdrahtv1.TakeRequest{Action: takeRevoke, Tenant: "nirgends", Reason: "x"}, "not-found"},
		{"no such gateway", operator, &heimdrahtv1.TakeRequest{Action: takeRevoke, Gateway: "gw9", Reason: "x"}, "not-found"},
		{"without a reason", hilde, &heimdrahtv1.TakeRequest{Action: takeRevoke, Tenant: provisionertest.Tenant, Reason: "\x00\n"}, "reason-missing"},
		{"until yesterday", hilde, &heimdrahtv1.TakeRequest{Action: takeSuspend, Tenant: provisionertest.Tenant, Reason: "x", EndsAt: past}, "invalid"},
		{"revoked for a time", hilde, &heimdrahtv1.TakeRequest{Action: takeRevoke, Tenant: provisionertest.Tenant, Reason: "x", EndsAt: future}, "invalid"},
	} {
		_, err := desk.Take(c.ctx, c.r)
		expect(t, c.name, err, c.want)
	}
	answer, err := desk.Take(hilde, &heimdrahtv1.TakeRequest{Action: takeSuspend, Tenant: provisionertest.Tenant, Reason: strings.Repeat("lang ", 1000)})
	if err != nil {
		t.Fatal(err)
	}
	for name, ctx := range map[string]context.Context{"another tenant": stranger, "a planner": planner} {
		stream, err := desk.FollowTaking(ctx, &heimdrahtv1.FollowTakingRequest{TakingId: answer.GetTakingId()})
		if err == nil {
			_, err = stream.Recv()
		}
		if c := codeOf(err); c != "not-found" && c != "not-allowed" {
			t.Errorf("%s follows: %v", name, err)
		}
	}
}

// What was suspended singly, or by another selection, stays so when the whole tenant is
// given back; and as long as the tenant rests, nobody enrols a laptop there, and none is
// given back singly.
func TestATenantGivesBackOnlyItsOwn(t *testing.T) {
	s, laptops := crowdOf(t, 4)
	desk, hilde := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil)), provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	take := func(r *heimdrahtv1.TakeRequest, devices int64) {
		t.Helper()
		r.Reason = "Einbruch"
		answer, err := desk.Take(hilde, r)
		if err != nil || answer.GetTakingId() == "" || answer.GetDevices() != devices {
			t.Fatalf("%v: %v, %v; want %d devices", r, answer, err, devices)
		}
		finished(hilde, t, desk, answer.GetTakingId())
	}
	rest := func(when string, want ...bool) {
		t.Helper()
		for i, l := range laptops {
			d, err := desk.GetDevice(hilde, &heimdrahtv1.GetDeviceRequest{DeviceId: l.ID})
			if err != nil || (d.GetDevice().GetState() == heimdrahtv1.DeviceState_DEVICE_STATE_SUSPENDED) != want[i] {
				t.Errorf("%s: laptop %d is %v, %v", when, i, d.GetDevice().GetState(), err)
			}
		}
	}
	tenant := &heimdrahtv1.TakeRequest{Action: takeSuspend, Tenant: provisionertest.Tenant}
	give := &heimdrahtv1.TakeRequest{Action: takeRestore, Tenant: provisionertest.Tenant}
	leave := &heimdrahtv1.TakeRequest{Action: takeSuspend, PersonId: staffOf(t, s, provisionertest.Login(1))}

	if _, err := desk.SuspendDevice(hilde, &heimdrahtv1.SuspendDeviceRequest{DeviceId: laptops[0].ID, Reason: "verlegt"}); err != nil {
		t.Fatal(err)
	}
	take(leave, 1)
	take(tenant, 4)
	rest("while the tenant rests", true, true, true, true)
	_, err := provisionertest.Open(s.Attach(t.Context(), laptops[2]), "")
	expect(t, "a laptop of the tenant", err, "tenant-suspended")
	_, err = provisionertest.TryEnrol(t.Context(), s.Dial(nil), provisionertest.NewLaptop(t), provisionertest.Login(2), "SN-new")
	expect(t, "a new laptop of the tenant", err, "tenant-suspended")
	_, err = desk.RestoreDevice(hilde, &heimdrahtv1.RestoreDeviceRequest{DeviceId: laptops[2].ID, Reason: "x"})
	expect(t, "one laptop of the tenant given back", err, "tenant-suspended")
	// What was taken besides can be taken, and given back, meanwhile.
	if _, err := desk.SuspendDevice(hilde, &heimdrahtv1.SuspendDeviceRequest{DeviceId: laptops[3].ID, Reason: "befallen"}); err != nil {
		t.Fatal(err)
	}

	take(give, 4)
	rest("given back", true, true, false, true)
	if _, err := provisionertest.TryEnrol(t.Context(), s.Dial(nil), provisionertest.NewLaptop(t), provisionertest.Login(2), "SN-new"); err != nil {
		t.Error("a new laptop once it is given back: ", err)
	}
	answer, err := desk.Take(hilde, &heimdrahtv1.TakeRequest{Action: takeRestore, Tenant: provisionertest.Tenant, AgentVersion: "test", Reason: "x"})
	if err != nil || answer.GetDevices() != 0 || answer.GetTakingId() != "" {
		t.Errorf("by a selection that took nothing: %v, %v", answer, err)
	}
	leave.Action = takeRestore
	take(leave, 1)
	for _, i := range []int{0, 3} {
		if _, err := desk.RestoreDevice(hilde, &heimdrahtv1.RestoreDeviceRequest{DeviceId: laptops[i].ID, Reason: "x"}); err != nil {
			t.Error(err)
		}
	}
	rest("all of it", false, false, false, false)
}

// A tenant that is suspended for a time comes back by itself, with its laptops.
func TestATenantRestsForATime(t *testing.T) {
	s, laptops := crowdOf(t, 1)
	desk, hilde := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil)), provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	answer, err := desk.Take(hilde, &heimdrahtv1.TakeRequest{
		Action: takeSuspend, Tenant: provisionertest.Tenant, Reason: "Umzug", EndsAt: timestamppb.New(time.Now().Add(1500 * time.Millisecond)),
	})
	if err != nil {
		t.Fatal(err)
	}
	finished(hilde, t, desk, answer.GetTakingId())
	if got := states(t, s, laptops); got[heimdrahtv1.DeviceState_DEVICE_STATE_SUSPENDED] != 1 {
		t.Fatalf("suspended: %v", got)
	}
	eventually(t, "the tenant comes back by itself", func() bool {
		r, err := heimdrahtv1.NewAuditServiceClient(s.Dial(nil)).ListRecords(provisionertest.As(t.Context(), s.Operator), &heimdrahtv1.ListRecordsRequest{Action: "restore tenant"})
		return err == nil && len(r.GetRecords()) == 1 && states(t, s, laptops)[heimdrahtv1.DeviceState_DEVICE_STATE_ACTIVE] == 1
	})
}
