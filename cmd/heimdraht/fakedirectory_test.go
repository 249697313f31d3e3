package main

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func (f *fake) Status(context.Context, *heimdrahtv1.StatusRequest) (*heimdrahtv1.StatusResponse, error) {
	return &heimdrahtv1.StatusResponse{Directories: []*heimdrahtv1.DirectoryStatus{
		{
			Directory: "dorf-ldap", Tenants: []string{"dorf"}, State: heimdrahtv1.DirectoryState_DIRECTORY_STATE_SILENT, Since: at("2026-11-22T09:00:00Z"),
			Heard: at("2026-11-22T09:05:00Z"), People: 21, Groups: 3, // as the helpdesk is told
		},
		{
			Directory: "kreis-ad", Tenants: []string{"kreis"}, State: heimdrahtv1.DirectoryState_DIRECTORY_STATE_DOWN, Since: at("2026-11-22T09:00:00Z"),
			Heard: at("2026-11-22T08:59:00Z"), Changed: at("2026-11-22T08:00:00Z"), Reconciled: at("2026-11-22T08:30:00Z"), People: 900, Groups: 41,
			Technology: &heimdrahtv1.DirectoryTechnology{Server: "ldaps://dc1.kreis.example", Flavour: "activedirectory", Way: "dirsync",
				Problem: "no server can be reached", Advice: "see that dc1 runs"},
		},
		{
			Directory: "stadt-ldap", Tenants: []string{"stadt", "werke"}, State: heimdrahtv1.DirectoryState_DIRECTORY_STATE_FOLLOWING, Since: at("2026-11-20T09:00:00Z"),
			Heard: at("2026-11-22T09:30:00Z"), Changed: at("2026-11-22T09:29:00Z"), Reconciled: at("2026-11-22T08:40:00Z"), People: 1204, Groups: 77, Pending: 20,
			MissingGroups: []string{"cn=Bauamt,dc=stadt,dc=example"},
			Technology:    &heimdrahtv1.DirectoryTechnology{Server: "ldaps://ldap.stadt.example", Flavour: "openldap", Way: "polling", Limited: "everything, for a minute"},
		},
		{Directory: "neu", Tenants: []string{"neu"}, State: heimdrahtv1.DirectoryState_DIRECTORY_STATE_WAITING, Technology: &heimdrahtv1.DirectoryTechnology{}},
	}}, nil
}

const listHash = "0011aabbccdd"

func held(n int, why string, own bool) *heimdrahtv1.PendingPerson {
	return &heimdrahtv1.PendingPerson{
		Person: &heimdrahtv1.Person{PersonId: fmt.Sprint("p", n), Tenant: "stadt", DisplayName: fmt.Sprint("Person ", n), Login: fmt.Sprint("u", n),
			Mail: fmt.Sprintf("u%d@stadt.example", n), Devices: uint32(n % 3), Connected: n == 1},
		Why: why, Own: own, Since: at("2026-11-22T09:00:00Z"),
	}
}

// ListPending has nothing in tenant "dorf", one person in "eins" and a list that is cut in "viele".
func (f *fake) ListPending(_ context.Context, r *heimdrahtv1.ListPendingRequest) (*heimdrahtv1.ListPendingResponse, error) {
	lists := func(l ...*heimdrahtv1.PendingList) (*heimdrahtv1.ListPendingResponse, error) {
		return &heimdrahtv1.ListPendingResponse{Lists: l}, nil
	}
	dismissed := held(9, "disabled", true)
	dismissed.DismissedUntil = at("2026-11-29T09:00:00Z")
	switch r.GetTenant() {
	case "dorf":
		return lists()
	case "eins":
		return lists(&heimdrahtv1.PendingList{
			Tenant: "eins", Hash: listHash, Since: at("2026-11-22T09:00:00Z"), Reasons: []*heimdrahtv1.PendingReason{{Why: "disabled", Own: true, People: 1}},
			People: []*heimdrahtv1.PendingPerson{held(1, "disabled", true)},
		})
	case "viele":
		return lists(&heimdrahtv1.PendingList{
			Tenant: "viele", Hash: listHash, Since: at("2026-11-22T09:00:00Z"), Reasons: []*heimdrahtv1.PendingReason{{Why: "deleted", People: 12000}},
			People: []*heimdrahtv1.PendingPerson{held(1, "deleted", false)},
		})
	}
	return lists(
		&heimdrahtv1.PendingList{
			Tenant: "stadt", Hash: listHash, Since: at("2026-11-22T09:00:00Z"),
			Reasons: []*heimdrahtv1.PendingReason{{Why: "group", People: 2}, {Why: "deleted", Own: true, People: 1}},
			People:  []*heimdrahtv1.PendingPerson{held(1, "group", false), held(2, "group", false), held(3, "deleted", true)},
		},
		&heimdrahtv1.PendingList{Tenant: "werke", DismissedTotal: 1, Dismissed: []*heimdrahtv1.PendingPerson{dismissed}},
	)
}

func otherList(ctx context.Context) error {
	return refuse(ctx, codes.FailedPrecondition, "pending-changed", "Die Liste ist eine andere.", "Sehen Sie sie an.", "The list is another one.", "Look at it.")
}

func (f *fake) ConfirmPending(ctx context.Context, r *heimdrahtv1.ConfirmPendingRequest) (*heimdrahtv1.ConfirmPendingResponse, error) {
	if r.GetHash() != listHash {
		return nil, otherList(ctx)
	}
	return &heimdrahtv1.ConfirmPendingResponse{People: 3}, nil
}

func (f *fake) DismissPending(ctx context.Context, r *heimdrahtv1.DismissPendingRequest) (*heimdrahtv1.DismissPendingResponse, error) {
	if r.GetHash() != listHash {
		return nil, otherList(ctx)
	}
	return &heimdrahtv1.DismissPendingResponse{People: 1}, nil
}

func proposal() *heimdrahtv1.IdentityProposal {
	return &heimdrahtv1.IdentityProposal{
		Hash: listHash, Directory: "stadt-ad", Reason: "rebuilt", ProposedBy: "Olga", ProposedAt: at("2026-11-22T09:00:00Z"), ExpiresAt: at("2026-11-29T09:00:00Z"),
		People: []*heimdrahtv1.IdentityChange{{PersonId: "perika", DisplayName: "Erika Müller", Login: "mueller", From: "a1", To: "b1", NewName: "Emil Maier", NewLogin: "maier"}}, Total: 3,
	}
}

func moveProposal() *heimdrahtv1.IdentityProposal {
	p := proposal()
	p.Tenant, p.ToDirectory = "dorf", "dorf-ad"
	p.Changes = []*heimdrahtv1.Difference{
		{Kind: "tenant", Name: "dorf", Field: "directory", Before: "stadt-ad", After: "dorf-ad"},
		{Kind: "tenant", Name: "dorf", Field: "base", Before: "OU=Dorf,DC=stadt,DC=example"},
	}
	p.Gone, p.GoneTotal = []*heimdrahtv1.IdentityChange{{PersonId: "pkarl", DisplayName: "Karl Kurz", Login: "kurz", From: "a9"}}, 1
	return p
}

// ProposeIdentities finds something wrong with a person "bad".
func (f *fake) ProposeIdentities(_ context.Context, r *heimdrahtv1.ProposeIdentitiesRequest) (*heimdrahtv1.ProposeIdentitiesResponse, error) {
	if r.GetLines()[0].GetFrom() == "bad" {
		answer := &heimdrahtv1.ProposeIdentitiesResponse{Proposal: &heimdrahtv1.IdentityProposal{}}
		for n, code := range []string{"unknown", "twice", "taken", "not-read", "would-lose", "empty", "same", "of tomorrow"} {
			answer.Problems = append(answer.Problems, &heimdrahtv1.IdentityProblem{Line: uint32(n + 1), Code: code, Also: 1})
		}
		if r.GetTenant() != "" {
			answer.Problems = append(answer.Problems, &heimdrahtv1.IdentityProblem{Code: "not-mapped", DisplayName: "Karl Kurz", Login: "kurz", StableId: "a9"})
		}
		return answer, nil
	}
	p := proposal()
	if r.GetTenant() != "" {
		p = moveProposal()
	}
	if r.GetDryRun() {
		p.Hash = ""
	}
	return &heimdrahtv1.ProposeIdentitiesResponse{Proposal: p}, nil
}

func (f *fake) GetIdentities(_ context.Context, r *heimdrahtv1.GetIdentitiesRequest) (*heimdrahtv1.GetIdentitiesResponse, error) {
	if r.GetHash() == "moves" {
		return &heimdrahtv1.GetIdentitiesResponse{Proposal: moveProposal()}, nil
	}
	return &heimdrahtv1.GetIdentitiesResponse{Proposal: proposal()}, nil
}

func (f *fake) ConfirmIdentities(ctx context.Context, r *heimdrahtv1.ConfirmIdentitiesRequest) (*heimdrahtv1.ConfirmIdentitiesResponse, error) {
	if r.GetHash() != listHash {
		return nil, refuse(ctx, codes.PermissionDenied, "four-eyes", "Jemand anders.", "Bitten Sie jemand.", "Somebody else.", "Ask somebody.")
	}
	return &heimdrahtv1.ConfirmIdentitiesResponse{People: 3}, nil
}
