package licensing_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/licensing"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

func of(n int64) licensing.Count { return licensing.Count{Value: n} }

func hidden() licensing.Count { return licensing.Count{Withheld: true} }

func TestSeats(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w.update(func(tx *store.Writer) error { // in which nobody has a seat: that would tell that nobody works
			return errors.Join(tx.PutPool(provisioner.LicencePool{Name: "names", Model: provisioner.PoolNamed}), tx.PutPool(provisioner.LicencePool{Name: "bound", Model: provisioner.PoolNamed}))
		})
		w.takes("stadt", 19, provisioner.PriorityOrdinary)
		w.takes("stadt", 1, provisioner.PriorityCrisis)
		w.takes("dorf", 6, provisioner.PriorityOrdinary)
		w.update((*store.Writer).NotePeaks)
		p := w.pool(as(provisioner.RoleOperator), "", "vpn")
		at := p.HighestAt
		want := licensing.Pool{
			// The seat out of the reserve is neither of the guarantee nor borrowed.
			Thresholds: []int64{80, 95}, Probable: []int64{5, 50}, Name: "vpn", Model: provisioner.PoolConcurrent, Seats: 30, Burst: 5, NextEnd: p.NextEnd, InUse: of(26), GuaranteedUnused: of(6), Borrowed: of(9),
			Tenants: []licensing.Share{{"dorf", 12, 6, 0, 0}, {"stadt", 10, 20, 9, 0}},
			// Of 35 seats 22 are guaranteed and three reserved: 9 are borrowed of 10 that are neither.
			Lent: of(0), Highest: of(26), HighestAt: at, Warning: of(80), Reserved: []licensing.Reserve{{provisioner.PriorityCrisis, 3, of(2)}},
		}
		if diff := cmp.Diff(want, p); diff != "" || at.IsZero() || p.NextEnd.Before(w.now) {
			t.Errorf("operator (-want +got):\n%s", diff)
		}
		w.takes("stadt", 5, provisioner.PriorityOrdinary)
		if p := w.pool(as(provisioner.RoleOperator), "", "vpn"); p.Lent != of(4) || p.Warning != of(95) {
			t.Errorf("%+v", p)
		}
		// Who sees all of them is told what holds for all, whomever she asks about.
		if p := w.pool(as(provisioner.RoleOperator), "dorf", "vpn"); p.InUse != of(6) || p.Borrowed != of(0) || p.Lent != of(4) || p.Highest != of(31) || p.Warning != of(95) || p.Reserved[0].Unused != of(2) {
			t.Errorf("operator, of dorf: %+v", p)
		}
		// One who sees one of two tenants is told its part; what is said of the whole is withheld.
		p = w.pool(as(provisioner.RoleTenantAdmin, "dorf"), "", "vpn")
		if diff := cmp.Diff(licensing.Pool{
			Thresholds: []int64{80, 95}, Probable: []int64{5, 50}, Name: "vpn", Model: provisioner.PoolConcurrent, Seats: 30, Burst: 5, NextEnd: p.NextEnd, InUse: of(6), GuaranteedUnused: of(6),
			Tenants: []licensing.Share{{"dorf", 12, 6, 0, 0}}, Lent: hidden(), Highest: hidden(), Warning: hidden(), Reserved: []licensing.Reserve{{provisioner.PriorityCrisis, 3, hidden()}},
		}, p); diff != "" {
			t.Errorf("tenant admin (-want +got):\n%s", diff)
		}
		planner := as(provisioner.RolePlanner, "dorf", "stadt")
		// What comes and goes is not counted for who may not list it.
		both := planner
		both.Grants = append(both.Grants, provisioner.Grant{Role: provisioner.RoleTenantAdmin, Tenant: "stadt"})
		for _, c := range []struct {
			actor  provisioner.Actor
			tenant string
			inUse  licensing.Count
		}{{planner, "", hidden()}, {planner, "stadt", hidden()}, {planner, "dorf", hidden()}, {both, "", hidden()}, {both, "dorf", hidden()}, {both, "stadt", of(25)}} {
			p := w.pool(c.actor, c.tenant, "vpn")
			if p.InUse != c.inUse || p.GuaranteedUnused.Withheld != c.inUse.Withheld || p.Borrowed.Withheld != c.inUse.Withheld ||
				p.Lent != hidden() || p.Highest != hidden() || p.Warning != hidden() || !p.HighestAt.IsZero() {
				t.Errorf("%+v, %q: %+v", c.actor.Grants, c.tenant, p)
			}
		}
		for _, c := range []struct {
			actor  provisioner.Actor
			tenant string
			want   provisioner.Code
		}{
			{as(provisioner.RoleTenantAdmin, "dorf"), "stadt", provisioner.CodeNotAllowed},
			{as(provisioner.RoleTenantAdmin, "dorf"), "nowhere", provisioner.CodeNotAllowed},
			{as(provisioner.RoleOperator), "nowhere", provisioner.CodeNotFound},
		} {
			_, _, err := w.Seats(t.Context(), c.actor, c.tenant)
			_, failed := w.Licences(t.Context(), c.actor, c.tenant)
			if codeOf(err) != c.want || codeOf(failed) != c.want {
				t.Errorf("%q: %v, %v, want %s", c.tenant, err, failed, c.want)
			}
		}
		if list, _, err := w.Seats(t.Context(), as(provisioner.RoleTenantAdmin, "dorf"), ""); err != nil || len(list) != 1 {
			t.Errorf("another's pool is shown: %+v %v", list, err)
		}
	})
}

// Who waits is counted for a tenant's own administrator, and not for planners.
func TestHowManyWait(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w.takes("stadt", 20, provisioner.PriorityOrdinary)
		w.takes("dorf", 12, provisioner.PriorityOrdinary)
		waits := func(tenant string, n int) {
			for i := range n {
				login := fmt.Sprint(tenant, i)
				person := w.person(tenant, login)
				w.update(func(tx *store.Writer) error {
					d := provisioner.Device{ID: login, Name: login, Tenant: tenant, Person: person, Generation: 1, EnrolledAt: tx.Now}
					copy(d.PublicKey[:], login)
					return errors.Join(tx.AddDevice(d), tx.Enqueue(d.ID, seat.Claim{Tenant: tenant, Person: person}, "s"))
				})
			}
		}
		both := as(provisioner.RolePlanner, "dorf", "stadt")
		told := func(actor provisioner.Actor, tenant string, want licensing.Count) {
			t.Helper()
			if p := w.pool(actor, tenant, "vpn"); p.Waiting != want {
				t.Errorf("%+v is told of %q %+v, want %+v", actor.Grants, tenant, p.Waiting, want)
			}
		}
		waits("stadt", 6)
		waits("dorf", 3)
		told(as(provisioner.RoleOperator), "", of(9))
		told(as(provisioner.RoleOperator), "stadt", of(6))
		told(as(provisioner.RoleTenantAdmin, "dorf"), "", of(3))
		for _, tenant := range []string{"", "stadt", "dorf"} {
			told(both, tenant, hidden())
		}
		if p := w.pool(as(provisioner.RoleOperator), "", "vpn"); p.Tenants[0].Waiting != 3 || p.Tenants[1].Waiting != 6 {
			t.Errorf("by tenant: %+v", p.Tenants)
		}
	})
}
