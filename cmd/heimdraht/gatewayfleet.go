package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
)

// emptyEvery is how often somebody who waits for a gateway to be empty looks.
const emptyEvery = time.Second

type gatewayShowCommand struct {
	Name string `arg:"" name:"name" help:"${gateway_name}"`
}

// Run shows everything of one gateway.
func (c *gatewayShowCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		g, err := k.gateway(ctx, c.Name)
		if err != nil {
			return err
		}
		return card(a.printer, gatewayDetails(), g)
	})
}

// gateway finds one by its name.
func (k *client) gateway(ctx context.Context, name string) (*heimdrahtv1.Gateway, error) {
	r, err := k.adm.ListGateways(ctx, &heimdrahtv1.ListGatewaysRequest{})
	if err != nil {
		return nil, err
	}
	for _, g := range r.GetGateways() {
		if g.GetName() == name {
			return g, nil
		}
	}
	return nil, problem("not-found", words{"Es gibt keinen Zugangsserver " + name + ".", "There is no gateway " + name + "."},
		words{"Welche es gibt, zeigt: heimdraht gateway list", "Those that there are shows: heimdraht gateway list"})
}

type gatewayDrainCommand struct {
	because

	Name     string        `arg:"" name:"name" help:"${gateway_name}"`
	Deadline time.Duration `default:"2h" placeholder:"2h" help:"${gateway_deadline}"`
	Wait     bool          `help:"${gateway_wait}"`
}

// Run has a gateway's sessions move to others.
func (c *gatewayDrainCommand) Run(ctx context.Context, a *app) error {
	reason, err := c.reason(a, "heimdraht gateway drain")
	if err != nil {
		return err
	}
	if c.Deadline < 0 || c.Deadline > 48*time.Hour {
		return usageError{words{"--deadline geht von 0s (sofort) bis 48h", "--deadline goes from 0s (at once) to 48h"}.in(a.language), "heimdraht gateway drain"}
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.adm.DrainGateway(ctx, &heimdrahtv1.DrainGatewayRequest{Gateway: c.Name, WithinMs: c.Deadline.Milliseconds(), Reason: reason})
		if err != nil {
			return err
		}
		g := r.GetGateway()
		if c.Wait {
			if g, err = a.awaitEmpty(ctx, k, g); err != nil {
				return err
			}
		}
		if err := card(a.printer, gatewayDetails(), g); err != nil {
			return err
		}
		a.sayDrained(g)
		return nil
	})
}

// awaitEmpty waits until only static peers are left. Who breaks off does not stop the drain.
func (a *app) awaitEmpty(ctx context.Context, k *client, g *heimdrahtv1.Gateway) (*heimdrahtv1.Gateway, error) {
	line := ""
	defer a.progressLine(&line, "")
	for !isEmpty(g) {
		a.progressLine(&line, fmt.Sprintf(words{"%d Verbindungen ...", "%d sessions ..."}.in(a.language), movable(g)))
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(emptyEvery):
		}
		var err error
		if g, err = k.gateway(ctx, g.GetName()); err != nil {
			return nil, err
		}
		if !g.GetLeaving() {
			return nil, problem("drain-ended", words{"Jemand hat das Leeren beendet.", "Somebody has ended the drain."},
				words{"Wer, steht im Protokoll: heimdraht audit list", "Who, the audit log says: heimdraht audit list"})
		}
	}
	return g, nil
}

// movable are the sessions that can move: those of static peers cannot.
func movable(g *heimdrahtv1.Gateway) int64 { return max(0, g.GetSessions()-g.GetStaticSessions()) }

func isEmpty(g *heimdrahtv1.Gateway) bool { return movable(g) == 0 }

func (a *app) sayDrained(g *heimdrahtv1.Gateway) {
	if n := g.GetStaticSessions(); n > 0 {
		a.hint(words{"%d Geräte ohne unser Programm bleiben dort: Sie ziehen nicht um. Welche, zeigt: heimdraht device static --list",
			"%d devices without an agent stay there: they do not move. Which, shows: heimdraht device static --list"}, n)
	}
	if isEmpty(g) {
		a.hint(words{"%s ist leer. Wieder benutzen: heimdraht gateway undrain %s --reason TEXT", "%s is empty. To use it again: heimdraht gateway undrain %s --reason TEXT"}, g.GetName(), g.GetName())
		return
	}
	a.hint(words{"%d Verbindungen ziehen um, spätestens %s. Ob er leer ist, sagt: heimdraht gateway show %s",
		"%d sessions move, at %s at the latest. Whether it is empty says: heimdraht gateway show %s"}, movable(g), a.time(timeOf(g.GetDrain().GetDeadline())), g.GetName())
}

type gatewayUndrainCommand struct {
	because

	Name string `arg:"" name:"name" help:"${gateway_name}"`
}

// Run has it take sessions again.
func (c *gatewayUndrainCommand) Run(ctx context.Context, a *app) error {
	reason, err := c.reason(a, "heimdraht gateway undrain")
	if err != nil {
		return err
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.adm.UndrainGateway(ctx, &heimdrahtv1.UndrainGatewayRequest{Gateway: c.Name, Reason: reason})
		if err != nil {
			return err
		}
		if err := card(a.printer, gatewayDetails(), r.GetGateway()); err != nil {
			return err
		}
		if r.GetGateway().GetLeaving() {
			a.hint(words{"Eine angekündigte Wartung gilt weiter: heimdraht gateway maintenance %s --withdraw --reason TEXT",
				"An announced maintenance still holds: heimdraht gateway maintenance %s --withdraw --reason TEXT"}, c.Name)
		}
		return nil
	})
}

type gatewayMaintenanceCommand struct {
	because

	Name     string `arg:"" name:"name" help:"${gateway_name}"`
	From     string `placeholder:"2027-03-01T20:00" help:"${gateway_from}"`
	Until    string `placeholder:"2027-03-01T23:00" help:"${gateway_until}"`
	Withdraw bool   `help:"${gateway_withdraw}"`
}

// Run announces a maintenance, or takes that back.
func (c *gatewayMaintenanceCommand) Run(ctx context.Context, a *app) error {
	const command = "heimdraht gateway maintenance"
	reason, err := c.reason(a, command)
	if err != nil {
		return err
	}
	if c.Withdraw != (c.From == "" && c.Until == "") {
		return usageError{words{"entweder --from und --until, oder --withdraw", "either --from and --until, or --withdraw"}.in(a.language), command}
	}
	var span [2]time.Time
	for i, typed := range []string{c.From, c.Until} {
		if span[i], err = time.ParseInLocation("2006-01-02T15:04", typed, time.Local); err != nil && !c.Withdraw {
			return usageError{words{"--from und --until sind Zeiten wie 2027-03-01T20:00", "--from and --until are times like 2027-03-01T20:00"}.in(a.language), command}
		}
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		if c.Withdraw {
			r, err := k.adm.WithdrawMaintenance(ctx, &heimdrahtv1.WithdrawMaintenanceRequest{Gateway: c.Name, Reason: reason})
			if err != nil {
				return err
			}
			return card(a.printer, gatewayDetails(), r.GetGateway())
		}
		r, err := k.adm.AnnounceMaintenance(ctx, &heimdrahtv1.AnnounceMaintenanceRequest{
			Gateway: c.Name, From: timestamppb.New(span[0]), Until: timestamppb.New(span[1]), Reason: reason,
		})
		if err != nil {
			return err
		}
		if err := card(a.printer, gatewayDetails(), r.GetGateway()); err != nil {
			return err
		}
		a.hint(words{"Ab %s zieht um, wer gerade eine Pause macht; wer dann noch da ist, zu Beginn.", "From %s on whoever takes a break moves; whoever is still there, when it begins."},
			a.time(span[0].Add(-provisioner.MaintenanceLead)))
		return nil
	})
}

// gatewayDetails are the columns of one gateway.
func gatewayDetails() []column[*heimdrahtv1.Gateway] {
	type gateway = *heimdrahtv1.Gateway
	return []column[gateway]{
		{"name", words{"Name", "name"}, func(g gateway) any { return g.GetName() }},
		{"endpoint", words{"Adresse", "endpoint"}, func(g gateway) any { return g.GetEndpoint() }},
		{"state", words{"Zustand", "state"}, func(g gateway) any { return gatewayState(g) }},
		{"sessions", words{"offen", "open"}, func(g gateway) any { return g.GetSessions() }},
		{"static_sessions", words{"davon ohne Programm", "of these without an agent"}, func(g gateway) any { return g.GetStaticSessions() }},
		{"capacity", words{"höchstens", "capacity"}, func(g gateway) any { return g.GetCapacity() }},
		{"addresses_taken", words{"Adressen belegt", "addresses taken"}, func(g gateway) any { return g.GetAddressesTaken() }},
		{"addresses", words{"von", "of"}, func(g gateway) any { return g.GetAddresses() }},
		{"mbits", words{"Durchsatz (Mbit/s)", "throughput (Mbit/s)"}, func(g gateway) any { return megabits(g.GetThroughput()) }},
		{"most_mbits", words{"höchstens (Mbit/s)", "most (Mbit/s)"}, func(g gateway) any {
			if g.GetThroughputLimit() == 0 {
				return nil
			}
			return megabits(g.GetThroughputLimit())
		}},
		{"cpu_percent", words{"Prozessoren (%)", "processors (%)"}, func(g gateway) any { return decimal(float64(g.GetCpuPermille()) / 10) }},
		{"weight", words{"Gewicht", "weight"}, func(g gateway) any { return g.GetWeight() }},
		{"site", words{"Standort", "site"}, func(g gateway) any { return g.GetSite() }},
		{"drained_since", words{"wird geleert seit", "draining since"}, func(g gateway) any { return timeOf(g.GetDrain().GetSince()) }},
		{"drained_by", words{"leer spätestens", "empty at the latest"}, func(g gateway) any { return timeOf(g.GetDrain().GetDeadline()) }},
		{"drain_reason", words{"weil", "because"}, func(g gateway) any { return g.GetDrain().GetReason() }},
		{"maintenance_from", words{"Wartung von", "maintenance from"}, func(g gateway) any { return timeOf(g.GetMaintenance().GetFrom()) }},
		{"maintenance_until", words{"Wartung bis", "maintenance until"}, func(g gateway) any { return timeOf(g.GetMaintenance().GetUntil()) }},
		{"maintenance_reason", words{"Grund", "reason"}, func(g gateway) any { return g.GetMaintenance().GetReason() }},
		{"last_contact", words{"zuletzt gesehen", "last contact"}, func(g gateway) any { return timeOf(g.GetLastContact()) }},
	}
}

func megabits(rate int64) decimal { return decimal(float64(rate) / 1e6) }
