package session_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// crowd is a store with a gateway that serves many tenants and on which n
// sessions are open, the last of them just now.
func crowd(b *testing.B, n int) (_ *session.Service, position store.Position) {
	b.Helper()
	s, err := store.Open(context.Background(), store.Options{Database: filepath.Join(b.TempDir(), "db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	update := func(do func(*store.Writer) error) {
		b.Helper()
		if err := s.Update(context.Background(), do); err != nil {
			b.Fatal(err)
		}
	}
	g := provisioner.Gateway{
		Name: "gw1", Endpoint: "gw1.stadt.example:51820", Sessions: 20_000,
		AggregateV4: netip.MustParsePrefix("10.64.0.0/12"), AggregateV6: netip.MustParsePrefix("fd80::/48"),
	}
	pool := provisioner.LicencePool{Name: "vpn", Model: provisioner.PoolConcurrent, Seats: 20_000}
	const tenants = 500
	update(func(tx *store.Writer) error {
		err := tx.PutDirectory(provisioner.Directory{Name: "ad"})
		for i := range tenants {
			name := fmt.Sprintf("stadt%03d", i)
			err = errors.Join(err, tx.PutTenant(provisioner.Tenant{Name: name, Directory: "ad", Policy: provisioner.DefaultPolicy()}))
			g.Tenants = append(g.Tenants, name)
			pool.Shares = append(pool.Shares, provisioner.PoolShare{Tenant: name})
		}
		return errors.Join(err, tx.PutPool(pool), tx.PutGateway(g),
			tx.JoinGateway(g.Name, sha256.Sum256([]byte(g.Name)), time.Now().Add(time.Hour), "test"))
	})
	for first := 0; first < n; first += 200 {
		update(func(tx *store.Writer) error {
			for i := first; i < min(n, first+200); i++ {
				if err := openSession(tx, g, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if position, err = store.Read(context.Background(), s, (*store.Reader).Position); err != nil {
		b.Fatal(err)
	}
	return session.New(session.Options{Store: s, Keys: keys{}, Logger: slog.New(slog.DiscardHandler)}), position
}

func openSession(tx *store.Writer, g provisioner.Gateway, i int) error {
	tenant := g.Tenants[i%len(g.Tenants)]
	p, err := tx.KeepPerson(provisioner.Person{Directory: "ad", StableID: fmt.Sprint(i), DisplayName: fmt.Sprint("Person ", i)})
	if err != nil {
		return err
	}
	d := provisioner.Device{ID: provisioner.NewID(), Tenant: tenant, Person: p.ID, Generation: 1, PublicKey: sha256.Sum256(fmt.Append(nil, i))}
	index, err := tx.TakeAddress(g.Name, tenant, d.ID, address.Aggregate{V4: g.AggregateV4, V6: g.AggregateV6})
	if err != nil {
		return err
	}
	return errors.Join(
		tx.PutStanding(provisioner.Standing{Person: p.ID, Tenant: tenant, ReadAt: tx.Now}),
		tx.AddDevice(d), tx.TakeSeat("vpn", tenant),
		tx.OpenSession(&provisioner.Session{
			ID: provisioner.NewID(), Device: d.ID, Tenant: tenant, Person: p.ID, Gateway: g.Name, Pool: "vpn",
			AddressIndex: index, KeyVersion: 1, PublicKey: d.PublicKey, Stream: "stream",
			OpenedAt: tx.Now, RenewedAt: tx.Now, LeaseUntil: tx.Now.Add(provisioner.Lease),
		}),
	)
}

// BenchmarkDelta is what one change costs to be read for its gateway. It follows
// the change, not how many sessions are open.
func BenchmarkDelta(b *testing.B) {
	for _, open := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("sessions=%d", open), func(b *testing.B) {
			s, position := crowd(b, open)
			for b.Loop() {
				d, err := s.Delta(context.Background(), "gw1", position.Epoch, position.Revision-1)
				if err != nil || len(d.Peers) != 1 {
					b.Fatal(d, err)
				}
			}
		})
	}
}

// BenchmarkSnapshot is what a gateway costs that has lost its place.
func BenchmarkSnapshot(b *testing.B) {
	const open = 10_000
	s, _ := crowd(b, open)
	for b.Loop() {
		if snap, err := s.Snapshot(context.Background(), "gw1"); err != nil || len(snap.Peers) != open {
			b.Fatal(len(snap.Peers), err)
		}
	}
}
