package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/gateway"
	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	plane "github.com/heimdraht/heimdraht/provisioner/app"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// phone is a WireGuard app that was given a file.
type phone struct{ device *wireguard.Device }

// openPhone reads a file as wg-quick would, and knows nothing else.
func openPhone(t *testing.T, file string) phone {
	t.Helper()
	f, err := os.Open(file)
	check(t, err)
	defer f.Close()
	values := make(map[string]string)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), " = "); ok {
			values[key] = value
		}
	}
	private, err := wireguard.ParsePrivateKey(values["PrivateKey"])
	check(t, err)
	public, err := wireguard.ParseKey(values["PublicKey"])
	check(t, err)
	preshared, err := wireguard.ParsePrivateKey(values["PresharedKey"]) // is as long
	check(t, err)
	options := wireguard.Options{Mode: wireguard.Netstack, PrivateKey: private, Source: netip.MustParseAddr("127.0.0.1"), SmallFootprint: true}
	for _, p := range prefixesOf(t, values["Address"]) {
		options.Addresses = append(options.Addresses, p.Addr())
	}
	device, err := wireguard.Open(t.Context(), options)
	check(t, err)
	t.Cleanup(func() { check(t, device.Close()) })
	keepalive, err := strconv.Atoi(values["PersistentKeepalive"])
	check(t, err)
	check(t, device.Apply(t.Context(), wireguard.Readd(wireguard.Peer{
		PublicKey: public, PresharedKey: wireguard.PresharedKey(preshared), AllowedIPs: prefixesOf(t, values["AllowedIPs"]),
		Endpoint: netip.MustParseAddrPort(values["Endpoint"]), Keepalive: time.Duration(keepalive) * time.Second,
	})))
	return phone{device}
}

func prefixesOf(t *testing.T, list string) (out []netip.Prefix) {
	t.Helper()
	for _, s := range strings.Split(list, ", ") {
		p, err := netip.ParsePrefix(s)
		check(t, err)
		out = append(out, p)
	}
	return out
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reaches says whether the gateway's inside address answers through the tunnel.
func (p phone) reaches(t *testing.T, within time.Duration) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for ctx.Err() == nil {
		once, done := context.WithTimeout(ctx, time.Second)
		conn, err := p.device.Net().DialContext(once, "tcp", "10.80.0.1:80")
		done()
		if err == nil {
			check(t, conn.Close())
			return true
		}
	}
	return false
}

// program runs the command line as somebody who is signed in.
func program(t *testing.T, s *provisionertest.Server, args ...string) (status int, out string) {
	t.Helper()
	dir := t.TempDir()
	env := func(name string) string {
		return map[string]string{"XDG_CONFIG_HOME": dir, "LANG": "en_GB.UTF-8"}[name]
	}
	check(t, (&app{world: world{env: env}}).keep(credentials{
		Servers: []string{s.Address()}, CASHA256: s.Fingerprint(), Token: s.Operator, ExpiresAt: time.Now().Add(time.Hour),
	}))
	file, err := os.Create(filepath.Join(dir, "out"))
	check(t, err)
	defer file.Close()
	status = run(t.Context(), args, world{in: os.Stdin, out: file, err: file, env: env})
	said, err := os.ReadFile(file.Name())
	check(t, err)
	return status, string(said)
}

// startGateway joins a gateway with real tunnels, on whose inside address somebody
// answers.
func startGateway(t *testing.T, s *provisionertest.Server) {
	t.Helper()
	token, err := heimdrahtv1.NewAdminServiceClient(s.Dial(nil)).CreateGatewayToken(
		provisionertest.As(t.Context(), s.Operator), &heimdrahtv1.CreateGatewayTokenRequest{Gateway: "gw1"})
	check(t, err)
	address, err := control.ParseAddress(s.Address() + "#" + s.Fingerprint())
	check(t, err)
	dir, err := state.Open(t.TempDir() + "/state")
	check(t, err)
	t.Cleanup(func() { check(t, dir.Close()) })
	_, err = gateway.Join(t.Context(), gateway.JoinOptions{Address: address, Token: token.GetToken(), State: dir, Version: "test"})
	check(t, err)
	devices := make(chan *wireguard.Device, 1)
	g, err := gateway.New(gateway.Options{
		State: dir, Version: "test", Logger: slog.New(slog.DiscardHandler),
		Open: gateway.Netstack{
			Listen: netip.MustParseAddr("127.0.0.1"), Change: func(o *wireguard.Options) { o.SmallFootprint = true },
			Opened: func(d *wireguard.Device) { devices <- d },
		}.Open,
	})
	check(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	inside, err := (<-devices).Net().ListenTCP(netip.MustParseAddrPort("10.80.0.1:80"))
	check(t, err)
	go func() {
		for {
			conn, err := inside.Accept()
			if err != nil {
				return // the device has ended
			}
			_ = conn.Close() // whoever called has seen enough
		}
	}()
}

// freeUDP is a port on which a gateway can listen.
func freeUDP(t *testing.T) string {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	check(t, err)
	address := conn.LocalAddr().String()
	check(t, conn.Close())
	return address
}

// fromBackup puts a backup of now in the place of the database.
func fromBackup(t *testing.T, s *provisionertest.Server) {
	t.Helper()
	backup := filepath.Join(t.TempDir(), "backup")
	_, err := plane.WriteBackup(t.Context(), s.Config, backup, func(int, int) {})
	check(t, err)
	s.Stop()
	_, err = plane.RestoreBackup(t.Context(), s.Config, plane.RestoreRequest{From: backup, Replace: true})
	check(t, err)
	s.Run()
	token, _, err := s.App.NewOperatorToken(t.Context())
	check(t, err)
	s.Redeem(token)
}

// The whole way of a phone: the file that the command wrote, and nothing else, leads
// through a real tunnel; what the helpdesk takes and gives back holds for it too, and
// a control plane that starts anew, or from a backup, changes nothing.
func TestAPhoneComesInWithItsFileAlone(t *testing.T) {
	d := provisionertest.Declaration()
	d.GetGateways()[0].Endpoint = freeUDP(t)
	s := provisionertest.StartWith(t, provisionertest.Options{Declaration: d})
	startGateway(t, s)
	s.Enrol(provisionertest.Staff, "SN1") // so that she is known
	found, err := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil)).FindPeople(provisionertest.As(t.Context(), s.Operator), &heimdrahtv1.FindPeopleRequest{Query: provisionertest.Staff})
	if err != nil || len(found.GetPeople()) != 1 {
		t.Fatal(found, err)
	}
	person, file := found.GetPeople()[0].GetPersonId(), filepath.Join(t.TempDir(), "phone.conf")
	until := time.Now().AddDate(0, 1, 0).Format(time.DateOnly)
	var made struct {
		DeviceID string `json:"device_id"`
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		status, out := program(t, s, "device", "static", person, "--until", until, "--reason", "phone", "--config-file", file, "-o", "json")
		if status == exitDone {
			check(t, json.Unmarshal([]byte(out), &made))
			break
		}
		if !strings.Contains(out, "no-gateway") || time.Now().After(deadline) { // which has not been heard yet
			t.Fatal(status, out)
		}
	}
	p := openPhone(t, file)
	if !p.reaches(t, 20*time.Second) {
		t.Fatal("the file leads nowhere")
	}
	text, err := os.ReadFile(file)
	check(t, err)
	private := strings.TrimPrefix(strings.Split(string(text), "\n")[2], "PrivateKey = ")
	if db, err := os.ReadFile(s.Config.Database); err != nil || len(private) != 44 || strings.Contains(string(db), private) {
		t.Error("the private key is in the database, or is none: ", err)
	}

	for _, step := range []struct {
		command string
		reaches bool
	}{{"suspend", false}, {"restore", true}, {"stop", true}, {"backup", true}, {"revoke", false}} {
		if step.command == "stop" {
			s.Stop()
			s.Run()
		} else if step.command == "backup" {
			fromBackup(t, s)
		} else if status, out := program(t, s, "device", step.command, made.DeviceID, "--reason", "test"); status != exitDone {
			t.Fatal(step.command, status, out)
		}
		within := 20 * time.Second
		if !step.reaches {
			within = 2 * time.Second // confirmed: gone already
		}
		if p.reaches(t, within) != step.reaches {
			t.Errorf("after %s: %v", step.command, !step.reaches)
		}
	}
}
