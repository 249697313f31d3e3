package session_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	queueDevices   = 6
	queueSeats     = 3 // the last of them is burst
	queueGuarantee = 1 // of the second tenant
	// historyLasts is less than a seat is held for who is next: within a history no
	// offer lapses, no place is forgotten and no kept seat is given up.
	historyLasts = 10 * time.Second
)

// held is what a laptop has.
type held int8

const (
	heldNothing held = iota
	heldSession
	heldOffer // a seat is held for it: it is next, or it was moved
	heldPlace // in the queue, with its stream
	heldLost  // a place without a stream
)

// queueState is what each laptop has, and where its place is.
type queueState struct {
	has    [queueDevices]held
	place  [queueDevices]queuePlace
	latest int64 // time of a place that was given
	looked bool  // the duty has, and gives next
	seen   bool  // somebody for whom there was a seat when it looked
}

// queuePlace orders places: by time, and of one millisecond by the laptops' ids.
type queuePlace struct {
	since int64
	id    string
}

// Device n is of tenant n % 2, and each fourth is of the crisis team.
func queueTenant(device int) int { return device % 2 }

func queueRank(device int) int {
	if device%4 == 3 {
		return 0
	}
	return 2
}

// counted are the seats that are held, of all and of the second tenant.
func (s *queueState) counted() (all, second int) {
	for d, h := range s.has {
		if h == heldSession || h == heldOffer {
			all++
			second += queueTenant(d)
		}
	}
	return all, second
}

// free is how many seats a tenant may still have.
func (s *queueState) free(tenant int) int {
	all, second := s.counted()
	if tenant == 0 {
		all += max(0, queueGuarantee-second)
	}
	return queueSeats - all
}

// within reports whether a tenant holds less than is guaranteed to it.
func (s *queueState) within(tenant int) bool {
	_, second := s.counted()
	return tenant == 1 && second < queueGuarantee
}

// grants reports whether a laptop that asks now gets a session.
func (s *queueState) grants(device int) bool {
	if s.has[device] == heldSession || s.has[device] == heldOffer {
		return true
	}
	tenant, waits, before := queueTenant(device), false, false
	for d, h := range s.has {
		if h != heldPlace || d == device {
			continue
		}
		waits = true
		before = before || queueTenant(d) == tenant && queueRank(d) <= queueRank(device)
	}
	return s.free(tenant) > 0 && (!waits || s.within(tenant) && !before)
}

// next is who is to be offered a seat.
func (s *queueState) next() (device int, ok bool) {
	device = -1
	for d, h := range s.has {
		if h == heldPlace && s.free(queueTenant(d)) > 0 && (device < 0 || s.before(d, device)) {
			device = d
		}
	}
	return device, device >= 0
}

func (s *queueState) before(a, b int) bool {
	if wa, wb := s.within(queueTenant(a)), s.within(queueTenant(b)); wa != wb {
		return wa
	}
	if queueRank(a) != queueRank(b) {
		return queueRank(a) < queueRank(b)
	}
	if s.place[a].since != s.place[b].since {
		return s.place[a].since < s.place[b].since
	}
	return s.place[a].id < s.place[b].id
}

// askedQueue is what a laptop asks of the queue, or the duty does, and toldQueue the answer.
type (
	askedQueue struct {
		device int
		what   string
	}
	toldQueue struct {
		place   queuePlace // that was given
		offered offered    // seats are held for them, after a run of the duty
	}
	offered [queueDevices]bool
)

func stepQueue(before, input, output any) (bool, any) {
	s, in, out := before.(queueState), input.(askedQueue), output.(toldQueue)
	has := &s.has[in.device]
	switch in.what {
	case "open":
		ok := s.grants(in.device)
		*has = heldSession
		return ok, s
	case "wait":
		ok := !s.grants(in.device) && out.place == s.place[in.device]
		if *has == heldNothing || *has == heldSession {
			ok = !s.grants(in.device) && out.place.since >= s.latest
		}
		*has, s.place[in.device], s.latest = heldPlace, out.place, max(s.latest, out.place.since)
		return ok, s
	case "turn":
		return *has == heldOffer, s
	case "leave":
		*has = heldLost
	case "close":
		*has = heldNothing
	case "move":
		*has = heldOffer
	case "look":
		_, s.seen = s.next()
		s.looked = true
	case "dispatch": // after the look, in a transaction of its own
		ok := s.looked && s.dispatch(out.offered)
		s.looked = false
		return ok, s
	}
	return true, s
}

// dispatch gives seats to those who are next, until they are held for these. How many
// it gives at a time is the duty's own business; one at least if there is one and it saw that when
// it looked. Whom it saw makes no difference.
func (s *queueState) dispatch(want offered) bool {
	for given := 0; ; given++ {
		next, more := s.next()
		if s.offered() == want {
			return given > 0 || !more || !s.seen
		}
		if !more || !s.seen {
			return false
		}
		s.has[next] = heldOffer
	}
}

func (s *queueState) offered() (list offered) {
	for d, h := range s.has {
		list[d] = h == heldOffer
	}
	return list
}

// queueing is a laptop in a history.
type queueing struct {
	n     int
	actor provisioner.Actor
	has   held
	id    string // of the session
}

// TestHistoriesOfTheQueue: two tenants share a pool, wait for its seats, lose their
// connection and are moved. Never are more seats held than there are, for sessions, for
// who is next and for who was moved together; nobody passes who waits with her stream
// up but with what is guaranteed to her tenant, and never one of her tenant and class;
// whoever has a seat held for her gets it.
//
// What the duty does it tells nobody. So of each of its runs is noted for whom seats are
// held after it.
func TestHistoriesOfTheQueue(t *testing.T) {
	model := porcupine.Model{Init: func() any { return queueState{} }, Step: stepQueue}
	onReplicas(t, queueSeats, func(t *testing.T, w *world, list []replica) {
		w.only("10.80.0.0/16", provisioner.LicencePool{
			Contracts: []provisioner.Contract{{Seats: queueSeats - 1, Burst: 1}},
			Shares:    []provisioner.PoolShare{{Tenant: "stadt"}, {Tenant: "nachbar", Guarantee: queueGuarantee}},
		})
		laptops := make([]queueing, queueDevices)
		team := make(map[string]bool)
		for n := range laptops {
			laptops[n] = queueing{n: n, actor: w.laptopOf([]string{"stadt", "nachbar"}[queueTenant(n)], n)}
			team[w.device(laptops[n].actor.ID).Person] = queueRank(n) == 0
		}
		w.change(func(t *provisioner.Tenant) { t.Priority.Crisis = crisisGroup })
		w.update(func(tx *store.Writer) error {
			tenant, err := tx.Tenant("nachbar")
			tenant.Priority.Crisis = crisisGroup
			return errors.Join(err, tx.PutTenant(tenant))
		})
		w.standing = func(p provisioner.Person) (provisioner.Standing, error) {
			s := provisioner.Standing{Person: p.ID, Groups: []string{staff}, ReadAt: time.Now()}
			if team[p.ID] {
				s.Groups = append(s.Groups, crisisGroup)
			}
			return s, nil
		}
		h := newHistory(t)
		freed := make(chan struct{}, 1)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for n := 0; ; n++ {
				if _, more := <-freed; !more {
					return
				}
				dispatched(h, list[n%len(list)].sessions, laptops)
			}
		}()
		clients(queueDevices, 40, func(n int, random *rand.Rand) {
			if time.Since(h.began) > historyLasts {
				return
			}
			laptops[n].step(h, list[random.IntN(len(list))].sessions, random)
			select {
			case freed <- struct{}{}:
			default:
			}
		})
		close(freed)
		<-ended
		h.judge(model)
	})
}

// dispatched runs the duty once. To look and to give are two steps: who comes in between is
// passed by nobody.
func dispatched(h *history, s *session.Service, laptops []queueing) {
	var told toldQueue
	call := time.Since(h.began)
	err := session.Dispatch(context.Background(), s.Store, 0, func(tx *store.Writer) error {
		told = toldQueue{}
		for n := range laptops {
			q, err := tx.InQueue(laptops[n].actor.ID)
			if err != nil && !errors.Is(err, store.ErrNone) {
				return err
			}
			told.offered[n] = q.Pool != ""
		}
		return nil
	})
	answered := time.Since(h.began)
	if err != nil {
		h.t.Errorf("giving seats: %v", err)
	}
	h.note(queueDevices, askedQueue{0, "look"}, toldQueue{}, call, answered)
	h.note(queueDevices, askedQueue{0, "dispatch"}, told, call, answered)
}

// step does one thing that a laptop in its state can do.
func (l *queueing) step(h *history, s *session.Service, random *rand.Rand) {
	choice := random.IntN(10)
	switch {
	case l.has == heldNothing || l.has == heldLost || l.has == heldOffer:
		l.ask(h, s)
	case l.has == heldSession && choice < 5:
		l.tell(h, "close", func() error { return s.Close(h.t.Context(), l.actor, l.id) })
		l.has = heldNothing
	case l.has == heldSession && choice < 8:
		l.tell(h, "move", func() error {
			return s.Store.Update(context.Background(), func(tx *store.Writer) error {
				_, err := tx.CloseSessionOf(l.actor.ID, provisioner.CodeGatewayMoved)
				return err
			})
		})
		l.has = heldOffer
	case l.has == heldPlace && choice < 8:
		call := time.Since(h.began)
		yes, err := s.Turn(h.t.Context(), l.actor, l.actor.ID)
		if err != nil {
			h.t.Errorf("is it its turn: %v", err)
		}
		if yes { // that it is not yet says little, and is asked often
			l.has = heldOffer
			h.note(l.n, askedQueue{l.n, "turn"}, toldQueue{}, call, time.Since(h.began))
		}
	case l.has == heldPlace && choice < 9:
		l.tell(h, "leave", func() error { return s.Leave(h.t.Context(), l.actor, l.actor.ID) })
		l.has = heldLost
	default:
		l.ask(h, s)
	}
}

func (l *queueing) tell(h *history, what string, do func() error) {
	h.do(l.n, askedQueue{l.n, what}, func() any {
		if err := do(); err != nil {
			h.t.Errorf("%s: %v", what, err)
		}
		return toldQueue{}
	})
}

// ask asks for a session. To find no seat and to take a place is one step.
func (l *queueing) ask(h *history, s *session.Service) {
	call := time.Since(h.began)
	opened, err := s.Open(h.t.Context(), l.actor, session.OpenRequest{Stream: l.actor.ID, Wait: true})
	answered := time.Since(h.began)
	if err != nil {
		h.t.Errorf("opening: %v", err)
		return
	}
	if !opened.Waits {
		l.has, l.id = heldSession, opened.Session.ID
		h.note(l.n, askedQueue{l.n, "open"}, toldQueue{}, call, answered)
		return
	}
	l.has = heldPlace
	place, err := store.Read(context.Background(), s.Store, func(tx *store.Reader) (store.Queued, error) { return tx.InQueue(l.actor.ID) })
	if err != nil {
		h.t.Errorf("its place: %v", err)
	}
	h.note(l.n, askedQueue{l.n, "wait"}, toldQueue{place: queuePlace{place.Since.UnixMilli(), l.actor.ID}}, call, answered)
}
