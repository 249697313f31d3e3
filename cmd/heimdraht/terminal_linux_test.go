package main

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// pseudoTerminal opens a pseudo terminal: what is written to keyboard is typed.
func pseudoTerminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile(testneed.File(t, "/dev/ptmx"), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	fd := int(keyboard.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	return keyboard, screen
}

func echoes(t *testing.T, f *os.File) bool {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return s.Lflag&unix.ECHO != 0
}

// awaitSilence waits until the terminal shows no more what is typed.
func awaitSilence(t *testing.T, screen *os.File) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); echoes(t, screen); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("the terminal still echoes")
		}
	}
}

// startLogin asks for a password on a terminal, and gives what will be the
// exit status and where standard error goes.
func startLogin(ctx context.Context, t *testing.T, address string, screen *os.File) (status chan int, stderr string) {
	t.Helper()
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	stderr = filepath.Join(dir, "stderr")
	errs, err := os.Create(stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { errs.Close() })
	env := func(name string) string {
		if name == "XDG_CONFIG_HOME" {
			return filepath.Join(dir, "config")
		}
		return ""
	}
	status = make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"login", address, "--login", "erika"}, world{in: screen, out: out, err: errs, env: env})
	}()
	return status, stderr
}

func TestPasswordIsNotEchoed(t *testing.T) {
	f, stop := startFake(t)
	defer stop()
	keyboard, screen := pseudoTerminal(t)
	status, stderr := startLogin(t.Context(), t, f.address, screen)
	awaitSilence(t, screen)
	if _, err := keyboard.WriteString(goodPassword + "\n"); err != nil {
		t.Fatal(err)
	}
	if got := <-status; got != exitDone {
		text, _ := os.ReadFile(stderr)
		t.Fatalf("exit status %d: %s", got, text)
	}
	if !echoes(t, screen) {
		t.Error("the terminal was left without echo")
	}
	// Something is to be read in any case.
	if _, err := screen.WriteString("end"); err != nil {
		t.Fatal(err)
	}
	shown := make([]byte, 4096)
	n, err := keyboard.Read(shown)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(shown[:n]), goodPassword) {
		t.Errorf("the terminal showed %q", shown[:n])
	}
}

func TestInterruptGivesTheTerminalBack(t *testing.T) {
	f, stop := startFake(t)
	defer stop()
	_, screen := pseudoTerminal(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	status, stderr := startLogin(ctx, t, f.address, screen)
	awaitSilence(t, screen)
	interrupt()
	if got := <-status; got != exitFailed {
		t.Errorf("exit status %d", got)
	}
	if !echoes(t, screen) {
		t.Error("the terminal was left without echo")
	}
	text, err := os.ReadFile(stderr)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "("+codeInterrupted+")") {
		t.Errorf("standard error: %s", text)
	}
	if asked := f.takeRequests(); strings.TrimSpace(asked) != "" {
		t.Errorf("the server was asked: %s", asked)
	}
}
