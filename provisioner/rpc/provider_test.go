package rpc_test

import (
	"testing"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// A provider's helpdesk helps the tenants that an operator has granted it, as long
// as that stands, and no others; who runs the control plane may be known by the
// directory too. Nobody else can grant that.
func TestProvider(t *testing.T) {
	s := provisionertest.Start(t, nil)
	s.Enrol(provisionertest.Staff, "SN1")
	client, admins := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil)), heimdrahtv1.NewAdminServiceClient(s.Dial(nil))
	find := func(token string) (int, error) {
		found, err := client.FindPeople(provisionertest.As(t.Context(), token), &heimdrahtv1.FindPeopleRequest{Query: provisionertest.Staff})
		return len(found.GetPeople()), err
	}
	declare := func(p *heimdrahtv1.ProviderRoles) *heimdrahtv1.Declaration {
		d := provisionertest.Declaration()
		for _, tenant := range d.GetTenants() {
			if tenant.GetName() == provisionertest.Other {
				tenant.Provider = p
			}
		}
		return d
	}
	stranger := s.Login(provisionertest.Other, provisionertest.Stranger)
	if n, err := find(stranger); err != nil || n != 0 {
		t.Fatalf("before: finds %d, %v", n, err)
	}
	helps := &heimdrahtv1.ProviderRoles{Helpdesk: provisionertest.GroupDN("Nachbarn"), Tenants: []string{provisionertest.Tenant}}
	s.Apply(declare(helps))
	if n, err := find(stranger); err != nil || n != 0 {
		t.Errorf("a sign-in of before has more rights than it was given: finds %d, %v", n, err)
	}
	helper := signInAgain(t, s, stranger)
	if n, err := find(helper); err != nil || n != 1 {
		t.Errorf("a granted tenant: finds %d, %v", n, err)
	}
	me, err := heimdrahtv1.NewAuthServiceClient(s.Dial(nil)).WhoAmI(provisionertest.As(t.Context(), helper), &heimdrahtv1.WhoAmIRequest{})
	if err != nil || len(me.GetRoles()) != 3 {
		t.Errorf("who am I: %v, %v", me, err)
	}
	_, err = admins.ListGateways(provisionertest.As(t.Context(), helper), &heimdrahtv1.ListGatewaysRequest{})
	expect(t, "what is the operator's", err, "not-allowed")

	// The tenant's own administrator grants nothing of that.
	admin := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Admin))
	mine := &heimdrahtv1.Declaration{}
	for _, tenant := range declare(helps).GetTenants() {
		if tenant.GetName() == provisionertest.Tenant {
			tenant.Provider = &heimdrahtv1.ProviderRoles{Operator: provisionertest.GroupDN("Verwaltung")}
			mine.Tenants = append(mine.Tenants, tenant)
		}
	}
	_, err = admins.Apply(admin, &heimdrahtv1.ApplyRequest{Reason: "mehr", Declaration: mine})
	expect(t, "an administrator who makes himself operator", err, "not-allowed")

	for name, p := range map[string]*heimdrahtv1.ProviderRoles{
		"a tenant that there is not": {Helpdesk: provisionertest.GroupDN("Nachbarn"), Tenants: []string{"nirgends"}},
		"nobody to help":             {Helpdesk: provisionertest.GroupDN("Nachbarn")},
		"nobody who helps":           {Tenants: []string{provisionertest.Tenant}},
	} {
		_, err := admins.Apply(provisionertest.As(t.Context(), s.Operator), &heimdrahtv1.ApplyRequest{Reason: "x", Declaration: declare(p)})
		expect(t, name, err, "declaration-invalid")
	}

	// What is no longer granted ends at once.
	s.Apply(declare(&heimdrahtv1.ProviderRoles{Operator: provisionertest.GroupDN("Nachbarn")}))
	if n, err := find(helper); err != nil || n != 0 {
		t.Errorf("after it was taken back: finds %d, %v", n, err)
	}
	operator := signInAgain(t, s, helper)
	if _, err := admins.ListGateways(provisionertest.As(t.Context(), operator), &heimdrahtv1.ListGatewaysRequest{}); err != nil {
		t.Errorf("an operator whom the directory knows: %v", err)
	}
}

// With one factor somebody gets to all her roles: a token for it takes somebody
// who answers for each of them, and for an operator an operator.
func TestWhoMayVouch(t *testing.T) {
	s := provisionertest.Start(t, nil)
	client := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	d := provisionertest.Declaration()
	for _, tenant := range d.GetTenants() {
		if tenant.GetName() == provisionertest.Tenant {
			tenant.Provider = &heimdrahtv1.ProviderRoles{Helpdesk: provisionertest.GroupDN("Helpdesk"), Tenants: []string{provisionertest.Other}, Operator: provisionertest.GroupDN("Planung")}
		}
	}
	admin := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Admin))
	s.Apply(d)
	for _, login := range []string{provisionertest.Helpdesk, provisionertest.Planner} {
		_, err := heimdrahtv1.NewAuthServiceClient(s.Dial(nil)).Login(t.Context(),
			&heimdrahtv1.LoginRequest{Tenant: provisionertest.Tenant, Login: login, Password: provisionertest.Password})
		expect(t, "signing in "+login, err, "factor-missing")
		ask := &heimdrahtv1.IssueFactorTokenRequest{PersonId: staffOf(t, s, login), Tenant: provisionertest.Tenant}
		_, err = client.IssueFactorToken(admin, ask)
		expect(t, "a token for "+login+", who has roles elsewhere, from the tenant's administrator", err, "not-allowed")
		if _, err := client.IssueFactorToken(provisionertest.As(t.Context(), s.Operator), ask); err != nil {
			t.Errorf("a token for %s, from an operator: %v", login, err)
		}
	}
}

// signInAgain gives the stranger a new token in the place of one.
func signInAgain(t *testing.T, s *provisionertest.Server, token string) string {
	t.Helper()
	if _, err := heimdrahtv1.NewAuthServiceClient(s.Dial(nil)).Logout(provisionertest.As(t.Context(), token), &heimdrahtv1.LogoutRequest{}); err != nil {
		t.Fatal(err)
	}
	return s.Login(provisionertest.Other, provisionertest.Stranger)
}
