package session_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
	"github.com/heimdraht/heimdraht/provisioner/watch"
)

// Histories: many do something at once, over several replicas, and porcupine
// looks for an order in which one after the other would have been answered the
// same, each of them between its call and its answer. The models say what one
// alone would be answered.
//
// That these tests can fail was tried. With the pool chosen in a View before the
// opening's transaction, porcupine refused the histories of seats on both
// databases; with the device read there, those of devices; with former addresses
// forgotten, those of addresses; with who comes now passing who waits, with a queue
// whose last one is first, and with offers that are not counted, those of the queue;
// with seats given on from under a session, those of named seats. Without `for update` behind the query of the
// allocation row, two replicas give the same revision: that is unique, so that
// one of the two calls fails, and what fails half-way is explained by no order.

// replica is the services of one.
type replica struct {
	sessions *session.Service
	desk     *enrolment.Service
}

// onReplicas runs a test on SQLite with one replica, and on PostgreSQL with three.
func onReplicas(t *testing.T, seats int64, test func(t *testing.T, w *world, list []replica)) {
	for _, c := range []struct {
		name     string
		replicas int
		database func() store.Options
	}{
		{"sqlite", 1, func() store.Options { return storetest.SQLite(t) }},
		{"postgres", 3, func() store.Options { return storetest.Postgres(t) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := c.database()
			w := newWorldOn(t, o, seats)
			w.keepServing("gw1")
			list := []replica{w.replica(w.Service, w.store, w.contacts)}
			for len(list) < c.replicas {
				list = append(list, w.another(o))
			}
			test(t, w, list)
		})
	}
}

func (w *world) replica(s *session.Service, db *store.Store, contacts *watch.Contacts) replica {
	return replica{s, enrolment.New(enrolment.Options{Store: db, Confirmations: contacts, Logger: slog.New(slog.DiscardHandler)})}
}

// another is one more replica on the same database.
func (w *world) another(o store.Options) replica {
	w.t.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := store.Open(context.Background(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			w.t.Error(err)
		}
	})
	contacts := watch.NewContacts(s, watch.NewHub(log), log)
	return w.replica(session.New(session.Options{
		Store: s, Standings: standings{w}, Confirmations: contacts, Keys: keys{}, Logger: log,
	}), s, contacts)
}

// keepServing serves a gateway that gives a sign of life now and then.
func (w *world) keepServing(gateway string) {
	contact := w.serve(gateway)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				contact.Acknowledged(w.epoch, 1<<40, nil)
			}
		}
	}()
	w.t.Cleanup(func() { close(stop); <-ended })
}

// only declares one gateway that both tenants use, and what is in the pool.
func (w *world) only(aggregate string, pool provisioner.LicencePool) {
	w.t.Helper()
	pool.Name, pool.Model = "vpn", provisioner.PoolConcurrent
	w.update(func(tx *store.Writer) error {
		if err := tx.PutTenant(provisioner.Tenant{Name: "nachbar", Directory: "ad", StaffGroup: staff, Policy: provisioner.DefaultPolicy()}); err != nil {
			return err
		}
		if err := tx.PutPool(pool); err != nil {
			return err
		}
		return tx.PutGateway(provisioner.Gateway{
			Name: "gw1", Endpoint: "gw1.stadt.example:51820", Sessions: 1000,
			AggregateV4: netip.MustParsePrefix(aggregate), Tenants: []string{"nachbar", "stadt"},
		})
	})
}

// history is what was asked and answered.
type history struct {
	t     *testing.T
	began time.Time

	mu         sync.Mutex
	operations []porcupine.Operation
}

func newHistory(t *testing.T) *history { return &history{t: t, began: time.Now()} }

// do asks something and keeps question and answer.
func (h *history) do(client int, input any, ask func() any) {
	call := time.Since(h.began)
	output := ask()
	h.note(client, input, output, call, time.Since(h.began))
}

// note keeps a question that was asked and answered at times since the history began.
func (h *history) note(client int, input, output any, call, answered time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = append(h.operations, porcupine.Operation{
		ClientId: client, Input: input, Call: call.Nanoseconds(), Output: output, Return: answered.Nanoseconds(),
	})
}

// judge fails the test if no order explains the history.
func (h *history) judge(m porcupine.Model) {
	h.t.Helper()
	switch result := porcupine.CheckOperationsTimeout(m, h.operations, 2*time.Minute); result {
	case porcupine.Ok:
	case porcupine.Illegal:
		h.t.Errorf("no order explains the %d answers, of which the first are %+v", len(h.operations), h.operations[:min(40, len(h.operations))])
	default:
		h.t.Errorf("%d answers were not judged in time", len(h.operations))
	}
}

// clients do something at once, each at a replica, n times.
func clients(n, times int, do func(client int, random *rand.Rand)) {
	var group sync.WaitGroup
	for client := range n {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(client), 0))
			for range times {
				do(client, random)
			}
		})
	}
	group.Wait()
}

// codeOf is how something was refused; empty: it was not.
func codeOf(t *testing.T, err error) provisioner.Code {
	t.Helper()
	if err == nil {
		return ""
	}
	refusal, ok := provisioner.AsRefusal(err)
	if !ok {
		t.Errorf("failed: %v", err)
		return "failed"
	}
	return refusal.Code
}

// laptop is one that a client has for itself, and the session it holds.
type laptop struct {
	actor provisioner.Actor
	held  string // empty: none
}

// use opens a session, or closes the one that is held.
func (l *laptop) use(ctx context.Context, s *session.Service, open bool) (opened session.Opened, err error) {
	if open {
		opened, err = s.Open(ctx, l.actor, session.OpenRequest{Stream: "s"})
	} else {
		err = s.Close(ctx, l.actor, l.held)
	}
	if err == nil {
		l.held = opened.Session.ID
	}
	return opened, err
}

// TestHistoriesOfSeats: two tenants share a pool; a seat is refused only if none
// is left that is not guaranteed to the other one, and never granted beyond.
func TestHistoriesOfSeats(t *testing.T) {
	const room, guarantee, devices = 5, 2, 12 // the guarantee is that of the second tenant
	type asked struct {
		device int
		open   bool
	}
	// The state is who holds a seat; device n is of tenant n % 2.
	free := func(held uint16, device int) bool {
		var of [2]int
		for d := range devices {
			of[d%2] += int(held >> d & 1)
		}
		reserved := 0
		if device%2 == 0 {
			reserved = max(0, guarantee-of[1])
		}
		return room-of[0]-of[1]-reserved > 0
	}
	model := porcupine.Model{
		Init: func() any { return uint16(0) },
		Step: func(state, input, output any) (bool, any) {
			held, in := state.(uint16), input.(asked)
			without := held &^ (1 << in.device)
			switch {
			case !in.open:
				return output == provisioner.Code(""), without
			case output == provisioner.Code(""):
				return free(without, in.device), without | 1<<in.device
			default:
				return output == provisioner.CodeNoSeat && !free(without, in.device), held
			}
		},
	}
	onReplicas(t, room, func(t *testing.T, w *world, list []replica) {
		w.only("10.80.0.0/16", provisioner.LicencePool{
			Contracts: []provisioner.Contract{{Seats: room - 1, Burst: 1}}, Shares: []provisioner.PoolShare{{Tenant: "stadt"}, {Tenant: "nachbar", Guarantee: guarantee}},
		})
		laptops := make([]laptop, devices)
		for n := range laptops {
			laptops[n].actor = w.laptopOf([]string{"stadt", "nachbar"}[n%2], n)
		}
		h := newHistory(t)
		clients(devices, 15, func(n int, random *rand.Rand) {
			s, l := list[n%len(list)].sessions, &laptops[n]
			in := asked{n, l.held == "" || random.IntN(4) == 0}
			h.do(n, in, func() any {
				_, err := l.use(t.Context(), s, in.open)
				return codeOf(t, err)
			})
		})
		h.judge(model)
	})
}

// TestHistoriesOfAddresses: a few addresses are left; nobody gets one that
// another device has, who comes back gets the former one if it is free, and
// "full" is said only when all are taken.
func TestHistoriesOfAddresses(t *testing.T) {
	const (
		devices = 9
		left    = 5
		usable  = 61 // of a /26: without the network's own, the gateway's and the broadcast address
		none    = -1
	)
	type asked struct {
		device int
		open   bool
	}
	type answer struct {
		code    provisioner.Code
		address int64
	}
	type state struct{ now, former [devices]int64 }
	var settled map[int64]bool // those of people who stay
	take := func(s state, device int, address int64) (bool, any) {
		free := func(address int64) bool {
			for d, a := range s.now {
				if a == address && d != device {
					return false
				}
			}
			return !settled[address]
		}
		if s.now[device] != none {
			s.former[device] = s.now[device]
		}
		if former := s.former[device]; former != none && free(former) && former != address {
			return false, s
		}
		s.now[device] = address
		return free(address), s
	}
	full := func(s state, device int) bool {
		taken := 0
		for d, a := range s.now {
			if a != none && d != device {
				taken++
			}
		}
		return taken == left
	}
	model := porcupine.Model{
		Init: func() any {
			var s state
			for d := range devices {
				s.now[d], s.former[d] = none, none
			}
			return s
		},
		Step: func(before, input, output any) (bool, any) {
			s, in, out := before.(state), input.(asked), output.(answer)
			switch {
			case !in.open:
				s.former[in.device], s.now[in.device] = s.now[in.device], none
				return out.code == "", s
			case out.code == "":
				return take(s, in.device, out.address)
			default:
				return out.code == provisioner.CodeGatewayFull && full(s, in.device), s
			}
		},
	}
	onReplicas(t, 1000, func(t *testing.T, w *world, list []replica) {
		w.only("10.80.0.0/26", provisioner.LicencePool{Contracts: []provisioner.Contract{{Seats: 1000}}, Shares: []provisioner.PoolShare{{Tenant: "stadt"}}})
		settled = make(map[int64]bool)
		for n := range usable - left {
			settled[w.open(w.laptop(1000+n), session.OpenRequest{Stream: "s"}).Session.AddressIndex] = true
		}
		laptops := make([]laptop, devices)
		for n := range laptops {
			laptops[n].actor = w.laptop(n)
		}
		h := newHistory(t)
		clients(devices, 15, func(n int, random *rand.Rand) {
			s, l := list[n%len(list)].sessions, &laptops[n]
			in := asked{n, l.held == "" || random.IntN(4) == 0}
			h.do(n, in, func() any {
				opened, err := l.use(t.Context(), s, in.open)
				return answer{codeOf(t, err), opened.Session.AddressIndex}
			})
		})
		h.judge(model)
	})
}

// TestHistoriesOfDevices: the helpdesk suspends, restores and revokes devices
// while they open sessions. No session outlives what ended it, and none is
// opened by a device that may not.
func TestHistoriesOfDevices(t *testing.T) {
	const devices, perDevice = 8, 4
	type asked struct {
		device  int
		what    string // open, suspend, restore, revoke, or the id of a session: does it go on?
		session string
	}
	type answer struct {
		code    provisioner.Code
		session string // opened
	}
	type state struct {
		why  provisioner.Code // it may not connect; empty: it may
		held string
	}
	model := porcupine.Model{
		Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
			parts := make([][]porcupine.Operation, devices)
			for _, o := range all {
				d := o.Input.(asked).device
				parts[d] = append(parts[d], o)
			}
			return parts
		},
		Init: func() any { return state{} },
		Step: func(before, input, output any) (bool, any) {
			s, in, out := before.(state), input.(asked), output.(answer)
			switch in.what {
			case "open":
				if s.why == "" {
					s.held = out.session
				}
				return out.code == s.why, s
			case "check":
				return (out.code == "") == (s.held == in.session), s
			}
			if s.why == provisioner.CodeDeviceRevoked { // for good; to do it again changes nothing
				return in.what == "revoke" && out.code == "" || out.code == s.why, s
			}
			switch in.what {
			case "suspend":
				s = state{why: provisioner.CodeDeviceSuspended}
			case "revoke":
				s = state{why: provisioner.CodeDeviceRevoked}
			case "restore":
				s.why = ""
			}
			return out.code == "", s
		},
	}
	onReplicas(t, 1000, func(t *testing.T, w *world, list []replica) {
		desk := provisioner.Actor{ID: "desk", Grants: []provisioner.Grant{{Role: provisioner.RoleOperator}}}
		laptops := make([]laptop, devices)
		for n := range laptops {
			laptops[n].actor = w.laptop(n)
		}
		h := newHistory(t)
		last := make([]string, devices*perDevice) // the last session each client opened
		clients(devices*perDevice, 8, func(n int, random *rand.Rand) {
			device := n % devices
			r, actor := list[n%len(list)], laptops[device].actor
			in := asked{device: device, what: []string{"open", "open", "open", "check", "suspend", "restore", "restore"}[random.IntN(7)], session: last[n]}
			if random.IntN(30) == 0 {
				in.what = "revoke"
			}
			if in.what == "check" && in.session == "" {
				in.what = "open"
			}
			h.do(n, in, func() any {
				take := enrolment.TakeRequest{Device: actor.ID, Reason: "test"}
				var err error
				switch in.what {
				case "open":
					var opened session.Opened
					opened, err = r.sessions.Open(t.Context(), actor, session.OpenRequest{Stream: "s"})
					if err == nil {
						last[n] = opened.Session.ID
						return answer{session: opened.Session.ID}
					}
				case "check":
					err = r.sessions.Check(t.Context(), actor, "s", in.session)
				case "suspend":
					_, err = r.desk.Suspend(t.Context(), desk, take)
				case "restore":
					_, err = r.desk.Restore(t.Context(), desk, enrolment.RestoreRequest{Device: actor.ID, Reason: "test"})
				case "revoke":
					_, err = r.desk.Revoke(t.Context(), desk, take)
				}
				return answer{code: codeOf(t, err)}
			})
		})
		h.judge(model)
	})
}
