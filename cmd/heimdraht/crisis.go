package main

import (
	"context"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
)

type crisisCommands struct {
	Start crisisStartCommand `cmd:"" help:"${crisis_start}"`
	End   crisisEndCommand   `cmd:"" help:"${crisis_end}"`
	Show  crisisShowCommand  `cmd:"" help:"${crisis_show}"`
}

type crisisStartCommand struct {
	Tenant string `arg:"" help:"${crisis_tenant}"`
	Reason string `required:"" placeholder:"TEXT" help:"${reason}"`
}

// Run switches the policy on that the tenant has prepared.
func (c *crisisStartCommand) Run(ctx context.Context, a *app) error {
	return a.switchCrisis(ctx, c.Tenant, c.Reason, true)
}

type crisisEndCommand struct {
	Tenant string `arg:"" help:"${crisis_tenant}"`
	Reason string `required:"" placeholder:"TEXT" help:"${reason}"`
}

// Run switches it off.
func (c *crisisEndCommand) Run(ctx context.Context, a *app) error {
	return a.switchCrisis(ctx, c.Tenant, c.Reason, false)
}

func (a *app) switchCrisis(ctx context.Context, tenant, reason string, on bool) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.adm.SwitchCrisis(ctx, &heimdrahtv1.SwitchCrisisRequest{Tenant: tenant, On: on, Reason: reason})
		if err != nil {
			return err
		}
		if err := card(a.printer, crisisColumns(), r.GetCrisis()); err != nil {
			return err
		}
		switch {
		case !r.GetChanged():
			a.hint(words{"Das war schon so.", "It was so already."})
		case on:
			a.hint(words{"Er gilt ab jetzt. Beenden: heimdraht crisis end %s --reason TEXT", "It holds from now on. To end it: heimdraht crisis end %s --reason TEXT"}, tenant)
		default:
			a.hint(words{"Es gilt wieder, was sonst gilt.", "What holds otherwise holds again."})
		}
		return nil
	})
}

type crisisShowCommand struct {
	Tenant string `arg:"" optional:"" help:"${crisis_show_tenant}"`
}

// Run lists the crisis modes that are prepared, or on.
func (c *crisisShowCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.adm.ListCrises(ctx, &heimdrahtv1.ListCrisesRequest{Tenant: c.Tenant})
		if err != nil {
			return err
		}
		if len(r.GetCrises()) == 0 {
			a.hint(words{"Kein Krisenbetrieb ist vorbereitet. In die Datei der Verwaltung gehört, was dann gelten soll: crisis: {idle: 15m, hours: lifted}",
				"No crisis mode is prepared. Into the tenant's file goes what is to hold then: crisis: {idle: 15m, hours: lifted}"})
		}
		return list(a.printer, "crises", crisisColumns(), r.GetCrises())
	})
}

func crisisColumns() []column[*heimdrahtv1.Crisis] {
	return []column[*heimdrahtv1.Crisis]{
		{"tenant", words{"Verwaltung", "tenant"}, func(c *heimdrahtv1.Crisis) any { return c.GetTenant() }},
		{"state", words{"Krisenbetrieb", "crisis mode"}, func(c *heimdrahtv1.Crisis) any {
			if c.GetSince() != nil {
				return shown{"on", words{"an", "on"}}
			}
			return shown{"off", words{"aus", "off"}}
		}},
		{"since", words{"seit", "since"}, func(c *heimdrahtv1.Crisis) any { return timeOf(c.GetSince()) }},
		{"reason", words{"Grund", "reason"}, func(c *heimdrahtv1.Crisis) any { return c.GetReason() }},
		{"idle", words{"Leerlauf", "idle"}, func(c *heimdrahtv1.Crisis) any {
			if c.GetPlan().GetIdleS() == 0 {
				return nil
			}
			return provisioner.SpanText(time.Duration(c.GetPlan().GetIdleS()) * time.Second)
		}},
		{"hours", words{"Zeiten", "hours"}, func(c *heimdrahtv1.Crisis) any {
			if c.GetPlan().GetLiftHours() {
				return shown{"lifted", words{"aufgehoben", "lifted"}}
			}
			return shown{"kept", words{"wie sonst", "kept"}}
		}},
		{"ordinary", words{"alle anderen", "everybody else"}, func(c *heimdrahtv1.Crisis) any {
			if c.GetPlan().GetCloseOrdinary() {
				return shown{"closed", words{"keine neuen Verbindungen", "no new connections"}}
			}
			return shown{"open", words{"wie sonst", "as always"}}
		}},
	}
}
