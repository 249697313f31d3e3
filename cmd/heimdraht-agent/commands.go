package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/agent/endpoint"
)

type enrolCommand struct {
	Address      string `arg:"" optional:"" name:"SERVER#FINGERPRINT" help:"${enrol_address}"`
	Tenant       string `placeholder:"NAME" help:"${enrol_tenant}"`
	Login        string `placeholder:"NAME" help:"${enrol_login}" xor:"who"`
	PasswordFile string `placeholder:"FILE|-" help:"${enrol_password_file}" xor:"secret"`
	CodeFile     string `placeholder:"FILE|-" help:"${enrol_code_file}" xor:"code"`
	ByCode       bool   `help:"${enrol_by_code}" xor:"who,secret,code,invitation"`
	Invitation   string `placeholder:"FILE|-" help:"${enrol_invitation}" xor:"invitation"`

	AcceptHouseRules string `placeholder:"VERSION" help:"${enrol_accept_house_rules}"`
}

const enrolName = "heimdraht-agent enrol"

// Run enrols the laptop. The daemon is asked first if it is there: nobody should type a password for nothing.
func (c *enrolCommand) Run(ctx context.Context, a *app) error {
	if c.Invitation != "" && (c.Login != "" || c.PasswordFile != "" || c.Tenant != "") {
		return usageError{words{"zu --invitation gehört weder --login noch --password-file noch --tenant", "--invitation goes with none of --login, --password-file and --tenant"}.in(a.language), enrolName}
	}
	d := a.daemon(ctx)
	if _, err := d.status(ctx, a.language); err != nil {
		return err
	}
	if c.ByCode {
		return c.byCode(ctx, a, d)
	}
	call := enrolCall{
		Language: string(a.language), Address: c.Address, Tenant: c.Tenant, Login: c.Login, ForUID: a.sudoer(), HouseRules: c.AcceptHouseRules,
	}
	if err := c.prove(ctx, a, &call); err != nil {
		return err
	}
	var got *answer
	enrol := func(code string) (err error) {
		call.Code = code
		got, err = d.enrol(ctx, call)
		if rules := rulesOf(err); rules != nil {
			if err := a.askRules(ctx, rules, err); err != nil {
				return err
			}
			call.HouseRules = rules.Version
			got, err = d.enrol(ctx, call)
		}
		return err
	}
	if err := a.withCode(ctx, c.CodeFile, enrol); err != nil {
		return err
	}
	a.greet(got)
	return nil
}

// byCode shows a code, and waits until the laptop's person has approved it. Who interrupts that, or restarts the laptop,
// goes on with the same command.
func (c *enrolCommand) byCode(ctx context.Context, a *app, d *caller) error {
	call := codeCall{Language: string(a.language), Address: c.Address, Tenant: c.Tenant, ForUID: a.sudoer()}
	waiting, err := d.code(ctx, call)
	if err != nil {
		return err
	}
	for _, line := range []words{
		{"Bestätigen Sie diesen Laptop dort, wo Sie angemeldet sind:", "Approve this laptop where you are signed in:"},
		{},
		{"    heimdraht approve " + waiting.UserCode, "    heimdraht approve " + waiting.UserCode},
		{},
		{"Dort muss derselbe Fingerabdruck stehen: " + waiting.Fingerprint, "It must show the same fingerprint there: " + waiting.Fingerprint},
		{"Der Code gilt bis " + a.clock(waiting.Until) + ". Unterbrochen? Derselbe Befehl macht weiter.",
			"The code is good until " + a.clock(waiting.Until) + ". Interrupted? The same command goes on."},
	} {
		a.say(line.in(a.language))
	}
	got, err := d.await(ctx, call)
	if err != nil {
		return err
	}
	a.greet(got)
	return nil
}

// greet says that the laptop is enrolled, and what to do.
func (a *app) greet(got *answer) {
	a.say(greeting(*got.Enrolled).in(a.language))
	if got.Enrolled.AwaitsApproval {
		a.say(words{"Der Helpdesk muss ihn noch freigeben. Ist die Verbindung gewünscht, kommt sie danach von selbst.",
			"The helpdesk has yet to approve it. If a connection is wanted, it then comes by itself."}.in(a.language))
	}
	if got.Status.State == endpoint.Disconnected {
		a.say(words{"Verbinden Sie sich: heimdraht-agent up", "Connect: heimdraht-agent up"}.in(a.language))
	}
}

// prove asks for what proves the person, unless it is told.
func (c *enrolCommand) prove(ctx context.Context, a *app, call *enrolCall) (err error) {
	if c.Invitation != "" {
		call.Invitation, err = a.invitation(ctx, c.Invitation)
		return err
	}
	if call.Login == "" {
		if call.Login, err = a.login(ctx); err != nil {
			return err
		}
	}
	if err := onlyOne(a, enrolName, c.PasswordFile, c.CodeFile); err != nil {
		return err
	}
	call.Password, err = a.secret(ctx, c.PasswordFile, "--password-file", passwordQuestion())
	return err
}

func greeting(e endpoint.Enrolled) words {
	name := e.Person
	if name == "" {
		name = e.DeviceID
	}
	switch {
	case e.Renewed:
		return words{"Willkommen zurück, " + name + ". Die Anmeldung dieses Laptops ist erneuert.", "Welcome back, " + name + ". This laptop's enrolment has been renewed."}
	case e.Replaced:
		return words{"Guten Tag, " + name + ". Dieser Laptop ist neu angemeldet; die frühere Anmeldung gilt nicht mehr.", "Hello, " + name + ". This laptop has been enrolled anew; the earlier enrolment is void."}
	}
	return words{"Guten Tag, " + name + ". Dieser Laptop ist angemeldet.", "Hello, " + name + ". This laptop is enrolled."}
}

type upCommand struct{}

// Run connects, and waits until it is connected or refused.
func (upCommand) Run(ctx context.Context, a *app) error {
	got, err := a.daemon(ctx).up(ctx, a.language)
	if err != nil {
		return err
	}
	a.present(got)
	return nil
}

type downCommand struct{}

// Run disconnects.
func (downCommand) Run(ctx context.Context, a *app) error {
	got, err := a.daemon(ctx).down(ctx, a.language)
	if err != nil {
		return err
	}
	a.present(got)
	return nil
}

type statusCommand struct {
	Output string `short:"o" enum:"text,json" default:"text" placeholder:"text|json" help:"${output}"`
	All    bool   `help:"${status_all}" xor:"all"`
	Watch  bool   `help:"${watch}" xor:"watch"`

	Reported bool `help:"${reported}" xor:"all,watch"`
}

// watchEvery is how often a watched status is asked for.
const watchEvery = time.Second

// Run shows how the laptop stands. That it is not connected is an answer, not a failure.
func (c *statusCommand) Run(ctx context.Context, a *app) error {
	d := a.daemon(ctx)
	if c.Reported {
		return c.showReported(ctx, a, d)
	}
	last := ""
	for {
		got, err := d.status(ctx, a.language)
		if err != nil {
			return err
		}
		if key := essence(*got.Status); key != last {
			if last != "" && c.Output == "text" {
				a.say("")
			}
			last = key
			// Only now, so that watching asks the control plane when something has changed.
			if got, err = d.why(ctx, a.language); err != nil {
				return err
			}
			if err := c.show(a, got); err != nil {
				return err
			}
		}
		if !c.Watch {
			return nil
		}
		select {
		case <-ctx.Done(): // the person has seen enough
			return nil
		case <-time.After(watchEvery):
		}
	}
}

func (c *statusCommand) show(a *app, got *answer) error {
	if c.Output == "text" {
		a.present(got)
		if links := got.Status.Links; c.All || slices.ContainsFunc(links, func(l endpoint.Link) bool { return l.State == endpoint.LinkWrong }) {
			a.presentLinks(links)
		}
		return nil
	}
	encoder := json.NewEncoder(a.out)
	if !c.Watch {
		encoder.SetIndent("", "  ")
	}
	if err := encoder.Encode(got.Status); err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	return nil
}

// essence is what must change for a watched status to be shown again. Bytes and ages change all the time.
func essence(s endpoint.Status) string {
	parts := []string{string(s.State), s.Code, s.Sentence, s.Gateway, fmt.Sprint(s.Addresses), strconv.FormatBool(s.ControlPlane)}
	for _, n := range s.Notes {
		parts = append(parts, n.Code)
	}
	return strings.Join(parts, "\x00")
}
