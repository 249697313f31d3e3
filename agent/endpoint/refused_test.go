package endpoint

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// TestHostileOrders: of what a hostile or broken control plane sends, nothing is installed. The session is given back and
// not asked for again, and the reason stands in words in the status and in the log. (Orders without end: TestOrdersWithoutEnd.
// A clock that is ten years off: TestTenYearsOff, TestSituationsOnPaper. Another VPN, damaged files, strangers at the socket: hostnet's
// TestTableTaken and TestDefaultTaken, state's TestDamagedValue, the program's TestWhoMayCall and TestMalformedCalls.)
func TestHostileOrders(t *testing.T) {
	type c = heimdrahtv1.TunnelConfiguration
	for _, line := range []struct {
		name    string
		spoil   func(*c)
		english string
		german  string
	}{
		{"routes for the whole world in a split tunnel", func(c *c) { c.AllowedIps = []string{"0.0.0.0/0"} },
			"they would redirect all traffic without saying so", "Sie wollen allen Verkehr umleiten, ohne es anzukündigen"},
		{"the same in pieces", func(c *c) { c.AllowedIps = []string{"0.0.0.0/2", "64.0.0.0/2", "128.0.0.0/2", "192.0.0.0/2"} },
			"their networks together are most of the internet", "Ihre Netze umfassen zusammen fast das ganze Internet"},
		{"a domain with a newline", func(c *c) { c.DnsDomains = []string{"stadt.example\nnameserver 6.6.6.6"} },
			`the domain "stadt.example\nnameserver 6.6.6.6" is not valid`, `Die Domäne "stadt.example\nnameserver 6.6.6.6" ist ungültig`},
		{"an MTU of 1", func(c *c) { c.Mtu = 1 }, "the MTU of 1 is not between 1280 and 1500", "Die Paketgröße (MTU) 1 liegt nicht zwischen 1280 und 1500"},
		{"a hundred thousand networks", func(c *c) {
			for i := range 100_000 {
				c.AllowedIps = append(c.AllowedIps, fmt.Sprintf("10.%d.%d.0/24", i/256%256, i%256))
			}
		}, "they name 100002 networks, not 1 to 1000", "Sie nennen 100002 Netze statt 1 bis 1000"},
		{"a hundred thousand domains", func(c *c) { c.DnsDomains = make([]string, 100_000) }, "they name 100000 domains; 100 are allowed", "Sie nennen 100000 Domänen; erlaubt sind 100"},
		{"a gateway whose name clears the screen", func(c *c) { c.GatewayName = "\x1b[2J" },
			"the gateway's name contains characters that are not allowed, or is too long", "Der Name des Zugangsservers enthält unzulässige Zeichen oder ist zu lang"},
		{"a network at home that is closed to a split tunnel", func(c *c) { c.LocalNetworksDenied = true },
			"they close the network that the laptop is in", "Sie sperren das Netz, in dem der Laptop ist"},
		{"nothing at all", func(c *c) { c.Reset() }, "they have 0 addresses, not one or two", "Sie enthalten 0 Adressen statt einer oder zwei"},
	} {
		t.Run(line.name, func(t *testing.T) {
			t.Parallel()
			script := func(p *paperPlane) {
				p.way = 10 * time.Millisecond
				p.answer = func(m *heimdrahtv1.AttachRequest) *heimdrahtv1.AttachResponse {
					if m.GetOpen() == nil {
						return nil
					}
					order := openedOnPaper("s-1", false)
					line.spoil(order.GetOpened().Configuration)
					return order
				}
			}
			onPaper(t, script, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel) {
				var log bytes.Buffer
				e.log = slog.New(slog.NewTextHandler(&log, nil))
				if err := e.Up(t.Context()); !isProblem(err, control.CodeConfigRefused) {
					t.Errorf("up: %v", err)
				}
				pass(24 * time.Hour)
				english, german := e.Status("en"), e.Status("de")
				if english.State != Refused || !strings.Contains(english.Sentence, line.english) || !strings.Contains(german.Sentence, line.german) || english.Next == "" {
					t.Errorf("told %s\n%s", english.Sentence, german.Sentence)
				}
				if written := log.String(); !strings.Contains(strings.ReplaceAll(written, `\`, ""), strings.ReplaceAll(line.english, `\`, "")) || strings.Count(written, "\n") != 1 {
					t.Errorf("logged %s", written)
				}
				if tunnel.installs != 0 || len(p.openings) != 1 || !slices.Equal(p.closings, []string{"s-1"}) {
					t.Errorf("%d installs, %d openings, given back: %v", tunnel.installs, len(p.openings), p.closings)
				}
			})
		})
	}
}
