package rpc_test

import (
	"fmt"
	"strings"
	"testing"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// TestARebuiltDirectory: everybody is deleted and made anew in the directory, and carried over.
func TestARebuiltDirectory(t *testing.T) {
	const people = 20
	s := provisionertest.StartWith(t, provisionertest.Options{People: people})
	g := s.JoinGateway("gw1")
	g.Run()
	laptop := s.Enrol(provisionertest.Login(7), "SN7")
	open(t, s.Attach(t.Context(), laptop))
	admin, operator := deskOf(t, s, s.Login(provisionertest.Tenant, provisionertest.Admin)), deskOf(t, s, s.Operator)
	helpdesk := deskOf(t, s, s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	admin.followed(t)
	var lines []*heimdrahtv1.IdentityLine
	for n := range people {
		login, dn := provisionertest.Login(n), provisionertest.DN(provisionertest.Login(n))
		if err := s.Directory.Delete(dn); err != nil {
			t.Fatal(err)
		}
		to := fmt.Sprintf("0a0b0c0d-0000-4000-8000-%012d", n)
		if err := s.Directory.Add([]byte(fmt.Sprintf("dn: %s\nobjectClass: inetOrgPerson\nuid: %s\ncn: %s\nsn: %s\nentryUUID: %s\nuserPassword: %s\n",
			dn, login, login, login, to, provisionertest.Password))); err != nil {
			t.Fatal(err)
		}
		const others = 8 // people of the town before them
		lines = append(lines, &heimdrahtv1.IdentityLine{Line: uint32(n + 1), From: fmt.Sprintf("6d1e3a52-0f4b-4c57-9d0e-2f1a%08d", n+others), To: to})
	}
	var proposed *heimdrahtv1.ProposeIdentitiesResponse
	eventually(t, "the new ones have been read", func() bool {
		var err error
		proposed, err = admin.ProposeIdentities(admin.ctx, &heimdrahtv1.ProposeIdentitiesRequest{Directory: "stadt-ldap", Lines: lines, Reason: "rebuilt", DryRun: true})
		return err == nil && len(proposed.GetProblems()) == 0
	})
	_, err := helpdesk.ProposeIdentities(helpdesk.ctx, &heimdrahtv1.ProposeIdentitiesRequest{Directory: "stadt-ldap", Lines: lines, Reason: "rebuilt"})
	expect(t, "the helpdesk proposes", err, "not-allowed")
	_, err = admin.ProposeIdentities(admin.ctx, &heimdrahtv1.ProposeIdentitiesRequest{Directory: "kreis", Lines: lines, Reason: "rebuilt"})
	expect(t, "in another directory", err, "not-found")
	wrong, err := admin.ProposeIdentities(admin.ctx, &heimdrahtv1.ProposeIdentitiesRequest{
		Directory: "stadt-ldap", Lines: append(lines, &heimdrahtv1.IdentityLine{Line: 99, From: "nobody", To: "x"}), Reason: "rebuilt"})
	if p := wrong.GetProblems(); err != nil || len(p) != 1 || p[0].GetLine() != 99 || p[0].GetCode() != "unknown" || wrong.GetProposal().GetHash() != "" {
		t.Errorf("somebody unknown: %v, %v", wrong, err)
	}
	proposed, err = admin.ProposeIdentities(admin.ctx, &heimdrahtv1.ProposeIdentitiesRequest{Directory: "stadt-ldap", Lines: lines, Reason: "rebuilt"})
	if err != nil || proposed.GetProposal().GetTotal() != people {
		t.Fatalf("proposed %v, %v", proposed, err)
	}
	hash := proposed.GetProposal().GetHash()
	_, err = admin.ConfirmIdentities(admin.ctx, &heimdrahtv1.ConfirmIdentitiesRequest{Hash: hash, Reason: "it is right"})
	expect(t, "confirmed by the same", err, "four-eyes")
	shown, err := operator.GetIdentities(operator.ctx, &heimdrahtv1.GetIdentitiesRequest{Hash: hash})
	if p := shown.GetProposal(); err != nil || len(p.GetPeople()) != people || !strings.HasPrefix(p.GetProposedBy(), provisionertest.Admin) || p.GetReason() != "rebuilt" {
		t.Errorf("shown %v, %v", shown, err)
	}
	done, err := operator.ConfirmIdentities(operator.ctx, &heimdrahtv1.ConfirmIdentitiesRequest{Hash: hash, Reason: "it is right"})
	if err != nil || done.GetPeople() != people {
		t.Fatalf("confirmed %v, %v", done, err)
	}
	// The laptop is the same, and so is its person.
	open(t, s.Attach(t.Context(), laptop))
	if again := s.Enrol(provisionertest.Login(7), "SN7"); again.ID != laptop.ID {
		t.Errorf("enrolled again as %s, not as %s", again.ID, laptop.ID)
	}
}
