package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
)

// laptops are what the door leads to: one account's laptop (*sole), or one that several share, where each account has its
// own (*sharing). Errors are a *control.Problem where a person can do something.
type laptops interface {
	// enter finds the laptop as the caller has it, who then calls leave. meant is the account for which an administrator
	// asks; empty: her own. enrolling: what is asked for may come before an enrolment.
	enter(ctx context.Context, who peer, meant account, enrolling bool) (g *guest, leave func(), err error)
	// begin lets a caller enrol, or ask for a code and wait with it, who then calls end.
	begin(g *guest, byCode bool) (end func(), err error)
	// coded notes that the laptop waits with a code for the caller. Guarded by begin.
	coded(g *guest, until time.Time)
	// enrolled makes the laptop that of the caller, or of whom an administrator has enrolled it for. Guarded by begin.
	enrolled(g *guest, to *account) error
	up(ctx context.Context, g *guest) error
	down(ctx context.Context, g *guest) error
	// user is whose the socket is. Empty: everybody's, and each call is looked at.
	user() account
}

// guest is a caller, with the laptop as she has it.
type guest struct {
	peer

	laptop *endpoint.Endpoint
}

// speak chooses the language in which the control plane is asked from now on.
func (g *guest) speak(language string) {
	if isLanguage(language) {
		g.laptop.SetLanguage(language)
	}
}

// sole is a laptop that is one account's.
type sole struct {
	laptop *endpoint.Endpoint
	owner  *ownership
	logins func(account) bool // whether somebody is signed in
	poked  <-chan struct{}    // that may have changed; nil: nobody says so
	log    *slog.Logger

	enrolling sync.Mutex // one enrolment at a time, until it is noted whose laptop it is
	// Whose code the laptop waits with, and until when; guarded by enrolling. What is
	// approved for one must not become the laptop of another who asks in between.
	coder      account
	codedUntil time.Time
}

func (s *sole) enter(_ context.Context, who peer, _ account, enrolling bool) (*guest, func(), error) {
	if !s.owner.may(who, enrolling) {
		return nil, nil, notYours()
	}
	return &guest{peer: who, laptop: s.laptop}, func() {}, nil
}

func (s *sole) begin(g *guest, byCode bool) (end func(), err error) {
	s.enrolling.Lock()
	coded := byCode && !g.admin && g.account != s.coder && time.Now().Before(s.codedUntil)
	if coded || !s.owner.may(g.peer, true) { // somebody else waits with a code, or was faster
		s.enrolling.Unlock()
		return nil, notYours()
	}
	return s.enrolling.Unlock, nil
}

func (s *sole) coded(g *guest, until time.Time) { s.coder, s.codedUntil = g.account, until }

func (s *sole) enrolled(g *guest, to *account) error {
	owner := g.account
	if g.admin && to != nil && *to != "" {
		owner = *to
	}
	return s.owner.take(owner)
}

func (s *sole) up(ctx context.Context, g *guest) error   { return g.laptop.Up(ctx) }
func (s *sole) down(ctx context.Context, g *guest) error { return g.laptop.Down(ctx) }
func (s *sole) user() account                            { return s.owner.user() }

// ownerFile is the name under which the store keeps whose laptop this is.
const ownerFile = "owner"

// ownership is whose laptop this is.
type ownership struct {
	store control.Store
	self  peer    // the daemon itself
	fixed account // whom the configuration names; empty: nobody

	mu    sync.Mutex
	owner account // who enrolled; empty: nobody yet
}

func loadOwnership(store control.Store, self peer, fixed account) (*ownership, error) {
	o := &ownership{store: store, self: self, fixed: fixed}
	var kept savedOwner
	err := store.Load(ownerFile, &kept)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading whose laptop this is: %w", err)
	}
	o.owner = kept.account()
	return o, nil
}

// user is the one besides administrators, or empty as long as nobody is. The configuration goes before all else; a daemon
// without an administrator's rights is its own user's.
func (o *ownership) user() account {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.fixed != "":
		return o.fixed
	case !o.self.admin:
		return o.self.account
	}
	return o.owner
}

// may says whether a user may talk to the daemon. A laptop that is nobody's yet may be enrolled by anybody who
// sits at it; what the person may do, the password proves.
func (o *ownership) may(who peer, enrolling bool) bool {
	user := o.user()
	return who.account != "" && (who.admin || who.account == user || user == "" && enrolling)
}

// take makes the laptop that of the user who has enrolled it: in this process even if it cannot be kept.
func (o *ownership) take(who account) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.owner = who
	if err := o.store.Save(ownerFile, saved(who)); err != nil {
		return fmt.Errorf("keeping whose laptop this is: %w", err)
	}
	return nil
}
