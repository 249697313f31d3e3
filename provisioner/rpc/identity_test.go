package rpc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

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

// TestATenantMoves: a tenant goes on with another directory; the file with it changes nothing then, and the one before it is refused.
func TestATenantMoves(t *testing.T) {
	const people = 10
	s := provisionertest.StartWith(t, provisionertest.Options{People: people})
	g := s.JoinGateway("gw1")
	g.Run()
	laptop := s.Enrol(provisionertest.Login(7), "SN7")
	open(t, s.Attach(t.Context(), laptop))
	admin, operator := deskOf(t, s, s.Login(provisionertest.Tenant, provisionertest.Admin)), deskOf(t, s, s.Operator)
	admin.followed(t)
	next := proto.CloneOf(provisionertest.Declaration())
	other := proto.CloneOf(next.GetDirectories()[0])
	other.Name = "neu-ldap" // in this test every directory is the same one
	s.Apply(&heimdrahtv1.Declaration{Directories: []*heimdrahtv1.DirectoryDeclaration{other}})
	tenant := next.GetTenants()[slices.IndexFunc(next.GetTenants(), func(t *heimdrahtv1.TenantDeclaration) bool { return t.GetName() == provisionertest.Tenant })]
	former := tenant.GetDirectory()
	tenant.Directory = other.GetName()
	id := fmt.Sprintf("6d1e3a52-0f4b-4c57-9d0e-2f1a%08d", 7+8)
	request := &heimdrahtv1.ProposeIdentitiesRequest{
		Tenant: tenant.GetName(), ToDirectory: other.GetName(), Declared: tenant, Reason: "leaves", DryRun: true,
		Lines: []*heimdrahtv1.IdentityLine{{Line: 1, From: id, To: "0a0b0c0d-0000-4000-8000-000000000000"}},
	}
	_, err := admin.ProposeIdentities(admin.ctx, request)
	expect(t, "the tenant's administrator proposes", err, "not-allowed")
	wrong, err := operator.ProposeIdentities(operator.ctx, request)
	if p := wrong.GetProblems(); err != nil || len(p) != 1 || p[0].GetCode() != "not-read" {
		t.Errorf("somebody who is not there: %v, %v", wrong, err)
	}
	request.Lines[0].To, request.DryRun = id, false
	nobody := proto.CloneOf(request)
	nobody.Lines = []*heimdrahtv1.IdentityLine{{Line: 1, From: fmt.Sprintf("6d1e3a52-0f4b-4c57-9d0e-2f1a%08d", 6+8), To: id}}
	wrong, err = operator.ProposeIdentities(operator.ctx, nobody)
	if p := wrong.GetProblems(); err != nil || len(p) != 1 || p[0].GetCode() != "not-mapped" || p[0].GetLine() != 0 || p[0].GetStableId() != id || p[0].GetLogin() != provisionertest.Login(7) {
		t.Errorf("somebody is not named: %v, %v", wrong, err)
	}
	nobody.UnmappedGone, nobody.DryRun = true, true
	if behind, err := operator.ProposeIdentities(operator.ctx, nobody); err != nil || behind.GetProposal().GetGoneTotal() != 1 || behind.GetProposal().GetGone()[0].GetFrom() != id {
		t.Errorf("somebody is left behind: %v, %v", behind, err)
	}
	proposed, err := operator.ProposeIdentities(operator.ctx, request)
	if err != nil || len(proposed.GetProblems()) != 0 {
		t.Fatalf("proposed %v, %v", proposed, err)
	}
	hash := proposed.GetProposal().GetHash()
	_, err = operator.ConfirmIdentities(operator.ctx, &heimdrahtv1.ConfirmIdentitiesRequest{Hash: hash, Reason: "it is right"})
	expect(t, "confirmed by the same", err, "four-eyes")
	shown, err := admin.GetIdentities(admin.ctx, &heimdrahtv1.GetIdentitiesRequest{Hash: strings.ToUpper(hash)})
	if p := shown.GetProposal(); err != nil || p.GetTenant() != tenant.GetName() || p.GetToDirectory() != other.GetName() || p.GetDirectory() != former ||
		len(p.GetPeople()) != 1 || len(p.GetChanges()) != 1 || p.GetChanges()[0].GetField() != "directory" {
		t.Errorf("shown %v, %v", shown, err)
	}
	done, err := admin.ConfirmIdentities(admin.ctx, &heimdrahtv1.ConfirmIdentitiesRequest{Hash: hash, Reason: "it is right"})
	if err != nil || done.GetPeople() != 1 {
		t.Fatalf("confirmed %v, %v", done, err)
	}
	open(t, s.Attach(t.Context(), laptop))
	if again := s.Enrol(provisionertest.Login(7), "SN7"); again.ID != laptop.ID {
		t.Errorf("enrolled again as %s, not as %s", again.ID, laptop.ID)
	}
	api := heimdrahtv1.NewAdminServiceClient(s.Dial(nil))
	same, err := api.Apply(operator.ctx, &heimdrahtv1.ApplyRequest{Reason: "test", Declaration: next})
	if err != nil || len(same.GetDifferences()) != 0 {
		t.Errorf("the file with the new directory changes %v, %v", same, err)
	}
	_, err = api.Apply(operator.ctx, &heimdrahtv1.ApplyRequest{Reason: "test", Declaration: provisionertest.Declaration()})
	expect(t, "the former file", err, "declaration-invalid")
}
