package session_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/watch"
)

const (
	shortSeats  = 4
	shortRecall = 4 * time.Minute
)

// shortage is a pool that two tenants share, all of whose guarantees may be lent, and
// fewer seats than people want.
type shortage struct {
	*world
	gateway *watch.Contact
	random  *rand.Rand
	step    func() error
	people  []*wanting
	crisis  bool // in the tenant stadt, and closed to ordinary people
	steps   []string
}

// wanting is a laptop that is to be connected now and then.
type wanting struct {
	name     string
	actor    provisioner.Actor
	tenant   string
	ordinary bool
	works    bool

	session string    // open; empty: none
	waits   bool      // it has a place, and its stream
	lost    time.Time // since when it has a place without a stream; zero: it has none so
	since   time.Time // of the place
}

func (s *shortage) failf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\nafter %v", fmt.Sprintf(format, args...), s.steps)
}

// Whatever order people come, wait, lose their connection, work, idle and go in, while
// lent seats are called back and a crisis begins and ends: nobody is offered a seat that
// she is then refused; who waits while a crisis is closed to her is in nobody's way,
// keeps her place and goes on in order after it; no seat idles while somebody waits for
// whom there is one; nobody loses a session in which she works.
func TestQueueRecallAndCrisisTogether(t *testing.T) {
	for _, seed := range []uint64{1, 6, 9} { // in each of which everything happens
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShortage(t, seed)
				step, end := session.OnDuty(s.Service)
				s.step = step
				defer func() {
					if err := end(); err != nil {
						t.Error(err)
					}
				}()
				for range 110 {
					s.happens()
					s.settle()
				}
			})
		})
	}
}

func newShortage(t *testing.T, seed uint64) *shortage {
	s := &shortage{world: newWorld(t, shortSeats), random: rand.New(rand.NewPCG(seed, 0))}
	s.only("10.80.0.0/16", provisioner.LicencePool{
		Contracts: []provisioner.Contract{{Seats: shortSeats}}, LendGuaranteed: 100, Recall: shortRecall,
		Shares: []provisioner.PoolShare{{Tenant: "stadt", Guarantee: 1}, {Tenant: "nachbar", Guarantee: 2}},
	})
	s.idle(0)
	s.change(func(t *provisioner.Tenant) {
		t.Priority.Crisis, t.Crisis = crisisTeam, provisioner.CrisisPlan{CloseOrdinary: true}
	})
	s.gateway = s.serve("gw1")
	team := make(map[string]bool)
	for n := range 10 {
		p := &wanting{name: fmt.Sprint("ordinary ", n), tenant: "stadt", ordinary: true}
		switch {
		case n < 2:
			p.name, p.ordinary = fmt.Sprint("crisis ", n), false
		case n > 6:
			p.name, p.tenant = fmt.Sprint("neighbour ", n), "nachbar"
		}
		p.actor = s.laptopOf(p.tenant, n)
		team[s.device(p.actor.ID).Person] = !p.ordinary
		s.people = append(s.people, p)
	}
	s.standing = func(p provisioner.Person) (provisioner.Standing, error) {
		standing := provisioner.Standing{Person: p.ID, Groups: []string{staff}, ReadAt: time.Now()}
		if team[p.ID] {
			standing.Groups = append(standing.Groups, crisisTeam)
		}
		return standing, nil
	}
	return s
}

// closedTo reports whether somebody may open no session now.
func (s *shortage) closedTo(p *wanting) bool { return s.crisis && p.ordinary && p.tenant == "stadt" }

// happens is one thing that happens.
func (s *shortage) happens() {
	p := s.people[s.random.IntN(len(s.people))]
	var did string
	switch choice := s.random.IntN(20); {
	case choice < 9 && p.session == "":
		did = "asks"
		s.asks(p)
	case choice < 9 && s.random.IntN(3) > 0:
		did = "closes"
		if err := s.Close(context.Background(), p.actor, p.session); err != nil {
			s.failf("%s closes: %v", p.name, err)
		}
		p.session = ""
	case choice < 11:
		p.works = !p.works
		did = fmt.Sprint("works: ", p.works)
	case choice < 15 && p.waits:
		did = "loses its stream"
		if err := s.Leave(context.Background(), p.actor, p.actor.ID); err != nil {
			s.failf("%s leaves: %v", p.name, err)
		}
		p.waits, p.lost = false, time.Now()
	case choice < 16:
		s.crisis = !s.crisis
		did = fmt.Sprint("crisis: ", s.crisis)
		s.update(func(tx *store.Writer) (err error) {
			if s.crisis {
				_, err = tx.BeginCrisis("stadt", "flood")
			} else {
				_, err = tx.EndCrisis("stadt")
			}
			return err
		})
	default:
		d := time.Duration(1+s.random.IntN(4)) * 30 * time.Second
		did = fmt.Sprint(d, " pass")
		s.passes(d)
	}
	s.steps = append(s.steps, p.name+" "+did)
}

// asks is a laptop that asks for its session.
func (s *shortage) asks(p *wanting) {
	s.t.Helper()
	had := s.place(p)
	free := s.free()
	opened, err := s.Open(context.Background(), p.actor, session.OpenRequest{Stream: p.actor.ID, Wait: true})
	refusal, refused := provisioner.AsRefusal(err)
	switch {
	case refused && refusal.Code == provisioner.CodeCrisisMode && s.closedTo(p) && had.Device == "":
	case refused && refusal.Code == provisioner.CodeTryLater:
	case err != nil:
		s.failf("%s asks, with the place %+v: %v", p.name, had, err)
	case opened.Waits:
		if had.Pool != "" && !s.closedTo(p) {
			s.failf("%s waits again, and was offered a seat", p.name)
		}
		if !p.ordinary && free > 0 && !s.eligible() {
			s.failf("%s waits, and a seat is free for which nobody else waits", p.name)
		}
		now := s.place(p)
		if had.Device != "" && !now.Since.Equal(had.Since) {
			s.failf("%s has lost its place", p.name)
		}
		p.waits, p.lost, p.since = true, time.Time{}, now.Since
	case s.closedTo(p):
		s.failf("%s opens in a crisis that is closed to it", p.name)
	default:
		p.session, p.waits, p.lost = opened.Session.ID, false, time.Time{}
	}
}

// place is that of a laptop; zero: it has none.
func (s *shortage) place(p *wanting) store.Queued {
	q, err := store.Read(context.Background(), s.store, func(tx *store.Reader) (store.Queued, error) { return tx.InQueue(p.actor.ID) })
	if errors.Is(err, store.ErrNone) {
		return store.Queued{}
	}
	if err != nil {
		s.failf("%v", err)
	}
	return q
}

// free is how many seats nobody holds.
func (s *shortage) free() int64 {
	held, err := store.Read(context.Background(), s.store, func(tx *store.Reader) (int64, error) { return tx.SeatsHeld("vpn") })
	if err != nil {
		s.failf("%v", err)
	}
	return shortSeats - held
}

// eligible reports whether somebody waits who may be given a seat.
func (s *shortage) eligible() bool {
	for _, p := range s.people {
		if p.waits && !s.closedTo(p) {
			return true
		}
	}
	return false
}

// passes lets time pass, in which gateway and laptops say what they do.
func (s *shortage) passes(d time.Duration) {
	gateway := provisioner.Actor{ID: "gw1", Grants: []provisioner.Grant{{Role: provisioner.RoleGateway}}}
	const beat = 10 * time.Second
	for range d / beat {
		time.Sleep(beat)
		var seen []session.Seen
		var waiting []string
		for _, p := range s.people {
			if p.session != "" {
				rate := uint64(keepalives)
				if p.works {
					rate = working
				}
				seen = append(seen, session.Seen{Session: p.session, LastHandshake: time.Now(), ReceivedBytes: rate * uint64(beat/time.Second)})
			}
			if p.waits {
				waiting = append(waiting, p.actor.ID)
			}
		}
		if err := s.Observe(context.Background(), gateway, seen); err != nil {
			s.failf("%v", err)
		}
		s.gateway.Observed(time.Now())
		s.gateway.Acknowledged(s.epoch, 1<<40, nil)
		synctest.Wait() // until that is written
		s.update(func(tx *store.Writer) error { return tx.HearQueued(waiting) })
		s.settle()
	}
}

// settle has the duties do what there is to do, the laptops hear of it, and judges.
func (s *shortage) settle() {
	s.t.Helper()
	for goes := true; goes; {
		if err := s.step(); err != nil {
			s.failf("the duties: %v", err)
		}
		s.judge()
		goes = false
		for _, p := range s.people {
			goes = s.hears(p) || goes
		}
	}
}

// hears is what a laptop does by itself: opens when it is its turn, and notices its end.
func (s *shortage) hears(p *wanting) bool {
	s.t.Helper()
	if p.session != "" {
		err := s.Check(context.Background(), p.actor, p.actor.ID, p.session)
		if refusal, ok := provisioner.AsRefusal(err); ok {
			if refusal.Code != provisioner.CodeSessionIdle {
				s.failf("%s: its session has ended: %v", p.name, err)
			}
			if p.works {
				s.failf("%s has lost a session in which it works", p.name)
			}
			p.session = ""
			return true
		}
		return false
	}
	if !p.waits {
		return false
	}
	turn, err := s.Turn(context.Background(), p.actor, p.actor.ID)
	if err != nil {
		s.failf("%v", err)
	}
	if !turn {
		return false
	}
	s.asks(p)
	return true
}

// judge looks whether everything is as it must be once the duties have nothing to do.
func (s *shortage) judge() {
	s.t.Helper()
	var open, offered int64
	for _, p := range s.people {
		q := s.place(p)
		if q.Pool != "" {
			offered++
			if s.closedTo(p) {
				s.failf("%s is offered a seat in a crisis that is closed to it", p.name)
			}
			s.inOrder(p)
		}
		if p.waits && q.Device == "" {
			s.failf("%s waits and has no place", p.name)
		}
		if p.session != "" {
			if _, err := store.Read(context.Background(), s.store, func(tx *store.Reader) (provisioner.Session, error) { return tx.OpenSessionOf(p.actor.ID) }); err == nil {
				open++
			}
		}
	}
	free := s.free()
	if held := shortSeats - free; held != open+offered || free < 0 {
		s.failf("%d seats are held, by %d sessions and %d offers", held, open, offered)
	}
	for _, p := range s.people {
		if q := s.place(p); free > 0 && p.waits && q.Pool == "" && q.LostAt.IsZero() && !s.closedTo(p) {
			s.failf("a seat idles for which %s waits", p.name)
		}
	}
	s.calledBack()
}

// inOrder fails if somebody of the same tenant and class waits who came before who is offered a seat.
func (s *shortage) inOrder(next *wanting) {
	s.t.Helper()
	for _, p := range s.people {
		if p != next && p.waits && p.tenant == next.tenant && p.ordinary == next.ordinary && p.since.Before(next.since) && s.place(p).Waits() {
			s.failf("%s is next before %s", next.name, p.name)
		}
	}
}

// calledBack fails if more sessions are called back than people wait for what is theirs.
func (s *shortage) calledBack() {
	s.t.Helper()
	wanted := 0
	for _, p := range s.people {
		if p.waits && !s.closedTo(p) {
			wanted++
		}
	}
	list, err := store.Read(context.Background(), s.store, func(tx *store.Reader) ([]provisioner.Session, error) { return tx.Recalled("vpn") })
	if err != nil || len(list) > wanted {
		s.failf("%d are called back for %d who wait: %v", len(list), wanted, err)
	}
}
