package ldap_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/dirsrvtest"
	"github.com/heimdraht/heimdraht/provisioner/directory/ldap"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

func TestFeedOf389DirectoryServer(t *testing.T) {
	t.Parallel()
	for way, sync := range map[directory.Way]bool{directory.WaySyncrepl: true, directory.WayPersistentSearch: false} {
		t.Run(string(way), func(t *testing.T) {
			t.Parallel()
			s := dirsrvtest.Start(t, dirsrvtest.Options{People: 20, Sync: sync})
			f := follow(t, open(t, s.Configuration()), interest())
			if got := f.sources[0]; got.Way != way || got.Flavour != directory.DirectoryServer {
				t.Errorf("followed by %+v", got)
			}
			f.next(t, "the first read")
			p1, p2 := slapdtest.PersonDN(1), slapdtest.PersonDN(2)
			eva := "uid=eva,ou=Bauhof," + slapdtest.PeopleBase
			for _, step := range []struct {
				what string
				do   func()
				want []string
			}{
				{"modify", func() { s.Set(p1, "mail", "eins@stadt.example") }, []string{"changed p00001"}},
				{"lock", func() { s.Set(p1, "nsAccountLock", "TRUE") }, []string{"changed p00001"}},
				{"add", func() { s.AddPerson(eva, "eva", "Eva Neu") }, []string{"changed eva"}},
				{"join", func() { s.Put(slapdtest.Helpdesk, "member", eva) }, []string{"changed Helpdesk"}},
				{"rename", func() { s.Rename(eva, "uid=evi", "") }, []string{"changed evi", "changed Helpdesk"}},
				{"move out", func() { s.Rename(p2, "uid=p00002", "ou=Leer,"+slapdtest.Base) }, []string{"gone p00002", "changed Homeoffice"}},
				{"delete", func() { s.Delete(p1) }, []string{"gone p00001", "changed Homeoffice"}},
			} {
				step.do()
				f.until(t, step.what, func() bool { return len(f.log) >= len(step.want) })
				f.until(t, "groups in order", func() bool { return ldap.Settled(f.Feed) })
				if diff := cmp.Diff(sorted(step.want), slices.Compact(sorted(f.next(t, step.what)))); diff != "" {
					t.Errorf("%s (-want +told):\n%s", step.what, diff)
				}
				if step.what == "lock" && f.named(t, "p00001").Person.Status.Ended != directory.EndDisabled {
					t.Errorf("locked: %+v", f.named(t, "p00001").Person)
				}
			}
			_ = f.end()
			s.Set(slapdtest.PersonDN(3), "mail", "drei@stadt.example")
			s.Delete(slapdtest.PersonDN(4))
			f = followOn(t, f.Feed, f.observer)
			f.until(t, "groups in order", func() bool { return ldap.Settled(f.Feed) })
			if diff := cmp.Diff([]string{"absent p00004", "whole: 20 read, 0 unchanged", "live " + string(way)}, f.next(t, "going on")); diff != "" {
				t.Errorf("going on (-want +told):\n%s", diff)
			}
			read := newObserver()
			if err := f.Reconcile(t.Context(), read); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(read.entries, f.entries); diff != "" {
				t.Errorf("what was told is not what is there (-read +told):\n%s", diff)
			}
			s.Stop()
			wantCause(t, f.lost(t), directory.Unavailable)
		})
	}
}
