package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// What is written as a difference from what is stored ends up as what is written
// anew: shares of which seats are held included, and enough rows for each length
// of statement.
func TestDifferencesEndUpAsTheWhole(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		var tenants []string
		var before, after []provisioner.PoolShare
		update(t, s, func(tx *store.Writer) (err error) {
			for i := range 90 {
				name := fmt.Sprintf("t%02d", i)
				tenants = append(tenants, name)
				err = errors.Join(err, tx.PutTenant(provisioner.Tenant{Name: name, Directory: "stadt-ad", MailDomains: []string{name + ".example"}}, provisioner.Tenant{}))
				if i < 80 {
					before = append(before, provisioner.PoolShare{Tenant: name, Guarantee: int64(i % 3)})
				}
				if i >= 10 {
					after = append(after, provisioner.PoolShare{Tenant: name, Guarantee: int64(i % 2)})
				}
			}
			return err
		})
		poolOf := func(name string, shares []provisioner.PoolShare) provisioner.LicencePool {
			return provisioner.LicencePool{Name: name, Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 1000}}, Shares: shares}
		}
		gatewayOf := func(name string, tenants []string) provisioner.Gateway {
			return provisioner.Gateway{Name: name, Sessions: 10, Tenants: tenants}
		}
		for _, name := range []string{"whole", "difference"} {
			update(t, s, func(tx *store.Writer) error {
				return errors.Join(tx.PutPool(poolOf(name, before), provisioner.LicencePool{}), tx.PutGateway(gatewayOf(name, tenants[:80]), provisioner.Gateway{}),
					tx.TakeSeat(name, "t05", provisioner.PriorityOrdinary), tx.TakeSeat(name, "t20", provisioner.PriorityOrdinary))
			})
		}
		update(t, s, func(tx *store.Writer) error {
			return errors.Join(
				tx.PutPool(poolOf("whole", after)), tx.PutGateway(gatewayOf("whole", tenants[10:])),
				tx.PutPool(poolOf("difference", after), poolOf("", before)), tx.PutGateway(gatewayOf("difference", tenants[10:]), gatewayOf("", tenants[:80])))
		})
		held := view(t, s, func(tx *store.Reader) (map[string][]string, error) { return books(tx, tenants) })
		if diff := cmp.Diff(held["whole"], held["difference"]); diff != "" || len(held["whole"]) < 200 {
			t.Errorf("%d rows (-whole +difference):\n%s", len(held["whole"]), diff)
		}
	})
}

// books lists, under the name of each pool and gateway, what the tables keep of it
// and these tenants.
func books(tx *store.Reader, tenants []string) (map[string][]string, error) {
	rows := make(map[string][]string)
	shares, err := tx.PoolShares()
	for _, h := range shares {
		rows[h.Pool] = append(rows[h.Pool], fmt.Sprint(h.Tenant, h.Held))
	}
	pools, poolsErr := tx.Pools()
	for _, p := range pools {
		rows[p.Pool.Name] = append(rows[p.Pool.Name], fmt.Sprint(p.Held, p.UnusedGuarantee))
	}
	gateways, gatewaysErr := tx.Gateways()
	for _, g := range gateways {
		rows[g.Name] = append(rows[g.Name], g.Tenants...)
	}
	err = errors.Join(err, poolsErr, gatewaysErr)
	for _, tenant := range tenants {
		entitled, entitledErr := tx.Offers(seat.Claim{Tenant: tenant}, time.Now())
		for _, p := range entitled {
			rows[p.Pool] = append(rows[p.Pool], fmt.Sprint(tenant, p.Guarantee))
		}
		err = errors.Join(err, entitledErr)
	}
	return rows, err
}

func TestMailDomains(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		stadt := view(t, s, func(tx *store.Reader) (provisioner.Tenant, error) { return tx.Tenant("stadt") })
		dorf := provisioner.Tenant{Name: "dorf", Directory: "stadt-ad", MailDomains: []string{"stadt.example"}}
		if err := s.Update(t.Context(), func(tx *store.Writer) error { return tx.PutTenant(dorf, provisioner.Tenant{}) }); err == nil {
			t.Error("a domain was taken from another tenant")
		}
		moved := stadt
		moved.MailDomains = []string{"other.example"}
		update(t, s, func(tx *store.Writer) error {
			return errors.Join(tx.ReleaseMailDomains("stadt", stadt.MailDomains), tx.PutTenant(dorf, provisioner.Tenant{}), tx.PutTenant(moved, stadt))
		})
		for domain, want := range map[string]string{"stadt.example": "dorf", "other.example": "stadt"} {
			if got := view(t, s, func(tx *store.Reader) (string, error) { return tx.TenantOfMailDomain(domain) }); got != want {
				t.Errorf("%s leads to %s", domain, got)
			}
		}
	})
}

func TestStillDeclared(t *testing.T) {
	onEach(t, func(t *testing.T, s *store.Store) {
		town(t, s)
		for _, c := range []struct {
			name string
			do   func(*store.Writer) error
			want bool
		}{
			{"nothing", func(*store.Writer) error { return nil }, true},
			{"a session", func(tx *store.Writer) error {
				d, err := laptop(tx, 1)
				if err != nil {
					return err
				}
				_, err = session(tx, d)
				return err
			}, true},
			{"a directory", func(tx *store.Writer) error { return tx.PutDirectory(provisioner.Directory{Name: "new"}) }, false},
			{"a tenant", func(tx *store.Writer) error {
				return tx.PutTenant(provisioner.Tenant{Name: "new", Directory: "new"}, provisioner.Tenant{})
			}, false},
			{"a pool", func(tx *store.Writer) error {
				return tx.PutPool(provisioner.LicencePool{Name: "vpn", Contracts: []provisioner.Contract{{Seats: 1}}})
			}, false},
			{"a gateway", func(tx *store.Writer) error { return tx.PutGateway(gateway()) }, false},
			{"a gateway that joins", func(tx *store.Writer) error { return tx.JoinGateway("gw1", provisioner.Key{1}, time.Now(), "1") }, false},
			{"changes that were trimmed", func(tx *store.Writer) error {
				_, err := tx.Record(provisioner.Change{Kind: provisioner.ChangeDevice})
				if err != nil {
					return err
				}
				_, err = tx.TrimChanges(tx.Revision(), 1000)
				return err
			}, false},
		} {
			d := view(t, s, (*store.Reader).Declared)
			update(t, s, c.do)
			var still bool
			update(t, s, func(tx *store.Writer) (err error) {
				still, err = tx.StillDeclared(d)
				return err
			})
			if still != c.want {
				t.Errorf("%s: still as it was: %v", c.name, still)
			}
		}
	})
}
