package store_test

import (
	"github.com/google/go-cmp/cmp"

	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// quarter is a part of a city with tenants, gateways and pools that overlap, so
// that requests that share a transaction count in the same rows.
type quarter struct {
	tenants  []string
	gateways []provisioner.Gateway
	pools    []provisioner.LicencePool
	devices  []provisioner.Device
}

func newQuarter(t *testing.T, s *store.Store) *quarter {
	t.Helper()
	q := &quarter{tenants: []string{"nord", "mitte", "sued"}}
	for i := range 2 {
		q.gateways = append(q.gateways, provisioner.Gateway{
			Name: fmt.Sprint("gw", i), Endpoint: "vpn.stadt.example:51820", Sessions: 1000, Tenants: q.tenants,
			AggregateV4: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(80 + i), 0, 0}), 16), AggregateV6: netip.MustParsePrefix(fmt.Sprintf("fd80:%d::/48", i)),
		})
		pool := provisioner.LicencePool{
			Name: fmt.Sprint("pool", i), Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 1000}}, LendGuaranteed: int64(50 * i),
			Reserved: []provisioner.Reserve{{Class: provisioner.PriorityCrisis, Seats: 4}},
		}
		for j, tenant := range q.tenants {
			pool.Shares = append(pool.Shares, provisioner.PoolShare{Tenant: tenant, Guarantee: int64(3 * j)})
		}
		q.pools = append(q.pools, pool)
	}
	update(t, s, func(tx *store.Writer) error {
		err := tx.PutDirectory(provisioner.Directory{Name: "stadt-ad"})
		for _, name := range q.tenants {
			err = errors.Join(err, tx.PutTenant(provisioner.Tenant{Name: name, Directory: "stadt-ad", Policy: provisioner.DefaultPolicy(), Crisis: provisioner.CrisisPlan{CloseOrdinary: true}}))
		}
		for i := range q.gateways {
			err = errors.Join(err, tx.PutGateway(q.gateways[i]), tx.PutPool(q.pools[i]))
		}
		return err
	})
	for n := range 60 {
		update(t, s, func(tx *store.Writer) error {
			p, err := tx.KeepPerson(provisioner.Person{Directory: "stadt-ad", StableID: fmt.Sprint(n), Login: fmt.Sprint("p", n)})
			d := provisioner.Device{
				ID: provisioner.NewID(), Tenant: q.tenants[n%len(q.tenants)], Person: p.ID, Generation: 1,
				PublicKey: key(n), EnrolledAt: tx.Now, AgentVersion: "1",
			}
			q.devices = append(q.devices, d)
			return errors.Join(err, tx.AddDevice(d))
		})
	}
	return q
}

var errOnPurpose = errors.New("fails on purpose")

// step does something at random about a device: opens, closes, moves, and in between
// what knows nothing of what openings count in; some of it fails in the end.
func (q *quarter) step(s *store.Store, rnd *rand.Rand) error {
	d := q.devices[rnd.IntN(len(q.devices))]
	fails, detour, queues := rnd.IntN(5) == 0, rnd.IntN(12), rnd.IntN(6)
	gateway, pool := q.gateways[rnd.IntN(2)], q.pools[rnd.IntN(2)]
	return s.UpdateAbout(context.Background(), d.ID, func(tx *store.Writer) error {
		if err := q.move(tx, d, gateway, pool, rnd.IntN(5)); err != nil {
			return err
		}
		switch detour {
		case 0: // reads past the ledger
			if _, err := tx.Gateway(gateway.Name); err != nil {
				return err
			}
		case 1: // writes past it
			more := pool
			more.Contracts = []provisioner.Contract{{Seats: more.Contracts[0].Seats + 1}}
			if err := tx.PutPool(more); err != nil {
				return err
			}
			list, err := tx.Offers(seat.Claim{Tenant: d.Tenant}, time.Now())
			if err != nil || !slices.ContainsFunc(list, func(o seat.Offer) bool { return o.Quantity.Seats == more.Contracts[0].Seats }) {
				return fmt.Errorf("a changed pool is not seen: %v, %w", list, err)
			}
			if err := tx.PutPool(pool); err != nil {
				return err
			}
		case 2:
			if _, err := tx.SuspendDevice(d, provisioner.Suspension{Source: "helpdesk", Since: tx.Now}); err != nil {
				return err
			}
			if now, err := tx.Device(d.ID); err != nil || len(now.SuspendedBy) != 1 {
				return fmt.Errorf("a suspension is not seen: %v, %w", now, err)
			}
			if _, err := tx.RestoreDevice(d, "helpdesk"); err != nil {
				return err
			}
		case 3:
			if err := tx.PutGateway(gateway); err != nil {
				return err
			}
		case 4: // in one request twice
			if _, err := tx.CloseSessionOf(d.ID, provisioner.CodeSessionClosed); err == nil {
				if err := q.open(tx, d, gateway, pool); err != nil {
					return err
				}
			}
		}
		if err := queueUp(tx, d, queues); err != nil {
			return err
		}
		if fails {
			return errOnPurpose
		}
		return nil
	})
}

// queueUp does something about a device's place in the queue, whatever sessions it has.
func queueUp(tx *store.Writer, d provisioner.Device, what int) error {
	q, err := tx.InQueue(d.ID)
	if err != nil && !errors.Is(err, store.ErrNone) {
		return err
	}
	switch {
	case what == 0:
		return tx.Enqueue(d.ID, seat.Claim{Tenant: d.Tenant, Person: d.Person, Class: classOf(d)}, "stream")
	case what == 1 && err == nil:
		return tx.Dequeue(q)
	case what == 2 && err == nil:
		return tx.Lose(q)
	case what == 3 && classOf(d) == provisioner.PriorityCrisis:
		began, err := tx.BeginCrisis(d.Tenant, "flood")
		if err == nil && !began {
			_, err = tx.EndCrisis(d.Tenant)
		}
		return err
	}
	return nil
}

func classOf(d provisioner.Device) provisioner.PriorityClass {
	return provisioner.PriorityClasses()[d.PublicKey[len(d.PublicKey)-1]%3]
}

// move opens a session, or does something with the one there is.
func (q *quarter) move(tx *store.Writer, d provisioner.Device, gateway provisioner.Gateway, pool provisioner.LicencePool, how int) error {
	present, err := tx.OpenSessionOf(d.ID)
	if errors.Is(err, store.ErrNone) {
		return q.open(tx, d, gateway, pool)
	}
	if err != nil {
		return err
	}
	leaving, err := tx.LeavingSessionOf(d.ID)
	if err != nil && !errors.Is(err, store.ErrNone) {
		return err
	}
	switch {
	case how == 0 && err == nil:
		return tx.ReturnTo(leaving, present, provisioner.CodeGatewayNotReady)
	case how == 1 && err == nil:
		_, err := tx.CloseSession(leaving, provisioner.CodeSessionElsewhere)
		return err
	case how < 4:
		other := q.gateways[0]
		if other.Name == present.Gateway {
			other = q.gateways[1]
		}
		return errors.Join(tx.LeaveSession(present, tx.Now.Add(time.Hour)), q.open(tx, d, other, pool))
	default:
		_, err := tx.CloseSessionOf(d.ID, provisioner.CodeSessionClosed)
		return err
	}
}

func (*quarter) open(tx *store.Writer, d provisioner.Device, g provisioner.Gateway, pool provisioner.LicencePool) error {
	index, err := tx.TakeAddress(g.Name, d.Tenant, d.ID, address.Aggregate{V4: g.AggregateV4, V6: g.AggregateV6})
	if err != nil {
		return err
	}
	class := classOf(d)
	return errors.Join(tx.TakeSeat(pool.Name, d.Tenant, class), tx.NoteAgent(d.ID, fmt.Sprint(tx.Now.UnixNano())), tx.OpenSession(&provisioner.Session{
		ID: provisioner.NewID(), Device: d.ID, Tenant: d.Tenant, Person: d.Person, Gateway: g.Name, Pool: pool.Name, Class: class,
		AddressIndex: index, PublicKey: d.PublicKey, Stream: "stream", OpenedAt: tx.Now, RenewedAt: tx.Now, LeaseUntil: tx.Now.Add(provisioner.Lease),
	}))
}

// agrees compares every count with the sessions that are open.
func (q *quarter) agrees(t *testing.T, s *store.Store) {
	t.Helper()
	open := view(t, s, func(tx *store.Reader) ([]provisioner.Session, error) {
		return tx.SessionsIn(provisioner.Everywhere(), "", "", 10_000)
	})
	held, places, used := make(map[string]int64), make(map[string]int64), make(map[string]bool)
	present, leaving := make(map[string]string), make(map[string]string) // gateways, by device
	for _, v := range open {
		of := present
		if v.Leaving() {
			of = leaving
		}
		if of[v.Device] != "" {
			t.Errorf("device %s has two sessions alike, on %s and %s", v.Device, of[v.Device], v.Gateway)
		}
		of[v.Device] = v.Gateway
		places[v.Gateway]++
		address := fmt.Sprint(v.Gateway, " ", v.AddressIndex)
		if used[address] {
			t.Errorf("address %s twice", address)
		}
		used[address] = true
		if v.Leaving() {
			continue // the seat is the other one's
		}
		held[v.Pool+" "+v.Tenant]++
		held[v.Pool+" "+string(v.Class)]++
		if v.Class != provisioner.PriorityOrdinary {
			held[v.Pool+" reserved "+v.Tenant]++
		}
		held[v.Pool]++
	}
	for device, gateway := range leaving {
		if now := present[device]; now == "" || now == gateway {
			t.Errorf("device %s leaves %s for %q", device, gateway, now)
		}
	}
	lines := q.lines(t, s)
	for i, declared := range q.pools {
		var unused int64
		for _, v := range declared.Shares {
			unused += max(0, declared.Protected(v.Guarantee)-held[declared.Name+" "+v.Tenant]+held[declared.Name+" reserved "+v.Tenant])
		}
		for _, tenant := range q.tenants {
			p := view(t, s, func(tx *store.Reader) ([]seat.Offer, error) {
				return tx.Offers(seat.Claim{Tenant: tenant, Class: provisioner.PriorityCrisis}, time.Now())
			})[i]
			share, _ := declared.Share(tenant)
			crisis := held[p.Pool+" "+string(provisioner.PriorityCrisis)]
			want := seat.Offer{
				Pool: declared.Name, Model: declared.Model, Quantity: declared.At(time.Now()),
				Held: held[p.Pool], UnusedGuarantee: unused, UnusedReserve: max(0, 4-crisis), Reserve: 4, ClassHeld: crisis,
				Guarantee: share.Guarantee, Protected: declared.Protected(share.Guarantee), TenantHeld: held[p.Pool+" "+tenant] - held[p.Pool+" reserved "+tenant],
				Waiting: lines[""].waiting(3), Queued: lines[tenant].queued, TenantBefore: lines[tenant].waiting(1) > 0, ClassBefore: lines[tenant].waiting(1) > 0,
			}
			if diff := cmp.Diff(want, p); diff != "" {
				t.Errorf("%s of %s: %s", p.Pool, tenant, diff)
			}
		}
	}
	for tenant, counts := range store.QueueCounts(t, s) {
		l := lines[tenant]
		for _, n := range counts {
			if want := [4]int64{l.queued, l.ofRank[0], l.ofRank[1], l.ofRank[2]}; n != want {
				t.Errorf("of %s are counted %v in the queue, want %v", tenant, n, want)
			}
		}
	}
	for _, g := range view(t, s, (*store.Reader).Gateways) {
		if g.Open != places[g.Name] {
			t.Errorf("%s counts %d sessions, %d are open", g.Name, g.Open, places[g.Name])
		}
		taken := view(t, s, func(tx *store.Reader) (int64, error) { return tx.AddressesTaken(g.Name) })
		first := address.Aggregate{V4: g.AggregateV4, V6: g.AggregateV6}.NewBlock(0) // keeps some for the gateway itself
		if want := places[g.Name] + int64(first.Taken()); taken != want {
			t.Errorf("%s: %d addresses taken, want %d", g.Name, taken, want)
		}
	}
}

// lined is who of a tenant has a place in the queue.
type lined struct {
	queued int64
	ofRank [3]int64 // that wait
}

func (l lined) waiting(ranks int) (n int64) {
	for _, of := range l.ofRank[:ranks] {
		n += of
	}
	return n
}

// lines counts places, by tenant; by "" all of them.
func (q *quarter) lines(t *testing.T, s *store.Store) map[string]lined {
	t.Helper()
	lines := make(map[string]lined)
	for _, d := range q.devices {
		place, err := store.Read(context.Background(), s, func(tx *store.Reader) (store.Queued, error) { return tx.InQueue(d.ID) })
		if errors.Is(err, store.ErrNone) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, of := range []string{"", d.Tenant} {
			l := lines[of]
			l.queued++
			if place.Waits() {
				l.ofRank[place.Class.Rank()]++
			}
			lines[of] = l
		}
	}
	return lines
}

// isWhole holds that every revision has its change.
func isWhole(t *testing.T, s *store.Store) {
	t.Helper()
	p := view(t, s, (*store.Reader).Position)
	for next := p.Horizon + 1; next <= p.Revision; {
		list := view(t, s, func(tx *store.Reader) ([]provisioner.Change, error) { return tx.Changes(next-1, 1000) })
		if len(list) == 0 {
			t.Fatalf("the changes end before revision %d, which is at %d", next, p.Revision)
		}
		for _, c := range list {
			if c.Revision != next {
				t.Fatalf("revision %d has no change", next)
			}
			next++
		}
	}
}

// A program of the version before counts less in the queue than this one goes by. It
// counts anew.
func TestQueuesAreCountedAnew(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			o := e.make(t)
			s := open(t, o)
			q := newQuarter(t, s)
			for n, d := range q.devices {
				update(t, s, func(tx *store.Writer) error {
					if n < len(q.gateways) {
						return q.open(tx, d, q.gateways[n], q.pools[n])
					}
					if d.Tenant == q.tenants[0] {
						return nil // nobody of it is in the queue
					}
					return queueUp(tx, d, 0)
				})
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			store.Exec(t, o, `update pool_share set queued = 0, waiting_crisis = 7, waiting_ordinary = -1`)
			store.Exec(t, o, `update licence_pool set queued = 0`)
			s = open(t, o)
			pools := view(t, s, (*store.Reader).QueuedPools)
			if len(pools) != len(q.pools) {
				t.Errorf("to be counted are %v", pools)
			}
			update(t, s, func(tx *store.Writer) error { return tx.CountQueues(pools) })
			q.agrees(t, s)
		})
	}
}

// Whatever shares a transaction and whatever fails in it: what is counted in
// the ledger ends up in the tables.
func TestTheLedgerAgreesWithTheTables(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		q := newQuarter(t, s)
		for round := range 8 {
			var group sync.WaitGroup
			for worker := range 32 {
				rnd := rand.New(rand.NewPCG(uint64(round), uint64(worker)))
				group.Go(func() {
					for range 10 {
						if err := q.step(s, rnd); err != nil && !errors.Is(err, errOnPurpose) {
							t.Error(err)
						}
					}
				})
			}
			group.Wait()
			for n, d := range q.devices { // and with no pool that is counted anew after them
				update(t, s, func(tx *store.Writer) error { return queueUp(tx, d, (n+round)%3) })
			}
			q.agrees(t, s)
			isWhole(t, s)
			if t.Failed() {
				t.FailNow()
			}
		}
	})
}

// What was opened in a transaction is there for everything that follows in it,
// whether it was written already or waits to be.
func TestOpenedInTheSameTransaction(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		update(t, s, func(tx *store.Writer) error {
			d, err := laptop(tx, 1)
			if err != nil {
				return err
			}
			before := tx.Revision()
			v, err := session(tx, d)
			if err != nil {
				return err
			}
			if r, err := tx.RenewSession(v.ID, d.ID, v.Stream, tx.Now.Add(time.Hour), provisioner.Usage{}); err != nil || !r.EndsAt.IsZero() || r.Timed {
				t.Errorf("renewing: %v, %v", r, err)
			}
			if held, err := tx.OpenSessionOf(d.ID); err != nil || held.ID != v.ID || !held.LeaseUntil.Equal(tx.Now.Add(time.Hour).Truncate(time.Millisecond)) {
				t.Errorf("reading it: %+v, %v", held, err)
			}
			if _, err := tx.CloseSession(v, provisioner.CodeSessionClosed); err != nil {
				return err
			}
			again, err := session(tx, d)
			if err != nil {
				return err
			}
			if err := tx.Observe(again.Gateway, store.Observed{Session: again.ID, ReceivedBytes: 7}, provisioner.Traffic{}); err != nil {
				return err
			}
			if held, err := tx.Session(again.ID); err != nil || held.ReceivedBytes != 7 {
				t.Errorf("observing: %+v, %v", held, err)
			}
			var kinds []provisioner.ChangeKind
			changes, err := tx.Changes(before, 10)
			for _, c := range changes {
				kinds = append(kinds, c.Kind)
			}
			if want := []provisioner.ChangeKind{provisioner.ChangeOpened, provisioner.ChangeClosed, provisioner.ChangeOpened}; !slices.Equal(kinds, want) {
				t.Errorf("the changes are %v", kinds)
			}
			return err
		})
	})
}
