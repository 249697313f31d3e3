package tenancy_test

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
	"github.com/heimdraht/heimdraht/provisioner/tenancy"
)

type world struct {
	*tenancy.Service
	store *store.Store
}

// notary issues certificates for any request but an empty one.
type notary struct{}

func (notary) Issue(request []byte, h provisioner.Holder, now time.Time) (provisioner.Certificate, error) {
	if len(request) == 0 {
		return provisioner.Certificate{}, provisioner.Refuse(provisioner.CodeCSRInvalid)
	}
	return provisioner.Certificate{Leaf: []byte(h.ID), NotAfter: now.Add(720 * time.Hour)}, nil
}

func TestMain(m *testing.M) { postgrestest.Main(m) }

// engines are where an empty database comes from.
var engines = []struct {
	name string
	make func(testing.TB) store.Options
}{
	{"sqlite", storetest.SQLite},
	{"postgres", storetest.Postgres},
}

// onEach runs a test in an empty world on every engine.
func onEach(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { test(t, newWorldOn(t, e.make(t))) })
	}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOn(t, engines[0].make(t))
}

func newWorldOn(t testing.TB, o store.Options) *world {
	t.Helper()
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
	return &world{Service: tenancy.New(tenancy.Options{Store: s, Certificates: notary{}, Logger: o.Logger}), store: s}
}

// region is a whole declaration of two tenants that share nothing but the
// directory.
func region() tenancy.Declaration {
	return tenancy.Declaration{
		Directories: []provisioner.Directory{{
			Name: "ad", Servers: []string{"ldaps://dc1.stadt.example", "ldaps://dc2.stadt.example"}, BindDN: "CN=svc,DC=stadt",
			BindPasswordFile: "/etc/heimdraht/ad.pw", Base: "DC=stadt", CAPEM: "-----BEGIN CERTIFICATE-----",
		}},
		Tenants: []provisioner.Tenant{tenantOf("stadt", "10.1.0.0/16"), tenantOf("dorf", "10.2.0.0/16")},
		Pools: []provisioner.LicencePool{{
			Name: "vpn", Model: provisioner.PoolConcurrent,
			Contracts: []provisioner.Contract{{
				Reference: "R-4711", Seats: 100, Burst: 5, Price: provisioner.Price{NetCents: 1850, Period: provisioner.PerYear},
				From: provisioner.DayBegins(2020, time.January, 1), Until: provisioner.DayBegins(2030, time.January, 1),
			}},
			Shares: []provisioner.PoolShare{{Tenant: "stadt", Guarantee: 80}, {Tenant: "dorf"}},
		}},
		Gateways: []provisioner.Gateway{
			gatewayOf("gw1", "10.80.0.0/16", "stadt", "dorf"), gatewayOf("gw2", "10.81.0.0/16", "stadt"),
		},
	}
}

func tenantOf(name string, inside ...string) provisioner.Tenant {
	t := provisioner.Tenant{
		Name: name, DisplayName: "Gemeinde " + name, Land: "HE", Directory: "ad", MailDomains: []string{name + ".example"}, StaffGroup: "CN=" + name,
		Roles: provisioner.RoleGroups{Helpdesk: "CN=help"}, Policy: provisioner.DefaultPolicy(),
	}
	for _, p := range inside {
		t.Networks = append(t.Networks, provisioner.NetworkGrant{Group: provisioner.GroupAll, Allow: []provisioner.Destination{{Prefix: netip.MustParsePrefix(p)}}})
	}
	return t
}

func gatewayOf(name, aggregate string, tenants ...string) provisioner.Gateway {
	return provisioner.Gateway{
		Name: name, Endpoint: name + ".stadt.example:51820", Sessions: 100, AggregateV4: netip.MustParsePrefix(aggregate), Tenants: tenants,
	}
}

func operator() provisioner.Actor {
	return provisioner.Actor{ID: "operator", Name: "operator", Grants: []provisioner.Grant{{Role: provisioner.RoleOperator}}, Language: "en"}
}

func as(role provisioner.Role, tenant string) provisioner.Actor {
	return provisioner.Actor{ID: "x", Grants: []provisioner.Grant{{Role: role, Tenant: tenant}}, Language: "en"}
}

func (w *world) applies(t testing.TB, d tenancy.Declaration) []tenancy.Difference {
	t.Helper()
	list, err := w.Apply(context.Background(), operator(), d, "as agreed")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func read[T any](t testing.TB, w *world, read func(*store.Reader) (T, error)) T {
	t.Helper()
	v, err := store.Read(context.Background(), w.store, read)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (w *world) revision(t testing.TB) int64 {
	t.Helper()
	return read(t, w, (*store.Reader).Position).Revision
}

func (w *world) events(t testing.TB) (lines []string) {
	t.Helper()
	for _, r := range read(t, w, func(tx *store.Reader) ([]store.AuditRecord, error) {
		return tx.FindAudit(store.AuditQuery{Scope: provisioner.Everywhere(), Limit: 1_000_000})
	}) {
		lines = append(lines, string(r.Payload))
	}
	slices.Reverse(lines)
	return lines
}

// opens lets a person of stadt appear with a device and a session on gw1.
func (w *world) opens(t testing.TB) provisioner.Session {
	t.Helper()
	s := provisioner.Session{ID: provisioner.NewID(), Tenant: "stadt", Gateway: "gw1", Pool: "vpn", KeyVersion: 1, OpenedAt: time.Now(), RenewedAt: time.Now(), LeaseUntil: time.Now().Add(provisioner.Lease)}
	if err := w.store.Update(context.Background(), func(tx *store.Writer) error {
		p, err := tx.KeepPerson(provisioner.Person{Directory: "ad", StableID: provisioner.NewID(), Login: "eva"})
		if err != nil {
			return err
		}
		d := provisioner.Device{ID: provisioner.NewID(), Tenant: "stadt", Person: p.ID, Generation: 1, PublicKey: provisioner.Key(newKey(t)), EnrolledAt: tx.Now}
		g, err := tx.Gateway("gw1")
		if err != nil {
			return err
		}
		s.Device, s.Person, s.PublicKey = d.ID, p.ID, d.PublicKey
		if err := errors.Join(tx.PutStanding(provisioner.Standing{Person: p.ID, Tenant: "stadt", ReadAt: tx.Now}), tx.AddDevice(d)); err != nil {
			return err
		}
		if s.AddressIndex, err = tx.TakeAddress("gw1", "stadt", d.ID, address.Aggregate{V4: g.AggregateV4, V6: g.AggregateV6}); err != nil {
			return err
		}
		return errors.Join(tx.TakeSeat("vpn", "stadt", provisioner.PriorityOrdinary), tx.OpenSession(&s))
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

func newKey(t testing.TB) []byte {
	t.Helper()
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k.PublicKey().Bytes()
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

// pass lets time go by in a synctest bubble, where none is waited for.
func pass(d time.Duration) { <-time.After(d) }
