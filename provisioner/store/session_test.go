package store_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

func TestASessionTakesAndGivesBack(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		var d provisioner.Device
		var first provisioner.Session
		update(t, s, func(tx *store.Writer) (err error) {
			if d, err = laptop(tx, 1); err != nil {
				return err
			}
			first, err = session(tx, d)
			return err
		})
		if first.AddressIndex < 2 {
			t.Errorf("address %d belongs to the gateway or the network", first.AddressIndex)
		}
		pool := func() seat.Offer {
			return view(t, s, func(tx *store.Reader) ([]seat.Offer, error) {
				return tx.Offers(seat.Claim{Tenant: "stadt"}, time.Now())
			})[0]
		}
		if p := pool(); p.Held != 1 || p.TenantHeld != 1 || p.UnusedGuarantee != 2 {
			t.Errorf("open: %+v", p)
		}
		err := s.Update(context.Background(), func(tx *store.Writer) error { _, err := session(tx, d); return err })
		if err == nil {
			t.Error("a device opened a second session beside the first")
		}
		update(t, s, func(tx *store.Writer) error {
			_, err := tx.CloseSessionOf(d.ID, provisioner.CodeSessionClosed)
			return err
		})
		if p := pool(); p.Held != 0 || p.TenantHeld != 0 || p.UnusedGuarantee != 3 {
			t.Errorf("closed: %+v", p)
		}
		if g := view(t, s, func(tx *store.Reader) (store.GatewayState, error) { return tx.Gateway("gw1") }); g.Open != 0 {
			t.Errorf("gateway counts %d sessions", g.Open)
		}
		debts := view(t, s, func(tx *store.Reader) ([]store.Debt, error) { return tx.DebtsOf(d.ID) })
		if len(debts) != 1 || debts[0].Session != first.ID || debts[0].Gateway != "gw1" {
			t.Errorf("debts %v", debts)
		}
		position := view(t, s, (*store.Reader).Position)
		for _, c := range []struct {
			contact store.Contact
			debts   int
		}{
			{store.Contact{Gateway: "gw1", Epoch: position.Epoch, Revision: debts[0].Revision - 1}, 1},
			{store.Contact{Gateway: "gw1", Epoch: "another", Revision: debts[0].Revision + 10}, 1},
			{store.Contact{Gateway: "gw1", Epoch: position.Epoch, Revision: debts[0].Revision}, 0},
		} {
			update(t, s, func(tx *store.Writer) error { _, err := tx.PutContact(c.contact, false); return err })
			if left := view(t, s, func(tx *store.Reader) ([]store.Debt, error) { return tx.DebtsOf(d.ID) }); len(left) != c.debts {
				t.Errorf("%+v leaves %v", c.contact, left)
			}
		}
		var again provisioner.Session
		update(t, s, func(tx *store.Writer) (err error) { again, err = session(tx, d); return err })
		if again.AddressIndex != first.AddressIndex {
			t.Errorf("address %d, formerly %d", again.AddressIndex, first.AddressIndex)
		}
		if again.ID == first.ID {
			t.Error("a session id returned")
		}
	})
}

// Whatever opens and closes: seats, addresses and counters agree with the
// sessions that are open.
func TestCountersAgreeWithOpenSessions(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		devices := make([]provisioner.Device, 5)
		for i := range devices {
			update(t, s, func(tx *store.Writer) (err error) { devices[i], err = laptop(tx, i); return err })
		}
		rapid.Check(t, func(r *rapid.T) { openAndClose(t, r, s, devices) })
	})
}

func openAndClose(t *testing.T, r *rapid.T, s *store.Store, devices []provisioner.Device) {
	open := make(map[string]provisioner.Session)
	end := func(device string) {
		update(t, s, func(tx *store.Writer) error {
			_, err := tx.CloseSessionOf(device, provisioner.CodeSessionClosed)
			return err
		})
		delete(open, device)
	}
	for range rapid.IntRange(1, 30).Draw(r, "steps") {
		d := devices[rapid.IntRange(0, len(devices)-1).Draw(r, "device")]
		if _, ok := open[d.ID]; ok {
			end(d.ID)
			continue
		}
		update(t, s, func(tx *store.Writer) error {
			opened, err := session(tx, d)
			open[d.ID] = opened
			return err
		})
	}
	used := make(map[int64]bool)
	for _, v := range open {
		if used[v.AddressIndex] {
			r.Fatalf("address %d twice", v.AddressIndex)
		}
		used[v.AddressIndex] = true
	}
	p := view(t, s, func(tx *store.Reader) ([]seat.Offer, error) {
		return tx.Offers(seat.Claim{Tenant: "stadt"}, time.Now())
	})[0]
	g := view(t, s, func(tx *store.Reader) (store.GatewayState, error) { return tx.Gateway("gw1") })
	n := int64(len(open))
	if p.Held != n || p.TenantHeld != n || g.Open != n || p.UnusedGuarantee != max(0, 3-n) {
		r.Fatalf("%d open, pool %+v, gateway %d", n, p, g.Open)
	}
	for device := range open {
		end(device)
	}
}

// How the people of sessions stand is read for many at once; that a tenant's networks have changed
// is one change for each gateway that serves it.
func TestWhatSessionsReach(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		var list []provisioner.Session
		update(t, s, func(tx *store.Writer) error {
			for n := range 3 {
				d, err := laptop(tx, n)
				if err != nil {
					return err
				}
				v, err := session(tx, d)
				if err != nil {
					return err
				}
				list = append(list, v)
				if n == 0 {
					continue // in no group
				}
				if err := tx.PutStanding(provisioner.Standing{Person: d.Person, Tenant: d.Tenant, Groups: []string{"cn=a", "cn=b"},
					Password: provisioner.PasswordHasExpired, ReadAt: tx.Now}); err != nil {
					return err
				}
			}
			return nil
		})
		got := view(t, s, func(tx *store.Reader) (map[string]provisioner.Standing, error) { return tx.StandingsOf(list[:2]) })
		if v := got[list[1].ID]; len(got) != 2 || !slices.Equal(v.Groups, []string{"cn=a", "cn=b"}) || v.Password != provisioner.PasswordHasExpired ||
			len(got[list[0].ID].Groups) != 0 {
			t.Errorf("standings %+v", got)
		}
		before := view(t, s, (*store.Reader).Position)
		update(t, s, func(tx *store.Writer) error { return errors.Join(tx.RetellTenant("stadt"), tx.RetellSession(list[0])) })
		changes := view(t, s, func(tx *store.Reader) ([]provisioner.Change, error) {
			return tx.GatewayChanges("gw1", before.Revision, 10)
		})
		if len(changes) != 2 || changes[0].Tenant != "stadt" || changes[0].Kind != provisioner.ChangeGateway || changes[1].Session != list[0].ID {
			t.Errorf("changes %+v", changes)
		}
	})
}

// What a machine reports is added up for as long as a session is open; a sum
// that overflowed could not be read any more, and with it no session at all.
func TestCountersOfASessionStayReadable(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		var v provisioner.Session
		update(t, s, func(tx *store.Writer) error {
			d, err := laptop(tx, 1)
			if err != nil {
				return err
			}
			if v, err = session(tx, d); err != nil {
				return err
			}
			for range 10_000 {
				if err := tx.Observe("gw1", store.Observed{Session: v.ID, ReceivedBytes: math.MaxUint64, SentBytes: math.MaxUint64}, provisioner.Traffic{Bytes: math.MaxUint64}); err != nil {
					return err
				}
			}
			return nil
		})
		got := view(t, s, func(tx *store.Reader) (provisioner.Session, error) { return tx.Session(v.ID) })
		if got.ReceivedBytes < 1<<50 || got.SentBytes < 1<<50 {
			t.Errorf("counted %d received, %d sent", got.ReceivedBytes, got.SentBytes)
		}
	})
}

// A tenant that a pool no longer names keeps the seats it holds and gets none
// besides.
func TestATenantThatLosesItsShareGetsNoMoreSeats(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		var d provisioner.Device
		update(t, s, func(tx *store.Writer) (err error) {
			if d, err = laptop(tx, 1); err != nil {
				return err
			}
			_, err = session(tx, d)
			return err
		})
		update(t, s, func(tx *store.Writer) error {
			return tx.PutPool(provisioner.LicencePool{Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 100}}})
		})
		if offers := view(t, s, func(tx *store.Reader) ([]seat.Offer, error) {
			return tx.Offers(seat.Claim{Tenant: "stadt"}, time.Now())
		}); len(offers) > 0 {
			t.Errorf("it is still offered %+v", offers)
		}
		update(t, s, func(tx *store.Writer) error {
			_, err := tx.CloseSessionOf(d.ID, provisioner.CodeSessionClosed)
			return err
		})
		if p := view(t, s, (*store.Reader).Pools)[0]; p.Held != 0 || p.UnusedGuarantee != 0 {
			t.Errorf("after its last seat is back: %+v", p)
		}
	})
}

func TestLeasesOverComesInPages(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		const n, page = 10, 3
		update(t, s, func(tx *store.Writer) error { // in one transaction: all leases end together
			for i := range n {
				d, err := laptop(tx, i)
				if err != nil {
					return err
				}
				if _, err := session(tx, d); err != nil {
					return err
				}
			}
			return nil
		})
		seen := make(map[string]bool)
		var last provisioner.Session
		for {
			list := view(t, s, func(tx *store.Reader) ([]provisioner.Session, error) {
				return tx.LeasesOver(time.Now().Add(provisioner.Lease+time.Second), last, page)
			})
			if len(list) == 0 {
				break
			}
			for _, v := range list {
				if seen[v.ID] {
					t.Fatalf("session %s twice", v.ID)
				}
				seen[v.ID] = true
			}
			last = list[len(list)-1]
		}
		if len(seen) != n {
			t.Errorf("%d of %d sessions came", len(seen), n)
		}
		if early := view(t, s, func(tx *store.Reader) ([]provisioner.Session, error) {
			return tx.LeasesOver(time.Now(), provisioner.Session{}, page)
		}); len(early) > 0 {
			t.Errorf("%d leases are over already", len(early))
		}
	})
}

func TestOnlyTheNewestStreamRenews(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		var d provisioner.Device
		var v provisioner.Session
		update(t, s, func(tx *store.Writer) (err error) {
			if d, err = laptop(tx, 1); err != nil {
				return err
			}
			v, err = session(tx, d)
			return err
		})
		renew := func(stream string) (ok bool) {
			update(t, s, func(tx *store.Writer) (err error) {
				_, err = tx.RenewSession(v.ID, d.ID, stream, tx.Now.Add(provisioner.Lease), provisioner.Usage{ReceivedBytes: 1 << 63, SentBytes: 7, LastHandshake: tx.Now})
				if ok = err == nil; errors.Is(err, store.ErrNone) {
					return nil
				}
				return err
			})
			return ok
		}
		if !renew("stream") {
			t.Error("the holder cannot renew")
		}
		update(t, s, func(tx *store.Writer) error {
			ok, err := tx.ResumeSession(v.ID, d.ID, "newer", tx.Now.Add(provisioner.Lease), time.Time{})
			if !ok {
				t.Error("the newer stream cannot take the session")
			}
			return err
		})
		if renew("stream") || !renew("newer") {
			t.Error("of two streams the newer does not win")
		}
		got := view(t, s, func(tx *store.Reader) (provisioner.Session, error) { return tx.Session(v.ID) })
		if r := got.Reported; r.SentBytes != 7 || r.ReceivedBytes > 1<<62 || !got.Online(time.Now()) || got.Online(time.Now().Add(5*time.Minute)) {
			t.Errorf("reported %+v", r)
		}
	})
}

func TestRevokedIsForGood(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		var d provisioner.Device
		update(t, s, func(tx *store.Writer) (err error) { d, err = laptop(tx, 1); return err })
		revoke := func() (done bool) {
			if err := s.UpdateUrgent(context.Background(), func(tx *store.Writer) (err error) {
				done, err = tx.RevokeDevice(d, "lost")
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return done
		}
		if !revoke() || revoke() {
			t.Error("revoking is not one conditional update")
		}
		update(t, s, func(tx *store.Writer) error {
			_, err := tx.RestoreDevice(d, provisioner.SuspendedByHelpdesk)
			return err
		})
		got := view(t, s, func(tx *store.Reader) (provisioner.Device, error) { return tx.Device(d.ID) })
		if got.State() != provisioner.DeviceRevoked || got.RevokedWhy != "lost" {
			t.Errorf("%+v", got)
		}
		if _, err := store.Read(context.Background(), s, func(tx *store.Reader) (provisioner.Device, error) {
			return tx.DeviceBySerial("stadt", d.Person, d.SerialNumber)
		}); !errors.Is(err, store.ErrNone) {
			t.Errorf("a revoked device is still found by its serial number: %v", err)
		}
	})
}

// A contract that begins or ends counts from that very moment, and is written down
// by whoever has the duty.
func TestContractsBeginAndEnd(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		now := time.Now().Truncate(time.Millisecond)
		pool := provisioner.LicencePool{
			Name: "rds", Model: provisioner.PoolConcurrent, Shares: []provisioner.PoolShare{{Tenant: "stadt"}},
			Contracts: []provisioner.Contract{{Seats: 10, Burst: 1, Until: now.Add(time.Hour)}, {Seats: 5, From: now.Add(2 * time.Hour)}},
		}
		update(t, s, func(tx *store.Writer) error { return tx.PutPool(pool) })
		at := func(when time.Time) provisioner.Quantity {
			offers := view(t, s, func(tx *store.Reader) ([]seat.Offer, error) { return tx.Offers(seat.Claim{Tenant: "stadt"}, when) })
			return offers[slices.IndexFunc(offers, func(o seat.Offer) bool { return o.Pool == "rds" })].Quantity
		}
		for _, c := range []struct {
			after          time.Duration
			seats, running int64
		}{{0, 10, 1}, {time.Hour - time.Millisecond, 10, 1}, {time.Hour, 0, 0}, {2 * time.Hour, 5, 1}} {
			if q := at(now.Add(c.after)); q.Seats != c.seats || int64(q.Running) != c.running {
				t.Errorf("after %v: %+v, want %d seats of %d contracts", c.after, q, c.seats, c.running)
			}
		}
		over := func(when time.Time) bool {
			return view(t, s, func(tx *store.Reader) (bool, error) { return tx.PoolsOver(when) })
		}
		if over(now) || !over(now.Add(time.Hour)) {
			t.Errorf("over now: %v, in an hour: %v", over(now), over(now.Add(time.Hour)))
		}
		update(t, s, func(tx *store.Writer) error {
			tx.Now = now.Add(time.Hour)
			n, err := tx.AdvancePools()
			if n != 1 {
				t.Errorf("%d pools advanced", n)
			}
			return err
		})
		if over(now.Add(time.Hour)) || at(now.Add(time.Hour)).Seats != 0 || at(now).Seats != 10 {
			t.Errorf("written down: %+v", at(now.Add(time.Hour)))
		}
	})
}
