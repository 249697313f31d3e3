package main

import (
	"context"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

type gatewayCommands struct {
	Token       gatewayTokenCommand       `cmd:"" help:"${gateway_token}"`
	List        gatewayListCommand        `cmd:"" help:"${gateway_list}"`
	Show        gatewayShowCommand        `cmd:"" help:"${gateway_show}"`
	Drain       gatewayDrainCommand       `cmd:"" help:"${gateway_drain}"`
	Undrain     gatewayUndrainCommand     `cmd:"" help:"${gateway_undrain}"`
	Maintenance gatewayMaintenanceCommand `cmd:"" help:"${gateway_maintenance}"`
}

type gatewayTokenCommand struct {
	Name string `arg:"" name:"name" help:"${gateway_name}"`
}

// Run makes the one-time token with which a gateway joins. It is the answer,
// so it goes to standard output, alone.
func (c *gatewayTokenCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.adm.CreateGatewayToken(ctx, &heimdrahtv1.CreateGatewayTokenRequest{Gateway: c.Name})
		if err != nil {
			return err
		}
		if a.form != formTable {
			return card(a.printer, tokenColumns(c.Name), r)
		}
		a.say(words{"%s", "%s"}, r.GetToken())
		known, err := a.credentials()
		if err != nil {
			return err
		}
		address := known.Servers[0]
		if known.CASHA256 != "" {
			address += "#" + known.CASHA256
		}
		a.hint(words{"Er gilt einmal, bis %s. Auf dem Zugangsserver: heimdraht-gateway join %s", "It is valid once, until %s. On the gateway: heimdraht-gateway join %s"},
			a.time(timeOf(r.GetExpiresAt())), address)
		return nil
	})
}

func tokenColumns(gateway string) []column[*heimdrahtv1.CreateGatewayTokenResponse] {
	return []column[*heimdrahtv1.CreateGatewayTokenResponse]{
		{"gateway", words{}, func(*heimdrahtv1.CreateGatewayTokenResponse) any { return gateway }},
		{"token", words{}, func(r *heimdrahtv1.CreateGatewayTokenResponse) any { return r.GetToken() }},
		{"expires_at", words{}, func(r *heimdrahtv1.CreateGatewayTokenResponse) any { return timeOf(r.GetExpiresAt()) }},
	}
}

type gatewayListCommand struct{}

// Run lists the gateways and how far each has followed.
func (gatewayListCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.adm.ListGateways(ctx, &heimdrahtv1.ListGatewaysRequest{})
		if err != nil {
			return err
		}
		if len(r.GetGateways()) == 0 {
			a.hint(words{"Kein Zugangsserver ist eingetragen: heimdraht apply -f DATEI", "No gateway is declared: heimdraht apply -f FILE"})
		}
		return list(a.printer, "gateways", gatewayColumns(), r.GetGateways())
	})
}

func gatewayColumns() []column[*heimdrahtv1.Gateway] {
	return []column[*heimdrahtv1.Gateway]{
		{"name", words{"Name", "name"}, func(g *heimdrahtv1.Gateway) any { return g.GetName() }},
		{"endpoint", words{"Adresse", "endpoint"}, func(g *heimdrahtv1.Gateway) any { return g.GetEndpoint() }},
		{"joined", words{}, func(g *heimdrahtv1.Gateway) any { return g.GetJoined() }},
		{"connected", words{}, func(g *heimdrahtv1.Gateway) any { return g.GetConnected() }},
		{"sessions", words{"offen", "open"}, func(g *heimdrahtv1.Gateway) any { return g.GetSessions() }},
		{"capacity", words{"höchstens", "capacity"}, func(g *heimdrahtv1.Gateway) any { return g.GetCapacity() }},
		{"revision", words{}, func(g *heimdrahtv1.Gateway) any { return g.GetRevision() }},
		{"acknowledged_revision", words{}, func(g *heimdrahtv1.Gateway) any { return g.GetAcknowledgedRevision() }},
		{"behind", words{"Rückstand", "behind"}, func(g *heimdrahtv1.Gateway) any {
			if !g.GetJoined() {
				return nil
			}
			return max(0, g.GetRevision()-g.GetAcknowledgedRevision())
		}},
		{"last_contact", words{"zuletzt gesehen", "last contact"}, func(g *heimdrahtv1.Gateway) any { return timeOf(g.GetLastContact()) }},
		{"certificate_not_after", words{"Zertifikat bis", "certificate until"}, func(g *heimdrahtv1.Gateway) any { return timeOf(g.GetCertificateNotAfter()) }},
		{"agent_version", words{"Version", "version"}, func(g *heimdrahtv1.Gateway) any { return g.GetAgentVersion() }},
		{"tenants", words{}, func(g *heimdrahtv1.Gateway) any { return g.GetTenants() }},
		{"state", words{"Zustand", "state"}, func(g *heimdrahtv1.Gateway) any { return gatewayState(g) }},
	}
}

func gatewayState(g *heimdrahtv1.Gateway) shown {
	switch {
	case g.GetConnected() && g.GetLeaving() && isEmpty(g):
		return shown{"empty", words{"leer", "empty"}}
	case g.GetConnected() && g.GetLeaving():
		return shown{"draining", words{"wird geleert", "draining"}}
	case g.GetConnected():
		return shown{"connected", words{"verbunden", "connected"}}
	case g.GetJoined():
		return shown{"cut_off", words{"abgeschnitten", "cut off"}}
	default:
		return shown{"not_joined", words{"nicht beigetreten", "not joined"}}
	}
}
