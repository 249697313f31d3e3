package ldap_test

import (
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"
	"testing"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

const benchPeople = 29000

// BenchmarkSignIn is a sign-in as it is: search, bind, and walking up to the staff group.
func BenchmarkSignIn(b *testing.B) {
	s := slapdtest.Start(b, slapdtest.Options{People: benchPeople})
	d := open(b, s.Configuration())
	for _, bb := range []struct{ name, group string }{{"without groups", ""}, {"staff group three levels up", slapdtest.StaffGroup}} {
		b.Run(bb.name, func(b *testing.B) {
			var n atomic.Int64
			b.SetParallelism(4)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					login, password := slapdtest.Person(int(n.Add(1)*2) % benchPeople)
					if _, err := d.SignIn(b.Context(), directory.Query{Login: login, StaffGroup: bb.group}, password); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkGoLDAP is search and bind with go-ldap alone: what there is to lose, and what pooling wins.
func BenchmarkGoLDAP(b *testing.B) {
	s := slapdtest.Start(b, slapdtest.Options{People: benchPeople})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CAPEM)
	dial := func(b *testing.B) *goldap.Conn {
		c, err := goldap.DialURL(s.LDAPS, goldap.DialWithTLSConfig(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}))
		if err != nil {
			b.Fatal(err)
		}
		return c
	}
	signIn := func(b *testing.B, search, bind *goldap.Conn, n int64) {
		login, password := slapdtest.Person(int(n*2) % benchPeople)
		result, err := search.Search(goldap.NewSearchRequest(slapdtest.PeopleBase, goldap.ScopeWholeSubtree, goldap.NeverDerefAliases, 2, 0, false,
			"(&(objectClass=person)(uid="+login+"))", []string{"entryUUID", "uid"}, nil))
		if err != nil || len(result.Entries) != 1 {
			b.Error("not found", err)
			return
		}
		if err := bind.Bind(result.Entries[0].DN, password); err != nil {
			b.Error(err)
		}
	}
	b.Run("two connections a worker", func(b *testing.B) {
		var n atomic.Int64
		b.SetParallelism(4)
		b.RunParallel(func(pb *testing.PB) {
			search, bind := dial(b), dial(b)
			defer func() { _ = search.Close() }()
			defer func() { _ = bind.Close() }()
			if err := search.Bind(slapdtest.ServiceDN, slapdtest.ServicePassword); err != nil {
				b.Error(err)
				return
			}
			for pb.Next() {
				signIn(b, search, bind, n.Add(1))
			}
		})
	})
	b.Run("new connections each time", func(b *testing.B) {
		var n atomic.Int64
		b.SetParallelism(4)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				search, bind := dial(b), dial(b)
				if err := search.Bind(slapdtest.ServiceDN, slapdtest.ServicePassword); err != nil {
					b.Error(err)
					return
				}
				signIn(b, search, bind, n.Add(1))
				_ = search.Close()
				_ = bind.Close()
			}
		})
	})
}
