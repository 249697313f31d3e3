package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// pseudoTerminal opens a pseudo-terminal (pts(4)): what a person sees and types on, and what the program has.
func pseudoTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	check(t, err)
	t.Cleanup(func() { _ = person.Close() })
	raw, err := person.SyscallConn()
	check(t, err)
	var number int
	var asking error
	check(t, raw.Control(func(fd uintptr) {
		if asking = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); asking == nil {
			number, asking = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}))
	check(t, asking)
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	check(t, err)
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}

// screen reads what a person sees until it contains a text.
func screen(t *testing.T, person *os.File, until string) string {
	t.Helper()
	var seen bytes.Buffer
	check(t, person.SetReadDeadline(time.Now().Add(10*time.Second)))
	for b := make([]byte, 256); !strings.Contains(seen.String(), until); {
		n, err := person.Read(b)
		if err != nil {
			t.Fatalf("waiting for %q: %v, seen %q", until, err, seen.String())
		}
		seen.Write(b[:n])
	}
	return seen.String()
}

// TestTyping: name and password are asked for, the name is seen, the password is not.
func TestTyping(t *testing.T) {
	plane := endpointtest.New(t)
	d := openDoor(t, plane, &control.MemoryStore{}, -1)
	person, program := pseudoTerminal(t)
	command := exec.CommandContext(t.Context(), "heimdraht-agent", "enrol", "--lang", "de", "--socket", d.socket)
	command.Stdin, command.Stdout, command.Stderr = program, program, program
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	check(t, command.Start())

	screen(t, person, "Benutzername: ")
	_, err := person.WriteString("erika\n")
	check(t, err)
	if seen := screen(t, person, "Passwort: "); !strings.Contains(seen, "erika") {
		t.Errorf("the name was not seen: %q", seen)
	}
	awaitNoEcho(t, program)
	_, err = person.WriteString(endpointtest.Password + "\n")
	check(t, err)
	if seen := screen(t, person, "heimdraht-agent up"); strings.Contains(seen, endpointtest.Password) || !strings.Contains(seen, "Guten Tag, Erika Beispiel.") {
		t.Errorf("seen %q", seen)
	}
	check(t, command.Wait())
	if got := plane.Seen().Enrolments[0]; got.GetLogin() != "erika" || got.GetPassword() != endpointtest.Password {
		t.Errorf("sent %q", got.GetLogin())
	}
}

// TestTypingCodes: a code is asked for only where it takes one, again if it was wrong, and is not seen; the secret of a
// second factor is shown as a picture too.
func TestTypingCodes(t *testing.T) {
	plane := endpointtest.New(t)
	plane.Script(func(x *endpointtest.Script) { x.Code = endpointtest.Code })
	d := openDoor(t, plane, &control.MemoryStore{}, -1)
	person, program := pseudoTerminal(t)
	run := func(args ...string) *exec.Cmd {
		command := exec.CommandContext(t.Context(), "heimdraht-agent", append(args, "--lang", "de", "--socket", d.socket)...)
		command.Stdin, command.Stdout, command.Stderr = program, program, program
		command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		check(t, command.Start())
		return command
	}
	answer := func(question, typed string) {
		t.Helper()
		screen(t, person, question)
		awaitNoEcho(t, program)
		_, err := person.WriteString(typed + "\n")
		check(t, err)
	}
	setUp := run("factor", "set-up", "--login", "erika")
	answer("Passwort: ", endpointtest.Password)
	answer("Einmaliger Schlüssel: ", endpointtest.Token)
	if seen := screen(t, person, "jetzt zeigt: "); !strings.Contains(seen, "▀") || !strings.Contains(seen, "Geheimnis zum Abtippen: ") {
		t.Errorf("no picture: %q", seen)
	}
	awaitNoEcho(t, program)
	_, err := person.WriteString("000000\n")
	check(t, err)
	answer("jetzt zeigt: ", endpointtest.Code)
	screen(t, person, endpointtest.RecoveryCode)
	check(t, setUp.Wait())

	enrol := run("enrol", "--login", "erika")
	answer("Passwort: ", endpointtest.Password)
	answer("Ersatzcode: ", "000000")
	answer("Ersatzcode: ", endpointtest.Code)
	if seen := screen(t, person, "heimdraht-agent up"); strings.Contains(seen, endpointtest.Code) || !strings.Contains(seen, "Guten Tag, Erika Beispiel.") {
		t.Errorf("seen %q", seen)
	}
	check(t, enrol.Wait())

	again := run("sign-in")
	answer("Passwort: ", endpointtest.Password)
	answer("Ersatzcode: ", endpointtest.RecoveryCode)
	screen(t, person, "Das gilt 7 Tage.")
	check(t, again.Wait())
}

// TestInterruptedTyping: Ctrl-C at the password leaves the terminal with its echo.
func TestInterruptedTyping(t *testing.T) {
	d := openDoor(t, endpointtest.New(t), &control.MemoryStore{}, -1)
	person, program := pseudoTerminal(t)
	command := exec.CommandContext(t.Context(), "heimdraht-agent", "enrol", "--lang", "de", "--login", "erika", "--socket", d.socket)
	command.Stdin, command.Stdout, command.Stderr = program, program, program
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	check(t, command.Start())
	screen(t, person, "Passwort: ")
	awaitNoEcho(t, program)
	_, err := person.WriteString("\x03")
	check(t, err)
	screen(t, person, "(interrupted)")
	if err := command.Wait(); command.ProcessState.ExitCode() != exitFailed {
		t.Errorf("ended with %v", err)
	}
	if !echoes(t, program) {
		t.Error("the terminal is left without echo")
	}
}

// TestAskingForAYes: the house rules are shown before anything is asked, and what is no yes enrols nobody.
func TestAskingForAYes(t *testing.T) {
	plane := endpointtest.New(t)
	plane.Script(func(s *endpointtest.Script) {
		s.HouseRules = &heimdrahtv1.HouseRules{Version: "v1", Text: "Lock the screen."}
	})
	d := openDoor(t, plane, &control.MemoryStore{}, -1)
	for _, test := range []struct {
		typed, want string
		version     string
	}{{"maybe", "(house-rules)", ""}, {" Yes ", "Hello, Erika Beispiel.", "v1"}} {
		person, program := pseudoTerminal(t)
		command := exec.CommandContext(t.Context(), "heimdraht-agent", "enrol", plane.Address(), "--lang", "en", "--invitation", "-", "--socket", d.socket)
		command.Stdin, command.Stdout, command.Stderr = program, program, program
		command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		check(t, command.Start())
		screen(t, person, "Invitation: ")
		awaitNoEcho(t, program)
		_, err := person.WriteString(endpointtest.Invitation + "\n")
		check(t, err)
		if seen := screen(t, person, "[yes/no] "); !strings.Contains(seen, "Lock the screen.") || strings.Contains(seen, endpointtest.Invitation) {
			t.Errorf("seen before the question: %q", seen)
		}
		_, err = person.WriteString(test.typed + "\n")
		check(t, err)
		screen(t, person, test.want)
		_ = command.Wait() // what it said is looked at
		all := plane.Seen().Enrolments
		if got := all[len(all)-1].GetHouseRulesVersion(); got != test.version {
			t.Errorf("after %q the version %q was sent", test.typed, got)
		}
	}
}

// echoes says whether the terminal shows what is typed.
func echoes(t *testing.T, terminal *os.File) bool {
	t.Helper()
	raw, err := terminal.SyscallConn()
	check(t, err)
	var state *unix.Termios
	var asking error
	check(t, raw.Control(func(fd uintptr) { state, asking = unix.IoctlGetTermios(int(fd), unix.TCGETS) }))
	check(t, asking)
	return state.Lflag&unix.ECHO != 0
}

// awaitNoEcho waits until the program reads the password: what is typed before is seen, in every program.
func awaitNoEcho(t *testing.T, terminal *os.File) {
	t.Helper()
	patience := time.After(10 * time.Second)
	for echoes(t, terminal) {
		select {
		case <-patience:
			t.Fatal("the echo stays on")
		case <-time.After(time.Millisecond):
		}
	}
}
