package store_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

func names(seats, burst int64) provisioner.LicencePool {
	return provisioner.LicencePool{
		Name: "names", Model: provisioner.PoolNamed, Contracts: []provisioner.Contract{{Seats: seats, Burst: burst}},
		Shares: []provisioner.PoolShare{{Tenant: "stadt", Guarantee: 1}},
	}
}

// named is what one should know of the seats of a pool.
type named struct {
	t       *testing.T
	s       *store.Store
	pool    provisioner.LicencePool
	devices []provisioner.Device
	has     map[string]bool // by person: true: it was taken back, and is counted on
	open    map[string]int  // sessions, by person
	gone    map[string]bool // who has no access
}

func (n *named) standing(d provisioner.Device) {
	update(n.t, n.s, func(tx *store.Writer) error {
		return tx.PutStanding(provisioner.Standing{Person: d.Person, Tenant: "stadt", ReadAt: tx.Now, Entitled: !n.gone[d.Person]})
	})
}

func (n *named) offer(d provisioner.Device) seat.Offer {
	return view(n.t, n.s, func(tx *store.Reader) ([]seat.Offer, error) {
		return tx.Offers(seat.Claim{Tenant: "stadt", Person: d.Person}, time.Now())
	})[0]
}

// goesBack reports whether somebody's seat goes back when somebody looks.
func (n *named) goesBack(person string) bool {
	returned, has := n.has[person]
	return has && n.pool.HoldAtLeast == 0 && n.open[person] == 0 && (returned || n.gone[person])
}

// opens a session if there is a seat for it, or closes the one that is open.
func (n *named) opens(r *rapid.T, d provisioner.Device) {
	err := n.s.UpdateAbout(n.t.Context(), d.ID, func(tx *store.Writer) error {
		if _, err := tx.CloseSessionOf(d.ID, provisioner.CodeSessionClosed); !errors.Is(err, store.ErrNone) {
			if err == nil {
				n.open[d.Person]--
			}
			return err
		}
		claim := seat.Claim{Tenant: "stadt", Person: d.Person}
		offers, err := tx.Offers(claim, tx.Now)
		if err != nil {
			return err
		}
		pool, refused := seat.Choose(offers)
		_, has := n.has[d.Person] // also if it was taken back: it is counted on, and no use to others
		if may := has || int64(len(n.has)) < n.pool.Contracts[0].Seats+n.pool.Contracts[0].Burst; may == (refused != nil) {
			r.Fatalf("refused: %v; has one: %v, of %d", refused, n.has, n.pool.Contracts[0].Seats)
		}
		if pool == "" {
			return nil
		}
		g := gateway()
		index, err := tx.TakeAddress(g.Name, d.Tenant, d.ID, address.Aggregate{V4: g.AggregateV4, V6: g.AggregateV6})
		if err != nil {
			return err
		}
		n.open[d.Person]++
		n.has[d.Person] = false
		_, err = tx.HoldSeat(pool, claim)
		return errors.Join(err, tx.OpenSession(&provisioner.Session{
			ID: provisioner.NewID(), Device: d.ID, Tenant: d.Tenant, Person: d.Person, Gateway: g.Name, Pool: pool,
			AddressIndex: index, PublicKey: d.PublicKey, OpenedAt: tx.Now, RenewedAt: tx.Now, LeaseUntil: tx.Now.Add(provisioner.Lease),
		}))
	})
	if err != nil {
		r.Fatal(err)
	}
}

func (n *named) step(r *rapid.T) {
	d := n.devices[rapid.IntRange(0, len(n.devices)-1).Draw(r, "device")]
	switch rapid.SampledFrom([]string{"opens", "opens", "opens", "assign", "take back", "leaves or returns", "look", "hold", "shrink"}).Draw(r, "what") {
	case "opens":
		if !n.gone[d.Person] {
			n.opens(r, d)
		}
	case "assign":
		if o := n.offer(d); !o.Assigned && o.Grants() {
			update(n.t, n.s, func(tx *store.Writer) error {
				return tx.AssignSeat(store.NamedSeat{Pool: "names", Person: d.Person, Tenant: "stadt", AssignedAt: tx.Now, AssignedBy: "boss"})
			})
			n.has[d.Person] = false
		}
	case "take back":
		if _, has := n.has[d.Person]; !has {
			return
		}
		n.has[d.Person] = true
		free := n.goesBack(d.Person)
		update(n.t, n.s, func(tx *store.Writer) error {
			seat, err := tx.NamedSeat("names", d.Person)
			if err != nil {
				return err
			}
			now, err := tx.ReturnSeat(n.pool, seat)
			if now != free {
				err = errors.Join(err, fmt.Errorf("free at once: %v, not %v", now, free))
			}
			return err
		})
		if free {
			delete(n.has, d.Person)
		}
	case "leaves or returns":
		if n.open[d.Person] == 0 {
			n.gone[d.Person] = !n.gone[d.Person]
			n.standing(d)
		}
	case "look":
		n.look()
	case "hold":
		n.pool.HoldAtLeast = time.Hour - n.pool.HoldAtLeast
		n.put()
	case "shrink":
		n.pool.Contracts = []provisioner.Contract{{Seats: 4 - n.pool.Contracts[0].Seats, Burst: 1}}
		n.put()
	}
}

func (n *named) put() {
	update(n.t, n.s, func(tx *store.Writer) error { return tx.PutPool(n.pool) })
}

// look frees what goes back.
func (n *named) look() {
	people := view(n.t, n.s, func(tx *store.Reader) ([]string, error) { return tx.SeatsOverdue(n.pool, time.Now(), 100) })
	update(n.t, n.s, func(tx *store.Writer) error { _, err := tx.DropSeats(n.pool, people); return err })
	maps.DeleteFunc(n.has, func(person string, _ bool) bool { return n.goesBack(person) })
}

func (n *named) agree(r *rapid.T) {
	has := make(map[string]bool)
	for _, d := range n.devices {
		for _, v := range view(n.t, n.s, func(tx *store.Reader) ([]store.NamedSeat, error) { return tx.NamedSeats(d.Person) }) {
			has[v.Person] = v.Returned()
		}
	}
	o := n.offer(n.devices[0])
	count := int64(len(n.has))
	if diff := cmp.Diff(n.has, has); diff != "" || o.Held != count || o.TenantHeld != count || o.UnusedGuarantee != max(0, 1-count) {
		r.Fatalf("counted %+v; assigned (-want +got):\n%s", o, diff)
	}
}

// Whatever happens to the seats of a pool of names, they agree with what is counted, nobody
// has two, and none is given beyond what there is.
func TestNamedSeatsAgreeWithAModel(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		n := &named{t: t, s: s, pool: names(3, 1)}
		update(t, s, func(tx *store.Writer) error {
			vpn, err := tx.Pool("vpn")
			vpn.Contracts = []provisioner.Contract{{Seats: 0, Until: tx.Now}} // over
			vpn.Shares = nil
			return errors.Join(err, tx.PutPool(vpn))
		})
		for i := range 5 {
			update(t, s, func(tx *store.Writer) error {
				d, err := laptop(tx, i)
				second := d
				second.ID, second.SerialNumber, second.PublicKey = provisioner.NewID(), fmt.Sprint("SN-second", i), key(100+i)
				n.devices = append(n.devices, d, second)
				return errors.Join(err, tx.AddDevice(second))
			})
		}
		rapid.Check(t, func(r *rapid.T) {
			n.pool, n.has, n.open, n.gone = names(3, 1), make(map[string]bool), make(map[string]int), make(map[string]bool)
			n.put()
			for _, d := range n.devices {
				n.standing(d)
			}
			for range rapid.IntRange(1, 25).Draw(r, "steps") {
				n.step(r)
				n.agree(r)
			}
			n.end(r)
		})
	})
}

// end takes all seats back.
func (n *named) end(r *rapid.T) {
	n.pool.HoldAtLeast = 0
	n.put()
	for _, d := range n.devices {
		update(n.t, n.s, func(tx *store.Writer) error {
			if _, err := tx.CloseSessionOf(d.ID, provisioner.CodeSessionClosed); err != nil && !errors.Is(err, store.ErrNone) {
				return err
			}
			return nil
		})
		n.gone[d.Person] = true
		n.standing(d)
	}
	clear(n.open)
	n.look()
	if n.agree(r); len(n.has) > 0 {
		r.Fatalf("left: %v", n.has)
	}
}

// What a pool says of its seats' time, and who may use the pool, decides what goes back.
func TestWhichNamedSeatsGoBack(t *testing.T) {
	const day = 24 * time.Hour
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		pool := names(100, 0)
		pool.HoldAtLeast, pool.TakeBackUnused = 5*day, 30*day
		var people []string
		add := func(assigned, used time.Duration, entitled, held, returned bool) {
			update(t, s, func(tx *store.Writer) error {
				d, err := laptop(tx, len(people))
				if err != nil {
					return err
				}
				people = append(people, d.Person)
				n := store.NamedSeat{Pool: "names", Person: d.Person, Tenant: "stadt", AssignedAt: tx.Now.Add(-assigned)}
				if used > 0 {
					n.UsedAt = tx.Now.Add(-used)
				}
				err = errors.Join(tx.AssignSeat(n), tx.PutStanding(provisioner.Standing{Person: d.Person, Tenant: "stadt", ReadAt: tx.Now, Entitled: entitled}))
				if held {
					err = errors.Join(err, tx.PutHeldLoss(store.HeldLoss{Person: provisioner.Person{ID: d.Person}, Tenant: "stadt", Why: provisioner.WhyGroup}))
				}
				if returned {
					_, e := tx.ReturnSeat(provisioner.LicencePool{Name: "names", HoldAtLeast: 1000 * day}, n)
					err = errors.Join(err, e)
				}
				return err
			})
		}
		update(t, s, func(tx *store.Writer) error { return tx.PutPool(pool) })
		add(40*day, 10*day, true, false, false) // 0: stays
		add(40*day, 31*day, true, false, false) // 1: unused
		add(40*day, 0, true, false, false)      // 2: never used
		add(20*day, 0, true, false, false)      // 3: not for so long yet
		add(6*day, day, false, false, false)    // 4: has left
		add(4*day, day, false, false, false)    // 5: has left, and is bound
		add(6*day, day, false, true, false)     // 6: whom the brake holds
		add(6*day, day, true, false, true)      // 7: taken back
		add(4*day, day, true, false, true)      // 8: taken back, and is bound
		due := func(p provisioner.LicencePool) (which []int) {
			for _, person := range view(t, s, func(tx *store.Reader) ([]string, error) { return tx.SeatsOverdue(p, time.Now(), 100) }) {
				which = append(which, slices.Index(people, person))
			}
			slices.Sort(which)
			return which
		}
		if diff := cmp.Diff([]int{1, 2, 4, 7}, due(pool)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		never := pool
		never.TakeBackUnused = 0
		if diff := cmp.Diff([]int{4, 7}, due(never)); diff != "" {
			t.Errorf("without take_back_unused (-want +got):\n%s", diff)
		}
		update(t, s, func(tx *store.Writer) error {
			without := pool
			without.Shares = nil
			return tx.PutPool(without)
		})
		if diff := cmp.Diff([]int{0, 1, 2, 3, 4, 6, 7}, due(pool)); diff != "" {
			t.Errorf("once the tenant may not use it any more (-want +got):\n%s", diff)
		}
		// Who is forgotten leaves a seat that is bound, and nobody's.
		update(t, s, func(tx *store.Writer) error {
			var err error
			for _, i := range []int{4, 5} {
				p, e := tx.Person(people[i])
				err = errors.Join(err, e, tx.ForgetEverything(store.Subject{Person: p, Tenant: "stadt"}))
			}
			return err
		})
		if held := view(t, s, (*store.Reader).Pools)[0].Held; held != 8 {
			t.Errorf("%d seats are held, not 8", held)
		}
	})
}

// Of two seats of a pool that turn out to be one person's, what the contract binds stays
// counted, and she keeps one, which is hers if either was.
func TestSeatsOfWhoTurnsOutToBeTheSame(t *testing.T) {
	const day = 24 * time.Hour
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		for i, c := range []struct {
			name                     string
			from, to                 time.Duration // ago; zero: none
			fromReturned, toReturned bool
			held                     int64 // one is nobody's unless there is one only
			keeps                    time.Duration
		}{
			{"one only", day, 0, false, false, 1, day},
			{"neither is bound", 20 * day, 30 * day, false, false, 1, 20 * day},
			{"one is bound", day, 30 * day, false, false, 1, day},
			{"both are bound", day, 2 * day, false, false, 2, day},
			{"both are bound, the later one was taken back", 2 * day, day, false, true, 2, day},
			{"both are bound, the earlier one was taken back", 2 * day, day, true, false, 2, day},
		} {
			t.Run(c.name, func(t *testing.T) {
				pool := names(100, 0)
				pool.Name, pool.HoldAtLeast = fmt.Sprint("names", i), 10*day
				now := time.UnixMilli(time.Now().UnixMilli())
				seats := func(person string) []store.NamedSeat {
					return slices.DeleteFunc(view(t, s, func(tx *store.Reader) ([]store.NamedSeat, error) { return tx.NamedSeats(person) }),
						func(n store.NamedSeat) bool { return n.Pool != pool.Name })
				}
				add := func(person string, ago time.Duration, returned bool) {
					if ago == 0 {
						return
					}
					update(t, s, func(tx *store.Writer) error {
						n := store.NamedSeat{Pool: pool.Name, Person: person, Tenant: "stadt", AssignedAt: now.Add(-ago)}
						err := tx.AssignSeat(n)
						if returned {
							_, e := tx.ReturnSeat(pool, n)
							err = errors.Join(err, e)
						}
						return err
					})
				}
				update(t, s, func(tx *store.Writer) error { return tx.PutPool(pool) })
				add("from", c.from, c.fromReturned)
				add("to", c.to, c.toReturned)
				update(t, s, func(tx *store.Writer) error { return tx.MoveSeats("from", "to") })
				if held := view(t, s, func(tx *store.Reader) (int64, error) { return tx.SeatsHeld(pool.Name) }); held != c.held {
					t.Errorf("%d seats are counted, not %d", held, c.held)
				}
				has := seats("to")
				if len(seats("from")) > 0 || len(has) != 1 || has[0].Returned() || !has[0].AssignedAt.Equal(now.Add(-c.keeps)) {
					t.Errorf("she has %+v, and left %+v", has, seats("from"))
				}
				// Once the contract binds it no longer, what is nobody's goes, and so does hers, who is known nowhere.
				later := now.Add(20 * day)
				if left := view(t, s, func(tx *store.Reader) ([]string, error) { return tx.SeatsOverdue(pool, later, 10) }); int64(len(left)) != c.held {
					t.Errorf("%d go back later, not %d", len(left), c.held)
				}
			})
		}
	})
}

// A seat that was taken back from somebody in one tenant, and is counted on, is counted in
// the other one in which it is assigned to her.
func TestASeatIsAssignedInAnotherTenant(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		pool := names(2, 0)
		pool.HoldAtLeast = time.Hour
		pool.Shares = []provisioner.PoolShare{{Tenant: "dorf"}, {Tenant: "stadt", Guarantee: 1}}
		assign := func(tenant string) {
			update(t, s, func(tx *store.Writer) error {
				return tx.AssignSeat(store.NamedSeat{Pool: "names", Person: "eva", Tenant: tenant, AssignedAt: tx.Now})
			})
		}
		offer := func(tenant string) seat.Offer {
			list := view(t, s, func(tx *store.Reader) ([]seat.Offer, error) {
				return tx.Offers(seat.Claim{Tenant: tenant, Person: "eva"}, time.Now())
			})
			return list[slices.IndexFunc(list, func(o seat.Offer) bool { return o.Pool == "names" })]
		}
		update(t, s, func(tx *store.Writer) error {
			return errors.Join(tx.PutTenant(provisioner.Tenant{Name: "dorf", Directory: "stadt-ad"}), tx.PutPool(pool))
		})
		assign("stadt")
		update(t, s, func(tx *store.Writer) error {
			n, err := tx.NamedSeat("names", "eva")
			_, e := tx.ReturnSeat(pool, n)
			return errors.Join(err, e)
		})
		if o := offer("stadt"); !o.Kept || o.Assigned || o.Held != 1 || o.UnusedGuarantee != 0 {
			t.Errorf("in stadt: %+v", o)
		}
		if o := offer("dorf"); o.Kept || o.Free() != 1 {
			t.Errorf("in dorf: %+v", o)
		}
		assign("dorf")
		if o := offer("dorf"); !o.Assigned || o.Held != 1 || o.TenantHeld != 1 || o.UnusedGuarantee != 1 {
			t.Errorf("once it is counted in dorf: %+v", o)
		}
	})
}

func TestThePeakOfADay(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		move := func(by int) {
			update(t, s, func(tx *store.Writer) error {
				for ; by > 0; by-- {
					if err := tx.TakeSeat("vpn", "stadt", provisioner.PriorityOrdinary); err != nil {
						return err
					}
				}
				for ; by < 0; by++ {
					if err := tx.FreeSeat("vpn", "stadt", provisioner.PriorityOrdinary); err != nil {
						return err
					}
				}
				return nil
			})
		}
		now := time.Now()
		more := func() bool { return view(t, s, func(tx *store.Reader) (bool, error) { return tx.MorePeaks(now) }) }
		for _, c := range []struct {
			by   int
			more bool
			peak int64
		}{{0, false, 0}, {4, false, 0}, {3, true, 7}, {-2, false, 7}, {1, false, 7}, {2, true, 8}} { // of few nothing is kept
			if move(c.by); more() != c.more {
				t.Errorf("%+v: there is more: %v", c, !c.more)
			}
			update(t, s, (*store.Writer).NotePeaks)
			peak := view(t, s, func(tx *store.Reader) (map[string]store.Peak, error) { return tx.Peaks(now) })["vpn"]
			if peak.Seats != c.peak || peak.At.Minute()%15 != 0 || peak.At.Second() != 0 {
				t.Errorf("%+v: %+v", c, peak)
			}
		}
		if old := view(t, s, func(tx *store.Reader) (map[string]store.Peak, error) { return tx.Peaks(now.AddDate(0, 0, -1)) }); len(old) > 0 {
			t.Errorf("yesterday: %v", old)
		}
	})
}
