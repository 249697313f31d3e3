package planning_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity/plan"
	"github.com/heimdraht/heimdraht/provisioner/planning"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// world has a town of 60 people, a village of 23 and a hamlet of 3.
type world struct {
	*planning.Service
	t     *testing.T
	store *store.Store
}

func onEach(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	for name, options := range map[string]func() store.Options{
		"sqlite":   func() store.Options { return storetest.SQLite(t) },
		"postgres": func() store.Options { return storetest.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.Logger = slog.New(slog.DiscardHandler)
			s, err := store.Open(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			w := &world{Service: planning.New(s), t: t, store: s}
			w.declare()
			test(t, w)
		})
	}
}

func (w *world) update(do func(*store.Writer) error) {
	w.t.Helper()
	if err := w.store.Update(context.Background(), do); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) declare() {
	w.update(func(tx *store.Writer) error {
		err := tx.PutDirectory(provisioner.Directory{Name: "ad"})
		for _, name := range []string{"stadt", "dorf", "weiler"} {
			err = errors.Join(err, tx.PutTenant(provisioner.Tenant{Name: name, Directory: "ad", StaffGroup: "cn=staff"}))
		}
		return errors.Join(err,
			tx.PutPool(provisioner.LicencePool{
				Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Reference: "R-1", Seats: 40}},
				Shares: []provisioner.PoolShare{{Tenant: "dorf", Guarantee: 7}, {Tenant: "stadt"}},
			}),
			tx.PutPool(provisioner.LicencePool{
				Name: "own", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 9}}, Shares: []provisioner.PoolShare{{Tenant: "dorf"}},
			}),
			tx.PutPool(provisioner.LicencePool{
				Name: "names", Model: provisioner.PoolNamed, Contracts: []provisioner.Contract{{Seats: 90}}, Shares: []provisioner.PoolShare{{Tenant: "dorf"}},
			}),
			tx.PutGateway(provisioner.Gateway{
				Name: "gw1", Endpoint: "a:1", Sessions: 50, AggregateV4: netip.MustParsePrefix("10.80.0.0/22"), Tenants: []string{"stadt", "dorf", "weiler"},
			}),
		)
	})
	w.people("stadt", 60, 41)
	w.people("dorf", 23, 11)
	w.people("weiler", 3, 2)
	// Yesterday eleven were connected at the most. What is more today tells nothing.
	for _, day := range []struct{ from, seats int }{{-1, 11}, {0, 7}} {
		w.update(func(tx *store.Writer) error {
			for range day.seats {
				if err := tx.TakeSeat("own", "dorf", provisioner.PriorityOrdinary); err != nil {
					return err
				}
			}
			tx.Now = tx.Now.AddDate(0, 0, day.from)
			return tx.NotePeaks()
		})
	}
}

// people makes so many known who have access, some with laptops.
func (w *world) people(tenant string, n, laptops int) {
	w.t.Helper()
	w.update(func(tx *store.Writer) error {
		for i := range n {
			login := fmt.Sprint(tenant, i)
			p, err := tx.KeepPerson(provisioner.Person{Directory: "ad", StableID: login, Login: login})
			if err != nil {
				return err
			}
			if err := tx.PutStanding(provisioner.Standing{Person: p.ID, Tenant: tenant, Entitled: true, ReadAt: tx.Now}); err != nil {
				return err
			}
			if i >= laptops {
				continue
			}
			d := provisioner.Device{ID: login, Tenant: tenant, Person: p.ID, Generation: 1, Name: login, EnrolledAt: tx.Now, SerialNumber: fmt.Sprint("SN", tenant, i)}
			d.PublicKey[0], d.PublicKey[1], d.PublicKey[2] = byte(i), byte(len(tenant)), 9
			if err := tx.AddDevice(d); err != nil {
				return err
			}
		}
		return nil
	})
}

func as(role provisioner.Role, tenants ...string) provisioner.Actor {
	a := provisioner.Actor{ID: "boss", Language: "en"}
	for _, t := range tenants {
		a.Grants = append(a.Grants, provisioner.Grant{Role: role, Tenant: t})
	}
	if len(tenants) == 0 {
		a.Grants = []provisioner.Grant{{Role: role}}
	}
	return a
}

func asked(tenants ...string) planning.Request {
	return planning.Request{Tenants: tenants, Plan: plan.Request{
		From: time.Now().AddDate(0, 2, 0), Years: 1, HomeShare: 600_000, OnlineAtPeak: 800_000, Refused: 1000, Throughput: 150,
	}}
}

func (w *world) plan(actor provisioner.Actor, r planning.Request) planning.Answer {
	w.t.Helper()
	a, err := w.Plan(w.t.Context(), actor, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// is compares a figure; -1: there is none.
func is(t *testing.T, a planning.Answer, name plan.Name, tenant, of string, year int, want int64) {
	t.Helper()
	got := int64(-1)
	if f := a.Find(name, tenant, of, year); f != nil {
		got = f.Value
	}
	if got != want {
		t.Errorf("%s %q %q is %d, want %d", name, tenant, of, got, want)
	}
}

func TestAnOperatorsPlanKnowsAll(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		a := w.plan(as(provisioner.RoleOperator), asked())
		for tenant, n := range map[string][2]int64{"stadt": {60, 41}, "dorf": {23, 11}, "weiler": {3, 2}} {
			is(t, a, plan.PeopleNow, tenant, "", 0, n[0])
			is(t, a, plan.LaptopsNow, tenant, "", 0, n[1])
		}
		is(t, a, plan.ObservedPeak, "", "own", 0, 11)
		is(t, a, plan.SeatsOwned, "", "", 1, 49) // names are no seats of sessions
		is(t, a, plan.GatewaySessions, "", "gw1", 0, 50)
		is(t, a, plan.GatewayAddresses, "", "gw1", 0, 1024)
		if len(a.LeftOut) > 0 || len(a.PeopleKnown) != 3 || len(a.LaptopsWithheld) > 0 {
			t.Errorf("%v %v %v", a.LeftOut, a.PeopleKnown, a.LaptopsWithheld)
		}
		// Of a pool that others share, what is guaranteed counts.
		a = w.plan(as(provisioner.RoleOperator), asked("dorf"))
		is(t, a, plan.SeatsOwned, "", "", 1, 16)
		is(t, a, plan.GuaranteedSeats, "", "vpn", 1, 7)
		r := asked()
		r.People = map[string]int64{"weiler": 30}
		is(t, w.plan(as(provisioner.RoleOperator), r), plan.PeopleNow, "weiler", "", 0, 30)
	})
}

func TestAPlannerIsToldNothingSmall(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		planner := as(provisioner.RolePlanner, "stadt", "dorf", "weiler")
		a := w.plan(planner, asked())
		is(t, a, plan.PeopleNow, "stadt", "", 0, 60)
		is(t, a, plan.LaptopsNow, "stadt", "", 0, 41)
		is(t, a, plan.PeopleNow, "dorf", "", 0, 25)
		is(t, a, plan.LaptopsNow, "dorf", "", 0, 10)
		is(t, a, plan.ObservedPeak, "", "own", 0, 15)
		is(t, a, plan.PeopleNow, "weiler", "", 0, -1)
		is(t, a, plan.GatewaySessions, "", "gw1", 0, -1)
		if !slices.Equal(a.LeftOut, []string{"weiler"}) {
			t.Errorf("left out: %v", a.LeftOut)
		}
		// Who says how many they are is not told how many laptops.
		r := asked()
		r.People = map[string]int64{"weiler": 900, "dorf": 900}
		a = w.plan(planner, r)
		is(t, a, plan.LaptopsNow, "weiler", "", 0, 0)
		is(t, a, plan.LaptopsNow, "dorf", "", 0, 10)
		is(t, a, plan.ObservedPeak, "", "own", 0, 15)
		if !slices.Equal(a.LaptopsWithheld, []string{"weiler"}) {
			t.Errorf("withheld: %v", a.LaptopsWithheld)
		}
		// A pool that few share with others has no peak for her: who knows all the others would learn of them.
		w.update(func(tx *store.Writer) error {
			return tx.PutPool(provisioner.LicencePool{
				Name: "own", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 9}}, Shares: []provisioner.PoolShare{{Tenant: "dorf"}, {Tenant: "weiler"}},
			})
		})
		is(t, w.plan(planner, r), plan.ObservedPeak, "", "own", 0, -1)
		is(t, w.plan(planner, r), plan.ContractSeats, "", "own", 1, 9)
		is(t, w.plan(as(provisioner.RoleOperator), r), plan.ObservedPeak, "", "own", 0, 11)
		// One who sees one of the tenants that share a pool is told neither its contract nor its peak.
		a = w.plan(as(provisioner.RolePlanner, "stadt"), asked())
		is(t, a, plan.ContractSeats, "", "vpn R-1", 1, -1)
		is(t, a, plan.GuaranteedSeats, "", "vpn", 1, 0)
		is(t, a, plan.PeopleNow, "dorf", "", 0, -1)
	})
}

func TestPlansAreRefused(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		past := asked()
		past.Plan.From = time.Now().AddDate(-1, 0, 0)
		other := asked("stadt")
		other.People = map[string]int64{"dorf": 5}
		nobody, many := asked("stadt"), asked("stadt")
		nobody.People, many.People = map[string]int64{"stadt": 0}, map[string]int64{"stadt": 1_000_000}
		for name, c := range map[string]struct {
			actor provisioner.Actor
			r     planning.Request
			want  provisioner.Code
		}{
			"another's tenant":         {as(provisioner.RolePlanner, "stadt"), asked("dorf"), provisioner.CodeNotAllowed},
			"one that is not":          {as(provisioner.RolePlanner, "stadt"), asked("nirgends"), provisioner.CodeNotAllowed},
			"nor for the operator":     {as(provisioner.RoleOperator), asked("nirgends"), provisioner.CodeNotFound},
			"an administrator":         {as(provisioner.RoleTenantAdmin, "stadt"), asked(), provisioner.CodeNotAllowed},
			"nobody":                   {provisioner.Actor{}, asked(), provisioner.CodeNotSignedIn},
			"in the past":              {as(provisioner.RoleOperator), past, provisioner.CodeInvalid},
			"people of others":         {as(provisioner.RoleOperator), other, provisioner.CodeInvalid},
			"another's people":         {as(provisioner.RolePlanner, "stadt"), other, provisioner.CodeNotAllowed},
			"only what is withheld":    {as(provisioner.RolePlanner, "weiler"), asked(), provisioner.CodeInvalid},
			"nobody to plan for":       {as(provisioner.RoleOperator), nobody, provisioner.CodeInvalid},
			"more than a million":      {as(provisioner.RoleOperator), many, provisioner.CodeInvalid},
			"tenants that do not plan": {as(provisioner.RoleHelpdesk, "stadt"), asked("stadt"), provisioner.CodeNotAllowed},
		} {
			_, err := w.Plan(t.Context(), c.actor, c.r)
			refusal, ok := provisioner.AsRefusal(err)
			if !ok || refusal.Code != c.want {
				t.Errorf("%s: %v, want %s", name, err, c.want)
			}
			if ok && strings.Contains(refusal.German["why"], "not what") {
				t.Errorf("%s: in German is told: %s", name, refusal.German["why"])
			}
		}
	})
}
