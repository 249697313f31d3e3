package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	gw2Address = "203.0.113.21"
	// elsewhere is how soon laptops must be on another gateway. The rule is ten seconds, which a test of the laptop in
	// its own time holds exactly; here a machine that is slow gets some more.
	elsewhere = 15 * time.Second
)

// fleetFile is what the town declares besides: a second gateway, to which people go when the first has no room.
const fleetFile = `- {name: gw2, endpoint: "` + gw2Address + `:51820", sessions: 100, weight: 10, throughput: 1Gbit, aggregate: {v4: 10.81.0.0/16}, tenants: [stadt]}
`

// fleet is a town with two gateways.
type fleet struct {
	*town
	gw2     *machine
	second  *process  // heimdraht-gateway on it
	laptops []*laptop // one at which somebody works, and one at which nobody does
}

// TestFleet plays what becomes of people when one of two gateways is cut off, dies, or is to be empty.
func TestFleet(t *testing.T) {
	f := &fleet{town: newTown(t), gw2: newMachine(t, "gw2")}
	f.laptops = []*laptop{f.lap1, f.lap2}
	f.wire(f.gw2, "eth0", f.inet, "gw2")
	f.inet.ip(t, "link", "set", "gw2", "master", "br0")
	f.gw2.ip(t, "address", "add", gw2Address+"/24", "dev", "eth0")
	f.gw2.write(t, "/etc/hosts", fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", hqAddress, controlName), 0o644)
	f.wire(f.gw2, "eth1", f.intra.machine, "eth1")
	f.gw2.ip(t, "address", "add", "10.2.0.1/30", "dev", "eth1")
	f.gw2.ip(t, "route", "add", "10.1.0.0/16", "via", "10.2.0.2")
	f.intra.ip(t, "address", "add", "10.2.0.2/30", "dev", "eth1")
	f.intra.ip(t, "route", "add", "10.81.0.0/16", "via", "10.2.0.1")
	for _, scene := range []struct {
		name string
		play func(*testing.T)
	}{
		{"two gateways, and everybody on the better one", f.begin},
		{"cut off from the control plane: everybody stays", f.cutOff},
		{"dead: everybody is on the other one", f.kill},
		{"drained: everybody goes back, and it is empty", f.drain},
		{"drained by lunch: what is connected lives on beside", f.drainBeside},
		{"at the deadline it ends", f.deadline},
		{"killed with two sessions: nothing is left behind", f.killAgent},
		{"killed in the middle of a move, and revoked: both gateways confirm", f.revokeBoth},
	} {
		if !t.Run(scene.name, scene.play) {
			t.Fatalf("%q failed, and the scenes after it stand on it", scene.name)
		}
	}
}

func (f *fleet) begin(t *testing.T) {
	f.beginControlPlane(t)
	f.beginTenant(t)
	f.hq.write(t, "/etc/heimdraht/stadt.yaml", f.hq.read(t, "/etc/heimdraht/stadt.yaml")+fleetFile, 0o644)
	f.hq.run(t, "heimdraht", "apply", "-f", "/etc/heimdraht/stadt.yaml")
	for name, m := range map[string]*machine{"gw1": f.gw, "gw2": f.gw2} {
		m.write(t, "/run/join.token", f.hq.run(t, "heimdraht", "gateway", "token", name), 0o600)
		m.run(t, "heimdraht-gateway", "join", f.address, "--token-file", "/run/join.token")
	}
	f.runGateway(t)
	f.second = f.gw2.start(t, "heimdraht-gateway", "run")
	f.areConnected(t, "gw1", "gw2")
	for _, l := range f.laptops {
		l.before = l.network(t)
		l.startAgent(t)
		l.comeIn(t, f.address)
		f.isOn(t, l, "gw1", patience)
	}
}

// areConnected waits until the control plane hears exactly these gateways.
func (f *fleet) areConnected(t *testing.T, names ...string) {
	t.Helper()
	eventually(t, patience, "the control plane hears "+strings.Join(names, " and "), func() error {
		out, err := f.hq.command(t.Context(), "heimdraht", "gateway", "list", "-o", "json").Output()
		if err != nil {
			return err
		}
		var all struct {
			Gateways []struct {
				Name      string `json:"name"`
				Connected bool   `json:"connected"`
			} `json:"gateways"`
		}
		if err := json.Unmarshal(out, &all); err != nil {
			return err
		}
		var heard []string
		for _, g := range all.Gateways {
			if g.Connected {
				heard = append(heard, g.Name)
			}
		}
		if strings.Join(heard, " ") != strings.Join(names, " ") {
			return fmt.Errorf("it hears %q", heard)
		}
		return nil
	})
}

// isOn waits until a laptop is connected over a gateway, and its traffic passes.
func (f *fleet) isOn(t *testing.T, l *laptop, gateway string, within time.Duration) {
	t.Helper()
	eventually(t, within, l.name+" is on "+gateway, func() error {
		if s, err := l.status(t); err != nil || s.Gateway != gateway || s.State != "connected" {
			return fmt.Errorf("it says %+v, %w", s, err)
		}
		return page(t.Context(), l.machine, intranetV4)
	})
}

// cutOff takes the gateway's way to the control plane, and nothing else.
func (f *fleet) cutOff(t *testing.T) {
	before := f.sessions(t)
	s := beginStream(t, f.lap1.machine, intranetV4)
	f.gw.ip(t, "route", "add", "blackhole", hqAddress)
	f.areConnected(t, "gw2")
	throughout(t, 8*time.Second, "traffic over a gateway that is cut off", func() error { return s.flowing(time.Now().Add(-time.Second)) })
	for _, l := range f.laptops {
		f.isOn(t, l, "gw1", patience)
	}
	f.gw.ip(t, "route", "delete", "blackhole", hqAddress)
	f.areConnected(t, "gw1", "gw2")
	for device, was := range before {
		if now := f.sessions(t)[device]; now.ID != was.ID {
			t.Errorf("device %s has another session, on %s", device, now.Gateway)
		}
	}
}

// kill takes power and line from a gateway at once.
func (f *fleet) kill(t *testing.T) {
	beginStream(t, f.lap1.machine, intranetV4) // somebody works there
	f.gw.ip(t, "link", "set", "eth0", "down")
	f.gateway.end(syscall.SIGKILL)
	died := time.Now()
	for _, l := range f.laptops {
		f.isOn(t, l, "gw2", elsewhere-time.Since(died))
		t.Logf("%s: traffic was back after %v", l.name, time.Since(died).Round(time.Millisecond))
	}
	if seats := len(f.sessions(t)); seats != len(f.laptops) {
		t.Errorf("%d sessions", seats)
	}
	f.gw.ip(t, "link", "set", "eth0", "up")
	f.gw.ip(t, "route", "add", "default", "via", homeRouter)
	f.runGateway(t)
	f.areConnected(t, "gw1", "gw2")
}

// drain empties the gateway at once, and the command says when that is done.
func (f *fleet) drain(t *testing.T) {
	begin := time.Now()
	if out := f.hq.run(t, "heimdraht", "gateway", "drain", "gw2", "--deadline", "0s", "--wait", "--reason", "new disks"); !strings.Contains(out, "empty") {
		t.Errorf("it says %s", out)
	}
	t.Logf("it was empty after %v", time.Since(begin).Round(time.Millisecond))
	for _, l := range f.laptops {
		f.isOn(t, l, "gw1", elsewhere)
	}
	f.hq.run(t, "heimdraht", "gateway", "undrain", "gw2", "--reason", "they are in")
	if out := f.hq.run(t, "heimdraht", "gateway", "show", "gw2"); strings.Contains(out, "draining") || !strings.Contains(out, "connected") {
		t.Errorf("afterwards it says %s", out)
	}
	if out := f.hq.run(t, "heimdraht", "audit", "list"); !strings.Contains(out, "drain gateway") || !strings.Contains(out, "new disks") {
		t.Errorf("the audit log says %s", out)
	}
}
