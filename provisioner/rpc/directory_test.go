package rpc_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// desk is a client in somebody's name.
type desk struct {
	heimdrahtv1.DirectoryServiceClient
	ctx context.Context
}

func deskOf(t *testing.T, s *provisionertest.Server, token string) desk {
	t.Helper()
	return desk{heimdrahtv1.NewDirectoryServiceClient(s.Dial(nil)), provisionertest.As(t.Context(), token)}
}

// one is the only directory that somebody sees.
func (d desk) one(t *testing.T) *heimdrahtv1.DirectoryStatus {
	t.Helper()
	r, err := d.Status(d.ctx, &heimdrahtv1.StatusRequest{})
	if err != nil || len(r.GetDirectories()) != 1 {
		t.Fatalf("the status is %v, %v", r, err)
	}
	return r.GetDirectories()[0]
}

func (d desk) followed(t *testing.T) *heimdrahtv1.DirectoryStatus {
	t.Helper()
	eventually(t, "the directory is followed", func() bool {
		v := d.one(t)
		return v.GetState() == heimdrahtv1.DirectoryState_DIRECTORY_STATE_FOLLOWING && v.GetReconciled() != nil
	})
	return d.one(t)
}

// TestWhoSeesWhatOfADirectory: two tenants share one; a group of each is missing.
func TestWhoSeesWhatOfADirectory(t *testing.T) {
	d := provisionertest.Declaration()
	missing := []string{provisionertest.GroupDN("Bauamt"), provisionertest.GroupDN("Nachbaramt")}
	d.Tenants[0].Networks = append(d.Tenants[0].Networks, &heimdrahtv1.NetworkGrant{Group: missing[0], Allow: []string{"10.2.0.0/16"}})
	d.Tenants[1].Networks = []*heimdrahtv1.NetworkGrant{{Group: missing[1], Allow: []string{"10.3.0.0/16"}}}
	s := provisionertest.StartWith(t, provisionertest.Options{Declaration: d})
	for _, tt := range []struct {
		who       string
		token     string
		tenants   []string
		technical bool
		missing   []string
	}{
		{"the helpdesk", s.Login(provisionertest.Tenant, provisionertest.Helpdesk), []string{provisionertest.Tenant}, false, missing[:1]},
		{"the neighbours' helpdesk", s.Login(provisionertest.Other, provisionertest.Stranger), []string{provisionertest.Other}, false, missing[1:]},
		{"the administrator", s.Login(provisionertest.Tenant, provisionertest.Admin), []string{provisionertest.Tenant}, true, missing[:1]},
		{"the operator", s.Operator, []string{provisionertest.Other, provisionertest.Tenant}, true, missing},
	} {
		t.Run(tt.who, func(t *testing.T) {
			v := deskOf(t, s, tt.token).followed(t)
			if !slices.Equal(v.GetTenants(), tt.tenants) || !slices.Equal(v.GetMissingGroups(), tt.missing) {
				t.Errorf("sees tenants %v and missing groups %v", v.GetTenants(), v.GetMissingGroups())
			}
			if v.GetPeople() != 8 || v.GetSince() == nil || v.GetHeard() == nil {
				t.Errorf("the status is %v", v)
			}
			if (v.GetTechnology() != nil) != tt.technical || tt.technical && v.GetTechnology().GetWay() == "" {
				t.Errorf("of the technology is told: %v", v.GetTechnology())
			}
		})
	}
	_, err := deskOf(t, s, s.Login(provisionertest.Tenant, provisionertest.Planner)).Status(
		provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Planner)), &heimdrahtv1.StatusRequest{})
	expect(t, "the planner", err, "not-allowed")
}

// TestPendingLists empties the staff group of 24 people: nobody loses access until somebody decides.
func TestPendingLists(t *testing.T) {
	s := provisionertest.StartWith(t, provisionertest.Options{People: 20})
	g := s.JoinGateway("gw1")
	g.Run()
	laptop := s.Enrol(provisionertest.Login(7), "SN7")
	open(t, s.Attach(t.Context(), laptop))
	helpdesk, admin := deskOf(t, s, s.Login(provisionertest.Tenant, provisionertest.Helpdesk)), deskOf(t, s, s.Login(provisionertest.Tenant, provisionertest.Admin))
	stranger, operator := deskOf(t, s, s.Login(provisionertest.Other, provisionertest.Stranger)), deskOf(t, s, s.Operator)
	admin.followed(t)
	const entitled = 23 // Dora's account is disabled
	if err := s.Directory.Set(provisionertest.GroupDN("Homeoffice"), "member", provisionertest.DN(provisionertest.Staff)); err != nil {
		t.Fatal(err)
	}
	pending := func(d desk, limit uint32) []*heimdrahtv1.PendingList {
		t.Helper()
		r, err := d.ListPending(d.ctx, &heimdrahtv1.ListPendingRequest{Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		return r.GetLists()
	}
	eventually(t, "they are held", func() bool {
		lists := pending(helpdesk, 0)
		return len(lists) == 1 && len(lists[0].GetPeople()) == entitled-1
	})
	list := pending(helpdesk, 0)[0]
	if r := list.GetReasons(); len(r) != 1 || r[0].GetWhy() != "group" || r[0].GetOwn() || r[0].GetPeople() != entitled-1 {
		t.Errorf("reasons %v", r)
	}
	for _, p := range list.GetPeople() {
		if has := p.GetPerson().GetLogin() == provisionertest.Login(7); p.GetPerson().GetConnected() != has || p.GetPerson().GetDevices() > 0 != has {
			t.Errorf("listed as %v", p)
		}
	}
	if n := helpdesk.one(t).GetPending(); n != entitled-1 {
		t.Errorf("%d people are pending in the status", n)
	}
	if cut := pending(operator, 5)[0]; len(cut.GetPeople()) != 5 || cut.GetReasons()[0].GetPeople() != entitled-1 || cut.GetHash() != list.GetHash() {
		t.Errorf("cut to %v", cut)
	}

	if others := pending(stranger, 0); len(others) != 0 {
		t.Errorf("the neighbours see %v", others)
	}
	if text := prototext.Format(stranger.one(t)); strings.Contains(text, "pending") {
		t.Errorf("the neighbours see %s", text)
	}
	_, err := stranger.ListPending(stranger.ctx, &heimdrahtv1.ListPendingRequest{Tenant: provisionertest.Tenant})
	expect(t, "the neighbours ask by name", err, "not-allowed")
	confirm := func(d desk, tenant, hash, reason string) (uint32, error) {
		r, err := d.ConfirmPending(d.ctx, &heimdrahtv1.ConfirmPendingRequest{Tenant: tenant, Hash: hash, Reason: reason})
		return r.GetPeople(), err
	}
	_, err = confirm(helpdesk, provisionertest.Tenant, list.GetHash(), "yes")
	expect(t, "the helpdesk confirms", err, "not-allowed")
	_, err = helpdesk.DismissPending(helpdesk.ctx, &heimdrahtv1.DismissPendingRequest{Tenant: provisionertest.Tenant, Hash: list.GetHash(), Reason: "no"})
	expect(t, "the helpdesk dismisses", err, "not-allowed")
	_, err = confirm(admin, provisionertest.Other, list.GetHash(), "yes")
	expect(t, "in another tenant", err, "not-allowed")
	_, err = confirm(admin, provisionertest.Tenant, list.GetHash(), " ")
	expect(t, "without a reason", err, "reason-missing")
	_, err = confirm(admin, provisionertest.Tenant, "0123456789ab", "yes")
	expect(t, "another list", err, "pending-changed")

	dismissed, err := admin.DismissPending(admin.ctx, &heimdrahtv1.DismissPendingRequest{Tenant: provisionertest.Tenant, Hash: list.GetHash(), Reason: "a slip"})
	if err != nil || dismissed.GetPeople() != entitled-1 {
		t.Fatalf("dismissed %v, %v", dismissed, err)
	}
	kept := pending(helpdesk, 0)[0]
	if len(kept.GetPeople()) != 0 || kept.GetHash() != "" || len(kept.GetDismissed()) != entitled-1 || kept.GetDismissedTotal() != entitled-1 ||
		time.Until(kept.GetDismissed()[0].GetDismissedUntil().AsTime()) < 6*24*time.Hour {
		t.Errorf("after the dismissal %v", kept)
	}

	// They are deleted as well: that is something new, and this time it is meant.
	for n := range 20 {
		if err := s.Directory.Delete(provisionertest.DN(provisionertest.Login(n))); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "they are held again", func() bool { return len(pending(admin, 0)[0].GetPeople()) == 20 })
	list = pending(admin, 0)[0]
	if r := list.GetReasons(); len(r) != 1 || r[0].GetWhy() != "deleted" || !r[0].GetOwn() {
		t.Errorf("reasons %v", r)
	}
	n, err := confirm(admin, provisionertest.Tenant, list.GetHash(), "the office is closed")
	if err != nil || n != 20 {
		t.Fatalf("confirmed %d, %v", n, err)
	}
	eventually(t, "the gateway holds no peer", func() bool { return len(g.Sessions()) == 0 })
	_, err = provisionertest.Open(s.Attach(t.Context(), laptop), "")
	expect(t, "a new session", err, "device-suspended")
}
