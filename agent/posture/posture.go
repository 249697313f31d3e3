// Package posture finds out of this laptop what its administration asks of laptops: whether the disk is
// encrypted, the firewall on, the screen locked in time, the system still supported.
//
// What always holds:
//   - Only what is asked is looked at, and yes, no or nothing leaves this package: no names of disks, no rules
//     of a firewall, no version of the system.
//   - What cannot be found out for sure is not known. Neither a guess nor a failure is a yes.
//   - A look that hangs holds nobody up, and no second one is begun beside it.
//   - How an answer follows from what a system says is decided in code that is tested on every system; only the
//     question itself is put in files of one system's own.
//
// Not its business: what is asked, to whom it is told, and what follows from it (endpoint, and the control plane).
package posture

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// The conditions, as the protocol names them.
const (
	DiskEncryption  = "disk_encryption"
	Firewall        = "firewall"
	ScreenLock      = "screen_lock"
	SupportedSystem = "supported_system"
)

// Question is one condition of which the administration wants to know whether it is met.
type Question struct {
	Name string
	// Within is how soon the screen must be locked. Zero: at some time.
	Within time.Duration
	// SupportedUntil are last days of systems such as "debian 12"; they go before what this package knows.
	SupportedUntil map[string]time.Time
}

// Answer is what was found out. The zero value: nothing.
type Answer int

// The answers.
const (
	Unknown Answer = iota
	Yes
	No
)

// answered is yes or no.
func answered(yes bool) Answer {
	if yes {
		return Yes
	}
	return No
}

// all is yes if all of them are, and no if one is.
func all(answers ...Answer) Answer {
	whole := Yes
	for _, a := range answers {
		switch a {
		case No:
			return No
		case Unknown:
			whole = Unknown
		}
	}
	return whole
}

// within is how long a caller waits for a look. A healthy one takes some milliseconds on Linux; other systems
// start programs for it.
const within = 3 * time.Second

// Looker looks. The zero value is ready; its methods are safe for concurrent use.
type Looker struct {
	// Logger nil: slog.Default.
	Logger *slog.Logger
	// People are the accounts that are signed in at a screen of this machine: empty where nobody is, nil where nobody can tell.
	// Where it is nil the system is asked.
	People func() []string

	mu      sync.Mutex
	looking bool
	told    tellings
	// watcher is told that what Look answers may have changed; nil: nobody watches.
	watcher chan struct{}
	// screens says that it was asked how they lock: else nobody need look who is at them.
	screens bool
	people  []string // who was at them last
}

// Look answers each question. One that this version does not know is not answered.
func (l *Looker) Look(ctx context.Context, questions []Question) map[string]Answer {
	return l.lookFor(ctx, everybody, questions)
}

// Of answers as Look does, of one account: whatever is a person's own is judged by hers alone.
func (l *Looker) Of(account string) func(context.Context, []Question) map[string]Answer {
	return func(ctx context.Context, questions []Question) map[string]Answer {
		return l.lookFor(ctx, account, questions)
	}
}

func (l *Looker) lookFor(ctx context.Context, account string, questions []Question) map[string]Answer {
	l.mu.Lock()
	busy := l.looking
	l.looking = l.looking || len(questions) > 0
	l.mu.Unlock()
	if len(questions) == 0 || busy {
		return nil
	}
	seen := make(chan map[string]Answer, 1)
	go func() { // ends with the look, for which nobody waits for longer than a moment
		answers := make(map[string]Answer)
		for _, q := range questions {
			answers[q.Name] = l.look(ctx, account, q)
		}
		l.mu.Lock()
		l.looking = false
		l.mu.Unlock()
		seen <- answers
	}()
	patience := time.NewTimer(within)
	defer patience.Stop()
	select {
	case answers := <-seen:
		return answers
	case <-ctx.Done():
	case <-patience.C:
	}
	return nil
}

func (l *Looker) look(ctx context.Context, account string, q Question) Answer {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var answer Answer
	var err error
	switch q.Name {
	case DiskEncryption:
		answer, err = diskEncrypted(ctx)
	case Firewall:
		answer, err = firewallOn(ctx)
	case ScreenLock:
		answer, err = l.screen(ctx, account, q.Within)
	case SupportedSystem:
		var s System
		if s, err = thisSystem(ctx); err == nil {
			answer = s.supported(q.SupportedUntil, time.Now())
		}
	}
	if err != nil {
		l.logger().Debug("could not find out what the administration asks of laptops", "condition", q.Name, "error", err)
		return Unknown
	}
	return answer
}

func (l *Looker) logger() *slog.Logger {
	if l.Logger == nil {
		return slog.Default()
	}
	return l.Logger
}
