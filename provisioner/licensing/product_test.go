package licensing_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/licensing"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// office has stadt and dorf meter products that take named seats of a pool that they share.
func (w *world) office() {
	w.t.Helper()
	agreed := provisioner.WorksAgreement{Reference: "DV 1", Date: w.now.Add(-day)}
	product := func(name string) provisioner.Product {
		return provisioner.Product{Name: name, Processes: []string{name}, LicencePool: "office"}
	}
	w.update(func(tx *store.Writer) error {
		return errors.Join(
			tx.PutPool(provisioner.LicencePool{
				Name: "office", Model: provisioner.PoolNamed, TakeBackUnused: 30 * day, Contracts: []provisioner.Contract{{Seats: 40}},
				Shares: []provisioner.PoolShare{{Tenant: "dorf"}, {Tenant: "stadt", Guarantee: 20}},
			}),
			tx.PutTenant(provisioner.Tenant{Name: "stadt", Directory: "ad", StaffGroup: "cn=staff", WorksAgreement: agreed, Products: []provisioner.Product{product("writer"), product("calc")}}),
			tx.PutTenant(provisioner.Tenant{Name: "dorf", Directory: "ad", StaffGroup: "cn=staff", WorksAgreement: agreed, Products: []provisioner.Product{product("writer")}}),
		)
	})
}

// A product's named seats are assigned, counted and taken back like others; sessions get none of them, and none goes back
// for not being used: whether somebody uses it is counted without her.
func TestNamedSeatsOfAProduct(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w.office()
		eva := w.person("stadt", "eva")
		boss := as(provisioner.RoleTenantAdmin, "stadt")
		r := licensing.SeatRequest{Person: "eva", Pool: "office", Reason: "writes"}
		explained := func() (all string) {
			e, err := w.Explain(t.Context(), boss, "eva", "")
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range e.Steps {
				all += s.Pool + ": " + s.English + "\n"
			}
			return all
		}
		if got := explained(); !strings.Contains(got, "office: Seats of a product, not for sessions. None is assigned to her") {
			t.Error(got)
		}
		if _, err := w.Assign(t.Context(), boss, r); err != nil {
			t.Fatal(err)
		}
		if got := explained(); !strings.Contains(got, "office: Seats of a product, not for sessions. One is assigned to her.") || strings.Contains(got, "She gets a seat of office") {
			t.Error(got)
		}
		if _, err := w.Assign(t.Context(), boss, r); codeOf(err) != provisioner.CodeSeatAssigned {
			t.Errorf("again: %v", err)
		}
		if p := w.pool(boss, "", "office"); p.InUse != of(1) || !p.Product || p.Tenants[0].InUse != 1 {
			t.Errorf("%+v", p)
		}
		w.update(func(tx *store.Writer) error {
			pool, err := tx.Pool("office")
			late, fault := tx.SeatsOverdue(pool, w.now.Add(400*day), 10)
			if len(late) > 0 {
				t.Errorf("goes back for not being used: %v", late)
			}
			return errors.Join(err, fault)
		})
		// Her tenant may not use the pool any more: it can be taken back, and not be assigned.
		w.update(func(tx *store.Writer) error {
			return tx.PutPool(provisioner.LicencePool{Name: "office", Model: provisioner.PoolNamed, Contracts: []provisioner.Contract{{Seats: 40}}, Shares: []provisioner.PoolShare{{Tenant: "dorf"}}})
		})
		if _, err := w.Assign(t.Context(), boss, r); codeOf(err) != provisioner.CodeNotFound {
			t.Errorf("assigned of a pool that is not for her tenant: %v", err)
		}
		if back, err := w.TakeBack(t.Context(), boss, r); err != nil || !back.Free {
			t.Errorf("taken back: %+v, %v", back, err)
		}
		if _, err := w.TakeBack(t.Context(), boss, r); codeOf(err) != provisioner.CodeNotFound {
			t.Errorf("taken back again: %v", err)
		}
		w.update(func(tx *store.Writer) error {
			if _, err := tx.NamedSeat("office", eva); !errors.Is(err, store.ErrNone) {
				t.Errorf("her seat: %v", err)
			}
			return nil
		})
	})
}

// How many of a product's seats lie unused is what is owned, less the most that were in use.
func TestUnusedSeatsOfAProduct(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w.office()
		peak := func(daysAgo int, tenant, product, version string, n int64) {
			w.update(func(tx *store.Writer) error {
				hour := w.now.AddDate(0, 0, -daysAgo).Truncate(time.Hour)
				return tx.RaiseProductPeaks(hour, []store.ProductCount{{Tenant: tenant, Product: product, Version: version, Sessions: n}})
			})
		}
		told := func(actor provisioner.Actor, tenant string) string {
			t.Helper()
			l, err := w.Licences(t.Context(), actor, tenant)
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range l.Unused {
				if u.Pool == "office" {
					return fmt.Sprint(u.Seats, *u.Product)
				}
			}
			return "nothing"
		}
		for _, c := range []struct {
			name   string
			actor  provisioner.Actor
			tenant string
			want   string
		}{
			{"of few nothing is told, to nobody", as(provisioner.RoleOperator), "", "{0 true} {40 {0 true}}"},
			{"of all", as(provisioner.RoleOperator), "", "{21 false} {40 {19 false}}"},
			{"as a planner", as(provisioner.RolePlanner, "stadt", "dorf"), "", "{15 false} {40 {25 false}}"}, // of few people, rounded up
			{"of one of them, of what is guaranteed to it", as(provisioner.RoleOperator), "stadt", "{8 false} {20 {12 false}}"},
			{"to whom another tenant's are not told", as(provisioner.RoleTenantAdmin, "stadt"), "", "{8 false} {20 {12 false}}"},
			{"of whom nothing is guaranteed to", as(provisioner.RoleTenantAdmin, "dorf"), "", "{0 true} {0 {7 false}}"},
		} {
			if got := told(c.actor, c.tenant); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
			if c.want == "{0 true} {40 {0 true}}" {
				peak(0, "stadt", "calc", "", 9)
				peak(3, "stadt", "writer", "", 12) // whoever uses both may do so on one seat
				peak(3, "stadt", "writer", "7", 6)
				peak(20, "dorf", "writer", "", 7)
				peak(40, "dorf", "writer", "", 30)
			}
		}
		// More than is owned: nothing lies unused.
		peak(1, "stadt", "writer", "", 99)
		if diff := cmp.Diff("{0 false} {40 {106 false}}", told(as(provisioner.RoleOperator), "")); diff != "" {
			t.Error(diff)
		}
	})
}
