package ldap_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/ldap"
	"github.com/heimdraht/heimdraht/provisioner/directory/sambatest"
)

// adWay is one of the ways in which Active Directory can be followed, with an account that has the rights for it.
type adWay struct {
	name string
	cfg  func(*sambatest.Server) directory.Config
	want directory.Source
}

// adWays are all of them. Where deletions are not told, they are listed.
func adWays() []adWay {
	limited := "that an account was deleted, which is found out within a minute: the service account may not read the container Deleted Objects"
	return []adWay{
		{"replicating changes", (*sambatest.Server).SyncConfiguration, directory.Source{Way: directory.WayDirSync}},
		{"ordinary rights", (*sambatest.Server).Configuration, directory.Source{Way: directory.WayDirSync, Limited: limited}},
		{"numbers", (*sambatest.Server).SyncConfiguration, directory.Source{Way: directory.WayUSN}},
		{"numbers, ordinary rights", (*sambatest.Server).Configuration, directory.Source{Way: directory.WayUSN, Limited: limited}},
	}
}

func adInterest() directory.Interest {
	return directory.Interest{Bases: []string{sambatest.PeopleBase}, Groups: []string{"CN=homeoffice," + sambatest.GroupsBase}}
}

// followAD follows a server in a way. Deletions that are not told are looked for that often.
func (w adWay) follow(t testing.TB, s *sambatest.Server, list time.Duration) *following {
	t.Helper()
	f := open(t, w.cfg(s)).Feed(adInterest())
	ldap.Hurry(f, quick, settle)
	ldap.ListEvery(f, list)
	if w.want.Way == directory.WayUSN {
		f = ldap.ByNumbers(f)
	}
	return followOn(t, f, newObserver())
}

func TestActiveDirectoryFeedTellsChanges(t *testing.T) {
	t.Parallel()
	for _, way := range adWays() {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			s := sambatest.Start(t, sambatest.Options{})
			witness := s.AddPerson(sambatest.Depot, "zeuge", "Zeuge", "", nil)
			group := s.AddGroup("homeoffice")
			silent := way.want.Limited != ""
			f := way.follow(t, s, time.Hour)
			want := way.want
			want.Server, want.Flavour = s.LDAPS, directory.ActiveDirectory
			if diff := cmp.Diff([]directory.Source{want}, f.sources); diff != "" {
				t.Fatalf("source (-want +got):\n%s", diff)
			}
			f.next(t, "the first read")
			var eva string
			told := func(what string) []string {
				if silent {
					return nil
				}
				return []string{what}
			}
			for _, step := range []struct {
				what string
				do   func()
				want []string
			}{
				{"add", func() { eva = s.AddPerson(sambatest.TownHall, "eva", "Eva Müller", "Guten-Morgen", nil) }, []string{"changed Eva Müller"}},
				{"join", func() { s.AddMembers(group, eva) }, []string{"changed homeoffice"}},
				{"disable", func() { s.Disable(eva) }, []string{"changed Eva Müller"}},
				{"enable", func() { s.Enable(eva) }, []string{"changed Eva Müller"}},
				{"set a password", func() { s.SetPassword(eva, "Guten-Abend") }, []string{"changed Eva Müller"}},
				{"expire", func() { s.ExpireAt(eva, noonYesterday()) }, []string{"changed Eva Müller"}},
				{"expire no more", func() { s.ExpireAt(eva, time.Time{}) }, []string{"changed Eva Müller"}},
				{"lock out", func() { s.LockOut(eva) }, []string{"changed Eva Müller"}},
				{"unlock", func() { s.Unlock(eva) }, []string{"changed Eva Müller"}},
				{"leave", func() { s.RemoveMembers(group, eva) }, []string{"changed homeoffice"}},
				{"rename", func() { eva = s.Move(eva, "Eva Schmidt", sambatest.TownHall) }, []string{"changed Eva Schmidt"}},
				{"move", func() { eva = s.Move(eva, "Eva Schmidt", sambatest.Depot) }, []string{"changed Eva Schmidt"}},
				{"move out of the base", func() { eva = s.Move(eva, "Eva Schmidt", sambatest.Former) }, []string{"gone Eva Schmidt"}},
				{"change outside of the base", func() { s.Disable(eva) }, nil},
				{"move back", func() { eva = s.Move(eva, "Eva Schmidt", sambatest.TownHall) }, []string{"changed Eva Schmidt"}},
				{"delete", func() { s.Delete(eva) }, told("gone Eva Schmidt")},
				{"make anew", func() { s.AddPerson(sambatest.TownHall, "eva", "Eva Schmidt", "Guten-Morgen", nil) }, []string{"changed Eva Schmidt"}},
				{"add a group", func() { s.AddGroup("neu", eva) }, []string{"changed neu"}},
				{"delete a group", func() { s.Delete("CN=neu," + sambatest.GroupsBase) }, told("gone neu")},
				{"add a unit", func() { s.AddUnit("OU=Neu," + sambatest.PeopleBase) }, nil},
			} {
				step.do()
				s.Set(witness, "displayName", "after "+step.what) // which is told last
				f.until(t, step.what, func() bool { return slices.Contains(f.log, "changed Zeuge") })
				got := slices.DeleteFunc(f.next(t, step.what), func(s string) bool { return s == "changed Zeuge" })
				for i := range got { // whether a former name is still known is another matter
					got[i], _, _ = strings.Cut(got[i], ", formerly")
				}
				// What happens in several steps may be told as often.
				if diff := cmp.Diff(step.want, slices.Compact(got), emptyIsNil()); diff != "" {
					t.Errorf("%s (-want +told):\n%s", step.what, diff)
				}
			}
		})
	}
}

func noonYesterday() time.Time { return time.Now().Add(-24 * time.Hour).Truncate(time.Hour).UTC() }

func emptyIsNil() cmp.Option {
	return cmp.FilterValues(func(a, b []string) bool { return len(a) == 0 && len(b) == 0 }, cmp.Ignore())
}

func TestActiveDirectoryFeedGoesOn(t *testing.T) {
	t.Parallel()
	for _, way := range adWays() {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			s := sambatest.Start(t, sambatest.Options{})
			var people []string
			for n := range 6 {
				people = append(people, s.AddPerson(sambatest.TownHall, sambatest.PersonLogin(n), sambatest.PersonLogin(n), "", nil))
			}
			group := s.AddGroup("homeoffice", people...)
			f := way.follow(t, s, time.Hour)
			groups := len(f.entries) - len(people)
			silent := way.want.Limited != ""

			s.Stop()
			wantCause(t, f.lost(t), directory.Unavailable)
			s.Run()
			s.Delete(people[0])
			s.Disable(people[1])
			s.RemoveMembers(group, people[2])
			s.Move(people[3], "p0003", sambatest.Former)
			s.AddPerson(sambatest.TownHall, "eva", "Eva Müller", "", nil)
			f = followOn(t, f.Feed, newObserverOf(f.observer))
			want := []string{"gone p0000", "gone p0003", "changed Eva Müller", "changed homeoffice", "changed p0001", "live " + string(way.want.Way) + " resumed"}
			if silent {
				want[0] = "absent p0000"
				want = append(want, fmt.Sprintf("whole: 0 read, %d unchanged", groups+len(people)-1))
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, slices.Compact(slices.Sorted(slices.Values(f.next(t, "going on"))))); diff != "" {
				t.Errorf("going on (-want +told):\n%s", diff)
			}
			if f.passes > 1 {
				t.Errorf("%d passes", f.passes)
			}
			read := newObserver()
			if err := open(t, way.cfg(s)).Feed(adInterest()).Reconcile(t.Context(), read); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(read.entries, f.entries); diff != "" {
				t.Errorf("what was told is not what is there (-read +told):\n%s", diff)
			}
		})
	}
}

// newObserverOf goes on with what another one was told.
func newObserverOf(o *observer) *observer {
	next := newObserver()
	next.entries = o.entries
	return next
}

func TestActiveDirectoryFeedFindsDeletionsThatAreNotTold(t *testing.T) {
	t.Parallel()
	s := sambatest.Start(t, sambatest.Options{})
	eva := s.AddPerson(sambatest.TownHall, "eva", "Eva Müller", "", nil)
	f := adWays()[1].follow(t, s, quick)
	s.Delete(eva)
	f.until(t, "the deletion", func() bool { return slices.Contains(f.log, "absent Eva Müller") })
	s.AddPerson(sambatest.TownHall, "eva", "Eva Müller", "", nil)
	f.until(t, "the namesake", func() bool { return slices.Contains(f.log, "changed Eva Müller") })
	f.named(t, "Eva Müller")
}

func TestActiveDirectoryFeedReadsAnewWhenUnitsMove(t *testing.T) {
	t.Parallel()
	for _, way := range []adWay{adWays()[0], adWays()[2]} {
		t.Run(way.name, func(t *testing.T) { t.Parallel(); unitsMove(t, way) })
	}
}

func unitsMove(t *testing.T, way adWay) {
	t.Helper()
	s := sambatest.Start(t, sambatest.Options{})
	unit, below := "OU=Amt,"+sambatest.PeopleBase, "OU=Sachgebiet,OU=Amt,"+sambatest.PeopleBase
	s.AddUnit(unit)
	s.AddUnit(below)
	eva := s.AddPerson(below, "eva", "Eva Müller", "", nil)
	s.AddGroup("homeoffice", eva)
	f := way.follow(t, s, time.Hour)
	f.next(t, "the first read")
	s.MoveUnit(unit, "Fachbereich", sambatest.PeopleBase)
	f.until(t, "the new names", func() bool { return f.passes == 2 })
	f.next(t, "the new names")
	moved := "CN=Eva Müller,OU=Sachgebiet,OU=Fachbereich," + sambatest.PeopleBase
	if e := f.named(t, "Eva Müller"); e.DN != moved || !contains(f.named(t, "homeoffice").Members, moved) {
		t.Errorf("after a unit was renamed: %s, members %v", e.DN, f.named(t, "homeoffice").Members)
	}
	s.MoveUnit("OU=Fachbereich,"+sambatest.PeopleBase, "Fachbereich", sambatest.Former)
	f.until(t, "the move", func() bool { return f.passes == 3 })
	if got := f.next(t, "the move"); !slices.Contains(got, "absent Eva Müller") {
		t.Errorf("after a unit was moved out of the base: %v", got)
	}
	s.Set("OU=Fachbereich,"+sambatest.Former, "description", "außer Dienst")
	s.AddPerson(sambatest.TownHall, "kim", "Kim Neu", "", nil)
	f.until(t, "somebody", func() bool { return slices.Contains(f.log, "changed Kim Neu") })
	if f.next(t, "somebody"); f.passes != 3 {
		t.Error("a unit that stays where it is had everything read again")
	}
}

func TestActiveDirectoryFeedNoticesThatItsServerIsLost(t *testing.T) {
	s := sambatest.Start(t, sambatest.Options{})
	cfg := s.SyncConfiguration()
	cfg.Timeout = impatient
	f := follow(t, open(t, cfg), adInterest())
	noticesLoss(t, f, cfg.Timeout, []loss{{"stopped", s.Pause, s.Resume}, {"killed", s.Stop, s.Run}})
}

func TestActiveDirectoryFeedOfARestoredServer(t *testing.T) {
	t.Parallel()
	for _, way := range []adWay{adWays()[0], adWays()[2]} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			s := sambatest.Start(t, sambatest.Options{})
			dn := s.AddPerson(sambatest.TownHall, "kim", "Kim Neu", "", nil)
			f := way.follow(t, s, time.Hour)
			s.Stop()
			wantCause(t, f.lost(t), directory.Unavailable)
			restore := s.Backup()
			s.Run()
			f = followOn(t, f.Feed, f.observer)
			s.AddPerson(sambatest.TownHall, "eva", "Eva Müller", "", nil)
			s.Disable(dn)
			f.until(t, "the changes", func() bool {
				return slices.Contains(f.log, "changed Eva Müller") && slices.Contains(f.log, "changed Kim Neu")
			})
			s.Stop()
			wantCause(t, f.lost(t), directory.Unavailable)
			restore()
			s.Run()
			f.log = nil
			f = followOn(t, f.Feed, f.observer)
			if got := f.next(t, "reading anew"); !slices.Contains(got, "absent Eva Müller") || f.sources[2].Resumed {
				t.Errorf("after a restore: %v", got)
			}
			if e := f.named(t, "Kim Neu"); e.Person == nil || e.Person.Status.Ended != "" {
				t.Errorf("after a restore: %+v", e.Person)
			}
		})
	}
}

func TestActiveDirectoryFeedEndsWithItsDirectory(t *testing.T) {
	s := sambatest.Start(t, sambatest.Options{})
	s.Administrator()
	before := runtime.NumGoroutine()
	d := open(t, s.SyncConfiguration())
	f := follow(t, d, adInterest())
	s.Pause()
	within(t, 0, "closing", func() { _ = d.Close() })
	within(t, 0, "ending", func() { wantCause(t, f.lost(t), directory.Unavailable) })
	s.Resume()
	settled(t, before)
}
