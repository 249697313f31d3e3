package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// BenchmarkFind is a search by the helpdesk among 29,000 people in 500 tenants,
// one of them a city with two fifths of all, 40,000 devices and 5,000 sessions.
func BenchmarkFind(b *testing.B) {
	for _, e := range engines {
		s := open(b, e.make(b))
		last := provider(b, s, 29_000, 40_000, 5_000)
		index, _ := address.Aggregate{V4: gateway().AggregateV4}.Addresses(last.AddressIndex)
		city := provisioner.Within("stadt")
		for _, c := range []struct {
			name, query string
			scope       provisioner.Scope
			found       int
		}{
			{"name=common", "müller", provisioner.Everywhere(), 20},
			{"name=common/scope=city", "muller", city, 20},
			{"name=both", "anna müller", provisioner.Everywhere(), 20},
			{"name=two-letters", "mu", provisioner.Everywhere(), 20},
			{"name=initial", "m", provisioner.Everywhere(), 20},
			{"scrap=rare", "n28999", provisioner.Everywhere(), 1},
			{"scrap=laptop", "nb-039999", provisioner.Everywhere(), 1},
			{"address", index.String(), provisioner.Everywhere(), 1},
			{"key", last.PublicKey.String(), provisioner.Everywhere(), 1},
			{"session", last.ID[:8], provisioner.Everywhere(), 1},
			{"serial", "5cg 039999 x", provisioner.Everywhere(), 1},
			{"nobody", "qxqxqx", provisioner.Everywhere(), 0},
			{"words=12", "aa bb cc dd ee ff gg hh ii jj kk ll", provisioner.Everywhere(), 0},
		} {
			b.Run(c.name+"/database="+e.name, func(b *testing.B) {
				for b.Loop() {
					found, err := store.Read(context.Background(), s, func(tx *store.Reader) ([]store.FoundPerson, error) {
						return tx.FindPeople(c.scope, c.query, 20)
					})
					if err != nil || len(found) != c.found {
						b.Fatalf("%d found, want %d: %v", len(found), c.found, err)
					}
				}
			})
		}
	}
}

// provider fills a store with people as they are called, and gives the last
// session that it opens.
func provider(b *testing.B, s *store.Store, people, devices, sessions int) (last provisioner.Session) {
	b.Helper()
	first := strings.Fields("Anna Bernd Claudia Dieter Eva Frank Gisela Hans Ingrid Jürgen Käthe Lukas Maria Norbert Olga Peter Renée Stefan Ursula Werner")
	family := strings.Fields("Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer Richter Klein Wolf Schröder Neumann Schwarz Zimmermann " +
		"Braun Krüger Hofmann Hartmann Lange Schmitt Werner Krause Lehmann Weiß")
	town(b, s)
	tenants := []string{"stadt"}
	update(b, s, func(tx *store.Writer) (err error) {
		for n := range 499 {
			t := provisioner.Tenant{Name: fmt.Sprintf("gemeinde%03d", n), Directory: "stadt-ad", Policy: provisioner.DefaultPolicy()}
			tenants = append(tenants, t.Name)
			err = errors.Join(err, tx.PutTenant(t))
		}
		return err
	})
	known := make([]store.KnownPerson, people)
	for n := range known {
		tenant := tenants[0]
		if n%5 > 1 {
			tenant = tenants[1+n%499]
		}
		given, name := first[n%len(first)], family[n/len(first)%len(family)]
		login := fmt.Sprintf("%s.%s.n%05d", strings.ToLower(given), store.Fold(name), n)
		known[n] = store.KnownPerson{
			Person: provisioner.Person{
				Directory: "stadt-ad", StableID: fmt.Sprint("uuid-", n), Login: login, DisplayName: name + ", " + given, Mail: login + "@" + tenant + ".example",
			},
			Standings: []provisioner.Standing{{Tenant: tenant}},
		}
	}
	for from := 0; from < people; from += 1000 {
		update(b, s, func(tx *store.Writer) error { return tx.AddPeople(known[from:min(people, from+1000)]) })
	}
	for from := 0; from < devices; from += 500 {
		update(b, s, func(tx *store.Writer) error {
			for n := from; n < min(devices, from+500); n++ {
				p := known[n%people]
				d := provisioner.Device{
					ID: provisioner.NewID(), Tenant: p.Standings[0].Tenant, Person: p.Person.ID, Generation: 1, Name: fmt.Sprintf("NB-%06d", n),
					SerialNumber: fmt.Sprintf("5CG-%06d-X", n), Platform: "windows", AgentVersion: "1", PublicKey: key(n), EnrolledAt: tx.Now,
				}
				if err := tx.AddDevice(d); err != nil {
					return err
				}
				if n >= sessions || n%people != n {
					continue
				}
				var err error
				if last, err = sessionIn(tx, d); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return last
}

// sessionIn opens a session of a device without a seat.
func sessionIn(tx *store.Writer, d provisioner.Device) (provisioner.Session, error) {
	g := gateway()
	index, err := tx.TakeAddress(g.Name, d.Tenant, d.ID, address.Aggregate{V4: g.AggregateV4, V6: g.AggregateV6})
	if err != nil {
		return provisioner.Session{}, err
	}
	v := provisioner.Session{
		ID: provisioner.NewID(), Device: d.ID, Tenant: d.Tenant, Person: d.Person, Gateway: g.Name, Pool: "vpn", AddressIndex: index,
		PublicKey: d.PublicKey, Stream: "stream", OpenedAt: tx.Now, RenewedAt: tx.Now, LeaseUntil: tx.Now.Add(provisioner.Lease),
	}
	return v, tx.OpenSession(&v)
}
