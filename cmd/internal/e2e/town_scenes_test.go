package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	// patience is how long a slow machine may take for what takes a fast one
	// milliseconds.
	patience = 60 * time.Second
	// dead is how soon after the control plane took the helpdesk's command the
	// gateway must have confirmed that nothing passes any more.
	dead = time.Second
	// inFlight is what a packet that passed before may take, on a busy machine,
	// until the test has read it.
	inFlight = 250 * time.Millisecond
	// back is how soon traffic must pass a gateway that was started again. It
	// knows from its journal where the laptops are and calls them; one that did
	// not would wait for theirs, and WireGuard lets them wait for 15 s.
	back = 10 * time.Second
)

// scene is what benchmarks play too.
func scene(play func(testing.TB)) func(*testing.T) { return func(t *testing.T) { play(t) } }

// TestTown plays the main job on real machines. Each scene stands on those
// before it.
func TestTown(t *testing.T) {
	w := newTown(t)
	w.lap1.before, w.lap2.before = w.lap1.network(t), w.lap2.network(t)
	for _, v := range []struct {
		name string
		play func(*testing.T)
	}{
		{"control plane: init, check, run", scene(w.beginControlPlane)},
		{"control plane: says what is wrong with its machine", w.refuseToServe},
		{"operator: token, tenant file", scene(w.beginTenant)},
		{"gateway: token, join, run", scene(w.beginGateway)},
		{"laptops: refused at the door", w.refuseAtTheDoor},
		{"laptops: enrol and connect", w.connectLaptops},
		{"traffic: IPv4 and IPv6, both ways", w.carryTraffic},
		{"traffic: names", w.resolveNames},
		{"seats: sessions and concurrency", w.countSeats},
		{"control plane killed and back", w.killControlPlane},
		{"gateway killed and back, control plane away", w.killGateway},
		{"gateway stopped and back", w.stopGateway},
		{"laptop: back after its certificate has expired", w.comeBackLate},
		{"helpdesk: signs in, finds, may no more", w.signInHelpdesk},
		{"revoked: dead within a second", w.revoke},
		{"revoked: dead also if the laptop hears nothing", w.revokeDeaf},
		{"revoked: a gateway that does not answer is named", w.revokeUnconfirmed},
		{"down: the network as before", w.goDown},
	} {
		if !t.Run(v.name, v.play) {
			t.Fatalf("%q failed, and the scenes after it stand on it", v.name)
		}
	}
}

func (w *town) connectLaptops(t *testing.T) {
	one, two := w.lap1.comeIn(t, w.address), w.lap2.comeIn(t, w.address)
	if one.address(t, true) == two.address(t, true) || one.address(t, false) == two.address(t, false) {
		t.Errorf("two laptops with one address: %+v, %+v", one, two)
	}
	if one.Gateway != "gw1" || !one.Control {
		t.Errorf("the status says %+v; want gateway gw1, and the control plane connected", one)
	}
}

func (w *town) carryTraffic(t *testing.T) {
	for _, l := range []*laptop{w.lap1, w.lap2} {
		s := l.is(t, "connected")
		for _, family := range []struct {
			v4     bool
			inside string
		}{{true, intranetV4}, {false, intranetV6}} {
			// Out.
			eventually(t, patience, l.name+" gets the page of "+family.inside, func() error { return page(t.Context(), l.machine, family.inside) })
			// And in: who is among the callers finds the laptop, by ping and by TCP.
			own := s.address(t, family.v4).String()
			w.intra.run(t, "ping", "-c", "2", "-i", "0.2", "-W", "5", own)
			listener := l.listen(t, "tcp", net.JoinHostPort(own, "0"))
			c, err := w.intra.dial(t.Context(), "tcp", listener.Addr().String())
			if err != nil {
				t.Errorf("the intranet calls %s: %v", l.name, err)
				continue
			}
			c.Close()
		}
	}
}

// resolveNames asks as any program does, by resolv.conf.
func (w *town) resolveNames(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{intranetName, "intranet"} { // the short one by the search list
		for database, want := range map[string]string{"ahostsv4": intranetV4, "ahostsv6": intranetV6} {
			if out := w.lap1.run(t, "getent", database, name); !strings.Contains(out, want) {
				t.Errorf("%s is %q, want %s", name, out, want)
			}
		}
	}
	cmd := w.lap1.command(t.Context(), self, "http://"+intranetName+"/")
	cmd.Env = append(cmd.Env, roleVariable+"="+roleFetch)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), intranetPage) {
		t.Errorf("the page by name: %v, %q", err, out)
	}
}

// session is one of `heimdraht sessions -o json`.
type session struct {
	ID        string   `json:"session_id"`
	Device    string   `json:"device_id"`
	Gateway   string   `json:"gateway"`
	Addresses []string `json:"addresses"`
	Online    bool     `json:"online"`
	Leaving   bool     `json:"leaving"`
}

// sessions are the present ones, by device.
func (w *town) sessions(t *testing.T) map[string]session {
	t.Helper()
	var answer struct {
		Sessions []session `json:"sessions"`
	}
	w.hq.json(t, &answer, "heimdraht", "sessions", "-o", "json")
	all := map[string]session{}
	present := slices.DeleteFunc(answer.Sessions, func(s session) bool { return s.Leaving })
	for _, s := range present {
		all[s.Device] = s
	}
	if len(all) != len(present) {
		t.Errorf("a device has two sessions: %+v", answer.Sessions)
	}
	return all
}

// held is how many seats are taken, and how many sessions the gateway carries.
func (w *town) held(t *testing.T) (seats, carried int) {
	t.Helper()
	var answer struct {
		Pools []struct {
			Held int `json:"held"`
		} `json:"licence_pools"`
		Gateways []struct {
			Sessions int `json:"sessions"`
		} `json:"gateways"`
	}
	w.hq.json(t, &answer, "heimdraht", "concurrency", "-o", "json")
	if len(answer.Pools) != 1 || len(answer.Gateways) != 1 {
		t.Fatalf("want one pool and one gateway: %+v", answer)
	}
	return answer.Pools[0].Held, answer.Gateways[0].Sessions
}

func (w *town) countSeats(t *testing.T) {
	if got := len(w.sessions(t)); got != 2 {
		t.Errorf("%d sessions, want 2", got)
	}
	if seats, carried := w.held(t); seats != 2 || carried != 2 {
		t.Errorf("%d seats, %d sessions on the gateway; want 2 and 2", seats, carried)
	}
}

// killControlPlane shows that tunnels outlive it, and sessions too.
func (w *town) killControlPlane(t *testing.T) {
	before := w.sessions(t)
	s := beginStream(t, w.lap2.machine, intranetV4)
	begin := time.Now()
	w.control.end(syscall.SIGKILL)
	eventually(t, patience, "the laptop notices", func() error {
		if st, err := w.lap2.status(t); err != nil || st.Control || st.State != "connected" {
			return fmt.Errorf("it says %+v, %w", st, err)
		}
		return nil
	})
	throughout(t, 3*time.Second, "traffic without a control plane", func() error { return s.flowing(time.Now().Add(-time.Second)) })
	w.runControlPlane(t)
	for _, l := range []*laptop{w.lap1, w.lap2} {
		eventually(t, patience, l.name+" is back", func() error {
			if st, err := l.status(t); err != nil || !st.Control {
				return fmt.Errorf("it says %+v, %w", st, err)
			}
			return nil
		})
	}
	w.gatewayConnected(t)
	if gap := s.longestGap(begin); gap >= time.Second {
		t.Errorf("the longest silence was %v, want less than a second", gap)
	} else {
		t.Logf("the longest silence was %v", gap.Round(time.Millisecond))
	}
	if diff := cmp.Diff(before, w.sessions(t), cmpopts.IgnoreFields(session{}, "Online")); diff != "" {
		t.Errorf("the sessions after the restart (-before +after):\n%s", diff)
	}
	if seats, _ := w.held(t); seats != 2 {
		t.Errorf("%d seats are taken, want 2", seats)
	}
}

// killGateway shows the journal at work: nobody could tell the gateway its
// peers.
func (w *town) killGateway(t *testing.T) {
	// It looks where its peers are each half minute, and writes that down.
	eventually(t, 2*patience, "the journal knows where the laptop is", func() error {
		if journal := w.gw.read(t, "/var/lib/heimdraht-gateway/peers.journal"); !strings.Contains(journal, lap2Address) {
			return errors.New("it does not")
		}
		return nil
	})
	for device, s := range w.sessions(t) {
		if !s.Online {
			t.Errorf("device %s is not shown as online", device)
		}
	}
	w.control.end(syscall.SIGKILL)
	s := beginStream(t, w.lap2.machine, intranetV4)
	w.gateway.end(syscall.SIGKILL)
	killed := time.Now()
	w.runGateway(t)
	eventually(t, back, "traffic by the journal", func() error { return s.flowing(killed.Add(200 * time.Millisecond)) })
	t.Logf("traffic was back after %v", time.Since(killed).Round(time.Millisecond))
	w.runControlPlane(t)
	w.gatewayConnected(t)
}

func (w *town) stopGateway(t *testing.T) {
	s := beginStream(t, w.lap2.machine, intranetV6)
	w.gateway.end(syscall.SIGTERM)
	if code := w.gateway.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the gateway ends with %d when it is asked to, want 0", code)
	}
	stopped := time.Now()
	eventually(t, patience, "nothing passes a stopped gateway", func() error {
		if s.flowing(time.Now().Add(-300*time.Millisecond)) == nil {
			return errors.New("something still does")
		}
		return nil
	})
	if links := w.gw.ip(t, "-brief", "link"); strings.Contains(links, "hd0") {
		t.Errorf("the stopped gateway left its interface:\n%s", links)
	}
	w.runGateway(t)
	eventually(t, back, "traffic is back", func() error { return s.flowing(stopped.Add(300 * time.Millisecond)) })
	w.gatewayConnected(t)
}

// json runs a command and reads its answer.
func (m *machine) json(t testing.TB, into any, args ...string) {
	t.Helper()
	var said bytes.Buffer
	cmd := m.command(t.Context(), args...)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		t.Fatalf("%s: %s: %v\n%s%s", m.name, strings.Join(args, " "), err, out, &said)
	}
}
