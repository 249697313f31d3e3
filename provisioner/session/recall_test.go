package session_test

import (
	"context"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// A seat that is lent is called back for the tenant to which it is guaranteed, once
// nobody works with it, and after its laptop was told. Who works keeps hers.
func TestLentSeatsAreCalledBack(t *testing.T) {
	inIdleWorld(t, func(t *testing.T, w *idleWorld) {
		w.idle(0) // by the tenant's own policy no session ends for idleness
		const recall = 20 * time.Minute
		w.update(func(tx *store.Writer) error {
			return tx.PutTenant(provisioner.Tenant{Name: "nachbar", Directory: "ad", StaffGroup: staff, Policy: provisioner.DefaultPolicy()})
		})
		lend := func(recall time.Duration) {
			w.update(func(tx *store.Writer) error {
				return tx.PutPool(provisioner.LicencePool{
					Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 1}}, LendGuaranteed: 100, Recall: recall,
					Shares: []provisioner.PoolShare{{Tenant: "nachbar", Guarantee: 1}, {Tenant: "stadt"}},
				})
			})
		}
		lend(recall)
		recalled := func() int {
			t.Helper()
			list, err := store.Read(context.Background(), w.store, func(tx *store.Reader) ([]provisioner.Session, error) { return tx.Recalled("vpn") })
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		look := func(want int, when string) {
			t.Helper()
			if err := session.Recall(context.Background(), w.Service); err != nil {
				t.Fatal(err)
			}
			if n := recalled(); n != want {
				t.Fatalf("%s: %d are called back, want %d", when, n, want)
			}
		}
		goesOn := func(d time.Duration, rate int64, when string) {
			t.Helper()
			if lasted, told, err := w.passes(d, rate); err != nil || told >= 0 {
				t.Fatalf("%s: told after %v, ended after %v: %v", when, told, lasted, err)
			}
		}

		goesOn(recall+10*time.Minute, keepalives, "nobody waits")
		look(0, "nobody waits")
		opened, err := w.Open(context.Background(), w.laptopOf("nachbar", 3), session.OpenRequest{Stream: "c", Wait: true})
		if err != nil || !opened.Waits {
			t.Fatalf("the other tenant waits: %v, %v", opened.Waits, err)
		}
		goesOn(2*time.Minute, working, "she works")
		look(0, "she works")
		goesOn(recall+time.Minute, keepalives, "nothing is called back yet")
		look(1, "she is idle")
		lend(0)
		look(0, "the pool calls none back")
		lend(recall)
		look(1, "it does again")
		goesOn(7*time.Minute, working, "she works again")
		if n := recalled(); n != 0 {
			t.Fatalf("she works again: %d are called back", n)
		}
		goesOn(recall+time.Minute, keepalives, "nothing is called back any more")
		look(1, "she is idle again")
		lasted, told, err := w.passes(time.Hour, keepalives)
		expect(t, err, provisioner.CodeSessionIdle)
		if told < 0 || lasted-told < 4*time.Minute || lasted-told > 7*time.Minute {
			t.Errorf("told after %v, ended after %v", told, lasted)
		}
	})
}
