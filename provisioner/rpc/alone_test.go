package rpc_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/status"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// Who takes the access of one after the other takes as many alone as at once; the one
// too many waits for a second person, or is an emergency. The same people count once, and
// nobody counts for another.
func TestOneByOneIsNoWayAroundTheSecondPerson(t *testing.T) {
	const n = provisioner.PeopleAlone + 5
	s, laptops := crowdOf(t, n)
	people := make([]string, n)
	for i := range people {
		people[i] = staffOf(t, s, provisionertest.Login(i))
	}
	desk := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	hilde := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	admin := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Admin))
	suspend := func(ctx context.Context, i int, emergency bool) error {
		_, err := desk.SuspendDevice(ctx, &heimdrahtv1.SuspendDeviceRequest{DeviceId: laptops[i].ID, Reason: "x", Emergency: emergency})
		return err
	}
	for i := range provisioner.PeopleAlone - 1 {
		if err := suspend(hilde, i, false); err != nil {
			t.Fatalf("person %d: %v", i, err)
		}
	}
	// What was a mistake is given back, and what changes nothing counts nothing.
	if _, err := desk.RestoreDevice(hilde, &heimdrahtv1.RestoreDeviceRequest{DeviceId: laptops[0].ID, Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	if err := suspend(hilde, 1, false); err != nil {
		t.Fatal(err)
	}
	if r, err := desk.Take(hilde, &heimdrahtv1.TakeRequest{Action: takeSuspend, PersonId: people[n-1], Reason: "x"}); err != nil || r.GetTakingId() == "" {
		t.Fatalf("the last one alone: %v, %v", r, err)
	}

	const late = provisioner.PeopleAlone
	_, revoking := desk.RevokeDevice(hilde, &heimdrahtv1.RevokeDeviceRequest{DeviceId: laptops[late].ID, Reason: "x"})
	_, restoring := desk.RestoreDevice(hilde, &heimdrahtv1.RestoreDeviceRequest{DeviceId: laptops[0].ID, Reason: "x"})
	_, person := desk.RevokePerson(hilde, &heimdrahtv1.RevokePersonRequest{PersonId: people[late], Reason: "x"})
	_, handing := heimdrahtv1.NewInvitationServiceClient(s.Dial(nil)).HandOverDevice(hilde,
		&heimdrahtv1.HandOverDeviceRequest{DeviceId: laptops[late].ID, Login: provisionertest.Login(0), Reason: "x"})
	for name, err := range map[string]error{"suspending": suspend(hilde, late, false), "revoking": revoking, "a person's": person, "handing over": handing} {
		expect(t, name+" one too many", err, "second-person")
		if len(status.Convert(err).Details()) == 0 {
			t.Errorf("%s: it says nothing", name)
		}
	}
	if restoring != nil {
		t.Errorf("giving back what does not rest: %v", restoring)
	}
	if got := states(t, s, laptops[late:late+1]); got[heimdrahtv1.DeviceState_DEVICE_STATE_ACTIVE] != 1 {
		t.Errorf("what was refused was done: %v", got)
	}

	// By the second person, by somebody else, or in an emergency it goes.
	r, err := desk.Take(hilde, &heimdrahtv1.TakeRequest{Action: takeSuspend, PersonId: people[late], Reason: "x"})
	if err != nil || r.GetProposal() == nil || r.GetTakingId() != "" {
		t.Fatalf("proposing: %v, %v", r, err)
	}
	if _, err := desk.ConfirmProposal(admin, &heimdrahtv1.ConfirmProposalRequest{ProposalId: r.GetProposal().GetProposalId()}); err != nil {
		t.Fatal(err)
	}
	finished(hilde, t, desk, r.GetProposal().GetProposalId())
	if err := suspend(admin, late+1, false); err != nil {
		t.Errorf("by somebody else: %v", err)
	}
	if err := suspend(hilde, late+2, true); err != nil {
		t.Errorf("in an emergency: %v", err)
	}
	records, err := heimdrahtv1.NewAuditServiceClient(s.Dial(nil)).ListRecords(provisionertest.As(t.Context(), s.Operator), &heimdrahtv1.ListRecordsRequest{Action: "declare emergency"})
	if err != nil || len(records.GetRecords()) != 1 {
		t.Errorf("the emergency's record: %v, %v", records, err)
	}
	expect(t, "after the emergency", suspend(hilde, late+3, false), "second-person")
}

// Across all tenants it takes two operators; who signed in with the server's token is one
// of them, whoever it is.
func TestTwoOperatorsTakeAcrossTenants(t *testing.T) {
	const n = provisioner.PeopleAlone + 1
	s, laptops := crowdOf(t, n)
	d := provisionertest.Declaration()
	for _, tenant := range d.GetTenants() {
		if tenant.GetName() == provisionertest.Other {
			tenant.Provider = &heimdrahtv1.ProviderRoles{Operator: provisionertest.GroupDN("Nachbarn")}
		}
	}
	s.Apply(d)
	desk := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	hilde := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	nora, operator := provisionertest.As(t.Context(), s.Login(provisionertest.Other, provisionertest.Stranger)), provisionertest.As(t.Context(), s.Operator)
	for name, two := range map[string][2]context.Context{"by the directory's operator": {nora, operator}, "by the server's": {operator, nora}} {
		r, err := desk.Take(two[0], &heimdrahtv1.TakeRequest{Action: takeSuspend, AgentVersion: "test", Reason: "Schwachstelle"})
		if err != nil || r.GetProposal() == nil || r.GetPeople() != n {
			t.Fatalf("proposed %s: %v, %v", name, r, err)
		}
		confirm := func(ctx context.Context) error {
			_, err := desk.ConfirmProposal(ctx, &heimdrahtv1.ConfirmProposalRequest{ProposalId: r.GetProposal().GetProposalId()})
			return err
		}
		expect(t, "confirmed by the same", confirm(two[0]), "four-eyes")
		expect(t, "confirmed by a tenant's helpdesk", confirm(hilde), "proposal-unknown")
		if list, err := desk.ListProposals(hilde, &heimdrahtv1.ListProposalsRequest{}); err != nil || len(list.GetProposals()) > 0 {
			t.Errorf("a tenant's helpdesk sees %v, %v", list, err)
		}
		if err := confirm(two[1]); err != nil {
			t.Fatalf("proposed %s: %v", name, err)
		}
		finished(operator, t, desk, r.GetProposal().GetProposalId())
	}
	if got := states(t, s, laptops); got[heimdrahtv1.DeviceState_DEVICE_STATE_SUSPENDED] != n {
		t.Errorf("after it: %v", got)
	}
}
