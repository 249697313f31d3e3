package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

const (
	// patience is how long a slow machine may take for what takes a fast one
	// milliseconds.
	patience = 60 * time.Second
	// dead is how soon after the helpdesk's command nothing may pass any more.
	dead = time.Second
	// back is how soon traffic must pass a gateway that was started again. It
	// knows from its journal where the laptops are and calls them; one that did
	// not would wait for theirs, and WireGuard lets them wait for 15 s.
	back = 10 * time.Second
)

// TestTown plays the main job on real machines. Each scene stands on those
// before it.
func TestTown(t *testing.T) {
	w := newTown(t)
	w.lap1.before, w.lap2.before = w.lap1.network(t), w.lap2.network(t)
	for _, scene := range []struct {
		name string
		play func(*testing.T)
	}{
		{"control plane: init, check, run", w.beginControlPlane},
		{"control plane: says what is wrong with its machine", w.refuseToServe},
		{"operator: token, tenant file", w.beginTenant},
		{"gateway: token, join, run", w.beginGateway},
		{"laptops: refused at the door", w.refuseAtTheDoor},
		{"laptops: enrol and connect", w.connectLaptops},
		{"traffic: IPv4 and IPv6, both ways", w.carryTraffic},
		{"traffic: names", w.resolveNames},
		{"seats: sessions and concurrency", w.countSeats},
		{"control plane killed and back", w.killControlPlane},
		{"gateway killed and back, control plane away", w.killGateway},
		{"gateway stopped and back", w.stopGateway},
		{"revoked: dead within a second", w.revoke},
		{"revoked: dead also if the laptop hears nothing", w.revokeDeaf},
		{"revoked: a gateway that does not answer is named", w.revokeUnconfirmed},
		{"down: the network as before", w.goDown},
	} {
		if !t.Run(scene.name, scene.play) {
			t.Fatalf("%q failed, and the scenes after it stand on it", scene.name)
		}
	}
}

func (w *town) beginControlPlane(t *testing.T) {
	w.slapd = slapdtest.Start(w.t, slapdtest.Options{People: 20})
	report := w.hq.run(t, "heimdrahtd", "init", "--name", controlName, "--token-file", "/run/operator.token")
	fingerprint := regexp.MustCompile(`[0-9a-f]{64}`).FindString(report)
	if fingerprint == "" {
		t.Fatal("init says no fingerprint")
	}
	w.address = controlName + "#" + fingerprint
	w.hq.run(t, "heimdrahtd", "check")
	w.runControlPlane(t)
}

// refuseToServe tries machines that cannot work. None of it harms the control
// plane that runs.
func (w *town) refuseToServe(t *testing.T) {
	const configuration = "/etc/heimdraht/heimdrahtd.yaml"
	w.hq.run(t, "heimdrahtd", "init", "--config", "/run/second.yaml", "--name", controlName, "--state-dir", "/var/lib/second",
		"--master-key", "/run/second.key", "--token-file", "/run/second.token")
	w.hq.write(t, "/run/typo.yaml", w.hq.read(t, configuration)+"\nlisten_on: :8443\n", 0o644)
	w.hq.write(t, "/run/keyless.yaml", strings.ReplaceAll(w.hq.read(t, configuration), "/etc/heimdraht/master.key", "/run/no.key"), 0o644)
	w.hq.write(t, "/run/nowhere.yaml", strings.ReplaceAll(w.hq.read(t, configuration), "/var/lib/heimdraht", "/proc/nowhere"), 0o644)
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"twice on one database":        {[]string{"run"}, "another heimdrahtd"},
		"a port in use":                {[]string{"run", "--config", "/run/second.yaml"}, "Another program uses the port"},
		"a key that nobody knows":      {[]string{"run", "--config", "/run/typo.yaml"}, "/run/typo.yaml:"},
		"no master key":                {[]string{"run", "--config", "/run/keyless.yaml"}, "/run/no.key"},
		"nowhere to write":             {[]string{"run", "--config", "/run/nowhere.yaml"}, "/proc/nowhere"},
		"check, without a master key":  {[]string{"check", "--config", "/run/keyless.yaml"}, "/run/no.key"},
		"init, where all is there":     {[]string{"init", "--name", controlName}, configuration},
		"init, without anybody to ask": {[]string{"init", "--config", "/run/new.yaml"}, "--name"},
	} {
		if r := w.hq.try(t, "", append([]string{"heimdrahtd"}, c.args...)...); r.code != 1 || !strings.Contains(r.stdout+r.stderr, c.says) {
			t.Errorf("%s: want exit 1 and %q:\n%v", name, c.says, r)
		}
	}
	if w.control.stopped() == nil {
		t.Error("the control plane that ran has ended")
	}
}

func (w *town) runControlPlane(t *testing.T) {
	t.Helper()
	w.control = w.hq.start(t, "heimdrahtd", "run")
	eventually(t, patience, "the control plane listens", func() error {
		select {
		case <-w.control.done:
			t.Fatalf("it ended:\n%s", w.control.out.tail(20))
		default:
		}
		c, err := w.hq.dial(t.Context(), "tcp", hqAddress+":8443")
		if err == nil {
			c.Close()
		}
		return err
	})
}

// tenantFile is what the town declares.
const tenantFile = `directories:
- name: stadt-ldap
  servers: [%[1]q]
  ca_file: ldap-ca.pem
  bind: {dn: %[2]q, password_file: /etc/heimdraht/ldap.pw}
  base: %[3]q
tenants:
- name: stadt
  display_name: Stadt Beispiel
  land: HE
  directory: stadt-ldap
  mail_domains: [stadt.example]
  staff_group: %[4]q
  roles: {helpdesk: %[5]q}
  policy: {devices_per_person: 2, tunnel: split, dns: {servers: ["10.1.0.53"], domains: [stadt.example]}}
  networks: [{group: all, allow: ["10.1.0.0/16", "fd00:1::/64"]}]
licence_pools:
- {name: vpn, model: concurrent, seats: 10, burst: 0, from: 2026-01-01, until: 2099-12-31, tenants: {stadt: {guarantee: 5}}}
gateways:
- {name: gw1, endpoint: "vpn1.stadt.example:51820", sessions: 100, aggregate: {v4: 10.80.0.0/16, v6: "fd80:1::/48"}, tenants: [stadt]}
`

func (w *town) beginTenant(t *testing.T) {
	w.hq.run(t, "heimdraht", "login", w.address, "--token-file", "/run/operator.token")
	w.refused(t, "token-invalid", w.hq.try(t, "", "heimdraht", "login", w.address, "--token-file", "/run/operator.token"))
	// Whoever was signed in stays so when a later attempt is refused.
	w.hq.run(t, "heimdraht", "whoami")

	w.hq.write(t, "/etc/heimdraht/ldap.pw", slapdtest.ServicePassword+"\n", 0o600)
	w.hq.write(t, "/etc/heimdraht/ldap-ca.pem", string(w.slapd.CAPEM), 0o644)
	w.hq.write(t, "/etc/heimdraht/stadt.yaml", fmt.Sprintf(tenantFile, w.slapd.LDAPS, slapdtest.ServiceDN, slapdtest.PeopleBase, slapdtest.StaffGroup, slapdtest.Helpdesk), 0o644)
	apply := []string{"heimdraht", "apply", "-f", "/etc/heimdraht/stadt.yaml", "-o", "json"}
	var first, second struct {
		Differences []json.RawMessage `json:"differences"`
	}
	w.hq.json(t, &first, append(apply, "--dry-run")...)
	w.hq.json(t, &first, apply...)
	w.hq.json(t, &second, apply...)
	if len(first.Differences) == 0 || len(second.Differences) != 0 {
		t.Errorf("applying makes %d differences, applying again %d; want some, and none", len(first.Differences), len(second.Differences))
	}
	// Also the directory is asked now, and found well; the gateway comes next.
	if r := w.hq.try(t, "", "heimdrahtd", "check"); r.code != 1 || strings.Count(r.stdout, "WRONG") != 1 || !strings.Contains(r.stdout, "has not joined") {
		t.Errorf("want nothing wrong but that the gateway has not joined:\n%v", r)
	}
}

func (w *town) beginGateway(t *testing.T) {
	token := w.hq.run(t, "heimdraht", "gateway", "token", "gw1")
	w.gw.write(t, "/run/join.token", token, 0o600)
	join := func(address string) result {
		return w.gw.try(t, "", "heimdraht-gateway", "join", address, "--token-file", "/run/join.token")
	}
	w.refused(t, "wrong-pin", join(wrongPin(w.address)))
	// The wrong pin has not cost the token: nothing was sent.
	if r := join(w.address); r.code != 0 {
		t.Fatalf("joining: %v", r)
	}
	w.gw.run(t, "cp", "-a", "/var/lib/heimdraht-gateway", "/run/kept")
	w.gw.run(t, "rm", "-r", "/var/lib/heimdraht-gateway")
	w.refused(t, "token-invalid", join(w.address))
	w.gw.run(t, "rm", "-rf", "/var/lib/heimdraht-gateway")
	w.gw.run(t, "mv", "/run/kept", "/var/lib/heimdraht-gateway")
	w.runGateway(t)
	w.gatewayConnected(t)
	w.hq.run(t, "heimdrahtd", "check")
}

func (w *town) runGateway(t *testing.T) {
	t.Helper()
	w.gateway = w.gw.start(t, "heimdraht-gateway", "run")
}

// gatewayConnected waits until the control plane says so.
func (w *town) gatewayConnected(t *testing.T) {
	t.Helper()
	eventually(t, patience, "the control plane sees the gateway", func() error {
		out, err := w.hq.command(t.Context(), "heimdraht", "gateway", "list", "-o", "json").Output()
		if err != nil {
			return err
		}
		var all struct {
			Gateways []struct {
				Connected bool `json:"connected"`
				Behind    int  `json:"behind"`
			} `json:"gateways"`
		}
		if err := json.Unmarshal(out, &all); err != nil {
			return err
		}
		if len(all.Gateways) != 1 || !all.Gateways[0].Connected || all.Gateways[0].Behind != 0 {
			return fmt.Errorf("it says %s", out)
		}
		return nil
	})
}

// refuseAtTheDoor tries what must not work. Each costs a wrong answer at most.
func (w *town) refuseAtTheDoor(t *testing.T) {
	w.lap1.startAgent(t)
	w.lap2.startAgent(t)
	login, password := slapdtest.Person(w.lap1.person)
	w.refused(t, "wrong-pin", w.lap1.enrol(t, wrongPin(w.address), login, password))
	w.refused(t, "sign-in-failed", w.lap1.enrol(t, w.address, login, "falsch"))
	w.refused(t, "sign-in-failed", w.lap1.enrol(t, w.address, "niemand", password))
	outside := "draussen"
	w.refused(t, "not-in-group", w.lap1.enrol(t, w.address, outside, "draussen-passwort"))
	if s, err := w.lap1.status(t); err != nil || s.State != "not-enrolled" {
		t.Errorf("after refusals the laptop is %+v, %v; want not-enrolled", s, err)
	}
}

// refused demands a refusal: exit 1, the code in brackets, a sentence and a
// next step before it, and no secret.
func (w *town) refused(t *testing.T, code string, r result) {
	t.Helper()
	if r.code != 1 || !strings.Contains(r.stderr, "("+code+")") {
		t.Errorf("want exit 1 and (%s):\n%v", code, r)
	}
	if lines := strings.Count(strings.TrimSpace(r.stderr), "\n"); lines < 2 {
		t.Errorf("want a sentence, a next step and the code:\n%v", r)
	}
}

// wrongPin changes the last digit of a fingerprint.
func wrongPin(address string) string {
	last := "0"
	if strings.HasSuffix(address, "0") {
		last = "1"
	}
	return address[:len(address)-1] + last
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
			// And in: the intranet finds the laptop, by ping and by TCP.
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
}

// sessions are the open ones, by device.
func (w *town) sessions(t *testing.T) map[string]session {
	t.Helper()
	var answer struct {
		Sessions []session `json:"sessions"`
	}
	w.hq.json(t, &answer, "heimdraht", "sessions", "-o", "json")
	all := map[string]session{}
	for _, s := range answer.Sessions {
		all[s.Device] = s
	}
	if len(all) != len(answer.Sessions) {
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

// takeAway revokes a device as the helpdesk does and demands that its traffic
// was dead within the limit, measured from before the command began.
func (w *town) takeAway(t *testing.T, l *laptop) {
	t.Helper()
	st := l.is(t, "connected")
	own := st.address(t, true)
	s := beginStream(t, l.machine, intranetV4)
	other := beginStream(t, w.lap2.machine, intranetV4)
	begin := time.Now()
	out := w.hq.run(t, "heimdraht", "device", "revoke", st.DeviceID, "--reason", "Laptop verloren")
	took := time.Since(begin)
	if !regexp.MustCompile(`gw1 confirmed after \d+ ms`).MatchString(out) {
		t.Errorf("no proof: %q", out)
	}
	// The stream goes on sending all the while, also what follows.
	throughout(t, 3*time.Second, "after the confirmation nothing arrives", func() error {
		if late := w.intra.lastFrom(own).Sub(begin); late > dead {
			return fmt.Errorf("a packet arrived %v after the command began", late)
		}
		if late := s.last().Sub(begin); late > dead {
			return fmt.Errorf("an answer came back %v after the command began", late)
		}
		return other.flowing(time.Now().Add(-time.Second))
	})
	if page(t.Context(), l.machine, intranetV6) == nil {
		t.Error("the page can still be had over IPv6")
	}
	t.Logf("the command took %v; the last packet arrived %v after it began",
		took.Round(time.Millisecond), w.intra.lastFrom(own).Sub(begin).Round(time.Millisecond))
	if gap := other.longestGap(begin); gap >= time.Second {
		t.Errorf("the other laptop was silent for %v", gap)
	}
}

func (w *town) revoke(t *testing.T) {
	w.takeAway(t, w.lap1)
	st := w.lap1.is(t, "refused")
	if st.Code != "device-revoked" || st.Sentence == "" || st.Next == "" {
		t.Errorf("the status says %+v; want device-revoked in words", st)
	}
	r := w.lap1.try(t, "", "heimdraht-agent", "status")
	if r.code != 0 || !strings.Contains(r.stdout, "This laptop's access has been ended.\n") {
		t.Errorf("want exit 0, because a status is an answer, and the plain sentence:\n%v", r)
	}
	w.refused(t, "device-revoked", w.lap1.try(t, "", "heimdraht-agent", "up"))
	if diff := cmp.Diff(w.lap1.before, w.lap1.network(t)); diff != "" {
		t.Errorf("what the tunnel left behind (-before +after):\n%s", diff)
	}
	if seats, carried := w.held(t); seats != 1 || carried != 1 {
		t.Errorf("%d seats, %d sessions on the gateway; want 1 and 1", seats, carried)
	}
}

// revokeDeaf cuts the laptop off from the control plane first: the gateway
// alone must end it.
func (w *town) revokeDeaf(t *testing.T) {
	w.lap1.comeIn(t, w.address) // anew, with new keys
	w.lap1.ip(t, "route", "add", "blackhole", hqAddress)
	w.takeAway(t, w.lap1)
	w.lap1.ip(t, "route", "delete", "blackhole", hqAddress)
	if st := w.lap1.is(t, "refused"); st.Code != "device-revoked" {
		t.Errorf("the status says %+v; want device-revoked", st)
	}
}

// revokeUnconfirmed stops the gateway's process, so that it can confirm
// nothing, and lets it go on.
func (w *town) revokeUnconfirmed(t *testing.T) {
	st := w.lap1.comeIn(t, w.address)
	revoke := []string{"heimdraht", "device", "revoke", st.DeviceID, "--reason", "Laptop verloren"}
	if err := w.gateway.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r := w.hq.try(t, "", append(revoke, "--wait", "500ms")...)
	if r.code != 1 || !strings.Contains(r.stdout, "gw1 has not confirmed; cut off, it takes the access away by ") || !strings.Contains(r.stderr, "(not-confirmed)") {
		t.Errorf("want exit 1, and the gateway named with the end of its grace:\n%v", r)
	}
	if err := w.gateway.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	// Once more only waits once more, if that is still needed.
	out := w.hq.run(t, append(revoke, "--wait", "30s")...)
	if !strings.Contains(out, "gw1 confirmed after ") && !strings.Contains(out, "No gateway holds the access any more.") {
		t.Errorf("no proof: %q", out)
	}
	if page(t.Context(), w.lap1.machine, intranetV4) == nil {
		t.Error("the page can still be had")
	}
}

func (w *town) goDown(t *testing.T) {
	w.lap2.is(t, "connected")
	w.lap2.run(t, "heimdraht-agent", "down")
	w.lap2.is(t, "disconnected")
	if diff := cmp.Diff(w.lap2.before, w.lap2.network(t)); diff != "" {
		t.Errorf("what the tunnel left behind (-before +after):\n%s", diff)
	}
	if got := w.sessions(t); len(got) != 0 {
		t.Errorf("sessions are open: %+v", got)
	}
	if seats, carried := w.held(t); seats != 0 || carried != 0 {
		t.Errorf("%d seats, %d sessions on the gateway; want none", seats, carried)
	}
	// What was written on the way holds no secret.
	_, password := slapdtest.Person(w.lap1.person)
	for _, p := range []*process{w.control, w.gateway, w.lap1.agent, w.lap2.agent} {
		if said := p.out.String(); strings.Contains(said, password) || strings.Contains(said, slapdtest.ServicePassword) {
			t.Errorf("%s wrote a password into its log", p.name)
		}
	}
}

// json runs a command and reads its answer.
func (m *machine) json(t *testing.T, into any, args ...string) {
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
