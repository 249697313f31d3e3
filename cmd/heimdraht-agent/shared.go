package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/posture"
	"github.com/heimdraht/heimdraht/agent/state"
)

// mostAccounts bounds how many accounts of one laptop are enrolled: whoever may open accounts on it fills no disk.
const mostAccounts = 32

// sharing is a laptop that several people share. Each account has an enrolment of its own, and an Endpoint, of which one at a
// time runs: that one alone owns the tunnel and the host's network, so that no two can be connected. The others rest.
//
// What always holds: a caller is led to her own account's laptop and to no other, an administrator also to the one she names;
// what she is told names nobody else; and an enrolment is handed to nobody whom the system calls by another name than
// the one that it was made for, though the number be the same.
type sharing struct {
	dir *state.Dir // the state directory; an enrolment that lies in it is its former owner's
	// open makes the laptop of one account.
	open func(of account, store control.Store) (*endpoint.Endpoint, error)
	// screens is told how people's screens are locked, and judges each account by its own.
	screens *posture.Looker
	// clear puts back what a daemon that was killed has changed on this machine.
	clear func(ctx context.Context) error
	// nameOf is by which name the system knows an account; empty: it knows none.
	nameOf func(ctx context.Context, of account) (string, error)
	// seen is who is signed in; nil: nobody can tell.
	seen func() map[account]bool
	// watch tells when that may have changed, and so does poked; either may be nil.
	watch  func(context.Context, *slog.Logger) <-chan struct{}
	poked  <-chan struct{}
	atOnce bool // connect who signs in
	log    *slog.Logger

	room    chan struct{} // of drawers
	stirred chan struct{} // holds at most one hint that somebody has enrolled
	begun   chan struct{} // is closed when it runs

	turn sync.Mutex // is held while it changes whose laptop runs

	mu      sync.Mutex
	root    context.Context // nil: it does not run
	members map[account]*member
	running *member // whose laptop runs; nil: nobody's
	// leaving are the accounts that are being removed, each with what is closed when nothing of it is left.
	leaving map[account]chan struct{}
}

// member is an account with its laptop.
type member struct {
	account account
	drawer  *drawer
	laptop  *endpoint.Endpoint
	broken  error // why there is no laptop
	calls   int   // that are being answered; guarded by sharing.mu

	// Of what goes on in her name, guarded by sharing.mu; nil: nothing does.
	end  context.CancelFunc
	gone chan struct{}

	// here says that she was signed in when it was looked last; used by follow alone.
	here bool
	// due says that she is to be connected as soon as she is in front of the laptop and it is free; guarded by sharing.mu.
	due bool
}

// enter implements laptops.
func (s *sharing) enter(ctx context.Context, who peer, meant account, _ bool) (*guest, func(), error) {
	of := who.account
	if who.admin && meant != "" {
		of = meant
	}
	if of == "" || !isAccountDir(string(of)) {
		return nil, nil, notYours()
	}
	name, err := s.nameOf(ctx, of)
	if err != nil {
		return nil, nil, accountUnknown().Because(err)
	}
	m, err := s.member(ctx, of, name)
	if err != nil {
		return nil, nil, err
	}
	return &guest{peer: peer{account: of, admin: who.admin}, laptop: m.laptop}, func() { s.leave(m) }, nil
}

// member finds an account's laptop, which is then in use. Whoever has a number that was somebody else's before has to wait until
// nothing of that one's is left: what is removed lies where hers will.
func (s *sharing) member(ctx context.Context, of account, name string) (*member, error) {
	s.mu.Lock()
	m, left := s.members[of], s.leaving[of]
	hers, err := true, error(nil)
	if m != nil && m.broken == nil {
		hers, err = m.drawer.isOf(name)
	}
	if left == nil && hers && err == nil {
		defer s.mu.Unlock()
		return s.use(m, of, name) //nolint:contextcheck // what goes on in an account's name outlives the call
	}
	s.mu.Unlock()
	switch {
	case left != nil:
		select {
		case <-left:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for an account's removal: %w", ctx.Err())
		}
	case err != nil:
		return nil, endpoint.StateDamaged(m.drawer.path, err)
	case name == "": // where the accounts come from may be away: what is kept stays
		return nil, accountUnknown()
	default:
		if err := s.remove(m); err != nil { //nolint:contextcheck // a connection is closed whether the caller waits or not
			return nil, endpoint.StateDamaged(m.drawer.path, err)
		}
	}
	return s.member(ctx, of, name)
}

// use begins a call. Nil: nothing is known of the account yet. The caller holds the lock.
func (s *sharing) use(m *member, of account, name string) (*member, error) {
	if m == nil {
		m = s.add(s.newDrawer(of, name))
	}
	if m.broken != nil {
		return nil, m.broken
	}
	m.calls++
	return m, nil
}

// add makes the laptop of an account, and lets it rest if it is enrolled. The caller holds the lock.
func (s *sharing) add(d *drawer) *member {
	m := &member{account: d.of.account(), drawer: d}
	if m.laptop, m.broken = s.open(m.account, d); m.broken != nil {
		s.log.Error("an account of this laptop cannot be read; the others can", "folder", d.path, "error", m.broken)
	}
	s.members[m.account] = m
	if m.broken == nil && m.laptop.Enrolled() {
		s.begins(m, m.laptop.Rest)
	}
	return m
}

// leave ends a call. Of who has nothing here nothing is kept.
func (s *sharing) leave(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.calls--
	if m.calls > 0 || s.running == m || m.laptop.Enrolled() || m.laptop.Waits() || s.members[m.account] != m {
		return
	}
	delete(s.members, m.account)
	if err := m.drawer.discard(); err != nil {
		s.log.Warn("could not remove what nobody needs", "folder", m.drawer.path, "error", err)
	}
}

// begin implements laptops: an account's enrolment is in nobody's way.
func (s *sharing) begin(*guest, bool) (end func(), err error) { return func() {}, nil }

func (s *sharing) coded(*guest, time.Time) {}

// enrolled implements laptops.
func (s *sharing) enrolled(g *guest, _ *account) error {
	s.mu.Lock()
	if m := s.members[g.account]; m != nil && m.end == nil {
		s.begins(m, m.laptop.Rest)
	}
	s.mu.Unlock()
	poke(s.stirred)
	return nil
}

// user implements laptops: everybody may call, and each call is looked at.
func (s *sharing) user() account { return "" }

// up implements laptops.
func (s *sharing) up(ctx context.Context, g *guest) error {
	if g.laptop.Enrolled() {
		if err := s.connect(ctx, g.account); err != nil {
			return err
		}
		return g.laptop.Await(ctx)
	}
	return g.laptop.Up(ctx) // says that she is not
}

// down implements laptops.
func (s *sharing) down(ctx context.Context, g *guest) error {
	s.mu.Lock()
	if m := s.members[g.account]; m != nil {
		m.due = false
	}
	s.mu.Unlock()
	return g.laptop.Down(ctx)
}

// connect makes an account's laptop the one that runs, and says that a connection is wanted. Whose runs must have disconnected,
// or not sit at the laptop any more; what is left of hers is closed first. Who asks while it is being put back what an earlier run has left
// waits for that.
func (s *sharing) connect(ctx context.Context, of account) error {
	select {
	case <-s.begun:
	case <-ctx.Done():
		return daemonMissing()
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	m, running, root := s.members[of], s.running, s.root
	s.mu.Unlock()
	if m == nil || m.broken != nil || root == nil { // it is ending
		return daemonMissing()
	}
	if running != m {
		if running != nil {
			if running.laptop.Wanted() && !s.away(running.account) {
				return laptopInUse()
			}
			s.rest(ctx, running)
		}
		s.run(m) //nolint:contextcheck // as above
	}
	m.laptop.Want()
	return nil
}

// away says that somebody has signed out, or that another one sits at the screen.
func (s *sharing) away(who account) bool {
	seen := s.seen()
	return seen != nil && !seen[who]
}

// run has a laptop run that rests. The caller has the turn.
func (s *sharing) run(m *member) {
	s.ends(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	m.due = false
	s.running = m
	s.begins(m, m.laptop.Run)
}

// rest has the laptop that runs disconnect and rest. The caller has the turn.
func (s *sharing) rest(ctx context.Context, m *member) {
	wanted := m.laptop.Wanted()
	s.disconnect(ctx, m)
	s.mu.Lock()
	s.running = nil
	m.due = wanted
	s.mu.Unlock()
	s.ends(m)
	s.mu.Lock()
	s.begins(m, m.laptop.Rest) //nolint:contextcheck // as above
	s.mu.Unlock()
}

// disconnect closes a session, whether who asks for it waits or not.
func (s *sharing) disconnect(ctx context.Context, m *member) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), downWithin)
	defer cancel()
	if err := m.laptop.Down(ctx); err != nil {
		s.log.Warn("could not disconnect whose turn is over", "error", err)
	}
}

// begins lets something go on in somebody's name until ends. The caller holds the lock.
func (s *sharing) begins(m *member, do func(context.Context) error) {
	if s.root == nil || s.members[m.account] != m {
		return
	}
	ctx, end := context.WithCancel(s.root)
	gone := make(chan struct{})
	m.end, m.gone = end, gone
	go func() {
		defer close(gone)
		if err := do(ctx); err != nil {
			s.log.Error("the laptop of an account has stopped", "error", err)
		}
	}()
}

// ends waits until nothing goes on in somebody's name any more.
func (s *sharing) ends(m *member) {
	s.mu.Lock()
	end, gone := m.end, m.gone
	m.end, m.gone = nil, nil
	s.mu.Unlock()
	if end != nil {
		end()
		<-gone
	}
}

// remove ends an account's enrolment here and removes its keys. Nothing is revoked by that.
func (s *sharing) remove(m *member) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	if s.members[m.account] != m {
		s.mu.Unlock()
		return nil // somebody else has done so
	}
	delete(s.members, m.account)
	left := make(chan struct{})
	s.leaving[m.account] = left
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.leaving, m.account)
		close(left)
	}()
	running := s.running == m
	if running {
		s.running = nil
	}
	s.mu.Unlock()
	if running {
		s.disconnect(context.Background(), m)
	}
	s.ends(m)
	s.screens.Forget(string(m.account))
	if m.broken != nil && !m.drawer.whole && !m.drawer.made() { // it could not even be told whose it is
		return os.RemoveAll(m.drawer.path)
	}
	return m.drawer.discard()
}

// Run lets the laptops run and rest until the context ends; connections are closed then. It may be called once.
func (s *sharing) Run(ctx context.Context) error {
	if err := s.clear(ctx); err != nil {
		s.log.Error("could not put back what an earlier run has left", "error", err)
	}
	s.mu.Lock()
	s.root = ctx
	for _, m := range s.members {
		if m.broken == nil && m.laptop.Enrolled() {
			s.begins(m, m.laptop.Rest) //nolint:contextcheck // it is root
		}
	}
	s.mu.Unlock()
	close(s.begun)
	s.follow(ctx, lookEvery)

	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	s.root, s.running = nil, nil
	var all []*member
	for _, m := range s.members {
		all = append(all, m)
	}
	s.mu.Unlock()
	var err error
	for _, m := range all {
		s.ends(m)
		err = errors.Join(err, m.drawer.close())
	}
	return err
}

// Alive returns when the laptop that runs has had a turn. Where none runs there is nothing to wait for.
func (s *sharing) Alive(ctx context.Context) error {
	s.mu.Lock()
	m := s.running
	var gone <-chan struct{}
	if m != nil {
		gone = m.gone
	}
	s.mu.Unlock()
	if m == nil {
		return nil
	}
	turn, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-gone:
			cancel()
		case <-turn.Done():
		}
	}()
	err := m.laptop.Alive(turn)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != m && ctx.Err() == nil {
		return nil // it was somebody else's turn meanwhile
	}
	return err
}

// DialContext connects through the tunnel of the laptop that runs.
func (s *sharing) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	s.mu.Lock()
	m := s.running
	s.mu.Unlock()
	if m == nil {
		return nil, endpoint.NotConnected()
	}
	return m.laptop.DialContext(ctx, network, address)
}

// mayDial says whether somebody may use that: whose laptop runs, and root.
func (s *sharing) mayDial(uid int) bool {
	who := unixPeer(uid)
	s.mu.Lock()
	defer s.mu.Unlock()
	return who.admin || s.running != nil && s.running.account == who.account
}
