package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/signin"
)

type authHandler struct {
	heimdrahtv1.UnimplementedAuthServiceServer
	signIn *signin.Service
}

func (h *authHandler) RedeemToken(ctx context.Context, r *heimdrahtv1.RedeemTokenRequest) (*heimdrahtv1.RedeemTokenResponse, error) {
	signed, err := h.signIn.RedeemToken(ctx, actorOf(ctx), r.GetToken())
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.RedeemTokenResponse{Token: fromSigned(signed)}, nil
}

func (h *authHandler) Login(ctx context.Context, r *heimdrahtv1.LoginRequest) (*heimdrahtv1.LoginResponse, error) {
	signed, err := h.signIn.Login(ctx, actorOf(ctx), typedIn(r), r.GetCode())
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.LoginResponse{
		Token: fromSigned(signed), DisplayName: signed.Name, Roles: fromGrants(signed.Grants), RecoveryCodesLeft: uint32(signed.RecoveryCodes),
	}, nil
}

func (h *authHandler) BeginFactor(ctx context.Context, r *heimdrahtv1.BeginFactorRequest) (*heimdrahtv1.BeginFactorResponse, error) {
	made, err := h.signIn.BeginFactor(ctx, actorOf(ctx), typedIn(r), r.GetToken())
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.BeginFactorResponse{Secret: made.Secret, Uri: made.URI}, nil
}

func (h *authHandler) ConfirmFactor(ctx context.Context, r *heimdrahtv1.ConfirmFactorRequest) (*heimdrahtv1.ConfirmFactorResponse, error) {
	signed, recovery, err := h.signIn.ConfirmFactor(ctx, actorOf(ctx), typedIn(r), r.GetToken(), r.GetCode())
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.ConfirmFactorResponse{
		Token: fromSigned(signed), DisplayName: signed.Name, Roles: fromGrants(signed.Grants), RecoveryCodes: recovery,
	}, nil
}

// typedIn is what a person typed.
func typedIn(r interface {
	GetTenant() string
	GetLogin() string
	GetPassword() string
}) signin.Credentials {
	return signin.Credentials{Tenant: r.GetTenant(), Login: r.GetLogin(), Password: signin.Password(r.GetPassword())}
}

func (h *authHandler) Logout(ctx context.Context, _ *heimdrahtv1.LogoutRequest) (*heimdrahtv1.LogoutResponse, error) {
	if err := h.signIn.Logout(ctx, actorOf(ctx), tokenOf(ctx)); err != nil {
		return nil, err
	}
	return &heimdrahtv1.LogoutResponse{}, nil
}

func (h *authHandler) WhoAmI(ctx context.Context, _ *heimdrahtv1.WhoAmIRequest) (*heimdrahtv1.WhoAmIResponse, error) {
	signed, err := h.signIn.WhoAmI(ctx, actorOf(ctx), tokenOf(ctx))
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.WhoAmIResponse{
		DisplayName: signed.Name, Roles: fromGrants(signed.Grants), ExpiresAt: timestamppb.New(signed.ExpiresAt),
	}, nil
}

func fromSigned(s signin.SignedIn) *heimdrahtv1.StaffToken {
	return &heimdrahtv1.StaffToken{Token: s.Token, ExpiresAt: timestamppb.New(s.ExpiresAt)}
}

func fromGrants(grants []provisioner.Grant) []*heimdrahtv1.RoleGrant {
	list := make([]*heimdrahtv1.RoleGrant, len(grants))
	for i, g := range grants {
		list[i] = &heimdrahtv1.RoleGrant{Role: callerOf(g.Role), Tenant: g.Tenant}
	}
	return list
}

// callerOf is the protocol's name of a role.
func callerOf(r provisioner.Role) heimdrahtv1.Caller {
	switch r {
	case provisioner.RoleAnonymous:
		return heimdrahtv1.Caller_CALLER_ANONYMOUS
	case provisioner.RoleDevice:
		return heimdrahtv1.Caller_CALLER_DEVICE
	case provisioner.RoleGateway:
		return heimdrahtv1.Caller_CALLER_GATEWAY
	case provisioner.RoleStaff:
		return heimdrahtv1.Caller_CALLER_STAFF
	case provisioner.RoleHelpdesk:
		return heimdrahtv1.Caller_CALLER_HELPDESK
	case provisioner.RolePlanner:
		return heimdrahtv1.Caller_CALLER_PLANNER
	case provisioner.RoleTenantAdmin:
		return heimdrahtv1.Caller_CALLER_TENANT_ADMIN
	case provisioner.RoleOperator:
		return heimdrahtv1.Caller_CALLER_OPERATOR
	default:
		return heimdrahtv1.Caller_CALLER_UNSPECIFIED
	}
}
