package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/cmd/internal/terminal"
)

type signInCommand struct {
	Login        string `placeholder:"NAME" help:"${sign_in_login}"`
	PasswordFile string `placeholder:"FILE|-" help:"${enrol_password_file}"`
	CodeFile     string `placeholder:"FILE|-" help:"${enrol_code_file}"`
}

// Run signs in again. The daemon is asked first if it is there: nobody should type a password for nothing.
func (c *signInCommand) Run(ctx context.Context, a *app) error {
	if err := onlyOne(a, "heimdraht-agent sign-in", c.PasswordFile, c.CodeFile); err != nil {
		return err
	}
	d := a.daemon(ctx)
	if _, err := d.status(ctx, a.language); err != nil {
		return err
	}
	password, err := a.secret(ctx, c.PasswordFile, "--password-file", passwordQuestion())
	if err != nil {
		return err
	}
	var got *answer
	err = a.withCode(ctx, c.CodeFile, func(code string) (err error) {
		got, err = d.again(ctx, againCall{Language: string(a.language), Login: c.Login, Password: password, Code: code})
		return err
	})
	if err != nil {
		return err
	}
	said := words{"Danke, Sie sind angemeldet.", "Thank you, you are signed in."}.in(a.language)
	if goodFor := time.Duration(got.SignedIn.GoodForMS) * time.Millisecond; goodFor > 0 {
		said += words{" Das gilt " + spanText(goodFor).de + ".", " That is good for " + spanText(goodFor).en + "."}.in(a.language)
	}
	a.say(said)
	if got.Status.State == endpoint.Disconnected {
		a.say(words{"Verbinden Sie sich: heimdraht-agent up", "Connect: heimdraht-agent up"}.in(a.language))
	}
	return nil
}

// spanText is a span of a policy in days, or in hours.
func spanText(d time.Duration) words {
	const day = 24 * time.Hour
	n, german, english := int64(d/day), [2]string{"einen Tag", "Tage"}, [2]string{"a day", "days"}
	if d < 2*day && d != day {
		n, german, english = int64(d/time.Hour), [2]string{"eine Stunde", "Stunden"}, [2]string{"an hour", "hours"}
	}
	if n == 1 {
		return words{german[0], english[0]}
	}
	return words{strconv.FormatInt(n, 10) + " " + german[1], strconv.FormatInt(n, 10) + " " + english[1]}
}

type factorCommands struct {
	SetUp factorSetUpCommand `cmd:"" help:"${factor_set_up}"`
}

type factorSetUpCommand struct {
	Address      string `arg:"" optional:"" name:"SERVER#FINGERPRINT" help:"${enrol_address}"`
	Tenant       string `placeholder:"NAME" help:"${enrol_tenant}"`
	Login        string `placeholder:"NAME" help:"${enrol_login}"`
	PasswordFile string `placeholder:"FILE|-" help:"${enrol_password_file}"`
	TokenFile    string `placeholder:"FILE|-" help:"${factor_token_file}"`
	CodeFile     string `placeholder:"FILE|-" help:"${factor_code_file}"`
}

// Run shows the phone its secret, wants a first code from it, and shows the recovery codes.
func (c *factorSetUpCommand) Run(ctx context.Context, a *app) error {
	if err := onlyOne(a, "heimdraht-agent factor set-up", c.PasswordFile, c.TokenFile, c.CodeFile); err != nil {
		return err
	}
	d := a.daemon(ctx)
	if _, err := d.status(ctx, a.language); err != nil {
		return err
	}
	call, err := c.ask(ctx, a)
	if err != nil {
		return err
	}
	begun, err := d.beginFactor(ctx, call)
	if err != nil {
		return err
	}
	if err := a.showFactor(begun); err != nil {
		return err
	}
	recovery, err := c.confirm(ctx, a, d, call)
	if err != nil {
		return err
	}
	a.say(words{"Die zweite Bestätigung ist eingerichtet. Ersatzcodes für den Tag, an dem das Telefon weg ist; jeder gilt einmal. Bewahren Sie sie getrennt vom Laptop auf; sie werden nicht wieder gezeigt:",
		"The second factor is set up. Recovery codes for the day the phone is gone; each counts once. Keep them apart from the laptop; they are not shown again:"}.in(a.language))
	for _, code := range recovery {
		a.say("  " + code)
	}
	return nil
}

// ask asks who it is.
func (c *factorSetUpCommand) ask(ctx context.Context, a *app) (call factorCall, err error) {
	if c.Login == "" {
		if c.Login, err = a.login(ctx); err != nil {
			return call, err
		}
	}
	password, err := a.secret(ctx, c.PasswordFile, "--password-file", passwordQuestion())
	if err != nil {
		return call, err
	}
	token, err := a.secret(ctx, c.TokenFile, "--token-file", words{"Einmaliger Schlüssel: ", "One-time token: "})
	return factorCall{Language: string(a.language), Address: c.Address, Tenant: c.Tenant, Login: c.Login, Password: password, Token: token}, err
}

// confirm wants a code from the phone, several times if need be.
func (c *factorSetUpCommand) confirm(ctx context.Context, a *app, d *caller, call factorCall) (recovery []string, err error) {
	for try := 1; ; try++ {
		if call.Code, err = a.secret(ctx, c.CodeFile, "--code-file", words{"Die sechs Ziffern, die die App jetzt zeigt: ", "The six digits that the app shows now: "}); err != nil {
			return nil, err
		}
		recovery, err = d.confirmFactor(ctx, call)
		p, _ := control.AsProblem(err)
		if p == nil || p.Code != codeFactorWrong || c.CodeFile != "" || try >= tries {
			return recovery, err
		}
		a.fail(err)
	}
}

// showFactor shows what the phone must know: on a terminal as a QR code too.
func (a *app) showFactor(n *endpoint.NewFactor) error {
	if terminal.Is(a.out) {
		picture, err := terminal.QRCode(n.URI)
		if err != nil {
			return fmt.Errorf("showing the secret: %w", err)
		}
		a.say(words{"Fotografieren Sie das mit der App auf Ihrem Telefon (FreeOTP, Aegis, Microsoft oder Google Authenticator):",
			"Photograph this with the app on your phone (FreeOTP, Aegis, Microsoft or Google Authenticator):"}.in(a.language))
		show(a.out, picture)
	}
	a.say(words{"Geheimnis zum Abtippen: ", "Secret, to type it: "}.in(a.language) + n.Secret)
	a.say(words{"Für Programme: ", "For programs: "}.in(a.language) + n.URI)
	return nil
}
