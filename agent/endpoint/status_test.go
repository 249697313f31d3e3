package endpoint

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
)

// TestSituations names the situations a person can be in, and what she is told.
func TestSituations(t *testing.T) {
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	open := &session{id: "s1", openedAt: now.Add(-time.Hour), leaseUntil: now.Add(5 * time.Minute), settings: &settings{
		GatewayName: "gw1", Host: "vpn1.stadt.example", Addresses: []netip.Addr{netip.MustParseAddr("10.80.0.5")},
	}}
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	refusal := func(code string, retry time.Duration) *control.Problem {
		said := control.Text{Sentence: "Gesagt: " + code + ".", Next: "Tun."}
		return &control.Problem{Code: code, German: said, English: said, Refused: true, RetryAfter: retry}
	}
	away := &control.Problem{Code: "server-unreachable", RetryAfter: time.Second,
		German: control.Text{Sentence: "Nicht erreichbar."}, English: control.Text{Sentence: "Unreachable."}}

	tests := []struct {
		name            string
		situation       situation
		state           State
		code            string
		german, english string
		notes           string
	}{
		{"new laptop", situation{}, NotEnrolled, "not-enrolled",
			"Dieser Rechner ist noch nicht angemeldet.", "This machine is not enrolled yet.", ""},
		{"at rest", situation{enrolled: true}, Disconnected, "",
			"Sie sind nicht verbunden.", "You are not connected.", ""},
		{"at rest, resolv.conf not put back", situation{enrolled: true, problem: tunnelLeft(errSilent)}, Disconnected, "tunnel-left",
			"Die Verbindung ist beendet, aber die Netzeinstellungen", "The connection has ended, but the laptop's network settings", ""},
		{"just asked for", situation{enrolled: true, wanted: true}, Connecting, "",
			"Die Verbindung wird aufgebaut.", "The connection is being set up.", ""},
		{"no internet", situation{enrolled: true, wanted: true, problem: away}, Connecting, "server-unreachable",
			"Nicht erreichbar.", "Unreachable.", ""},
		{"revoked", situation{enrolled: true, wanted: true, halted: true, problem: refusal("device-revoked", 0)}, Refused, "device-revoked",
			"Gesagt: device-revoked.", "Gesagt: device-revoked.", ""},
		{"no seat, trying again", situation{enrolled: true, wanted: true, attached: true, problem: refusal("no-seat", time.Minute)}, Refused, "no-seat",
			"Gesagt: no-seat.", "Gesagt: no-seat.", ""},
		{"waits for a seat", situation{enrolled: true, wanted: true, attached: true, place: &place{position: 3, wait: 4 * time.Minute},
			problem: place{position: 3, wait: 4 * time.Minute, kept: 3 * time.Minute}.problem()}, Connecting, "seat-awaited",
			"Alle Plätze sind belegt. Sie warten auf einen an Stelle 3, voraussichtlich noch 4 Minuten.",
			"All seats are taken. You wait for one at place 3, probably for another 4 minutes.", ""},
		{"waits for a seat, nobody can tell for how long", situation{enrolled: true, wanted: true, attached: true, place: &place{position: 1},
			problem: place{position: 1}.problem()}, Connecting, "seat-awaited",
			"Alle Plätze sind belegt. Sie warten auf einen an Stelle 1, wie lange noch, ist nicht abzusehen.",
			"All seats are taken. You wait for one at place 1, and nobody can tell for how long.", ""},
		{"no rights on this machine", situation{enrolled: true, wanted: true, halted: true, problem: tunnelFailed(errSilent)}, Refused, "tunnel-failed",
			"Die Verbindung ließ sich auf diesem Laptop nicht einrichten", "The connection could not be set up on this laptop", ""},
		{"open, the gateway has not answered yet", situation{enrolled: true, wanted: true, attached: true, session: open,
			tunnel: reading{installed: ago(2 * time.Second)}}, Connecting, "",
			"Die Verbindung wird aufgebaut.", "The connection is being set up.", ""},
		{"connected", situation{enrolled: true, wanted: true, attached: true, session: open,
			tunnel: reading{installed: ago(time.Hour), handshake: ago(120 * time.Second)}}, Connected, "",
			"Sie sind verbunden.", "You are connected.", ""},
		{"connected, the handshake at its oldest", situation{enrolled: true, wanted: true, attached: true, session: open,
			tunnel: reading{installed: ago(time.Hour), handshake: ago(180 * time.Second)}}, Connected, "",
			"Sie sind verbunden.", "You are connected.", ""},
		{"connected, control plane away", situation{enrolled: true, wanted: true, session: open, problem: away,
			tunnel: reading{installed: ago(time.Hour), handshake: ago(time.Minute)}}, Connected, "",
			"Sie sind verbunden.", "You are connected.", "server-away"},
		{"connected, too many orders", situation{enrolled: true, wanted: true, session: open, problem: serverErratic(),
			tunnel: reading{installed: ago(time.Hour), handshake: ago(time.Minute)}}, Connected, "",
			"Sie sind verbunden.", "You are connected.", "server-erratic"},
		{"connected, and the control plane not reached for the clock", situation{enrolled: true, wanted: true, session: open, clockOff: time.Hour,
			problem: control.ClockOff(time.Hour), tunnel: reading{installed: ago(time.Hour), handshake: ago(time.Minute)}}, Connected, "",
			"Sie sind verbunden.", "You are connected.", "clock-wrong"},
		{"connected, clock wrong", situation{enrolled: true, wanted: true, attached: true, session: open, clockOff: -time.Hour,
			tunnel: reading{installed: ago(time.Hour), handshake: ago(time.Minute)}}, Connected, "",
			"Sie sind verbunden.", "You are connected.", "clock-wrong"},
		{"the gateway never answered", situation{enrolled: true, wanted: true, attached: true, session: open,
			tunnel: reading{installed: ago(10 * time.Second)}}, NoAnswer, "gateway-silent",
			"Der Laptop ist angemeldet, aber zwischen ihm und dem Zugangsserver kommt nichts durch.", "The laptop is signed in, but nothing gets through", ""},
		{"the gateway fell silent", situation{enrolled: true, wanted: true, attached: true, session: open,
			tunnel: reading{installed: ago(time.Hour), handshake: ago(181 * time.Second)}}, NoAnswer, "gateway-silent",
			"Der Laptop ist angemeldet, aber zwischen ihm und dem Zugangsserver kommt nichts durch.", "The laptop is signed in, but nothing gets through", ""},
		{"the gateway never answered, and another tunnel swallows what goes there", situation{enrolled: true, wanted: true, attached: true, session: open,
			tunnel: reading{installed: ago(10 * time.Second), elsewhere: "tun0"}}, NoAnswer, "other-tunnel",
			"Auf diesem Laptop läuft schon eine andere Verbindung dieser Art (tun0).", "Another connection of this kind runs on this laptop already (tun0).", ""},
		{"connected, and nothing comes back", situation{enrolled: true, wanted: true, attached: true, session: open,
			tunnel: reading{installed: ago(time.Hour), handshake: ago(time.Second), sent: 400_000, received: 900}}, Connected, "",
			"Sie sind verbunden.", "You are connected.", "inside-silent"},
		{"connected, a long upload", situation{enrolled: true, wanted: true, attached: true, session: open,
			tunnel: reading{installed: ago(time.Hour), handshake: ago(time.Second), sent: 400_000, received: 9000}}, Connected, "",
			"Sie sind verbunden.", "You are connected.", ""},
		{"the gateway has no address", situation{enrolled: true, wanted: true, attached: true, session: open,
			tunnel: reading{installed: ago(time.Second), unresolved: "vpn1.stadt.example"}}, NoAnswer, "gateway-not-found",
			"Die Adresse des Zugangsservers (vpn1.stadt.example) ist nicht zu finden.", "The gateway's address (vpn1.stadt.example) cannot be found.", ""},
		{"nothing answers", situation{enrolled: true, wanted: true, session: open, problem: away,
			tunnel: reading{installed: ago(time.Hour), handshake: ago(time.Hour)}}, Connecting, "server-unreachable",
			"Nicht erreichbar.", "Unreachable.", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			de, en := describe(test.situation, "de", now), describe(test.situation, "en", now)
			if de.State != test.state || de.Code != test.code {
				t.Errorf("got %s (%s), want %s (%s)", de.State, de.Code, test.state, test.code)
			}
			if !strings.HasPrefix(de.Sentence, test.german) || !strings.HasPrefix(en.Sentence, test.english) {
				t.Errorf("said %q and %q", de.Sentence, en.Sentence)
			}
			if de.State != Connected && de.Code != "server-unreachable" && de.Next == "" {
				t.Error("there is no next step")
			}
			if de.Who == "" && (test.situation.problem == nil || !test.situation.problem.Refused && test.code != "server-unreachable") {
				t.Error("it does not say who can do something")
			}
			got := ""
			for _, n := range de.Notes {
				got += n.Code
			}
			if got != test.notes {
				t.Errorf("noted %q, want %q", got, test.notes)
			}
			if (test.situation.session != nil) != (de.Gateway == "gw1") {
				t.Errorf("gateway %q", de.Gateway)
			}
		})
	}
}
