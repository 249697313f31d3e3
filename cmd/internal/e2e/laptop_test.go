package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

// laptop is an employee's machine, with what she does on it.
type laptop struct {
	*machine
	person int // number of a generated person in the staff group
	agent  *process
	before string // the network before the agent ran
}

// status is what `heimdraht-agent status -o json` says, as far as tests ask.
type status struct {
	State     string       `json:"state"`
	Code      string       `json:"code"`
	Sentence  string       `json:"sentence"`
	Next      string       `json:"next_step"`
	DeviceID  string       `json:"device_id"`
	Gateway   string       `json:"gateway"`
	Addresses []netip.Addr `json:"addresses"`
	Control   bool         `json:"control_plane"`
	Notes     []struct {
		Code string `json:"code"`
	} `json:"notes"`
}

// status asks the agent; it is quiet, because it is polled.
func (l *laptop) status(t testing.TB) (status, error) {
	t.Helper()
	var s status
	out, err := l.command(t.Context(), "heimdraht-agent", "status", "-o", "json").Output()
	if len(out) == 0 && err != nil {
		return s, fmt.Errorf("asking the agent of %s: %w", l.name, err)
	}
	if err := json.Unmarshal(out, &s); err != nil {
		return s, fmt.Errorf("reading the status %q: %w", out, err)
	}
	return s, nil
}

// is waits until the agent says that it is in a state and returns what it said.
func (l *laptop) is(t testing.TB, state string) status {
	t.Helper()
	var s status
	eventually(t, patience, l.name+" is "+state, func() (err error) {
		if s, err = l.status(t); err == nil && s.State != state {
			err = fmt.Errorf("it is %+v", s)
		}
		return err
	})
	return s
}

// address returns the inside address of a family.
func (s status) address(t testing.TB, v4 bool) netip.Addr {
	t.Helper()
	for _, a := range s.Addresses {
		if a.Is4() == v4 {
			return a
		}
	}
	t.Fatalf("no such address: %+v", s)
	return netip.Addr{}
}

// startAgent begins the daemon.
func (l *laptop) startAgent(t testing.TB) {
	t.Helper()
	l.agent = l.start(t, "heimdraht-agent", "run")
	eventually(t, patience, "the agent of "+l.name+" answers", func() error {
		_, err := l.status(t)
		return err
	})
}

// enrol types login and password as a person does, the password from a file.
func (l *laptop) enrol(t testing.TB, address, login, password string) result {
	t.Helper()
	l.write(t, "/run/password", password+"\n", 0o600)
	return l.try(t, "", "heimdraht-agent", "enrol", address, "--tenant", "stadt", "--login", login, "--password-file", "/run/password")
}

// comeIn enrols the laptop's own person and connects.
func (l *laptop) comeIn(t testing.TB, address string) status {
	t.Helper()
	login, password := slapdtest.Person(l.person)
	if r := l.enrol(t, address, login, password); r.code != 0 {
		t.Fatalf("enrolling: %v", r)
	}
	l.run(t, "heimdraht-agent", "up")
	return l.is(t, "connected")
}

// network is all that a tunnel could leave behind.
func (l *laptop) network(t testing.TB) string {
	t.Helper()
	return strings.Join([]string{
		l.ip(t, "-brief", "link"), l.ip(t, "-brief", "address"), l.ip(t, "rule"), l.ip(t, "-6", "rule"),
		l.ip(t, "route", "show", "table", "all"), l.ip(t, "-6", "route", "show", "table", "all"), l.read(t, "/etc/resolv.conf"),
	}, "\n")
}
