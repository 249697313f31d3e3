package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
)

// serviceName is that of the service, and of the source of its events in Windows' event log.
const serviceName = "heimdraht-agent"

// news is what the system tells a service.
type news int

// The news that matter.
const (
	noNews  news = iota
	stop         // it is to end
	resumed      // the machine was asleep
	logins       // somebody has signed in or out, locked the screen or come back to it
)

// newsOf is what a control of Windows' service manager means, with the event that it may have (winsvc.h, winuser.h).
func newsOf(control, event uint32) news {
	const (
		controlStop, controlShutdown, controlPower, controlSession = 1, 5, 13, 14
		resumeSuspend, resumeAutomatic                             = 7, 18
	)
	switch control {
	case controlStop, controlShutdown:
		return stop
	case controlPower:
		if event == resumeSuspend || event == resumeAutomatic {
			return resumed
		}
	case controlSession:
		return logins
	}
	return noNews
}

// events is a log in which each entry has a level of the system's own, as Windows' event log has.
type events interface {
	Info(id uint32, text string) error
	Warning(id uint32, text string) error
	Error(id uint32, text string) error
}

// eventID is that of all entries: their text says what they are.
const eventID = 1

// write makes one entry. That the log is gone, nobody is there to be told.
func write(to events, level slog.Level, text string) {
	switch text = strings.TrimSpace(text); {
	case level >= slog.LevelError:
		_ = to.Error(eventID, text)
	case level >= slog.LevelWarn:
		_ = to.Warning(eventID, text)
	default:
		_ = to.Info(eventID, text)
	}
}

// eventHandler writes a log to events.
type eventHandler struct {
	slog.Handler
	to   events
	mu   *sync.Mutex
	line *bytes.Buffer // in which Handler writes
}

func newEventHandler(to events, level slog.Leveler) *eventHandler {
	line := new(bytes.Buffer)
	return &eventHandler{Handler: slog.NewTextHandler(line, &slog.HandlerOptions{Level: level}), to: to, mu: new(sync.Mutex), line: line}
}

// Handle writes one entry.
func (h *eventHandler) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.line.Reset()
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	write(h.to, r.Level, h.line.String())
	return nil
}

// WithAttrs returns one that adds them.
func (h *eventHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.Handler = h.Handler.WithAttrs(attrs)
	return &next
}

// WithGroup returns one that puts what follows into a group.
func (h *eventHandler) WithGroup(name string) slog.Handler {
	next := *h
	next.Handler = h.Handler.WithGroup(name)
	return &next
}

// faultWriter writes what would be said to a person as one fault each.
type faultWriter struct{ to events }

func (w faultWriter) Write(b []byte) (int, error) {
	write(w.to, slog.LevelError, string(b))
	return len(b), nil
}

// poke tells that something has happened, to whom that was not told already.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
