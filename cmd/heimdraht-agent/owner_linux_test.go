package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/cmd/internal/speech"
	"github.com/heimdraht/heimdraht/internal/testneed"
	"github.com/heimdraht/heimdraht/provisioner/config"
)

// stranger is a user without rights, and without a laptop.
const stranger = 65534

// as runs this test program as another user, who calls the daemon on the socket; see TestCallAsAnother.
func as(t *testing.T, uid uint32, socket, what string) string {
	t.Helper()
	return asProxied(t, uid, socket, "", what)
}

// asProxied tells the other user of a proxy too.
func asProxied(t *testing.T, uid uint32, socket, proxy, what string) string {
	t.Helper()
	program := filepath.Join(filepath.Dir(socket), fmt.Sprintf("caller-%d", uid))
	raw, err := os.ReadFile(os.Args[0])
	check(t, err)
	check(t, os.WriteFile(program, raw, 0o755))
	command := exec.CommandContext(t.Context(), program, "-test.run=^TestCallAsAnother$", "-test.v")
	command.Env = []string{"CALL_SOCKET=" + socket, "CALL=" + what, "CALL_PROXY=" + proxy, "GORACE=atexit_sleep_ms=10"}
	command.Dir = "/"
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("calling as user %d: %v\n%s", uid, err, out)
	}
	_, result, _ := strings.Cut(string(out), "RESULT ")
	result, _, _ = strings.Cut(result, "\n")
	return result
}

// TestCallAsAnother is no test by itself: it is the other user's half of the tests below.
func TestCallAsAnother(t *testing.T) {
	socket := os.Getenv("CALL_SOCKET")
	if socket == "" {
		return
	}
	c, ctx := &caller{socket: socket, self: self()}, t.Context()
	var err error
	switch os.Getenv("CALL") {
	case "listen":
		l, err := net.Listen("unix", socket)
		check(t, err)
		conn, err := l.Accept()
		check(t, err)
		b, err := io.ReadAll(conn)
		check(t, err)
		t.Logf("RESULT %d bytes", len(b))
		return
	case "proxy":
		conn, err := net.Dial("tcp", os.Getenv("CALL_PROXY"))
		check(t, err)
		_, err = conn.Write([]byte{5, 1, 0})
		check(t, err)
		var answer [2]byte
		n, _ := conn.Read(answer[:]) // none: it was hung up on
		t.Logf("RESULT %d bytes", n)
		return
	case "status":
		_, err = c.status(ctx, speech.English)
	case "up":
		_, err = c.up(ctx, speech.English)
	case "down":
		_, err = c.down(ctx, speech.English)
	case "enrol":
		_, err = c.enrol(ctx, enrolment())
	}
	result := "done"
	if p, ok := control.AsProblem(err); ok {
		result = p.Code
	} else if err != nil {
		result = err.Error()
	}
	t.Log("RESULT", result)
}

// TestWhoMayCall: root and the laptop's own person, nobody else.
func TestWhoMayCall(t *testing.T) {
	testneed.Root(t)
	const owner = 1234
	all := []string{"status", "up", "down", "enrol"}
	expect := func(t *testing.T, d soleDoor, uid uint32, what, want string) {
		t.Helper()
		if got := as(t, uid, d.socket, what); got != want {
			t.Errorf("user %d, %s: %s, want %s", uid, what, got, want)
		}
	}
	t.Run("whoever enrols", func(t *testing.T) {
		plane := endpointtest.New(t)
		store := &control.MemoryStore{}
		d := openDoor(t, plane, store, -1)
		expect(t, d, owner, "status", "done")
		expect(t, d, owner, "up", codeNotYours) // nothing but enrolling
		expect(t, d, owner, "enrol", "done")
		for _, what := range all {
			expect(t, d, stranger, what, codeNotYours)
		}
		for _, what := range all {
			expect(t, d, owner, what, "done")
		}
		expect(t, d, 0, "status", "done")
		if info, err := os.Stat(d.socket); err != nil || info.Mode().Perm() != 0o600 || info.Sys().(*syscall.Stat_t).Uid != owner {
			t.Errorf("the socket's rights: %v, %v", info, err)
		}
		// The kernel's word counts, not the socket's rights.
		check(t, os.Chmod(d.socket, 0o666))
		for _, what := range all {
			expect(t, d, stranger, what, codeNotYours)
		}
		if n := len(plane.Seen().Enrolments); n != 2 {
			t.Errorf("the control plane was asked %d times", n)
		}
		// A daemon that starts anew remembers.
		again := openDoor(t, plane, store, -1)
		expect(t, again, stranger, "enrol", codeNotYours)
		expect(t, again, owner, "status", "done")
	})
	t.Run("whom the configuration names", func(t *testing.T) {
		d := openDoor(t, endpointtest.New(t), &control.MemoryStore{}, owner)
		expect(t, d, stranger, "enrol", codeNotYours)
		expect(t, d, owner, "enrol", "done")
		expect(t, d, owner, "up", "done")
	})
	t.Run("whom root enrols it for", func(t *testing.T) {
		d := openDoor(t, endpointtest.New(t), &control.MemoryStore{}, -1)
		call, her := enrolment(), unixPeer(owner).account
		call.ForUID = &her
		_, err := d.ask().enrol(t.Context(), call)
		check(t, err)
		expect(t, d, owner, "up", "done")
		expect(t, d, stranger, "status", codeNotYours)
	})
}

// TestWhoMayUseTheProxy: those who may use the daemon.
func TestWhoMayUseTheProxy(t *testing.T) {
	testneed.Root(t)
	d := assembled(t, config.DefaultAgent(), slog.New(slog.DiscardHandler))
	check(t, d.door.laptops.(*sole).owner.take("1234"))
	d.runs(t)
	for uid, want := range map[uint32]string{0: "2 bytes", 1234: "2 bytes", stranger: "0 bytes"} {
		if got := asProxied(t, uid, d.door.socket, d.door.proxy, "proxy"); got != want {
			t.Errorf("user %d got %s, want %s", uid, got, want)
		}
	}
}

// TestForeignDaemon: nothing is sent to a daemon that belongs to somebody else, above all no password.
func TestForeignDaemon(t *testing.T) {
	testneed.Root(t)
	dir, err := os.MkdirTemp("", "hd")
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	check(t, os.Chown(dir, stranger, stranger))
	check(t, os.Chmod(dir, 0o755))
	socket := filepath.Join(dir, "agent.sock")
	heard := make(chan string, 1)
	go func() { heard <- as(t, stranger, socket, "listen") }()
	c := &caller{socket: socket, self: self()}
	for {
		_, err = c.enrol(t.Context(), enrolment())
		if !errors.Is(err, daemonMissing()) {
			break
		}
		select {
		case got := <-heard:
			t.Fatalf("the other user's daemon has ended: %s", got)
		case <-time.After(10 * time.Millisecond): // until it listens
		}
	}
	if !errors.Is(err, daemonForeign()) {
		t.Errorf("got %v", err)
	}
	if got := <-heard; got != "0 bytes" {
		t.Errorf("it heard %s", got)
	}
}
