package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// serverArg is the control plane to sign in at.
type serverArg struct {
	Address string `arg:"" optional:"" name:"SERVER#FINGERPRINT" help:"${login_address}"`
}

type loginCommand struct {
	serverArg

	Tenant       string `placeholder:"NAME" help:"${login_tenant}"`
	Login        string `placeholder:"NAME" help:"${login_login}" xor:"how"`
	PasswordFile string `placeholder:"FILE" help:"${login_password_file}" xor:"secret"`
	CodeFile     string `placeholder:"FILE" help:"${login_code_file}"`
	Token        bool   `help:"${login_token}" xor:"how,secret"`
	TokenFile    string `placeholder:"FILE" help:"${login_token_file}" xor:"how,secret"`
}

// Run signs in and keeps the token that the control plane gives.
func (c *loginCommand) Run(ctx context.Context, a *app) error {
	return c.enter(ctx, a, "heimdraht login", func(k *client) (*heimdrahtv1.StaffToken, error) { return c.signIn(ctx, a, k) })
}

// enter connects, signs in as it is told, and keeps the token.
func (c *serverArg) enter(ctx context.Context, a *app, command string, signIn func(*client) (*heimdrahtv1.StaffToken, error)) error {
	who, err := c.server(a, command)
	if err != nil {
		return err
	}
	// The server proves itself before a secret is even asked for.
	k, err := a.connect(ctx, who)
	if err != nil {
		return err
	}
	token, err := signIn(k)
	if err != nil {
		return errors.Join(endOf(ctx, control.FromStatus(err)), k.conn.Close())
	}
	who.Token, who.ExpiresAt = token.GetToken(), token.GetExpiresAt().AsTime()
	if err := a.keep(who); err != nil {
		return errors.Join(err, k.conn.Close())
	}
	me, err := k.auth.WhoAmI(bearing(ctx, who.Token), &heimdrahtv1.WhoAmIRequest{})
	if err != nil {
		return errors.Join(endOf(ctx, control.FromStatus(err)), k.conn.Close())
	}
	a.hint(words{"Angemeldet an %s.", "Signed in at %s."}, k.conn.Server)
	return errors.Join(card(a.printer, whoamiColumns(), me), k.conn.Close())
}

// addressForm tells Germans how an address is written; package control says in
// English what is wrong with one.
const addressForm = "die Adresse hat die Form SERVER#FINGERABDRUCK oder SERVER:PORT#FINGERABDRUCK; der Fingerabdruck hat 64 Zeichen"

// server is the one that was named, or the one of the last login.
func (c *serverArg) server(a *app, command string) (credentials, error) {
	before, err := a.credentials()
	if problem, ok := control.AsProblem(err); err != nil && (!ok || problem.Code != codeNotSignedIn) {
		return credentials{}, err
	}
	before.Token, before.ExpiresAt = "", time.Time{}
	if c.Address == "" {
		if len(before.Servers) == 0 {
			return credentials{}, usageError{words{
				"wo? Nennen Sie die Adresse, die Sie vom Betrieb bekommen haben: " + command + " SERVER#FINGERPRINT",
				"where? Give the address that the operator told you: " + command + " SERVER#FINGERPRINT"}.in(a.language), command}
		}
		return before, nil
	}
	address, err := control.ParseAddress(c.Address)
	if err != nil {
		return credentials{}, usageError{words{addressForm, err.Error()}.in(a.language), command}
	}
	who := credentials{Servers: []string{address.Server.String()}}
	if !address.Pin.IsZero() {
		who.CASHA256 = address.Pin.String()
	} else if len(before.Servers) == 1 && before.Servers[0] == who.Servers[0] {
		// Whoever leaves out the fingerprint of a known server does not mean
		// to trust it less.
		who.CASHA256 = before.CASHA256
	}
	return who, nil
}

func (c *loginCommand) signIn(ctx context.Context, a *app, k *client) (*heimdrahtv1.StaffToken, error) {
	if c.Token || c.TokenFile != "" {
		token, err := a.secret(ctx, c.TokenFile, "--token-file", words{"Einmaliger Schlüssel: ", "One-time token: "})
		if err != nil {
			return nil, err
		}
		answer, err := k.auth.RedeemToken(ctx, &heimdrahtv1.RedeemTokenRequest{Token: strings.TrimSpace(token)})
		return answer.GetToken(), err
	}
	if c.Login == "" {
		if c.PasswordFile == "-" {
			return nil, usageError{words{"--password-file - braucht --login", "--password-file - needs --login"}.in(a.language), "heimdraht login"}
		}
		var err error
		if c.Login, err = a.line(ctx, "--login", words{"Benutzername oder Mailadresse: ", "User name or mail address: "}); err != nil {
			return nil, err
		}
	}
	if c.CodeFile == "-" && c.PasswordFile == "-" {
		return nil, usageError{words{"nur eines von --password-file und --code-file kann - sein", "only one of --password-file and --code-file can be -"}.in(a.language), "heimdraht login"}
	}
	password, err := a.secret(ctx, c.PasswordFile, "--password-file", words{"Passwort: ", "Password: "})
	if err != nil {
		return nil, err
	}
	return c.withCode(ctx, a, k, &heimdrahtv1.LoginRequest{Tenant: c.Tenant, Login: c.Login, Password: password})
}

// tries is how often a code is asked for.
const tries = 3

// withCode signs in, and asks for a code if it takes one.
func (c *loginCommand) withCode(ctx context.Context, a *app, k *client, r *heimdrahtv1.LoginRequest) (*heimdrahtv1.StaffToken, error) {
	if c.CodeFile != "" {
		var err error
		if r.Code, err = a.secret(ctx, c.CodeFile, "--code-file", words{}); err != nil {
			return nil, err
		}
	}
	for try := 1; ; try++ {
		answer, err := k.auth.Login(ctx, r)
		refusal, _ := control.AsProblem(control.FromStatus(err))
		switch {
		case err == nil:
			a.sayRecoveryCodes(answer.GetRecoveryCodesLeft(), r.GetCode())
			return answer.GetToken(), nil
		case refusal == nil || c.CodeFile != "" || try > tries || refusal.Code != "factor-needed" && refusal.Code != "factor-wrong":
			return nil, err
		case refusal.Code == "factor-wrong":
			a.fail(refusal)
		}
		if r.Code, err = a.secret(ctx, "", "--code-file", words{"Code vom Telefon, oder ein Ersatzcode: ", "Code from the phone, or a recovery code: "}); err != nil {
			return nil, err
		}
	}
}

// fewCodes is when people are told to get new recovery codes.
const fewCodes = 3

// sayRecoveryCodes says how many are left to whom that may concern.
func (a *app) sayRecoveryCodes(left uint32, used string) {
	if left < fewCodes && used != "" {
		a.hint(words{"Sie haben noch %d Ersatzcodes. Neue gibt es mit einer neuen Einrichtung: Bitten Sie den Helpdesk, die zweite Bestätigung zurückzusetzen.",
			"You have %d recovery codes left. New ones come with a new set-up: ask the helpdesk to reset your second factor."}, left)
	}
}

type logoutCommand struct{}

// Run ends the token on the server and forgets it here, where it is forgotten
// also if the server cannot be asked.
func (logoutCommand) Run(ctx context.Context, a *app) error {
	c, err := a.credentials()
	if err != nil {
		return err
	}
	asked := a.withClient(ctx, func(ctx context.Context, k *client) error {
		_, err := k.auth.Logout(ctx, &heimdrahtv1.LogoutRequest{})
		return err
	})
	until := c.ExpiresAt
	c.Token, c.ExpiresAt = "", time.Time{}
	if err := a.keep(c); err != nil {
		return err
	}
	if refusal, ok := control.AsProblem(asked); ok && refusal.Code == codeNotSignedIn {
		asked = nil // it had expired
	}
	if asked != nil {
		a.fail(asked)
		return problem(codeStillSignedIn,
			words{"Hier sind Sie abgemeldet; der Server weiß es nicht.", "You are signed out here; the server does not know."},
			words{"Die Anmeldung endet dort von selbst: " + a.time(until) + ".", "The sign-in ends there by itself: " + a.time(until) + "."})
	}
	a.hint(words{"Abgemeldet.", "Signed out."})
	return nil
}

type whoamiCommand struct{}

// Run shows who is signed in.
func (whoamiCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		me, err := k.auth.WhoAmI(ctx, &heimdrahtv1.WhoAmIRequest{})
		if err != nil {
			return err
		}
		return card(a.printer, whoamiColumns(), me)
	})
}

func whoamiColumns() []column[*heimdrahtv1.WhoAmIResponse] {
	return []column[*heimdrahtv1.WhoAmIResponse]{
		{"name", words{"Name", "name"}, func(r *heimdrahtv1.WhoAmIResponse) any { return r.GetDisplayName() }},
		{"roles", words{"Rollen", "roles"}, func(r *heimdrahtv1.WhoAmIResponse) any {
			var roles []string
			for _, g := range r.GetRoles() {
				roles = append(roles, roleText(g))
			}
			return roles
		}},
		{"expires_at", words{"gilt bis", "valid until"}, func(r *heimdrahtv1.WhoAmIResponse) any { return timeOf(r.GetExpiresAt()) }},
	}
}

// roleText is role@tenant, or the role alone where it holds everywhere.
func roleText(g *heimdrahtv1.RoleGrant) string {
	role := strings.ToLower(strings.TrimPrefix(g.GetRole().String(), "CALLER_"))
	if g.GetTenant() == "" {
		return role
	}
	return role + "@" + g.GetTenant()
}
