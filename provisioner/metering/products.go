package metering

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// monthDays is how many days the longer look goes back.
const monthDays = 30

// ProductUse is how much a product of a tenant is in use.
type ProductUse struct {
	Tenant    string
	Product   provisioner.Product
	Agreement provisioner.WorksAgreement
	Seats     int64 // of the product's licence pool; zero: it has none
	// Until is set for those who may not list the tenant's sessions: Now is the most at one
	// time in the full hour that ended then, and the highest are those of full hours.
	Until time.Time
	Numbers
	Versions []VersionUse
}

// VersionUse is how much one version is.
type VersionUse struct {
	Version string
	Numbers
}

// Numbers are sessions at one time.
type Numbers struct{ Now, HighestToday, HighestInMonth capacity.Count }

// settled is how long after its end an hour's numbers change no more.
const settled = time.Minute

// lastHour is when the last hour ended whose numbers change no more.
func lastHour(at time.Time) time.Time { return at.Add(-settled).UTC().Truncate(time.Hour) }

// Products tells how much the metered products are in use in the tenants that the
// actor may ask about, or in one of them. Small numbers are withheld from everybody:
// no list says of anybody what she uses, so no number shall. Who may not list the sessions
// is told full hours, and of few people rounded up: a number that may be asked for at any time
// would tell who comes and goes.
func (s *Service) Products(ctx context.Context, actor provisioner.Actor, tenant string) (at time.Time, list []ProductUse, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionReadConcurrency, provisioner.Object{Tenant: tenant}); refusal != nil {
		return at, nil, refusal
	}
	scope := provisioner.ScopeOf(actor, provisioner.ActionReadConcurrency).Narrow(tenant)
	at = time.Now()
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		if err := tx.TenantNamed(tenant); err != nil {
			return err
		}
		list = nil
		tenants, err := tx.Tenants(scope)
		if err != nil {
			return fmt.Errorf("reading tenants: %w", err)
		}
		tenants = slices.DeleteFunc(tenants, func(t provisioner.Tenant) bool { return len(t.Products) == 0 })
		if len(tenants) == 0 {
			return nil
		}
		known, err := read(tx, actor, scope, at)
		if err != nil {
			return err
		}
		for _, t := range tenants {
			for _, p := range t.Products {
				list = append(list, known.use(t, p))
			}
		}
		return nil
	})
	return at, list, err
}

// Highest tells, by tenant and product, in how many sessions at one time a product was in
// use at most within 30 days, as the actor is told it. Those that are told to nobody are missing.
func Highest(tx *store.Reader, actor provisioner.Actor, scope provisioner.Scope, at time.Time) (map[string]map[string]int64, error) {
	known, err := read(tx, actor, scope, at)
	if err != nil {
		return nil, err
	}
	highest := make(map[string]map[string]int64)
	for _, t := range []table{known.present.now, known.hours.month} {
		for of := range t {
			if n := known.numbers(of, "").HighestInMonth; !n.Withheld {
				if highest[of.tenant] == nil {
					highest[of.tenant] = make(map[string]int64)
				}
				highest[of.tenant][of.name] = n.Value
			}
		}
	}
	return highest, nil
}

// InUse lists in how many sessions products were in use at one time at most, in the last full
// hour: what may be told to everybody who reads metrics. Tenants of few people are not in it.
func (s *Service) InUse(ctx context.Context) (list []store.ProductCount, err error) {
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		few, err := fewIn(tx)
		if err != nil {
			return err
		}
		end := lastHour(time.Now())
		list, err = tx.ProductPeaks(provisioner.Everywhere(), end.Add(-time.Hour), end)
		list = slices.DeleteFunc(list, func(c store.ProductCount) bool { return c.Version != "" || few[c.Tenant] })
		return err
	})
	return list, err
}

// fewIn names the tenants of few people.
func fewIn(tx *store.Reader) (map[string]bool, error) {
	heads, err := tx.Headcounts()
	if err != nil {
		return nil, fmt.Errorf("counting the people of tenants: %w", err)
	}
	tenants, err := tx.Tenants(provisioner.Everywhere())
	if err != nil {
		return nil, fmt.Errorf("reading tenants: %w", err)
	}
	few := make(map[string]bool)
	for _, t := range tenants {
		few[t.Name] = true
	}
	for _, h := range heads {
		few[h.Tenant] = h.People < capacity.FewPeople
	}
	return few, nil
}

// known are the numbers of a time, as one who asks is told them.
type known struct {
	actor   provisioner.Actor
	present tables // for who may list the sessions
	hours   tables // for everybody else
	until   time.Time
	few     map[string]bool  // tenants
	seats   map[string]int64 // by pool and tenant
}

// tables are the numbers now, and the highest.
type tables struct{ now, today, month table }

// table is numbers by product and version.
type table map[product]map[string]int64

func tableOf(counts []store.ProductCount) table {
	t := make(table)
	for _, c := range counts {
		of := product{c.Tenant, c.Product}
		if t[of] == nil {
			t[of] = make(map[string]int64)
		}
		t[of][c.Version] = c.Sessions
	}
	return t
}

func read(tx *store.Reader, actor provisioner.Actor, scope provisioner.Scope, at time.Time) (k known, err error) {
	k = known{actor: actor, until: lastHour(at)}
	if k.few, err = fewIn(tx); err != nil {
		return k, err
	}
	counts, err := tx.ProductCounts(scope, at)
	if err != nil {
		return k, fmt.Errorf("reading what is in use now: %w", err)
	}
	k.present.now = tableOf(tellable(counts))
	year, month, day := provisioner.DayOf(at)
	today, former := provisioner.DayBegins(year, month, day), provisioner.DayBegins(year, month, day-monthDays+1)
	for _, r := range []struct {
		into          *table
		since, before time.Time
	}{
		{&k.present.today, today, at}, {&k.present.month, former, at},
		{&k.hours.now, k.until.Add(-time.Hour), k.until}, {&k.hours.today, today, k.until}, {&k.hours.month, former, k.until},
	} {
		peaks, err := tx.ProductPeaks(scope, r.since, r.before)
		if err != nil {
			return k, fmt.Errorf("reading what was in use since %s: %w", r.since.Format(time.RFC3339), err)
		}
		*r.into = tableOf(peaks)
	}
	pools, err := tx.Pools()
	if err != nil {
		return k, fmt.Errorf("reading the licence pools: %w", err)
	}
	k.seats = make(map[string]int64)
	for _, p := range pools {
		for _, s := range p.Pool.Shares {
			k.seats[p.Pool.Name+" "+s.Tenant] = p.Pool.At(at).Seats
		}
	}
	return k, nil
}

// open reports whether the actor may list a tenant's sessions, and so may know who comes and goes.
func (k known) open(tenant string) bool {
	return provisioner.Allow(k.actor, provisioner.ActionListSessions, provisioner.Object{Tenant: tenant}) == nil
}

// use puts together what is known of one product.
func (k known) use(t provisioner.Tenant, p provisioner.Product) ProductUse {
	of := product{t.Name, p.Name}
	u := ProductUse{
		Tenant: t.Name, Product: p, Agreement: t.WorksAgreement, Numbers: k.numbers(of, ""),
		Seats: k.seats[p.LicencePool+" "+t.Name],
	}
	from := k.present
	if !k.open(t.Name) {
		from, u.Until = k.hours, k.until
	}
	versions := make(map[string]bool)
	for _, m := range []table{from.now, from.month} {
		for v := range m[of] {
			versions[v] = v != ""
		}
	}
	for v, is := range versions {
		if is {
			u.Versions = append(u.Versions, VersionUse{v, k.numbers(of, v)})
		}
	}
	slices.SortFunc(u.Versions, func(a, b VersionUse) int {
		return cmp.Or(cmp.Compare(b.HighestInMonth.Value, a.HighestInMonth.Value), strings.Compare(b.Version, a.Version))
	})
	return u
}

func (k known) numbers(of product, version string) Numbers {
	if k.open(of.tenant) {
		now := k.present.now[of][version]
		today := max(now, k.present.today[of][version])
		return Numbers{capacity.Told(now), capacity.Told(today), capacity.Told(max(today, k.present.month[of][version]))}
	}
	told := func(t table) capacity.Count {
		c := capacity.Told(t[of][version])
		if k.few[of.tenant] {
			c.Value = capacity.RoundUp(c.Value)
		}
		return c
	}
	return Numbers{told(k.hours.now), told(k.hours.today), told(k.hours.month)}
}
