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

// Products tells how much the metered products are in use in the tenants that the
// actor may ask about, or in one of them. Small numbers are withheld from everybody:
// no list says of anybody what she uses, so no number shall.
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
		known, err := read(tx, scope, at)
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
// use at most within 30 days. Those that are told to nobody are missing.
func Highest(tx *store.Reader, scope provisioner.Scope, at time.Time) (map[string]map[string]int64, error) {
	known, err := read(tx, scope, at)
	if err != nil {
		return nil, err
	}
	highest := make(map[string]map[string]int64)
	for _, t := range []table{known.now, known.month} {
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

// InUse lists the numbers of sessions in which products are in use now, of all tenants,
// without those that are told to nobody.
func (s *Service) InUse(ctx context.Context) ([]store.ProductCount, error) {
	counts, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]store.ProductCount, error) {
		return tx.ProductCounts(provisioner.Everywhere(), time.Now())
	})
	return slices.DeleteFunc(tellable(counts), func(c store.ProductCount) bool { return c.Version != "" }), err
}

// known are the numbers of a time.
type known struct {
	now, today, month table
	seats             map[string]int64 // by pool and tenant
}

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

func read(tx *store.Reader, scope provisioner.Scope, at time.Time) (k known, err error) {
	counts, err := tx.ProductCounts(scope, at)
	if err != nil {
		return k, fmt.Errorf("reading what is in use now: %w", err)
	}
	year, month, day := provisioner.DayOf(at)
	today, err := tx.ProductPeaks(scope, provisioner.DayBegins(year, month, day))
	if err != nil {
		return k, fmt.Errorf("reading what was in use today: %w", err)
	}
	former, err := tx.ProductPeaks(scope, provisioner.DayBegins(year, month, day-monthDays+1))
	if err != nil {
		return k, fmt.Errorf("reading what was in use in %d days: %w", monthDays, err)
	}
	k.now, k.today, k.month = tableOf(tellable(counts)), tableOf(today), tableOf(former)
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

// use puts together what is known of one product.
func (k known) use(t provisioner.Tenant, p provisioner.Product) ProductUse {
	of := product{t.Name, p.Name}
	u := ProductUse{
		Tenant: t.Name, Product: p, Agreement: t.WorksAgreement, Numbers: k.numbers(of, ""),
		Seats: k.seats[p.LicencePool+" "+t.Name],
	}
	versions := make(map[string]bool)
	for _, m := range []table{k.now, k.month} {
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
	now := k.now[of][version]
	today := max(now, k.today[of][version])
	return Numbers{Now: capacity.Told(now), HighestToday: capacity.Told(today), HighestInMonth: capacity.Told(max(today, k.month[of][version]))}
}
