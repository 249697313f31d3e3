package store_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// besides opens the next session of a device on gw2, beside the present one.
func besides(tx *store.Writer, d provisioner.Device, by time.Time) (former, next provisioner.Session, err error) {
	if former, err = tx.OpenSessionOf(d.ID); err != nil {
		return former, next, err
	}
	next = former
	next.ID, next.Gateway, next.LookAt = provisioner.NewID(), "gw2", tx.Now
	next.AddressIndex, err = tx.TakeAddress("gw2", d.Tenant, d.ID, address.Aggregate{V4: netip.MustParsePrefix("10.81.0.0/16")})
	return former, next, errors.Join(err, tx.LeaveSession(former, by),
		tx.TakeSeat("vpn", d.Tenant, provisioner.PriorityOrdinary), tx.OpenSession(&next))
}

// A device has its next session beside the former one, with one seat. Whoever takes the
// present one takes both, in one step, and both gateways owe a confirmation of that.
func TestASessionThatIsLeft(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		var d provisioner.Device
		var former, next provisioner.Session
		update(t, s, func(tx *store.Writer) (err error) {
			second := gateway()
			second.Name, second.AggregateV4, second.AggregateV6 = "gw2", netip.MustParsePrefix("10.81.0.0/16"), netip.Prefix{}
			if err := tx.PutGateway(second); err != nil {
				return err
			}
			if d, err = laptop(tx, 1); err != nil {
				return err
			}
			_, err = session(tx, d)
			return err
		})
		by := time.Now().Add(time.Hour).Truncate(time.Millisecond)
		update(t, s, func(tx *store.Writer) (err error) { former, next, err = besides(tx, d, by); return err })
		position := view(t, s, (*store.Reader).Position)
		told := view(t, s, func(tx *store.Reader) ([]provisioner.Change, error) {
			return tx.GatewayChanges("gw1", former.Revision, 10)
		})
		if len(told) != 1 || told[0].Session != former.ID || told[0].Kind != provisioner.ChangeOpened {
			t.Errorf("its gateway is told %+v", told)
		}
		left := view(t, s, func(tx *store.Reader) (provisioner.Session, error) { return tx.Session(former.ID) })
		if !left.Leaving() || !left.NotAfter().Equal(by) || left.ClosedRevision != 0 || !left.LookAt.IsZero() {
			t.Errorf("it is left: %+v", left)
		}
		offers := view(t, s, func(tx *store.Reader) ([]seat.Offer, error) {
			return tx.Offers(seat.Claim{Tenant: "stadt"}, time.Now())
		})
		if offers[0].Held != 1 {
			t.Errorf("%d seats are held", offers[0].Held)
		}
		now := time.Now().Add(time.Second)
		present := view(t, s, func(tx *store.Reader) ([]store.Presence, error) { return tx.PresentAt(now) })
		if len(present) != 1 || present[0].Gateway != "gw2" || present[0].Sessions != 1 {
			t.Errorf("counted: %+v", present)
		}
		// What she may reach is other than before: both are told.
		update(t, s, func(tx *store.Writer) error { return tx.RetellSession(next) })
		for _, name := range []string{"gw1", "gw2"} {
			if told := view(t, s, func(tx *store.Reader) ([]provisioner.Change, error) {
				return tx.GatewayChanges(name, position.Revision, 10)
			}); len(told) != 1 {
				t.Errorf("%s is told %+v", name, told)
			}
		}
		position = view(t, s, (*store.Reader).Position)

		update(t, s, func(tx *store.Writer) error {
			closed, err := tx.CloseSessionOf(d.ID, provisioner.CodeDeviceRevoked)
			if closed.ID != next.ID {
				t.Errorf("closed %s", closed.ID)
			}
			// It has gone along, and is not closed twice.
			_, again := tx.CloseSession(left, provisioner.CodeDeviceRevoked)
			return errors.Join(err, again)
		})
		open := view(t, s, func(tx *store.Reader) ([]provisioner.Session, error) {
			return tx.SessionsIn(provisioner.Everywhere(), "", "", 10)
		})
		if len(open) != 0 {
			t.Errorf("still open: %+v", open)
		}
		debts := view(t, s, func(tx *store.Reader) ([]store.Debt, error) { return tx.DebtsOf(d.ID) })
		if len(debts) != 2 || debts[0].Gateway != "gw1" || debts[0].Session != former.ID || debts[1].Session != next.ID {
			t.Errorf("%+v owe a confirmation", debts)
		}
		if after := view(t, s, (*store.Reader).Position).Revision; after != position.Revision+2 {
			t.Errorf("%d revisions for two sessions", after-position.Revision)
		}
	})
}

// A control plane of the version before closes the present session alone. What is left of
// it then is found by who looks for that, and ends with whatever takes access before.
func TestASessionThatIsLeftAlone(t *testing.T) {
	for name, end := range map[string]func(*store.Writer, provisioner.Session) error{
		"looked for": func(tx *store.Writer, alone provisioner.Session) error {
			_, err := tx.CloseSession(alone, provisioner.CodeSessionElsewhere)
			return err
		},
		"taken": func(tx *store.Writer, alone provisioner.Session) error {
			if _, err := tx.CloseSessionOf(alone.Device, provisioner.CodeDeviceRevoked); !errors.Is(err, store.ErrNone) {
				return fmt.Errorf("a present session there is none of: %w", err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) { onEach(t, func(t *testing.T, s *store.Store) { leftAlone(t, s, end) }) })
	}
}

func leftAlone(t *testing.T, s *store.Store, end func(*store.Writer, provisioner.Session) error) {
	q := newQuarter(t, s)
	d := q.devices[0]
	update(t, s, func(tx *store.Writer) error {
		if err := q.open(tx, d, q.gateways[0], q.pools[0]); err != nil {
			return err
		}
		return q.move(tx, d, q.gateways[1], q.pools[0], 3)
	})
	alone := func() []provisioner.Session {
		return view(t, s, func(tx *store.Reader) ([]provisioner.Session, error) { return tx.LeftAlone(10) })
	}
	if list := alone(); len(list) != 0 {
		t.Errorf("alone beside the present one: %+v", list)
	}
	update(t, s, func(tx *store.Writer) error {
		present, err := tx.OpenSessionOf(d.ID)
		if err == nil {
			_, err = tx.CloseFailed(present, provisioner.CodeDeviceRevoked)
		}
		return err
	})
	list := alone()
	if len(list) != 1 || list[0].Gateway != "gw0" {
		t.Fatalf("left alone: %+v", list)
	}
	update(t, s, func(tx *store.Writer) error { return end(tx, list[0]) })
	if list := alone(); len(list) != 0 {
		t.Errorf("still alone: %+v", list)
	}
	debts := view(t, s, func(tx *store.Reader) ([]store.Debt, error) { return tx.DebtsOf(d.ID) })
	if !slices.ContainsFunc(debts, func(o store.Debt) bool { return o.Gateway == "gw0" && o.Session == list[0].ID }) {
		t.Errorf("its gateway owes nothing: %+v", debts)
	}
	q.agrees(t, s)
}
