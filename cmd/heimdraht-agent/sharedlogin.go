package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
)

const (
	// tidyFirst is when it is looked for the first time which accounts there still are: what knows them starts with the system, and
	// perhaps later than this daemon.
	tidyFirst = 15 * time.Minute
	tidyEvery = 24 * time.Hour
	// missedFor is for how long an account must be unknown to the system before its keys go. A directory that cannot be reached
	// knows nobody either.
	missedFor = 7 * 24 * time.Hour
)

// load reads which accounts are enrolled. What cannot be read of one harms no other.
func (s *sharing) load() error {
	entries, err := os.ReadDir(filepath.Join(s.dir.Path(), accountsDir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return endpoint.StateDamaged(s.dir.Path(), err)
	}
	if owner := s.loadOwner(); owner != nil {
		s.add(owner)
	}
	for _, e := range entries {
		of := account(e.Name())
		if !isAccountDir(e.Name()) || s.members[of] != nil {
			continue
		}
		path := s.folder(of)
		d, err := openDrawer(path, s.room)
		if err != nil {
			s.log.Error("an account of this laptop cannot be read; the others can", "folder", path, "error", err)
			s.members[of] = &member{account: of, drawer: s.newDrawer(of, ""), broken: endpoint.StateDamaged(path, err)}
			continue
		}
		s.add(d)
	}
	return nil
}

// loadOwner finds the enrolment of a time when the laptop was one account's. Nil: there is none that can be told whose it is.
func (s *sharing) loadOwner() *drawer {
	d := &drawer{path: s.dir.Path(), room: s.room, dir: s.dir, whole: true}
	err := s.dir.Load(ownerFile, &d.of)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		s.log.Error("it cannot be read whose the laptop was; the accounts can", "folder", d.path, "error", err)
		return nil
	case d.of.account() == "":
		return nil
	}
	return d
}

// newDrawer is one of an account of which nothing is kept yet.
func (s *sharing) newDrawer(of account, name string) *drawer {
	return &drawer{path: s.folder(of), room: s.room, of: savedAccount{savedOwner: saved(of), Name: name}}
}

func (s *sharing) folder(of account) string {
	return filepath.Join(s.dir.Path(), accountsDir, string(of))
}

// follow disconnects who signs out, and connects who signs in if that is wanted, until the context ends.
func (s *sharing) follow(ctx context.Context, every time.Duration) {
	tidy := time.NewTimer(tidyFirst)
	defer tidy.Stop()
	var told <-chan struct{}
	if s.watch != nil {
		told = s.watch(ctx, s.log)
	}
	for {
		s.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-told:
		case <-s.poked:
		case <-s.stirred:
		case <-tidy.C:
			s.tidy(ctx, time.Now())
			tidy.Reset(tidyEvery)
		case <-time.After(control.Jitter(every, 0.2)):
		}
	}
}

// look does what follows from who is signed in now.
func (s *sharing) look(ctx context.Context) {
	seen := s.seen()
	if seen == nil {
		return
	}
	for _, m := range s.all() {
		if m.broken != nil || !m.laptop.Enrolled() {
			continue
		}
		front, there := seen[m.account]
		switch {
		case !there:
			s.giveUp(ctx, m, m.here, false)
		case !front:
			s.giveUp(ctx, m, anotherInFront(seen, m.account), true)
		case s.atOnce && !m.here || s.isDue(m, false):
			if err := s.connect(ctx, m.account); errors.Is(err, laptopInUse()) {
				s.isDue(m, true)
			}
		}
		m.here = there
	}
}

// all are the accounts of which something is known.
func (s *sharing) all() (list []*member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.members {
		list = append(list, m)
	}
	return list
}

// isDue says whether somebody is to be connected as soon as she may, which becomes so with set.
func (s *sharing) isDue(m *member, set bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.due = m.due || set
	return m.due
}

// giveUp closes the connection of somebody who is not in front of the laptop any more. returns says that she is still signed in,
// and is to be connected when she is back.
func (s *sharing) giveUp(ctx context.Context, m *member, now, returns bool) {
	if !now {
		return
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	runs := s.running == m
	s.mu.Unlock()
	if runs {
		s.rest(ctx, m)
	}
	if !returns {
		s.mu.Lock()
		m.due = false
		s.mu.Unlock()
	}
}

// anotherInFront says that another person sits at the screen: not only the system's own sign-in screen.
func anotherInFront(seen map[account]bool, than account) bool {
	for who, front := range seen {
		if front && who != than && isPerson(who) {
			return true
		}
	}
	return false
}

// tidy removes the enrolments of accounts that there are no more.
func (s *sharing) tidy(ctx context.Context, now time.Time) {
	for _, m := range s.all() {
		name, err := s.nameOf(ctx, m.account)
		if err != nil || m.broken != nil {
			continue
		}
		switch hers, noting := m.drawer.isOf(name); {
		case noting != nil:
			err = noting
		case hers:
			err = m.drawer.miss(time.Time{})
		case name == "" && m.drawer.missing().IsZero():
			err = m.drawer.miss(now)
		case name != "" || now.Sub(m.drawer.missing()) >= missedFor:
			s.log.Info("an account of this laptop is no more: its keys are removed", "folder", m.drawer.path)
			err = s.remove(m) //nolint:contextcheck // a connection is closed whether the context ends or not
		}
		if err != nil {
			s.log.Warn("could not note that an account is no more", "folder", m.drawer.path, "error", err)
		}
	}
}

// share makes a laptop that several share of a state directory. The rest of it is filled in by the caller.
func share(s *sharing) (*sharing, error) {
	s.room, s.stirred, s.begun = make(chan struct{}, mostAccounts), make(chan struct{}, 1), make(chan struct{})
	s.members, s.leaving = make(map[account]*member), make(map[account]chan struct{})
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("reading which accounts are enrolled: %w", err)
	}
	return s, nil
}
