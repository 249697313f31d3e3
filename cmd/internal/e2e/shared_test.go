package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

// user is an account of a laptop that several people share, with the person whose it is.
type user struct {
	*laptop
	uid    int
	name   string
	person int
}

// as runs the agent as the account.
func (u *user) as(t testing.TB, input string, args ...string) result {
	t.Helper()
	id := fmt.Sprint(u.uid)
	return u.try(t, input, append([]string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "/usr/local/bin/heimdraht-agent"}, args...)...)
}

func (u *user) mustAs(t testing.TB, input string, args ...string) string {
	t.Helper()
	r := u.as(t, input, args...)
	if r.code != 0 {
		t.Fatalf("must succeed:\n%v", r)
	}
	return r.stdout
}

// signs notes as systemd-logind does how the account is signed in: active, online; empty: not at all.
func (u *user) signs(t testing.TB, state string) {
	t.Helper()
	note := fmt.Sprintf("/run/systemd/users/%d", u.uid)
	if state == "" {
		if err := os.Remove(u.path(note)); err != nil {
			t.Fatal(err)
		}
		return
	}
	u.write(t, note+".new", "# private\nNAME="+u.name+"\nSTATE="+state+"\n", 0o644)
	if err := os.Rename(u.path(note+".new"), u.path(note)); err != nil {
		t.Fatal(err)
	}
}

// TestSharedLaptop has two people use one laptop after each other, each with her own account, and somebody look on who has none.
func TestSharedLaptop(t *testing.T) {
	w := newTown(t)
	w.beginControlPlane(t)
	w.beginTenant(t)
	w.beginGateway(t)
	l := w.lap1
	one, two, nobody := &user{l, 1001, "kontoeins", 2}, &user{l, 1002, "kontozwei", 4}, &user{l, 1003, "kontodrei", 0}
	passwd := l.read(t, "/etc/passwd")
	for _, u := range []*user{one, two, nobody} {
		passwd += fmt.Sprintf("%s:x:%d:%d::/nonexistent:/bin/sh\n", u.name, u.uid, u.uid)
	}
	l.write(t, "/etc/passwd", passwd, 0o644)
	l.run(t, "install", "-D", filepath.Join(os.Getenv(programsVariable), "heimdraht-agent"), "/usr/local/bin/heimdraht-agent")
	l.write(t, "/run/systemd/users/0", "NAME=root\nSTATE=offline\n", 0o644)
	server, pin, _ := strings.Cut(w.address, "#")
	l.run(t, "heimdraht-agent", "configure", "--server", server, "--ca-sha256", pin, "--tenant", "stadt", "--start", "manual", "--shared", "true")
	// The kernel gives the interface its address of IPv6 in its own time.
	eventually(t, patience, "the laptop's network is there", func() error {
		if l.before = l.network(t); !strings.Contains(l.before, "local fe80:") {
			return fmt.Errorf("it is\n%s", l.before)
		}
		return nil
	})
	l.startAgent(t)

	one.signs(t, "active")
	for _, u := range []*user{one, two} {
		login, password := slapdtest.Person(u.person)
		u.mustAs(t, password+"\n", "enrol", "--login", login, "--password-file", "-")
	}
	one.mustAs(t, "", "up")
	if n := w.seats(t); n != 1 {
		t.Errorf("one is connected: %d seats", n)
	}
	// The other one is refused, and neither she nor who has no enrolment is told who is connected.
	login, _ := slapdtest.Person(one.person)
	person := l.statusOf(t, one.name)
	for u, code := range map[*user]string{two: "laptop-in-use", nobody: "not-enrolled"} {
		said := []result{u.as(t, "", "up"), u.as(t, "", "status", "-o", "json"), u.as(t, "", "status", "--all"), u.as(t, "", "down"), u.as(t, "", "accounts", "list")}
		w.refused(t, code, said[0])
		w.refused(t, "administrator-only", said[4])
		for _, r := range said {
			for _, hers := range []string{one.name, login, person.DeviceID, "10.80."} {
				if strings.Contains(r.stdout+r.stderr, hers) {
					t.Errorf("%s is told %q:\n%v", u.name, hers, r)
				}
			}
		}
	}
	if err := page(t.Context(), l.machine, intranetV4); err != nil {
		t.Errorf("the connection has not outlived that: %v", err)
	}
	for _, u := range []*user{one, two} { // whose the keys are
		if r := l.try(t, "", "setpriv", "--reuid", fmt.Sprint(u.uid), "--clear-groups", "ls", "/var/lib/heimdraht-agent"); r.code == 0 {
			t.Errorf("%s may look at the keys", u.name)
		}
	}

	// She signs out, which closes hers at once; then it is the other one's turn, with a device of her own.
	signedOut := time.Now()
	one.signs(t, "")
	eventually(t, 10*time.Second, "nothing is left of who has signed out", func() error {
		if n := w.seats(t); n != 0 {
			return fmt.Errorf("%d seats are taken", n)
		}
		return l.leftAlone(t)
	})
	t.Logf("closed %v after she has signed out", time.Since(signedOut))
	two.signs(t, "active")
	two.mustAs(t, "", "up")
	if n := w.seats(t); n != 1 {
		t.Errorf("the other one is connected: %d seats", n)
	}
	if other := l.statusOf(t, two.name); other.DeviceID == person.DeviceID || other.State != "connected" {
		t.Errorf("the other one is %+v, the first was %+v", other, person)
	}
	// She switches away without signing out: whoever comes takes over.
	two.signs(t, "online")
	one.signs(t, "active")
	one.mustAs(t, "", "up")
	if n := w.seats(t); n != 1 {
		t.Errorf("the first one is back: %d seats", n)
	}
	if s := l.statusOf(t, two.name); s.State != "disconnected" {
		t.Errorf("who has switched away is %+v", s)
	}

	// Her account is removed, and its number given to somebody else, who gets nothing of hers.
	one.signs(t, "")
	l.agent.end(syscall.SIGTERM)
	l.write(t, "/etc/passwd", strings.ReplaceAll(l.read(t, "/etc/passwd"), one.name, "kontoneu"), 0o644)
	l.startAgent(t)
	w.refused(t, "not-enrolled", one.as(t, "", "up"))
	if list := l.run(t, "heimdraht-agent", "accounts", "list"); strings.Contains(list, "1001") || !strings.Contains(list, two.name) {
		t.Errorf("enrolled are:\n%s", list)
	}
	if left := l.run(t, "ls", "/var/lib/heimdraht-agent/accounts"); strings.Fields(left)[0] != "1002" || len(strings.Fields(left)) != 1 {
		t.Errorf("kept are the folders %q", left)
	}
}

// statusOf is what the agent says to root of an account.
func (l *laptop) statusOf(t testing.TB, name string) (s status) {
	t.Helper()
	l.json(t, &s, "heimdraht-agent", "--account", name, "status", "-o", "json")
	return s
}

// leftAlone is an error as long as the network is not as it was before the agent ran.
func (l *laptop) leftAlone(t testing.TB) error {
	t.Helper()
	if now := l.network(t); now != l.before {
		return fmt.Errorf("the network is\n%s\nand was\n%s", now, l.before)
	}
	return nil
}
