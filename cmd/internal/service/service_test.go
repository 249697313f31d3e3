package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// manager listens as systemd does.
func manager(t *testing.T, address string) func() string {
	t.Helper()
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return func() string {
		t.Helper()
		b := make([]byte, 4096)
		if err := l.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestTellsTheManager(t *testing.T) {
	for name, address := range map[string]string{"file": t.TempDir() + "/notify", "abstract": "@heimdraht-test-" + strconv.Itoa(os.Getpid())} {
		t.Run(name, func(t *testing.T) {
			heard := manager(t, address)
			m := New(environment(map[string]string{"NOTIFY_SOCKET": address}), slog.New(slog.DiscardHandler))
			m.Ready()
			m.Stopping()
			for _, want := range []string{"READY=1", "STOPPING=1"} {
				if got := heard(); got != want {
					t.Errorf("heard %q, want %q", got, want)
				}
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	never := func(context.Context) error { t.Error("was asked although nobody watches"); return nil }
	for _, env := range []map[string]string{
		{},
		{"WATCHDOG_USEC": "1000"},
		{"NOTIFY_SOCKET": t.TempDir() + "/gone"},
		{"NOTIFY_SOCKET": t.TempDir() + "/gone", "WATCHDOG_USEC": "rubbish"},
		{"NOTIFY_SOCKET": t.TempDir() + "/gone", "WATCHDOG_USEC": "-5"},
		{"NOTIFY_SOCKET": t.TempDir() + "/gone", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
	} {
		m := New(environment(env), slog.New(slog.DiscardHandler))
		m.Ready()
		m.Stopping()
		if err := m.Watch(t.Context(), never); err != nil {
			t.Error(err)
		}
	}
}

// The watchdog hears nothing while the daemon's loop has no turn.
func TestWatchdogWantsATurn(t *testing.T) {
	address := t.TempDir() + "/notify"
	heard := manager(t, address)
	m := New(environment(map[string]string{"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000", "WATCHDOG_PID": strconv.Itoa(os.Getpid())}),
		slog.New(slog.DiscardHandler))
	turns := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- m.Watch(ctx, func(ctx context.Context) error {
			select {
			case err := <-turns:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	turns <- errors.New("stuck")
	turns <- nil
	if got := heard(); got != "WATCHDOG=1" {
		t.Errorf("heard %q", got)
	}
	m.Ready() // whatever a turn that failed had told would come before it
	if got := heard(); got != "READY=1" {
		t.Errorf("heard %q without a turn", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestReloads(t *testing.T) {
	address := t.TempDir() + "/notify"
	heard := manager(t, address)
	m := New(environment(map[string]string{"NOTIFY_SOCKET": address}), slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	verdicts := make(chan error, 1)
	go func() { done <- m.Reloads(ctx, func() error { return <-verdicts }) }()
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("gateway.yaml: %w\nand more", NeedsRestart("mode", "interface")), "READY=1\nSTATUS=not reloaded: gateway.yaml: changing mode, interface takes a restart; and more"},
		{nil, "READY=1\nSTATUS="},
	} {
		verdicts <- c.err
		hangUp(t)
		if got := heard(); got != "RELOADING=1" {
			t.Errorf("heard %q", got)
		}
		if got := heard(); got != c.want {
			t.Errorf("heard %q, want %q", got, c.want)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := NeedsRestart(); err != nil {
		t.Error(err)
	}
}

func hangUp(t *testing.T) {
	t.Helper()
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Signal(syscall.SIGHUP)
	}
	if err != nil {
		t.Fatal(err)
	}
}
