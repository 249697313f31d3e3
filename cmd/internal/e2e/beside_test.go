package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kept is a TCP connection to the intranet that stays open.
type kept struct {
	conn net.Conn
	in   *bufio.Reader
	owed int // answers to what was asked
}

func keep(t *testing.T, from *machine) *kept {
	t.Helper()
	conn, err := from.dial(t.Context(), "tcp", net.JoinHostPort(intranetV4, "80"))
	if err != nil {
		t.Fatalf("connecting from %s: %v", from.name, err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // some of them are closed by then
	k := &kept{conn: conn, in: bufio.NewReader(conn)}
	if _, err := k.ask(); err != nil { // the intranet does not wait for ever for the first word
		t.Fatalf("the intranet does not answer %s: %v", from.name, err)
	}
	return k
}

// ask asks for the page on the connection, and gives the laptop's address as the intranet sees it. What it was too impatient to
// wait for may come later, and is no answer to this question.
func (k *kept) ask() (from string, err error) {
	if err := k.conn.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(k.conn, "GET / HTTP/1.1\r\nHost: intranet\r\n\r\n"); err != nil {
		return "", err
	}
	for k.owed++; k.owed > 0; k.owed-- {
		if from, err = k.answer(); err != nil {
			return "", err
		}
	}
	return from, nil
}

// answer reads one.
func (k *kept) answer() (from string, err error) {
	answer, err := http.ReadResponse(k.in, nil)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	_, from, ok := strings.Cut(strings.TrimSpace(string(text)), ", ")
	if !ok {
		return "", fmt.Errorf("another page: %q", text)
	}
	return from, answer.Body.Close()
}

// over demands that a connection goes over a gateway, by the aggregate of its address.
func (k *kept) over(t *testing.T, gateway string) {
	t.Helper()
	aggregate := map[string]string{"gw1": "10.80.", "gw2": "10.81."}[gateway]
	if from, err := k.ask(); err != nil || !strings.HasPrefix(from, aggregate) {
		t.Errorf("a connection over %s comes from %q, %v", gateway, from, err)
	}
}

// empties has everybody leave a gateway, who is on it, and returns when they are on the other one. The command says when it is empty.
func (f *fleet) empties(t *testing.T, gateway, other, deadline string, laptops ...*laptop) *process {
	t.Helper()
	p := f.hq.start(t, "heimdraht", "gateway", "drain", gateway, "--deadline", deadline, "--wait", "--reason", "new disks")
	for _, l := range laptops {
		f.isOn(t, l, other, time.Minute)
	}
	return p
}

// seats are how many licences are in use.
func (w *town) seats(t *testing.T) int {
	t.Helper()
	var answer struct {
		Pools []struct {
			Held int `json:"held"`
		} `json:"licence_pools"`
	}
	w.hq.json(t, &answer, "heimdraht", "concurrency", "-o", "json")
	return answer.Pools[0].Held
}

// carries waits until a gateway carries so many sessions.
func (f *fleet) carries(t *testing.T, gateway string, want int) {
	t.Helper()
	eventually(t, time.Minute, fmt.Sprintf("%s carries %d sessions", gateway, want), func() error {
		var answer struct {
			Sessions int `json:"sessions"`
		}
		f.hq.json(t, &answer, "heimdraht", "gateway", "show", gateway, "-o", "json")
		if answer.Sessions != want {
			return fmt.Errorf("it carries %d", answer.Sessions)
		}
		return nil
	})
}

// drainBeside has a gateway left at which somebody works. Her connection lives on over it, a new one takes the other
// way, with one seat; and it is empty when the connection is closed, and not before.
func (f *fleet) drainBeside(t *testing.T) {
	k := keep(t, f.lap1.machine)
	k.over(t, "gw1")
	p := f.empties(t, "gw1", "gw2", "1h", f.laptops...)
	keep(t, f.lap1.machine).over(t, "gw2")
	k.over(t, "gw1")
	if n := f.seats(t); n != len(f.laptops) {
		t.Errorf("%d seats are taken", n)
	}
	f.carries(t, "gw1", 1) // the other laptop has nothing there any more
	throughout(t, 5*time.Second, "a connection over a gateway that is left", func() error {
		if p.stopped() == nil {
			return fmt.Errorf("it is said to be empty:\n%s", p.out)
		}
		_, err := k.ask()
		return err
	})
	k.over(t, "gw1")
	if err := k.conn.Close(); err != nil {
		t.Fatal(err)
	}
	closed := time.Now()
	eventually(t, time.Minute, "the command says that it is empty", p.stopped)
	if out := p.out.String(); !strings.Contains(out, "gw1 is empty") {
		t.Errorf("it says %s", out)
	}
	t.Logf("it was empty %v after the connection was closed", time.Since(closed).Round(time.Millisecond))
	f.carries(t, "gw2", len(f.laptops))
	f.hq.run(t, "heimdraht", "gateway", "undrain", "gw1", "--reason", "they are in")
}

// deadline keeps a connection open beyond the time, of which a control plane that was killed meanwhile still knows.
func (f *fleet) deadline(t *testing.T) {
	k := keep(t, f.lap1.machine)
	begin := time.Now()
	f.empties(t, "gw2", "gw1", "30s", f.lap1)
	k.over(t, "gw2")
	f.control.end(syscall.SIGKILL)
	f.runControlPlane(t)
	k.over(t, "gw2")
	f.carries(t, "gw2", 0)
	if took := time.Since(begin); took < 25*time.Second {
		t.Errorf("it was empty after %v", took)
	}
	if from, err := k.ask(); err == nil {
		t.Errorf("the connection from %s lives on", from)
	}
	f.isOn(t, f.lap2, "gw1", patience)
	f.hq.run(t, "heimdraht", "gateway", "undrain", "gw2", "--reason", "they are in")
}

// killAgent kills a laptop's agent while it holds two sessions.
func (f *fleet) killAgent(t *testing.T) {
	l := f.lap1
	k := keep(t, l.machine)
	p := f.empties(t, "gw1", "gw2", "1h", l)
	k.over(t, "gw1")
	if now := l.network(t); !strings.Contains(now, "hd0") || !strings.Contains(now, "hd1") || !strings.Contains(now, "lookup 51821") {
		t.Errorf("with two sessions:\n%s", now)
	}
	l.agent.end(syscall.SIGKILL)
	l.startAgent(t)
	l.run(t, "heimdraht-agent", "up")
	f.isOn(t, l, "gw2", patience)
	if now := l.network(t); strings.Contains(now, "hd0") == strings.Contains(now, "hd1") || strings.Contains(now, "51821") {
		t.Errorf("after another start:\n%s", now)
	}
	eventually(t, time.Minute, "the command says that it is empty", p.stopped)
	l.run(t, "heimdraht-agent", "down")
	eventually(t, patience, "everything is as before", func() error {
		if now := l.network(t); now != l.before {
			return fmt.Errorf("left behind:\n%s\nbefore:\n%s", now, l.before)
		}
		return nil
	})
	l.run(t, "heimdraht-agent", "up")
	f.isOn(t, l, "gw2", patience)
	f.isOn(t, f.lap2, "gw2", patience)
	f.hq.run(t, "heimdraht", "gateway", "undrain", "gw1", "--reason", "they are in")
}

// killed kills a part in the middle of a move, and has it begin again. Until it is back nothing is asked; then both tunnels
// carry, there is one seat and one session on each gateway, and a new connection takes the new way.
func (f *fleet) killed(t *testing.T, k *kept, old, present string, p *process, again func()) {
	t.Helper()
	p.end(syscall.SIGKILL)
	again()
	f.areConnected(t, "gw1", "gw2")
	eventually(t, patience, "the connection lives on after the death of "+p.name, func() error {
		_, err := k.ask()
		return err
	})
	k.over(t, old)
	f.isOn(t, f.lap1, present, elsewhere)
	keep(t, f.lap1.machine).over(t, present)
	if n := f.seats(t); n != len(f.laptops) {
		t.Errorf("%d seats are taken", n)
	}
	f.carries(t, old, 1)
	f.carries(t, present, len(f.laptops))
}

// killParts kills what there is in the middle of a move.
func (f *fleet) killParts(t *testing.T, k *kept) {
	for name, part := range map[string]func(){
		"control plane": func() { f.killed(t, k, "gw2", "gw1", f.control, func() { f.runControlPlane(t) }) },
		"old gateway": func() {
			f.killed(t, k, "gw2", "gw1", f.second, func() { f.second = f.gw2.start(t, "heimdraht-gateway", "run") })
		},
		"new gateway": func() { f.killed(t, k, "gw2", "gw1", f.gateway, func() { f.runGateway(t) }) },
	} {
		began := time.Now()
		part()
		t.Logf("%s: %v", name, time.Since(began).Round(time.Millisecond))
	}
}

// revokeBoth revokes a device that has two sessions, after all that carries them was killed.
func (f *fleet) revokeBoth(t *testing.T) {
	l := f.lap1
	k := keep(t, l.machine)
	f.empties(t, "gw2", "gw1", "1h", f.laptops...)
	k.over(t, "gw2")
	f.killParts(t, k)
	st := l.is(t, "connected")
	out := f.hq.run(t, "heimdraht", "device", "revoke", st.DeviceID, "--reason", "Laptop verloren")
	for _, gateway := range []string{"gw1", "gw2"} {
		if !strings.Contains(out, gateway+" confirmed after") {
			t.Errorf("%s has not confirmed: %q", gateway, out)
		}
	}
	if from, err := k.ask(); err == nil {
		t.Errorf("the connection from %s lives on", from)
	}
	if err := page(t.Context(), l.machine, intranetV4); err == nil {
		t.Error("the page can still be had")
	}
	f.carries(t, "gw2", 0)
	f.carries(t, "gw1", 1) // the other laptop's
}
