package rpc_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// staffOf is the person who has signed in with a login.
func staffOf(t *testing.T, s *provisionertest.Server, login string) string {
	t.Helper()
	found, err := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil)).FindPeople(provisionertest.As(t.Context(), s.Operator), &heimdrahtv1.FindPeopleRequest{Query: login})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range found.GetPeople() {
		if p.GetLogin() == login {
			return p.GetPersonId()
		}
	}
	t.Fatalf("nobody has the login %s", login)
	return ""
}

// Resetting a second factor takes a reason and how it was made sure who asks; of
// somebody with a role it takes two people, and then she is signed out.
func TestResetFactor(t *testing.T) {
	s := provisionertest.Start(t, nil)
	client := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	adminsToken := s.Login(provisionertest.Tenant, provisionertest.Admin)
	desk, admin := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk)), provisionertest.As(t.Context(), adminsToken)
	planner := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Planner))
	operator, stranger := provisionertest.As(t.Context(), s.Operator), provisionertest.As(t.Context(), s.Login(provisionertest.Other, provisionertest.Stranger))
	person := staffOf(t, s, provisionertest.Admin)

	reset := func(ctx context.Context, person, reason, checked string) (*heimdrahtv1.Proposal, error) {
		answer, err := client.ResetFactor(ctx, &heimdrahtv1.ResetFactorRequest{PersonId: person, Reason: reason, IdentityChecked: checked})
		return answer.GetProposal(), err
	}
	confirm := func(ctx context.Context, id string) error {
		_, err := client.ConfirmProposal(ctx, &heimdrahtv1.ConfirmProposalRequest{ProposalId: id})
		return err
	}
	for _, c := range []struct {
		name                    string
		ctx                     context.Context
		person, reason, checked string
		want                    string
	}{
		{"without a reason", desk, person, " ", "Ausweis gesehen", "reason-missing"},
		{"without a check", desk, person, "Telefon weg", "\n", "invalid"},
		{"nobody", desk, "x", "Telefon weg", "Ausweis gesehen", "not-found"},
		{"of another tenant", stranger, person, "Telefon weg", "Ausweis gesehen", "not-found"},
		{"as a planner", planner, person, "Telefon weg", "Ausweis gesehen", "not-allowed"},
	} {
		_, err := reset(c.ctx, c.person, c.reason, c.checked)
		expect(t, c.name, err, c.want)
	}
	_, err := client.IssueFactorToken(operator, &heimdrahtv1.IssueFactorTokenRequest{PersonId: person})
	expect(t, "a token beside a factor", err, "factor-there")

	waits, err := reset(desk, person, "Telefon "+strings.Repeat("weg\n", 1000), "Ausweis gesehen")
	if err != nil || waits.GetProposalId() == "" {
		t.Fatalf("proposing: %v, %v", waits, err)
	}
	expect(t, "by the one who proposed it", confirm(desk, waits.GetProposalId()), "four-eyes")
	expect(t, "by another tenant's helpdesk", confirm(stranger, waits.GetProposalId()), "proposal-unknown")
	expect(t, "by a planner", confirm(planner, waits.GetProposalId()), "not-allowed")
	expect(t, "another one", confirm(operator, "x"), "proposal-unknown")
	if list, err := client.ListProposals(stranger, &heimdrahtv1.ListProposalsRequest{}); err != nil || len(list.GetProposals()) > 0 {
		t.Errorf("another tenant's helpdesk sees %v, %v", list, err)
	}
	list, err := client.ListProposals(desk, &heimdrahtv1.ListProposalsRequest{})
	if err != nil || len(list.GetProposals()) != 1 || list.GetProposals()[0].GetDetails()["identity checked"] != "Ausweis gesehen" || len(list.GetProposals()[0].GetReason()) > 1500 {
		t.Errorf("the list: %v, %v", list, err)
	}
	// Nothing has happened yet.
	if _, err := client.FindPeople(admin, &heimdrahtv1.FindPeopleRequest{Query: "x"}); err != nil {
		t.Errorf("before it is confirmed: %v", err)
	}
	var done sync.WaitGroup
	codes := make(chan string, 4)
	for range cap(codes) {
		done.Go(func() { codes <- codeOf(confirm(operator, waits.GetProposalId())) })
	}
	done.Wait()
	close(codes)
	did := 0
	for c := range codes {
		if c == "" {
			did++
		} else if c != "proposal-unknown" {
			t.Errorf("confirming at once: %s", c)
		}
	}
	if did != 1 {
		t.Errorf("it was done %d times", did)
	}
	_, err = client.FindPeople(admin, &heimdrahtv1.FindPeopleRequest{Query: "x"})
	expect(t, "her sign-in after the reset", err, "not-signed-in")
	_, err = heimdrahtv1.NewAuthServiceClient(s.Dial(nil)).Login(t.Context(),
		&heimdrahtv1.LoginRequest{Tenant: provisionertest.Tenant, Login: provisionertest.Admin, Password: provisionertest.Password, Code: "123456"})
	expect(t, "signing in after the reset", err, "factor-missing")

	// A token for a role above staff is the administrator's or the operator's to give.
	_, err = client.IssueFactorToken(desk, &heimdrahtv1.IssueFactorTokenRequest{PersonId: person})
	expect(t, "a token for a role, from the helpdesk", err, "not-allowed")
	_, err = client.IssueFactorToken(stranger, &heimdrahtv1.IssueFactorTokenRequest{PersonId: person})
	expect(t, "a token, from another tenant", err, "not-found")
	s.Enrol(provisionertest.Staff, "SN1")
	if _, err := client.IssueFactorToken(desk, &heimdrahtv1.IssueFactorTokenRequest{PersonId: staffOf(t, s, provisionertest.Staff)}); err != nil {
		t.Errorf("a token for staff, from the helpdesk: %v", err)
	}
	if p, err := reset(desk, staffOf(t, s, provisionertest.Staff), "Telefon weg", "Rückruf"); err != nil || p != nil {
		t.Errorf("staff alone needs no second person: %v, %v", p, err)
	}
}

// A proposal can be taken back, and proposing again takes the former one's place.
func TestWithdrawProposal(t *testing.T) {
	s := provisionertest.Start(t, nil)
	client := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	desk := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	person := staffOf(t, s, provisionertest.Helpdesk)
	propose := func(reason string) string {
		answer, err := client.ResetFactor(desk, &heimdrahtv1.ResetFactorRequest{PersonId: person, Reason: reason, IdentityChecked: "selbst"})
		if err != nil {
			t.Fatal(err)
		}
		return answer.GetProposal().GetProposalId()
	}
	former, id := propose("Telefon weg"), propose("Telefon verloren")
	_, err := client.ConfirmProposal(provisionertest.As(t.Context(), s.Operator), &heimdrahtv1.ConfirmProposalRequest{ProposalId: former})
	expect(t, "confirming what was proposed anew", err, "proposal-unknown")
	if p, err := client.WithdrawProposal(desk, &heimdrahtv1.WithdrawProposalRequest{ProposalId: id}); err != nil || p.GetProposal().GetReason() != "Telefon verloren" {
		t.Errorf("withdrawing: %v, %v", p, err)
	}
	_, err = client.ConfirmProposal(provisionertest.As(t.Context(), s.Operator), &heimdrahtv1.ConfirmProposalRequest{ProposalId: id})
	expect(t, "confirming what was withdrawn", err, "proposal-unknown")
}
