package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// inUse is a number of sessions of stadt with a product.
func inUse(product, version string, sessions int64) store.ProductCount {
	return store.ProductCount{Tenant: "stadt", Product: product, Version: version, Sessions: sessions}
}

// Numbers of all replicas add up as long as each renews its own, and go with it.
func TestProductCounts(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			o := e.make(t)
			s := open(t, o)
			town(t, s)
			now := time.Now()
			counts := func(at time.Time, scope provisioner.Scope) []store.ProductCount {
				return view(t, s, func(tx *store.Reader) ([]store.ProductCount, error) { return tx.ProductCounts(scope, at) })
			}
			expect := func(what string, at time.Time, want ...store.ProductCount) {
				t.Helper()
				if diff := cmp.Diff(want, counts(at, provisioner.Within("stadt"))); diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
			}
			update(t, s, func(tx *store.Writer) error {
				return tx.PutProductCounts([]store.ProductCount{inUse("citrix", "", 7), inUse("citrix", "24.1", 3), inUse("phone", "", 1)})
			})
			expect("before the replica holds them", now)
			update(t, s, func(tx *store.Writer) error { return tx.HoldProductCounts(now.Add(time.Minute)) })
			expect("of one replica", now, inUse("citrix", "", 7), inUse("citrix", "24.1", 3), inUse("phone", "", 1))

			// Another replica says more.
			store.Exec(t, o, `insert into product_present values ('another', 'stadt', 'citrix', '', 4)`)
			store.Exec(t, o, `insert into product_replica values ('another', $1)`, now.Add(2*time.Minute).UnixMilli())
			update(t, s, func(tx *store.Writer) error {
				return tx.PutProductCounts([]store.ProductCount{inUse("citrix", "", 8), inUse("phone", "", 0)})
			})
			expect("of two", now, inUse("citrix", "", 12), inUse("citrix", "24.1", 3))
			expect("after one went silent", now.Add(90*time.Second), inUse("citrix", "", 4))
			if other := counts(now, provisioner.Within("dorf")); len(other) != 0 {
				t.Errorf("another tenant is told %+v", other)
			}
			update(t, s, func(tx *store.Writer) error { return tx.ForgetProductCounts(now.Add(90 * time.Second)) })
			update(t, s, func(tx *store.Writer) error { return tx.HoldProductCounts(now.Add(time.Hour)) })
			expect("after they were forgotten", now, inUse("citrix", "", 4))
			update(t, s, func(tx *store.Writer) error { return tx.PutProductCounts([]store.ProductCount{inUse("phone", "", 2)}) })
			update(t, s, func(tx *store.Writer) error { return tx.DropProductCounts() })
			expect("after this one has gone", now, inUse("citrix", "", 4))
		})
	}
}

// The highest number of an hour stays, whoever says it last; and goes when it is old.
func TestProductPeaks(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			s := open(t, e.make(t))
			hour := time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)
			raise := func(hour time.Time, counts ...store.ProductCount) {
				t.Helper()
				update(t, s, func(tx *store.Writer) error { return tx.RaiseProductPeaks(hour, counts) })
			}
			expect := func(since time.Time, want ...store.ProductCount) {
				t.Helper()
				got := view(t, s, func(tx *store.Reader) ([]store.ProductCount, error) {
					return tx.ProductPeaks(provisioner.Everywhere(), since, hour.Add(24*time.Hour))
				})
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("since %s (-want +got):\n%s", since, diff)
				}
			}
			raise(hour, inUse("citrix", "", 12), inUse("citrix", "24.1", 6))
			raise(hour, inUse("citrix", "", 9), inUse("citrix", "24.1", 7))
			raise(hour.Add(time.Hour), inUse("citrix", "", 10))
			expect(hour, inUse("citrix", "", 12), inUse("citrix", "24.1", 7))
			expect(hour.Add(time.Minute), inUse("citrix", "", 10))
			expect(hour.Add(2 * time.Hour))
			forget := func(before time.Time) (n int64) {
				update(t, s, func(tx *store.Writer) (err error) { n, err = tx.ForgetProductPeaks(before, 1); return err })
				return n
			}
			for _, want := range []int64{1, 1, 0} {
				if n := forget(hour.Add(time.Minute)); n != want {
					t.Errorf("%d were forgotten", n)
				}
			}
			expect(hour, inUse("citrix", "", 10))
		})
	}
}
