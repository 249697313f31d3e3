package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/cmd/internal/terminal"
)

type rulesCommand struct {
	Accept string `placeholder:"VERSION" help:"${rules_accept}"`
}

// Run shows the house rules, and has the person acknowledge them if she has not.
func (c *rulesCommand) Run(ctx context.Context, a *app) error {
	d := a.daemon(ctx)
	got, err := d.rules(ctx, rulesCall{Language: string(a.language), Accept: c.Accept})
	if rules := rulesOf(err); rules != nil { // not the version that was accepted
		a.showRules(rules)
	}
	if err != nil {
		return err
	}
	rules := got.Rules
	if rules.HouseRules == nil {
		a.say(words{"Ihre Verwaltung hat keine Hausregeln hinterlegt.", "Your administration has no house rules on record."}.in(a.language))
		return nil
	}
	if rules.AcknowledgedAt.IsZero() {
		if err := a.askRules(ctx, rules.HouseRules, rulesOpen(rules.Version)); err != nil {
			return err
		}
		if got, err = d.rules(ctx, rulesCall{Language: string(a.language), Accept: rules.Version}); err != nil {
			return err
		}
	} else if c.Accept == "" {
		a.showRules(rules.HouseRules)
	}
	a.say(words{"Bestätigt am ", "Acknowledged on "}.in(a.language) + a.clock(got.Rules.AcknowledgedAt) + ".")
	return nil
}

// rulesOf are the house rules for which something was refused. Nil: it was not.
func rulesOf(err error) *control.HouseRules {
	if p, ok := control.AsProblem(err); ok {
		return p.HouseRules
	}
	return nil
}

// showRules shows the text, and where it is.
func (a *app) showRules(r *control.HouseRules) {
	a.say(words{"Hausregeln Ihrer Verwaltung, Fassung ", "House rules of your administration, version "}.in(a.language) + r.Version)
	show(a.out, "\n"+harmless(r.Text)+"\n\n")
	if r.Link != "" {
		a.say(words{"Auch hier: ", "Also here: "}.in(a.language) + r.Link)
	}
}

// askRules shows the text and asks for a yes. Without a terminal, and without a yes, the error is the one given.
func (a *app) askRules(ctx context.Context, r *control.HouseRules, otherwise error) error {
	a.showRules(r)
	typed, err := terminal.Line(ctx, a.in, a.err, words{"Haben Sie das gelesen, und halten Sie sich daran? [ja/nein] ", "Have you read this, and will you keep to it? [yes/no] "}.in(a.language))
	switch {
	case errors.Is(err, terminal.ErrNone):
		return otherwise
	case err != nil:
		return err
	case slices.Contains([]string{"ja", "j", "yes", "y"}, strings.ToLower(typed)):
		return nil
	}
	return rulesDeclined()
}
