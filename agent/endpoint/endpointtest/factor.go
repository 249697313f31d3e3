package endpointtest

import (
	"context"

	"google.golang.org/grpc/codes"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// What somebody shows who sets up a second factor, and what she is shown.
const (
	Token        = "einmal-und-nie-wieder" //nolint:gosec // a token of nobody
	Code         = "123456"
	RecoveryCode = "aaaa-bbbb-cccc-dddd"
	secret       = "JBSWY3DPEHPK3PXP" //nolint:gosec // a secret of nobody
)

// checkCode refuses as Script.Code says. The caller holds the lock.
func (p *Plane) checkCode(typed string) error {
	switch {
	case p.script.Code == "" || typed == p.script.Code || typed == RecoveryCode:
		return nil
	case typed == "":
		return Refuse(codes.Unauthenticated, &heimdrahtv1.Refusal{Code: "factor-needed", Sentence: "Es braucht einen Code.", NextStep: "Geben Sie ihn ein."})
	default:
		return wrongCode()
	}
}

func wrongCode() error {
	return Refuse(codes.Unauthenticated, &heimdrahtv1.Refusal{Code: "factor-wrong", Sentence: "Der Code stimmt nicht.", NextStep: "Warten Sie auf den nächsten."})
}

func mayBegin(password, token string) error {
	switch {
	case password != Password:
		return signInFailed()
	case token != Token:
		return Refuse(codes.Unauthenticated, &heimdrahtv1.Refusal{Code: "token-invalid", Sentence: "Der Schlüssel gilt nicht.", NextStep: "Lassen Sie sich einen neuen geben."})
	}
	return nil
}

func signInFailed() error {
	return Refuse(codes.Unauthenticated, &heimdrahtv1.Refusal{Code: "sign-in-failed", Sentence: "Die Anmeldung hat nicht geklappt.", NextStep: "Prüfen."})
}

// auth is the AuthService.
type auth struct {
	heimdrahtv1.UnimplementedAuthServiceServer
}

// BeginFactor implements the AuthService.
func (auth) BeginFactor(_ context.Context, r *heimdrahtv1.BeginFactorRequest) (*heimdrahtv1.BeginFactorResponse, error) {
	if err := mayBegin(r.GetPassword(), r.GetToken()); err != nil {
		return nil, err
	}
	return &heimdrahtv1.BeginFactorResponse{Secret: secret, Uri: "otpauth://totp/Stadt:" + r.GetLogin() + "?secret=" + secret}, nil
}

// ConfirmFactor implements the AuthService.
func (auth) ConfirmFactor(_ context.Context, r *heimdrahtv1.ConfirmFactorRequest) (*heimdrahtv1.ConfirmFactorResponse, error) {
	if err := mayBegin(r.GetPassword(), r.GetToken()); err != nil {
		return nil, err
	}
	if r.GetCode() != Code {
		return nil, wrongCode()
	}
	return &heimdrahtv1.ConfirmFactorResponse{Token: &heimdrahtv1.StaffToken{Token: "x"}, RecoveryCodes: []string{RecoveryCode}}, nil
}
