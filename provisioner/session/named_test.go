package session_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// A named seat is a person's from her first session on, whatever laptop she has, and goes
// back when she has not used it for long; nobody opens beyond what there is.
func TestASessionOnANamedSeat(t *testing.T) {
	const unused = 30 * 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.update(func(tx *store.Writer) error {
			return tx.PutPool(provisioner.LicencePool{
				Name: "names", Model: provisioner.PoolNamed, Contracts: []provisioner.Contract{{Seats: 1}}, TakeBackUnused: unused,
				Shares: []provisioner.PoolShare{{Tenant: "stadt"}},
			})
		})
		w.serve("gw1")
		first, other := w.laptop(1), w.laptop(2)
		second := first
		w.update(func(tx *store.Writer) error {
			d, err := tx.Device(first.ID)
			if err != nil {
				return err
			}
			d.ID, d.SerialNumber, d.PublicKey[0] = provisioner.NewID(), "another", d.PublicKey[0]^1
			second.ID = d.ID
			return errors.Join(tx.AddDevice(d), tx.PutStanding(provisioner.Standing{Person: d.Person, Tenant: "stadt", Groups: []string{staff}, Entitled: true, ReadAt: tx.Now}))
		})
		held := func() int64 {
			n, err := store.Read(context.Background(), w.store, func(tx *store.Reader) (int64, error) { return tx.SeatsHeld("names") })
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		a, b := w.open(first, session.OpenRequest{Stream: "a"}), w.open(second, session.OpenRequest{Stream: "b"})
		if a.Session.Pool != "names" || b.Session.Pool != "names" || held() != 1 {
			t.Fatalf("%s, %s: %d held", a.Session.Pool, b.Session.Pool, held())
		}
		_, err := w.Open(context.Background(), other, session.OpenRequest{Stream: "c"})
		expect(t, err, provisioner.CodeNoSeat)
		look := func() {
			ctx, stop := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- w.RunExpiry(ctx) }()
			time.Sleep(10 * time.Second)
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		for _, o := range []session.Opened{a, b} {
			if err := w.Close(context.Background(), provisioner.Actor{ID: o.Session.Device, Generation: 1, Grants: first.Grants}, o.Session.ID); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(unused)
		if look(); held() != 1 {
			t.Error("the seat went back before its time")
		}
		time.Sleep(24 * time.Hour) // she used it on a day, no more is known
		if look(); held() != 0 {
			t.Error("an unused seat is still held")
		}
		w.serve("gw1")
		w.open(other, session.OpenRequest{Stream: "c"})
		if held() != 1 {
			t.Error("whoever comes next has no seat")
		}
	})
}
