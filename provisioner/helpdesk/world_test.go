package helpdesk_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/helpdesk"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

// world is two tenants with people, of whom some are connected.
type world struct {
	*helpdesk.Service
	store   *store.Store
	keys    int
	persons map[string]provisioner.Person // by tenant and login
	devices map[string]provisioner.Device
	open    map[string]provisioner.Session
}

func newWorld(t testing.TB) *world {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := store.Open(context.Background(), store.Options{Database: storetest.SQLite(t).Database, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{
		Service: helpdesk.New(helpdesk.Options{Store: s, Logger: log}), store: s,
		persons: make(map[string]provisioner.Person), devices: make(map[string]provisioner.Device), open: make(map[string]provisioner.Session),
	}
	w.update(t, func(tx *store.Writer) error {
		return errors.Join(
			tx.PutDirectory(provisioner.Directory{Name: "ad"}),
			tx.PutTenant(provisioner.Tenant{Name: "stadt", Directory: "ad"}),
			tx.PutTenant(provisioner.Tenant{Name: "dorf", Directory: "ad"}),
			tx.PutPool(provisioner.LicencePool{Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 100, Burst: 5}}, Shares: []provisioner.PoolShare{{Tenant: "stadt"}, {Tenant: "dorf"}}}),
			tx.PutPool(provisioner.LicencePool{Name: "rds", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 50}}, Shares: []provisioner.PoolShare{{Tenant: "stadt"}}}),
			tx.PutGateway(provisioner.Gateway{Name: "gw1", Endpoint: "gw1.example:51820", Sessions: 100, AggregateV4: aggregate().V4, AggregateV6: aggregate().V6, Tenants: []string{"stadt", "dorf"}}),
		)
	})
	return w
}

func aggregate() address.Aggregate {
	return address.Aggregate{V4: netip.MustParsePrefix("10.80.0.0/16"), V6: netip.MustParsePrefix("fd80:1::/48")}
}

func (w *world) update(t testing.TB, do func(*store.Writer) error) {
	t.Helper()
	if err := w.store.Update(context.Background(), do); err != nil {
		t.Fatal(err)
	}
}

// person makes somebody with a device known; a name is of the form "tenant/login".
func (w *world) person(t testing.TB, tenant, login, display string) {
	t.Helper()
	w.keys++
	d := provisioner.Device{
		ID: provisioner.NewID(), Tenant: tenant, Generation: 1, Name: "laptop-" + login, SerialNumber: fmt.Sprint("SN", w.keys, login),
		PublicKey: provisioner.Key{byte(w.keys), byte(w.keys >> 8), 1}, EnrolledAt: time.Now(),
	}
	w.update(t, func(tx *store.Writer) error {
		p, err := tx.KeepPerson(provisioner.Person{Directory: "ad", StableID: "id-" + login, Login: login, DisplayName: display, Mail: login + "@" + tenant + ".example"})
		if err != nil {
			return err
		}
		d.Person = p.ID
		w.persons[tenant+"/"+login], w.devices[tenant+"/"+login] = p, d
		return errors.Join(tx.PutStanding(provisioner.Standing{Person: p.ID, Tenant: tenant, ReadAt: tx.Now}), tx.AddDevice(d))
	})
}

// connects opens a session with a seat of pool.
func (w *world) connects(t testing.TB, who, pool string) {
	t.Helper()
	d := w.devices[who]
	s := provisioner.Session{
		ID: provisioner.NewID(), Device: d.ID, Tenant: d.Tenant, Person: d.Person, Gateway: "gw1", Pool: pool, KeyVersion: 1,
		PublicKey: d.PublicKey, OpenedAt: time.Now(), RenewedAt: time.Now(), LeaseUntil: time.Now().Add(provisioner.Lease),
	}
	w.update(t, func(tx *store.Writer) (err error) {
		if s.AddressIndex, err = tx.TakeAddress("gw1", d.Tenant, d.ID, aggregate()); err != nil {
			return err
		}
		return errors.Join(tx.TakeSeat(pool, d.Tenant, provisioner.PriorityOrdinary), tx.OpenSession(&s))
	})
	w.open[who] = s
}

// connected lets n people of a tenant appear and connect.
func (w *world) connected(t testing.TB, tenant, pool string, n int) {
	t.Helper()
	for i := range n {
		login := fmt.Sprintf("%s-%s-%d", tenant, pool, i)
		if _, known := w.persons[tenant+"/"+login]; !known {
			w.person(t, tenant, login, login)
		}
		w.connects(t, tenant+"/"+login, pool)
	}
}

func as(role provisioner.Role, tenant string) provisioner.Actor {
	return provisioner.Actor{ID: "x", Grants: []provisioner.Grant{{Role: role, Tenant: tenant}}, Language: "en"}
}

func codeOf(err error) provisioner.Code {
	if r, ok := provisioner.AsRefusal(err); ok {
		return r.Code
	}
	if err != nil {
		return provisioner.Code("fault: " + err.Error())
	}
	return ""
}
