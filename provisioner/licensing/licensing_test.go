package licensing_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/licensing"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

const day = 24 * time.Hour

// world is a provider's pool that two tenants share, one of a tenant alone, and named seats.
type world struct {
	*licensing.Service
	t     *testing.T
	store *store.Store
	now   time.Time
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
			w := &world{Service: licensing.New(s), t: t, store: s, now: time.Now()}
			w.declare()
			test(t, w)
		})
	}
}

func (w *world) declare() {
	in := func(days int) time.Time { return w.now.Add(time.Duration(days)*day + time.Hour) }
	w.update(func(tx *store.Writer) error {
		return errors.Join(
			tx.PutDirectory(provisioner.Directory{Name: "ad"}),
			tx.PutTenant(provisioner.Tenant{Name: "stadt", Directory: "ad", StaffGroup: "cn=staff"}),
			tx.PutTenant(provisioner.Tenant{Name: "dorf", Directory: "ad", StaffGroup: "cn=staff"}),
			tx.PutPool(provisioner.LicencePool{
				Name: "vpn", Model: provisioner.PoolConcurrent, LendGuaranteed: 50,
				Contracts: []provisioner.Contract{
					{Reference: "R-1", Seats: 20, Until: in(60), NoticeBy: in(8), Price: provisioner.Price{NetCents: 150, GrossCents: 179, Period: provisioner.PerMonth}},
					{Reference: "R-2", Seats: 10, Burst: 5, Price: provisioner.Price{NetCents: 1850}},
					{Reference: "over", Seats: 99, Until: w.now.Add(-day)},
				},
				Shares:   []provisioner.PoolShare{{Tenant: "dorf", Guarantee: 12}, {Tenant: "stadt", Guarantee: 10}},
				Reserved: []provisioner.Reserve{{Class: provisioner.PriorityCrisis, Seats: 3}},
			}),
			tx.PutPool(provisioner.LicencePool{
				Name: "names", Model: provisioner.PoolNamed, Contracts: []provisioner.Contract{{Seats: 2}}, Shares: []provisioner.PoolShare{{Tenant: "stadt"}},
			}),
			tx.PutPool(provisioner.LicencePool{
				Name: "bound", Model: provisioner.PoolNamed, HoldAtLeast: 90 * day, Contracts: []provisioner.Contract{{Seats: 2}}, Shares: []provisioner.PoolShare{{Tenant: "stadt"}},
			}),
		)
	})
}

func (w *world) update(do func(*store.Writer) error) {
	w.t.Helper()
	if err := w.store.Update(context.Background(), do); err != nil {
		w.t.Fatal(err)
	}
}

// person makes somebody known who has access, and gives her id.
func (w *world) person(tenant, login string) (id string) {
	w.t.Helper()
	w.update(func(tx *store.Writer) error {
		p, err := tx.KeepPerson(provisioner.Person{Directory: "ad", StableID: login, Login: login, DisplayName: "Frau " + login})
		id = p.ID
		return errors.Join(err, tx.PutStanding(provisioner.Standing{Person: id, Tenant: tenant, Groups: []string{"cn=staff"}, Entitled: true, ReadAt: tx.Now}))
	})
	return id
}

func (w *world) takes(tenant string, n int, class provisioner.PriorityClass) {
	w.t.Helper()
	w.update(func(tx *store.Writer) error {
		for range n {
			if err := tx.TakeSeat("vpn", tenant, class); err != nil {
				return err
			}
		}
		return nil
	})
}

func as(role provisioner.Role, tenants ...string) provisioner.Actor {
	a := provisioner.Actor{ID: "boss", Name: "Boss", Language: "en"}
	for _, t := range tenants {
		a.Grants = append(a.Grants, provisioner.Grant{Role: role, Tenant: t})
	}
	if len(tenants) == 0 {
		a.Grants = []provisioner.Grant{{Role: role}}
	}
	return a
}

func (w *world) pool(actor provisioner.Actor, tenant, name string) licensing.Pool {
	w.t.Helper()
	list, _, err := w.Seats(w.t.Context(), actor, tenant)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range list {
		if p.Name == name {
			return p
		}
	}
	w.t.Fatalf("no pool %s in %+v", name, list)
	return licensing.Pool{}
}

func codeOf(err error) provisioner.Code {
	if refusal, ok := provisioner.AsRefusal(err); ok {
		return refusal.Code
	}
	return ""
}

func TestLicences(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		for i := range 6 {
			id := w.person("stadt", fmt.Sprint("p", i))
			w.update(func(tx *store.Writer) error {
				n := store.NamedSeat{Pool: "names", Person: id, Tenant: "stadt", AssignedAt: tx.Now.Add(-40 * day)}
				if i == 0 {
					n.UsedAt = tx.Now
				}
				return tx.AssignSeat(n)
			})
		}
		told := func(actor provisioner.Actor) string {
			l, err := w.Licences(t.Context(), actor, "")
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, c := range l.Contracts {
				fmt.Fprintf(&b, "%s %q %d+%d net %d gross %d\n", c.Pool, c.Reference, c.Seats, c.Burst, c.NetCentsAYear(), c.GrossCentsAYear())
			}
			for _, v := range l.Warnings {
				fmt.Fprintf(&b, "%s %s in %d days: %d of %d\n", v.Pool, v.Code, int(v.At.Sub(l.At)/day), v.Promised, v.Seats)
			}
			for _, u := range l.Unused {
				fmt.Fprintf(&b, "%s unused %+v\n", u.Pool, u.Seats)
			}
			return b.String()
		}
		if diff := cmp.Diff(`bound "" 2+0 net 0 gross 0
names "" 2+0 net 0 gross 0
vpn "R-1" 20+0 net 36000 gross 42960
vpn "R-2" 10+5 net 18500 gross 0
vpn notice in 8 days: 0 of 20
vpn ends in 60 days: 0 of 20
vpn guarantees in 60 days: 25 of 10
bound unused {Value:0 Withheld:false}
names unused {Value:5 Withheld:false}
`, told(as(provisioner.RoleOperator))); diff != "" {
			t.Errorf("operator (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(`vpn "" 20+0 net 0 gross 0
vpn "" 10+5 net 0 gross 0
vpn notice in 8 days: 0 of 20
vpn ends in 60 days: 0 of 20
`, told(as(provisioner.RoleTenantAdmin, "dorf"))); diff != "" {
			t.Errorf("one of those who share it (-want +got):\n%s", diff)
		}
		if got := told(as(provisioner.RolePlanner, "stadt")); !strings.Contains(got, "bound unused {Value:0 Withheld:true}") {
			t.Errorf("a planner is told of few: %s", got)
		}
	})
}

func TestAssignAndTakeBack(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		for _, login := range []string{"eva", "uta", "ida", "gast"} {
			w.person("stadt", login)
		}
		w.person("dorf", "otto")
		gone := w.person("stadt", "weg")
		w.update(func(tx *store.Writer) error {
			return tx.PutStanding(provisioner.Standing{Person: gone, Tenant: "stadt", Ended: provisioner.WhyDeleted, ReadAt: tx.Now})
		})
		w.person("stadt", "beide")
		w.person("dorf", "beide")
		boss := as(provisioner.RoleTenantAdmin, "stadt")
		for _, c := range []struct {
			do                 string
			actor              provisioner.Actor
			who, pool, because string
			code               provisioner.Code
		}{
			{"assign", as(provisioner.RoleHelpdesk, "stadt"), "eva", "names", "x", provisioner.CodeNotAllowed},
			{"assign", boss, "eva", "names", "", provisioner.CodeReasonMissing},
			{"assign", boss, "eva", "names", "\x1b\r\n\t", provisioner.CodeReasonMissing},
			{"assign", boss, "nobody", "names", "x", provisioner.CodeNotFound},
			{"assign", boss, "otto", "names", "x", provisioner.CodeNotFound},
			{"assign", boss, "eva", "nowhere\x1b[2J", "x", provisioner.CodeNotFound},
			{"assign", boss, "eva", "vpn", "x", provisioner.CodePoolNotNamed},
			{"assign", as(provisioner.RoleOperator), "otto", "names", "x", provisioner.CodeNotFound}, // not shared with her tenant
			{"assign", as(provisioner.RoleOperator), "beide", "names", "x", provisioner.CodeTenantMissing},
			{"assign", boss, "weg", "names", "x", provisioner.CodeInvalid},
			{"take back", boss, "eva", "names", "x", provisioner.CodeSeatNotAssigned},
			{"assign", boss, "eva", " names ", "new\x1b here", ""},
			{"assign", boss, "eva", "names", "x", provisioner.CodeSeatAssigned},
			{"assign", as(provisioner.RoleOperator), "uta", "names", "x", ""},
			{"assign", boss, "ida", "names", "x", provisioner.CodeNoSeatToAssign},
			{"take back", boss, "eva", "names", "in the office", "free"},
			{"take back", boss, "eva", "names", "x", provisioner.CodeSeatNotAssigned},
			{"assign", boss, "ida", "names", "x", ""},
			{"assign", boss, "gast", "bound", "x", ""},
			{"take back", boss, "gast", "bound", "x", "bound"},
			{"take back", boss, "gast", "bound", "x", provisioner.CodeSeatNotAssigned},
			{"assign", boss, "eva", "bound", "x", ""},
			{"assign", boss, "uta", "bound", "x", provisioner.CodeNoSeatToAssign},
			{"assign", boss, "gast", "bound", "again: it is counted on, so it takes no other one", ""},
		} {
			r := licensing.SeatRequest{Person: c.who, Pool: c.pool, Reason: c.because}
			var err error
			var code provisioner.Code
			if c.do == "assign" {
				_, err = w.Assign(t.Context(), c.actor, r)
			} else {
				var back licensing.TakenBack
				back, err = w.TakeBack(t.Context(), c.actor, r)
				code = map[bool]provisioner.Code{true: "free", false: "bound"}[back.Free]
				if err == nil && back.Free != back.BoundUntil.IsZero() {
					t.Errorf("%+v: %+v", c, back)
				}
			}
			if err != nil {
				code = codeOf(err)
			}
			if code != c.code {
				t.Errorf("%+v: %s, %v", c, code, err)
			}
		}
		for pool, want := range map[string]int64{"names": 2, "bound": 2} {
			held, err := store.Read(t.Context(), w.store, func(tx *store.Reader) (int64, error) { return tx.SeatsHeld(pool) })
			if err != nil || held != want {
				t.Errorf("%s: %d held, %v", pool, held, err)
			}
		}
		records, err := store.Read(t.Context(), w.store, func(tx *store.Reader) ([]store.AuditRecord, error) {
			return tx.FindAudit(store.AuditQuery{Scope: provisioner.Everywhere(), Limit: 100})
		})
		if err != nil || len(records) != 8 || !strings.Contains(string(records[7].Payload), `"action":"assign seat"`) ||
			!strings.Contains(string(records[7].Payload), `"reason":"new here"`) || !strings.Contains(string(records[7].Payload), `"pool":"names"`) {
			t.Errorf("%d records: %v %+v", len(records), err, records)
		}
	})
}

func TestExplainSeat(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w.person("stadt", "eva")
		w.takes("stadt", 31, provisioner.PriorityOrdinary)
		told := func(actor provisioner.Actor) string {
			e, err := w.Explain(t.Context(), actor, "eva", "")
			if err != nil {
				t.Fatal(err)
			}
			s := e.Name + " " + e.Tenant + " " + e.Pool
			for _, v := range e.Steps {
				s += "\n" + v.Pool + " " + v.English
			}
			return s
		}
		got := told(as(provisioner.RoleHelpdesk, "stadt"))
		if !strings.HasPrefix(got, "Frau eva stadt bound\nbound Contracts") || strings.Contains(got, "31 of 35") || !strings.HasSuffix(got, "She gets a seat of bound.") {
			t.Error(got)
		}
		if got := told(as(provisioner.RoleOperator)); !strings.Contains(got, "Held are 31 of 35.") {
			t.Error(got)
		}
		for _, actor := range []provisioner.Actor{as(provisioner.RolePlanner, "stadt"), {}} {
			if _, err := w.Explain(t.Context(), actor, "eva", ""); codeOf(err) != provisioner.CodeNotAllowed && codeOf(err) != provisioner.CodeNotSignedIn {
				t.Error(err)
			}
		}
		if _, err := w.Explain(t.Context(), as(provisioner.RoleHelpdesk, "dorf"), "eva", ""); codeOf(err) != provisioner.CodeNotFound {
			t.Error(err)
		}
	})
}

// Who has a seat, or waits for one, is told of it, and it is not held against her.
func TestExplainWhatSheHasAlready(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		eva := w.person("dorf", "eva")
		d := provisioner.Device{ID: "nb", Name: "nb-1", Tenant: "dorf", Person: eva, Generation: 1, PublicKey: provisioner.Key{1}, EnrolledAt: time.Now()}
		w.update(func(tx *store.Writer) error { return tx.AddDevice(d) })
		claim := seat.Claim{Tenant: "dorf", Person: eva}
		w.takes("stadt", 20, provisioner.PriorityOrdinary)
		w.takes("dorf", 12, provisioner.PriorityOrdinary) // of 35 seats three are reserved
		told := func(wants ...string) {
			t.Helper()
			e, err := w.Explain(t.Context(), as(provisioner.RoleOperator), "eva", "")
			if err != nil {
				t.Fatal(err)
			}
			var all string
			for _, v := range e.Steps {
				all += v.English + "\n"
			}
			for _, want := range wants {
				if !strings.Contains(all, want) {
					t.Errorf("no %q in\n%s", want, all)
				}
			}
		}
		told("She gets no seat now")
		w.update(func(tx *store.Writer) error { return tx.Enqueue(d.ID, claim, "s") })
		told("nb-1 waits for a seat.", "What is free yet is guaranteed to others or reserved for others.", "She gets no seat now")
		w.update(func(tx *store.Writer) error {
			tenant, err := tx.Tenant("dorf")
			tenant.Crisis.CloseOrdinary = true
			_, begun := tx.BeginCrisis("dorf", "flood")
			return errors.Join(err, begun, tx.PutTenant(tenant))
		})
		told("Her tenant is in crisis mode", "nb-1 waits for a seat; its place rests until the crisis mode ends, and stays hers.")
		w.update(func(tx *store.Writer) error { _, err := tx.EndCrisis("dorf"); return err })
		told("nb-1 waits for a seat.")
		w.update(func(tx *store.Writer) error {
			q, err := tx.InQueue(d.ID)
			return errors.Join(err, tx.FreeSeat("vpn", "stadt", provisioner.PriorityOrdinary), tx.OfferSeat(q, "vpn", tx.Now.Add(time.Minute)))
		})
		told("A seat is held for nb-1.", "She gets a seat of vpn.")
	})
}
