package ldap_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/ldap"
	"github.com/heimdraht/heimdraht/provisioner/directory/memory"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

// TestFeedByPersistentSearch follows a directory in memory over the wire.
func TestFeedByPersistentSearch(t *testing.T) {
	t.Parallel()
	for _, flavour := range []string{directory.OpenLDAP, directory.DirectoryServer, directory.EDirectory} {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			s := serve(t, memory.Options{Name: "stadt", Base: slapdtest.PeopleBase, LDIF: slapdtest.LDIF(20), Flavour: flavour})
			s.cfg.Timeout = impatient
			f := follow(t, open(t, s.cfg), interest())
			if diff := cmp.Diff([]directory.Source{{Server: s.cfg.Servers[0], Flavour: flavour, Way: directory.WayPersistentSearch}}, f.sources); diff != "" {
				t.Errorf("source (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"whole: 534 read, 0 unchanged", "live persistent-search"}, f.next(t, "the first read")); diff != "" {
				t.Errorf("first read (-want +told):\n%s", diff)
			}
			p1, p2 := slapdtest.PersonDN(1), slapdtest.PersonDN(2)
			for _, step := range []struct {
				what string
				do   func() error
				want []string
			}{
				{"modify", func() error { return s.Set(p1, "mail", "eins@stadt.example") }, []string{"changed p00001"}},
				{"disable", func() error { return s.Disable(p1) }, []string{"changed p00001"}},
				{"join", func() error { return s.Join(slapdtest.Helpdesk, p1) }, []string{"changed Helpdesk"}},
				{"rename", func() error { return s.Rename(p1, "uid=eins,ou=Bauhof,"+slapdtest.PeopleBase) }, []string{"changed eins", "changed Helpdesk", "changed Innendienst"}},
				{"move out", func() error { return s.Rename(p2, "uid=zwei,ou=Leer,"+slapdtest.Base) }, []string{"gone p00002", "changed amt-002"}},
				{"move back", func() error { return s.Rename("uid=zwei,ou=Leer,"+slapdtest.Base, p2) }, []string{"changed p00002", "changed amt-002"}},
				{"delete", func() error { return s.Delete(p2) }, []string{"gone p00002"}},
				{"add", func() error {
					return s.Add([]byte("dn: " + p2 + "\nobjectClass: inetOrgPerson\nuid: p00002\ncn: Zwei\n"))
				}, []string{"changed p00002"}},
			} {
				if err := step.do(); err != nil {
					t.Fatal(err)
				}
				f.until(t, step.what, func() bool { return len(f.log) >= len(step.want) })
				f.until(t, "groups in order", func() bool { return ldap.Settled(f.Feed) })
				if diff := cmp.Diff(step.want, f.next(t, step.what)); diff != "" {
					t.Errorf("%s (-want +told):\n%s", step.what, diff)
				}
			}
			read := newObserver()
			if err := f.Reconcile(t.Context(), read); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(read.entries, f.entries); diff != "" {
				t.Errorf("what was told is not what is there (-read +told):\n%s", diff)
			}

			s.SetUnavailable(true)
			within(t, s.cfg.Timeout, "noticing that the directory is switched off", func() { wantCause(t, f.lost(t), directory.Unavailable) })
			s.SetUnavailable(false)
			f = followOn(t, f.Feed, f.observer)
			if err := s.stop(); err != nil {
				t.Errorf("serving ended with %v", err)
			}
			wantCause(t, f.lost(t), directory.Unavailable)
		})
	}
}

// TestFeedByPolling follows a server that offers nothing.
func TestFeedByPolling(t *testing.T) {
	t.Parallel()
	o := synced(10)
	o.Sync = false
	s := slapdtest.Start(t, o)
	f := follow(t, open(t, s.Configuration()), interest())
	if f.sources[0].Way != directory.WayPolling {
		t.Errorf("followed by %s", f.sources[0].Way)
	}
	s.Set(slapdtest.PersonDN(1), "mail", "eins@stadt.example")
	f.until(t, "the change", func() bool {
		for _, e := range f.entries {
			if e.Person != nil && e.Person.Mail == "eins@stadt.example" {
				return true
			}
		}
		return false
	})
	s.Delete(slapdtest.PersonDN(2))
	f.until(t, "the deletion", func() bool { return contains(f.log, "absent p00002") })
	s.Stop()
	wantCause(t, f.lost(t), directory.Unavailable)
	s.Run()
	f = followOn(t, f.Feed, f.observer)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantCause(t, f.Follow(ctx, f.observer), directory.Unavailable)
	wantCause(t, f.end(), directory.Unavailable)
}
