// Package service is how the daemons live under a service manager: they tell it when they serve, that they still live, and
// that they stop (sd_notify(3)), and take up a changed configuration when told to (SIGHUP).
//
// What always holds: where no manager listens nothing happens, and a manager that cannot be told ends nothing. A watchdog is
// fed only after the daemon's own loop has had a turn, never by a clock alone.
//
// What may change without a restart is the business of each daemon. The protocol is one datagram of a few words, so no
// library is needed for it.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Manager is the service manager that started this process.
type Manager struct {
	address  string
	watchdog time.Duration // zero: it does not watch
	hangups  chan os.Signal
	log      *slog.Logger
}

// New finds the manager by what it has put into the environment. From now on a SIGHUP ends nothing: it waits for Reloads.
func New(env func(string) string, log *slog.Logger) *Manager {
	m := &Manager{address: env("NOTIFY_SOCKET"), hangups: make(chan os.Signal, 1), log: log}
	signal.Notify(m.hangups, syscall.SIGHUP)
	if pid := env("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return m // meant for another process
	}
	if µs, err := strconv.ParseInt(env("WATCHDOG_USEC"), 10, 64); err == nil && µs > 0 {
		m.watchdog = time.Duration(µs) * time.Microsecond
	}
	return m
}

// tell sends one message. A manager that is gone or will not listen is no reason to stop working.
func (m *Manager) tell(words ...string) {
	if m.address == "" {
		return
	}
	if err := send(m.address, strings.Join(words, "\n")); err != nil {
		m.log.Warn("the service manager could not be told", "what", words[0], "error", err)
	}
}

func send(address, message string) error {
	// An address that begins with @ is of the abstract kind, to net too.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("reaching it: %w", err)
	}
	_, err = conn.Write([]byte(message))
	return errors.Join(err, conn.Close())
}

// Ready says that the daemon serves.
func (m *Manager) Ready() { m.tell("READY=1") }

// Stopping says that the daemon has begun to end.
func (m *Manager) Stopping() { m.tell("STOPPING=1") }

// Watch feeds the watchdog until ctx ends: three times as often as it wants, each time after alive has returned without an
// error. What alive waits for must be the loop that does the daemon's work.
func (m *Manager) Watch(ctx context.Context, alive func(context.Context) error) error {
	if m.address == "" || m.watchdog == 0 {
		return nil
	}
	tick := time.NewTicker(m.watchdog / 3)
	defer tick.Stop()
	for {
		if err := alive(ctx); err == nil {
			m.tell("WATCHDOG=1")
		} else if ctx.Err() == nil {
			m.log.Error("this process does not do its work; the service manager will end it", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Reloads calls reload for each SIGHUP until ctx ends. An error of it, with which everything has stayed as it was, is
// logged and stands in the service's status until the next reload.
func (m *Manager) Reloads(ctx context.Context, reload func() error) error {
	defer signal.Stop(m.hangups)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.hangups:
		}
		m.tell("RELOADING=1")
		status := "STATUS="
		if err := reload(); err != nil {
			m.log.Error("the configuration was not taken up; everything is as it was", "error", err)
			status += "not reloaded: " + strings.ReplaceAll(err.Error(), "\n", "; ")
		} else {
			m.log.Info("the configuration was read again")
		}
		m.tell("READY=1", status)
	}
}

// NeedsRestart says which keys of a configuration differ that are read at the start only. It returns nil if there are none.
func NeedsRestart(keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	return fmt.Errorf("changing %s takes a restart", strings.Join(keys, ", "))
}
