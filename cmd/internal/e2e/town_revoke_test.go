package e2e_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"iter"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
	"github.com/heimdraht/heimdraht/provisioner/factor"
)

// confirmed is how the command says that the gateway took the access away.
var confirmed = regexp.MustCompile(`gw1 confirmed after (\d+) ms`)

// takeAway revokes a device as the helpdesk does and demands that the gateway
// confirmed within the limit and that nothing passed after the command had said
// so.
func (w *town) takeAway(t *testing.T, l *laptop) {
	t.Helper()
	st := l.is(t, "connected")
	own := st.address(t, true)
	s := beginStream(t, l.machine, intranetV4)
	other := beginStream(t, w.lap2.machine, intranetV4)
	begin := time.Now()
	out := w.hq.run(t, helpdesk("device", "revoke", st.DeviceID, "--reason", "Laptop verloren")...)
	took := time.Since(begin)
	if said := confirmed.FindStringSubmatch(out); said == nil {
		t.Errorf("no proof: %q", out)
	} else if after, err := time.ParseDuration(said[1] + "ms"); err != nil || after > dead {
		t.Errorf("confirmed after %v, want at most %v (%v)", after, dead, err)
	}
	// The stream goes on sending all the while, also what follows.
	throughout(t, 3*time.Second, "after the confirmation nothing arrives", func() error {
		if late := w.intra.lastFrom(own).Sub(begin) - took; late > inFlight {
			return fmt.Errorf("a packet arrived %v after the command ended, which took %v", late, took)
		}
		if late := s.last().Sub(begin) - took; late > inFlight {
			return fmt.Errorf("an answer came back %v after the command ended, which took %v", late, took)
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

// helpdesk is a command of somebody who is signed in as the helpdesk, beside
// the operator.
func helpdesk(args ...string) []string {
	return append([]string{"env", "XDG_CONFIG_HOME=/run/helpdesk", "heimdraht"}, args...)
}

// signInHelpdesk signs in a person by the directory and by her phone; her group
// makes her the helpdesk of her own tenant, and nothing more.
func (w *town) signInHelpdesk(t *testing.T) {
	w.hq.run(t, "mkdir", "-m", "0700", "/run/helpdesk")
	w.hq.write(t, "/run/helpdesk/password", "Grüße-aus-Nürnberg\n", 0o600)
	login := helpdesk("login", w.address, "--tenant", "stadt", "--login", "müller")
	w.refused(t, "sign-in-failed", w.hq.try(t, "falsch\n", append(login, "--password-file", "-")...))
	w.refused(t, "factor-missing", w.hq.try(t, "", append(login, "--password-file", "/run/helpdesk/password")...))
	name, _ := slapdtest.Person(w.lap1.person)
	person := regexp.MustCompile(`\b[a-z2-7]{26}\b`).FindAllString(w.hq.run(t, "heimdraht", "find", "-o", "csv", "müller"), -1)
	if len(person) != 1 {
		t.Fatalf("the operator finds %q", person)
	}
	w.hq.write(t, "/run/helpdesk/token", w.hq.run(t, "heimdraht", "person", "factor-token", person[0]), 0o600)
	recovery := w.setUpPhone(t, "--tenant", "stadt", "--login", "müller", "--password-file", "/run/helpdesk/password", "--token-file", "/run/helpdesk/token")
	if out := w.hq.runWith(t, recovery+"\n", append(login, "--password-file", "/run/helpdesk/password", "--code-file", "-")...); !strings.Contains(out, "helpdesk@stadt") {
		t.Errorf("signed in as %q, want the helpdesk's role", out)
	}
	if out := w.hq.run(t, helpdesk("find", name)...); !strings.Contains(out, "Nachname2") {
		t.Errorf("find %s says %q", name, out)
	}
	w.refused(t, "not-allowed", w.hq.try(t, "", helpdesk("gateway", "list")...))
}

// setUpPhone plays the phone while a second factor is set up, and gives one of
// the recovery codes.
func (w *town) setUpPhone(t *testing.T, args ...string) string {
	t.Helper()
	cmd := w.hq.command(t.Context(), helpdesk(append([]string{"factor", "set-up", w.address, "--code-file", "-"}, args...)...)...)
	said := new(bytes.Buffer)
	cmd.Stderr = said
	keyboard, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	screen, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	recovery := ""
	for line := range lines(screen) {
		if secret, ok := strings.CutPrefix(line, "Secret, to type it: "); ok {
			code, err := factor.Code(secret, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := keyboard.Write([]byte(code + "\n")); err != nil {
				t.Error(err)
			}
			if err := keyboard.Close(); err != nil {
				t.Error(err)
			}
		}
		if strings.HasPrefix(line, "  ") {
			recovery = strings.TrimSpace(line)
		}
	}
	if err := cmd.Wait(); err != nil || recovery == "" {
		t.Fatalf("setting up a second factor: %v\n%s", err, said)
	}
	return recovery
}

// lines are those of a stream, without their ends.
func lines(r io.Reader) iter.Seq[string] {
	return func(yield func(string) bool) {
		for s := bufio.NewScanner(r); s.Scan() && yield(s.Text()); {
		}
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
