package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/cmd/internal/terminal"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

type factorCommands struct {
	SetUp factorSetUpCommand `cmd:"" help:"${factor_set_up}"`
}

type factorSetUpCommand struct {
	serverArg

	Tenant       string `placeholder:"NAME" help:"${login_tenant}"`
	Login        string `placeholder:"NAME" help:"${login_login}"`
	PasswordFile string `placeholder:"FILE" help:"${login_password_file}"`
	TokenFile    string `placeholder:"FILE" help:"${factor_token_file}"`
	CodeFile     string `placeholder:"FILE" help:"${factor_code_file}"`
}

const factorCommand = "heimdraht factor set-up"

// Run shows the phone its secret, wants a first code from it, shows the recovery
// codes, and keeps the sign-in.
func (c *factorSetUpCommand) Run(ctx context.Context, a *app) error {
	if a.form != formTable {
		return usageError{words{"das geht nur im Gespräch, ohne -o", "this is a conversation, without -o"}.in(a.language), factorCommand}
	}
	return c.enter(ctx, a, factorCommand, func(k *client) (*heimdrahtv1.StaffToken, error) {
		who, err := c.ask(ctx, a)
		if err != nil {
			return nil, err
		}
		begun, err := k.auth.BeginFactor(ctx, who)
		if err != nil {
			return nil, err
		}
		if err := a.showSecret(begun); err != nil {
			return nil, err
		}
		done, err := c.confirm(ctx, a, k, who)
		if err != nil {
			return nil, err
		}
		a.say(words{"Ersatzcodes für den Tag, an dem das Telefon weg ist. Jeder gilt einmal. Bewahren Sie sie getrennt vom Laptop auf; sie werden nicht wieder gezeigt:",
			"Recovery codes for the day the phone is gone. Each counts once. Keep them apart from the laptop; they are not shown again:"})
		for _, code := range done.GetRecoveryCodes() {
			a.say(words{"  %s", "  %s"}, code)
		}
		a.say(words{})
		return done.GetToken(), nil
	})
}

// ask asks who it is.
func (c *factorSetUpCommand) ask(ctx context.Context, a *app) (*heimdrahtv1.BeginFactorRequest, error) {
	stdin := 0
	for _, file := range []string{c.PasswordFile, c.TokenFile, c.CodeFile} {
		if file == "-" {
			stdin++
		}
	}
	if stdin > 1 {
		return nil, usageError{words{"nur eine der Dateien kann - sein", "only one of the files can be -"}.in(a.language), factorCommand}
	}
	var err error
	if c.Login == "" {
		if c.Login, err = a.line(ctx, "--login", words{"Benutzername oder Mailadresse: ", "User name or mail address: "}); err != nil {
			return nil, err
		}
	}
	password, err := a.secret(ctx, c.PasswordFile, "--password-file", words{"Passwort: ", "Password: "})
	if err != nil {
		return nil, err
	}
	token, err := a.secret(ctx, c.TokenFile, "--token-file", words{"Einmaliger Schlüssel: ", "One-time token: "})
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.BeginFactorRequest{Tenant: c.Tenant, Login: c.Login, Password: password, Token: strings.TrimSpace(token)}, nil
}

// confirm wants a code from the phone, several times if need be.
func (c *factorSetUpCommand) confirm(ctx context.Context, a *app, k *client, who *heimdrahtv1.BeginFactorRequest) (*heimdrahtv1.ConfirmFactorResponse, error) {
	for try := 1; ; try++ {
		code, err := a.secret(ctx, c.CodeFile, "--code-file", words{"Die sechs Ziffern, die die App jetzt zeigt: ", "The six digits that the app shows now: "})
		if err != nil {
			return nil, err
		}
		done, err := k.auth.ConfirmFactor(ctx, &heimdrahtv1.ConfirmFactorRequest{
			Tenant: who.GetTenant(), Login: who.GetLogin(), Password: who.GetPassword(), Token: who.GetToken(), Code: code,
		})
		refusal, _ := control.AsProblem(control.FromStatus(err))
		if err == nil || refusal == nil || refusal.Code != "factor-wrong" || c.CodeFile != "" || try >= tries {
			return done, err
		}
		a.fail(refusal)
	}
}

// showSecret shows what the phone must know: on a terminal as a QR code too.
func (a *app) showSecret(r *heimdrahtv1.BeginFactorResponse) error {
	if term.IsTerminal(int(a.world.out.Fd())) {
		picture, err := terminal.QRCode(r.GetUri())
		if err != nil {
			return err
		}
		a.say(words{"Fotografieren Sie das mit der App auf Ihrem Telefon (FreeOTP, Aegis, Microsoft oder Google Authenticator):",
			"Photograph this with the app on your phone (FreeOTP, Aegis, Microsoft or Google Authenticator):"})
		fmt.Fprint(a.world.out, picture)
	}
	a.say(words{"Geheimnis zum Abtippen: %s", "Secret, to type it: %s"}, r.GetSecret())
	a.say(words{"Für Programme: %s", "For programs: %s"}, r.GetUri())
	return nil
}

// personArg is the person in question.
type personArg struct {
	ID     string `arg:"" name:"id" help:"${person_id}"`
	Tenant string `placeholder:"NAME" help:"${person_tenant}"`
}

type personFactorTokenCommand struct{ personArg }

// Run makes a one-time token. It is the answer, so it goes to standard output,
// alone.
func (c *personFactorTokenCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.desk.IssueFactorToken(ctx, &heimdrahtv1.IssueFactorTokenRequest{PersonId: c.ID, Tenant: c.Tenant})
		if err != nil {
			return err
		}
		if a.form != formTable {
			return card(a.printer, []column[*heimdrahtv1.IssueFactorTokenResponse]{
				{"person_id", words{}, func(*heimdrahtv1.IssueFactorTokenResponse) any { return c.ID }},
				{"token", words{}, func(r *heimdrahtv1.IssueFactorTokenResponse) any { return r.GetToken() }},
				{"expires_at", words{}, func(r *heimdrahtv1.IssueFactorTokenResponse) any { return timeOf(r.GetExpiresAt()) }},
			}, r)
		}
		a.say(words{"%s", "%s"}, r.GetToken())
		a.hint(words{"Er gilt einmal, bis %s. Geben Sie ihn nur diesem Menschen selbst. Dort: heimdraht factor set-up",
			"It is valid once, until %s. Give it to this person alone, who runs: heimdraht factor set-up"}, a.time(timeOf(r.GetExpiresAt())))
		return nil
	})
}

type personResetFactorCommand struct {
	personArg
	because

	IdentityChecked string `required:"" placeholder:"TEXT" help:"${person_checked}"`
}

// Run resets a second factor, or proposes it.
func (c *personResetFactorCommand) Run(ctx context.Context, a *app) error {
	const command = "heimdraht person reset-factor"
	reason, err := c.reason(a, command)
	if err != nil {
		return err
	}
	if strings.TrimSpace(c.IdentityChecked) == "" {
		return usageError{words{"--identity-checked ist leer", "--identity-checked is empty"}.in(a.language), command}
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.desk.ResetFactor(ctx, &heimdrahtv1.ResetFactorRequest{PersonId: c.ID, Tenant: c.Tenant, Reason: reason, IdentityChecked: c.IdentityChecked})
		if err != nil {
			return err
		}
		switch p := r.GetProposal(); {
		case a.form == formJSON:
			return a.json(orderedObject{{"proposal", proposalOrNil(p)}})
		case p == nil:
			a.say(words{"Die zweite Bestätigung ist zurückgesetzt.", "The second factor is reset."})
			a.hint(words{"Weiter mit: heimdraht person factor-token %s", "Go on with: heimdraht person factor-token %s"}, c.ID)
		default:
			a.sayWaits(p)
		}
		return nil
	})
}

type proposalCommands struct {
	List     proposalsListCommand    `cmd:"" default:"1" help:"${proposals_list}"`
	Confirm  proposalConfirmCommand  `cmd:"" help:"${proposals_confirm}"`
	Withdraw proposalWithdrawCommand `cmd:"" help:"${proposals_withdraw}"`
}

// sayWaits says that somebody else must confirm it.
func (a *app) sayWaits(p *heimdrahtv1.Proposal) {
	a.say(words{"Das muss jemand anders bestätigen, bis %s: heimdraht proposals confirm %s",
		"Somebody else must confirm this, until %s: heimdraht proposals confirm %s"}, a.time(timeOf(p.GetExpiresAt())), p.GetProposalId())
}

type proposalsListCommand struct{}

// Run shows what waits for a second person.
func (proposalsListCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.desk.ListProposals(ctx, &heimdrahtv1.ListProposalsRequest{})
		if err != nil {
			return err
		}
		if len(r.GetProposals()) == 0 {
			a.hint(words{"Nichts wartet auf einen zweiten Menschen.", "Nothing waits for a second person."})
		}
		return list(a.printer, "proposals", proposalColumns(), r.GetProposals())
	})
}

type proposalArg struct {
	ID string `arg:"" name:"id" help:"${proposals_id}"`
}

type proposalConfirmCommand struct {
	proposalArg
	waiting
}

// Run does what somebody else has proposed.
func (c *proposalConfirmCommand) Run(ctx context.Context, a *app) error {
	wait, err := c.milliseconds(a, "heimdraht proposals confirm")
	if err != nil {
		return err
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.desk.ConfirmProposal(ctx, &heimdrahtv1.ConfirmProposalRequest{ProposalId: c.ID})
		if err != nil {
			return err
		}
		if r.GetProposal().GetAction() == actionTake {
			return a.follow(ctx, k, c.ID, wait)
		}
		return a.sayProposal(words{"Getan", "Done"}, r.GetProposal())
	})
}

type proposalWithdrawCommand struct{ proposalArg }

// Run forgets a proposal.
func (c *proposalWithdrawCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.desk.WithdrawProposal(ctx, &heimdrahtv1.WithdrawProposalRequest{ProposalId: c.ID})
		if err != nil {
			return err
		}
		return a.sayProposal(words{"Verworfen", "Forgotten"}, r.GetProposal())
	})
}

// sayProposal says what became of a proposal.
func (a *app) sayProposal(what words, p *heimdrahtv1.Proposal) error {
	if a.form != formTable {
		return card(a.printer, proposalColumns(), p)
	}
	a.say(words{"%s: %s, %s.", "%s: %s, %s."}, what.in(a.language), actionOf(p).in(a.language), p.GetObjectName())
	return nil
}

const actionTake = "take many"

// actionOf is what a proposal would do, for people.
func actionOf(p *heimdrahtv1.Proposal) words {
	if p.GetAction() == actionTake {
		switch p.GetDetails()["action"] {
		case "revoke device":
			return words{"Zugang vieler entziehen", "revoke the access of many"}
		case "suspend device":
			return words{"Zugang vieler ruhen lassen", "suspend the access of many"}
		case "restore device":
			return words{"Zugang vieler zurückgeben", "restore the access of many"}
		}
	}
	if p.GetAction() == "reset factor" {
		return words{"zweite Bestätigung zurücksetzen", "reset the second factor"}
	}
	return words{p.GetAction(), p.GetAction()} // of a newer server
}

// detailsOf lists what else there is to a proposal.
func detailsOf(details map[string]string) []string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(details)) {
		list = append(list, k+": "+details[k])
	}
	return list
}

func proposalColumns() []column[*heimdrahtv1.Proposal] {
	return []column[*heimdrahtv1.Proposal]{
		{"proposal_id", words{"Vorschlag", "proposal"}, func(p *heimdrahtv1.Proposal) any { return p.GetProposalId() }},
		{"action", words{"was", "what"}, func(p *heimdrahtv1.Proposal) any { return shown{p.GetAction(), actionOf(p)} }},
		{"object_name", words{"wen", "whom"}, func(p *heimdrahtv1.Proposal) any { return p.GetObjectName() }},
		{"tenant", words{"Verwaltung", "tenant"}, func(p *heimdrahtv1.Proposal) any { return p.GetTenant() }},
		{"reason", words{"warum", "why"}, func(p *heimdrahtv1.Proposal) any { return p.GetReason() }},
		{"details", words{"dazu", "besides"}, func(p *heimdrahtv1.Proposal) any { return detailsOf(p.GetDetails()) }},
		{"proposed_by", words{"von", "by"}, func(p *heimdrahtv1.Proposal) any { return p.GetProposedBy() }},
		{"expires_at", words{"bis", "until"}, func(p *heimdrahtv1.Proposal) any { return timeOf(p.GetExpiresAt()) }},
	}
}
