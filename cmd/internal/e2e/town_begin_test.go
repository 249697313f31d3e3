package e2e_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

func (w *town) beginControlPlane(t testing.TB) {
	w.slapd = slapdtest.Start(w.t, slapdtest.Options{People: 20, Sync: true, SizeLimit: slapdtest.Unlimited})
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

func (w *town) runControlPlane(t testing.TB) {
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
  policy: {devices_per_person: 2, tunnel: split, dns: {servers: ["10.1.0.53"], domains: [stadt.example]}, callers: ["10.1.0.53/32", "fd00:1::53/128"]}
  networks: [{group: all, allow: ["10.1.0.0/16", "fd00:1::/64"]}]
licence_pools:
- {name: vpn, model: concurrent, seats: 10, burst: 0, from: 2026-01-01, until: 2099-12-31, tenants: {stadt: {guarantee: 5}}}
gateways:
- {name: gw1, endpoint: "vpn1.stadt.example:51820", sessions: 100, aggregate: {v4: 10.80.0.0/16, v6: "fd80:1::/48"}, tenants: [stadt]}
`

func (w *town) beginTenant(t testing.TB) {
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
	if r := w.hq.try(t, "", "heimdrahtd", "check"); r.code != 1 || strings.Count(r.stdout, "WRONG") != 1 || !strings.Contains(r.stdout, "(gateway-not-joined)") {
		t.Errorf("want nothing wrong but that the gateway has not joined:\n%v", r)
	}
}

func (w *town) beginGateway(t testing.TB) {
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

func (w *town) runGateway(t testing.TB) {
	t.Helper()
	w.gateway = w.gw.start(t, "heimdraht-gateway", "run")
}

// gatewayConnected waits until the control plane says so.
func (w *town) gatewayConnected(t testing.TB) {
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
func (w *town) refused(t testing.TB, code string, r result) {
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
