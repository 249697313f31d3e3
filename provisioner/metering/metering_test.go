package metering_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/metering"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

// world is two tenants, of which one meters two products.
type world struct {
	*metering.Service
	store *store.Store
}

func newWorld(t *testing.T, file string) world {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Database: file, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w := world{metering.New(metering.Options{Store: s, Logger: slog.New(slog.DiscardHandler)}), s}
	w.declare(t, agreed().Agreement)
	return w
}

func (w world) close(t *testing.T) {
	t.Helper()
	if err := w.store.Close(); err != nil {
		t.Error(err)
	}
}

func (w world) declare(t *testing.T, agreement provisioner.WorksAgreement) {
	t.Helper()
	products := agreed().Products
	products[0].LicencePool = "citrix"
	if err := w.store.Update(t.Context(), func(tx *store.Writer) error {
		return errors.Join(
			tx.PutDirectory(provisioner.Directory{Name: "ad"}),
			tx.PutTenant(provisioner.Tenant{Name: "stadt", Directory: "ad", Products: products, WorksAgreement: agreement}),
			tx.PutTenant(provisioner.Tenant{Name: "dorf", Directory: "ad"}),
			tx.PutPool(provisioner.LicencePool{Name: "citrix", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 40}}, Shares: []provisioner.PoolShare{{Tenant: "stadt"}}}),
		)
	}); err != nil {
		t.Fatal(err)
	}
}

// people are those of a tenant who have the right to access.
func (w world) people(t *testing.T, tenant string, n int) {
	t.Helper()
	if err := w.store.Update(t.Context(), func(tx *store.Writer) (err error) {
		for i := range n {
			p, kept := tx.KeepPerson(provisioner.Person{Directory: "ad", StableID: fmt.Sprint(tenant, i)})
			err = errors.Join(err, kept, tx.PutStanding(provisioner.Standing{Person: p.ID, Tenant: tenant, Entitled: true, ReadAt: tx.Now}))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// start runs what a control plane runs, until stop.
func (w world) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{}, 2)
	for _, run := range []func(context.Context) error{w.RunCounts, w.RunPeaks} {
		go func() { _ = run(ctx); done <- struct{}{} }()
	}
	return func() { cancel(); <-done; <-done }
}

func planner(tenant string) provisioner.Actor {
	return provisioner.Actor{ID: "p", Grants: []provisioner.Grant{{Role: provisioner.RolePlanner, Tenant: tenant}}}
}

func admin(tenant string) provisioner.Actor {
	return provisioner.Actor{ID: "a", Grants: []provisioner.Grant{{Role: provisioner.RoleTenantAdmin, Tenant: tenant}}}
}

// seen is what an administrator of stadt is told of a product.
func (w world) seen(t *testing.T, product string) (metering.Numbers, []metering.VersionUse) {
	t.Helper()
	return w.seenBy(t, admin("stadt"), product)
}

func (w world) seenBy(t *testing.T, actor provisioner.Actor, product string) (metering.Numbers, []metering.VersionUse) {
	t.Helper()
	_, list, err := w.Products(t.Context(), actor, "")
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, u := range list {
		if u.Product.Name == product {
			return u.Numbers, u.Versions
		}
	}
	t.Fatalf("nothing is told of %s", product)
	return metering.Numbers{}, nil
}

func count(n int64) capacity.Count { return capacity.Count{Value: n} }

// Numbers rise and fall with what laptops say; the highest ones stay for the day and
// for thirty days; small ones are told to nobody, nor kept.
func TestProductsInUse(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, filepath.Join(dir, "db"))
		defer w.close(t)
		stop := w.start(t.Context())
		withheld := capacity.Count{Withheld: true}
		var streams []*metering.Stream
		for i := range 12 {
			s := w.Open("stadt")
			uses := []metering.Use{{Product: "citrix", Version: []string{"24.1", "24.2"}[i/6]}}
			if i < 4 {
				uses = append(uses, metering.Use{Product: "phone", Version: "1"})
			}
			s.Say(uses)
			streams = append(streams, s)
		}
		time.Sleep(2 * time.Minute)
		numbers, versions := w.seen(t, "citrix")
		if want := (metering.Numbers{Now: count(12), HighestToday: count(12), HighestInMonth: count(12)}); numbers != want {
			t.Errorf("twelve use it: %+v", numbers)
		}
		six := metering.Numbers{Now: count(6), HighestToday: count(6), HighestInMonth: count(6)}
		if diff := cmp.Diff([]metering.VersionUse{{Version: "24.2", Numbers: six}, {Version: "24.1", Numbers: six}}, versions); diff != "" {
			t.Error(diff)
		}
		if numbers, versions := w.seen(t, "phone"); numbers != (metering.Numbers{Now: withheld, HighestToday: withheld, HighestInMonth: withheld}) || len(versions) > 0 {
			t.Errorf("of four is told %+v, %+v", numbers, versions)
		}

		// Four go: eight are left, two of them with the older version, which is told no more, nor what it follows from.
		for _, s := range streams[:4] {
			s.Forget()
		}
		time.Sleep(2 * time.Minute)
		numbers, versions = w.seen(t, "citrix")
		if want := (metering.Numbers{Now: count(8), HighestToday: count(12), HighestInMonth: count(12)}); numbers != want {
			t.Errorf("eight use it: %+v", numbers)
		}
		for _, v := range versions {
			if v.Now != withheld {
				t.Errorf("tells of version %s %+v", v.Version, v.Now)
			}
		}
		for _, s := range streams {
			s.Forget()
		}
		stop()
		time.Sleep(24 * time.Hour)
		if numbers, _ := w.seen(t, "citrix"); numbers != (metering.Numbers{Now: withheld, HighestToday: withheld, HighestInMonth: count(12)}) {
			t.Errorf("the day after: %+v", numbers)
		}
		time.Sleep(30 * 24 * time.Hour)
		if numbers, _ := w.seen(t, "citrix"); numbers.HighestInMonth != withheld {
			t.Errorf("a month after: %+v", numbers)
		}
		kept, err := store.Read(t.Context(), w.store, func(tx *store.Reader) ([]store.ProductCount, error) {
			return tx.ProductPeaks(provisioner.Everywhere(), time.Time{}, time.Now())
		})
		if err != nil || len(kept) != 3 { // citrix, and its two versions
			t.Errorf("kept %+v, %v", kept, err)
		}
	})
}

// Who may not list the sessions is told hours when they are over, and of few people numbers
// rounded up: nobody who comes or goes shows at that moment.
func TestPlannersAreToldHours(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, filepath.Join(dir, "db"))
		defer w.close(t)
		hour := time.Now().UTC().Truncate(24 * time.Hour).Add(34 * time.Hour)
		clock := func(after time.Duration) { time.Sleep(time.Until(hour.Add(after))) }
		use := func(begin time.Time, n int64) {
			t.Helper()
			count := []store.ProductCount{{Tenant: "stadt", Product: "citrix", Sessions: n}}
			if err := w.store.Update(t.Context(), func(tx *store.Writer) error {
				return errors.Join(tx.PutProductCounts(count), tx.HoldProductCounts(tx.Now.Add(time.Hour)), tx.RaiseProductPeaks(begin, count))
			}); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(what string, now, highest capacity.Count) {
			t.Helper()
			if n, _ := w.seenBy(t, planner("stadt"), "citrix"); n != (metering.Numbers{Now: now, HighestToday: highest, HighestInMonth: highest}) {
				t.Errorf("%s: %+v", what, n)
			}
		}
		withheld := capacity.Count{Withheld: true}
		clock(10 * time.Minute)
		use(hour, 7)
		clock(time.Hour)
		expect("before the hour is settled", withheld, withheld)
		clock(time.Hour + time.Minute)
		expect("of seven among few", count(10), count(10))
		w.people(t, "stadt", capacity.FewPeople)
		expect("of seven among enough", count(7), count(7))
		use(hour.Add(time.Hour), 8)
		expect("while another one comes", count(7), count(7))
		if n, _ := w.seen(t, "citrix"); n.Now != count(8) || n.HighestToday != count(8) {
			t.Errorf("the administrator is told %+v", n)
		}
		clock(3*time.Hour + time.Minute)
		expect("after all have gone", withheld, count(8))
	})
}

// What replicas count adds up; one that ends takes its numbers along, one that is
// killed within a minute and a half.
func TestReplicasAddUp(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		first := newWorld(t, filepath.Join(dir, "db"))
		defer first.close(t)
		second := newWorld(t, filepath.Join(dir, "db"))
		defer second.close(t)
		third := newWorld(t, filepath.Join(dir, "db"))
		for i, w := range []world{first, second, third} {
			for range []int{20, 10, 5}[i] {
				w.Open("stadt").Say([]metering.Use{{Product: "citrix"}})
			}
		}
		defer first.start(t.Context())()
		stop := second.start(t.Context())
		kill := third.start(t.Context())
		time.Sleep(time.Minute)
		expect := func(what string, n int64) {
			t.Helper()
			if numbers, _ := first.seen(t, "citrix"); numbers.Now != count(n) {
				t.Errorf("%s: %+v", what, numbers.Now)
			}
		}
		expect("of three replicas", 35)
		stop()
		expect("after one has ended", 25)
		third.close(t) // so it can take nothing back
		kill()
		time.Sleep(2 * time.Minute)
		expect("after one was killed", 20)
	})
}

// Where the agreement is gone, laptops are to say nothing more, before long.
func TestAgreementEnds(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, filepath.Join(dir, "db"))
		defer w.close(t)
		year, month, day := provisioner.DayOf(time.Now())
		w.declare(t, provisioner.WorksAgreement{Reference: "DV", Date: provisioner.DayBegins(year, month, day+1)})
		products := func(tenant string) int {
			t.Helper()
			m, ok := w.Of(t.Context(), tenant)
			if !ok {
				t.Fatal("it cannot be read")
			}
			return len(m.Products)
		}
		if n := products("stadt") + products("dorf"); n != 0 {
			t.Errorf("the day before: %d products", n)
		}
		time.Sleep(24 * time.Hour)
		if n := products("stadt"); n != 2 {
			t.Errorf("on the day: %d products", n)
		}
		w.declare(t, provisioner.WorksAgreement{})
		time.Sleep(time.Minute)
		if n := products("stadt"); n != 0 {
			t.Errorf("without the agreement: %d products", n)
		}
		if _, ok := w.Of(t.Context(), "nirgends"); ok {
			t.Error("a tenant that is not there has a list")
		}
	})
}

func TestWhoMaySeeProducts(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t).Database)
	defer w.close(t)
	for _, c := range []struct {
		actor  provisioner.Actor
		tenant string
		want   int
		code   provisioner.Code
	}{
		{planner("stadt"), "", 2, ""},
		{planner("stadt"), "stadt", 2, ""},
		{planner("stadt"), "dorf", 0, provisioner.CodeNotAllowed},
		{planner("stadt"), "nirgends", 0, provisioner.CodeNotAllowed},
		{planner("dorf"), "", 0, ""},
		{provisioner.Actor{ID: "o", Grants: []provisioner.Grant{{Role: provisioner.RoleOperator}}}, "nirgends", 0, provisioner.CodeNotFound},
		{provisioner.Actor{ID: "o", Grants: []provisioner.Grant{{Role: provisioner.RoleOperator}}}, "", 2, ""},
		{provisioner.Actor{ID: "h", Grants: []provisioner.Grant{{Role: provisioner.RoleHelpdesk, Tenant: "stadt"}}}, "", 0, provisioner.CodeNotAllowed},
		{provisioner.Actor{}, "", 0, provisioner.CodeNotSignedIn},
	} {
		_, list, err := w.Products(t.Context(), c.actor, c.tenant)
		refusal, _ := provisioner.AsRefusal(err)
		if len(list) != c.want || c.code != "" && (refusal == nil || refusal.Code != c.code) || c.code == "" && err != nil {
			t.Errorf("%+v asks for %q: %+v, %v", c.actor, c.tenant, list, err)
		}
		for _, u := range list {
			if u.Product.Name == "citrix" && u.Seats != 40 {
				t.Errorf("of %d seats", u.Seats)
			}
		}
	}
}
