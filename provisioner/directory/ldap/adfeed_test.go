package ldap_test

import (
	"fmt"
	"maps"
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
	for _, way := range []adWay{adWays()[0], adWays()[2]} {
		t.Run(way.name, func(t *testing.T) { unitsMove(t, way) })
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
	for _, tt := range []struct {
		what       string
		lose, back func()
	}{
		{"stopped", s.Pause, s.Resume},
		{"killed", s.Stop, s.Run},
	} {
		tt.lose()
		within(t, cfg.Timeout, "noticing that the server is "+tt.what, func() { wantCause(t, f.lost(t), directory.Unavailable) })
		again := start(t, f.Feed, f.observer)
		within(t, cfg.Timeout, "finding that the server is "+tt.what, func() { wantCause(t, again.lost(t), directory.Unavailable) })
		tt.back()
		f = followOn(t, f.Feed, f.observer)
	}
	s.Pause()
	within(t, 0, "ending", func() { wantCause(t, f.end(), directory.Unavailable) })
	s.Resume()
	f = followOn(t, f.Feed, f.observer)
	if f.passes != 1 {
		t.Errorf("after an interruption everything was read again: %d passes", f.passes)
	}
}

func TestActiveDirectoryFeedOfAWholeTown(t *testing.T) {
	const people = 2000 // more than a server tells of a group at once
	s := sambatest.Start(t, sambatest.Options{People: people})
	var everybody []string
	for n := range people {
		everybody = append(everybody, sambatest.PersonDN(n))
	}
	big := s.AddGroup("alle", everybody...)
	d := open(t, s.SyncConfiguration())
	f := follow(t, d, adInterest())
	told := func() (persons int) {
		for _, e := range f.entries {
			if e.Person != nil {
				persons++
			}
		}
		return persons
	}
	if got := told(); got != people {
		t.Errorf("%d people were told, there are %d", got, people)
	}
	members := func(want int) {
		t.Helper()
		got := slices.Compact(slices.Sorted(slices.Values(f.named(t, "alle").Members)))
		if len(got) != want {
			t.Errorf("the group has %d members, told were %d", want, len(got))
		}
	}
	members(people)
	e := f.named(t, "p0007")
	p, err := d.Lookup(t.Context(), "", e.StableID, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := directory.Entry{StableID: p.StableID, DN: p.DN, Person: &p, Names: e.Names, In: f.named(t, "Domain Users").Names}
	if diff := cmp.Diff(want, e); diff != "" || len(e.Names) != 1 || len(e.In) != 1 {
		t.Errorf("a person (-looked up +told):\n%s", diff)
	}
	f.next(t, "the first read")
	s.RemoveMembers(big, everybody[1800])
	f.until(t, "the change", func() bool { return len(f.log) > 0 })
	members(people - 1)
	s.Delete(everybody[1999])
	f.until(t, "the group without who was deleted", func() bool { return slices.Contains(f.log, "gone p1999") && len(f.log) >= 3 })
	members(people - 2)

	read := newObserver()
	if err := f.Reconcile(t.Context(), read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f.entries, read.entries); diff != "" {
		t.Errorf("a full read differs (-followed +read):\n%s", diff)
	}
}

func TestActiveDirectoryFeedTellsWhatTheServerComputes(t *testing.T) {
	s := sambatest.Start(t, sambatest.Options{})
	dn := s.AddPerson(sambatest.TownHall, "eva", "Eva Müller", "Guten-Morgen", nil)
	for _, way := range adWays()[:2] {
		f := way.follow(t, s, time.Hour)
		status := func(what string, is func(directory.Status) bool) {
			t.Helper()
			f.until(t, what, func() bool {
				for _, e := range f.entries {
					if e.DN == dn {
						return is(e.Person.Status)
					}
				}
				return false
			})
		}
		inOrder := func(s directory.Status) bool {
			s.PasswordEndsAt = time.Time{}
			return s == directory.Status{}
		}
		status("the first read", func(s directory.Status) bool { return inOrder(s) && time.Until(s.PasswordEndsAt) > 41*24*time.Hour })
		s.LockOut(dn)
		status("a lockout", func(s directory.Status) bool { return s.SignInBlocked && s.Ended == "" })
		s.Unlock(dn)
		status("its end", inOrder)
		s.Set(dn, "pwdLastSet", "0")
		status("a password to be changed", func(s directory.Status) bool { return s.MustChangePassword && s.Ended == "" })
		s.SetPassword(dn, "Guten-Abend")
		status("a new password", inOrder)
		at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
		s.ExpireAt(dn, at)
		status("a date of expiry", func(s directory.Status) bool { return s.EndsAt.Equal(at) && s.Ended == "" })
		s.ExpireAt(dn, at.Add(-2*time.Hour))
		status("a date that has passed", func(s directory.Status) bool { return s.Ended == directory.EndExpired })
		s.ExpireAt(dn, time.Time{})
		status("no date", inOrder)
	}
}

func TestActiveDirectoryFeedOfNestedGroups(t *testing.T) {
	s := sambatest.Start(t, sambatest.Options{})
	eva := s.AddPerson(sambatest.TownHall, "eva", "Eva Müller", "Guten-Morgen", nil)
	inner := s.AddGroup("Sachgebiet", eva)
	middle := s.AddGroup("Amt", inner)
	outer := s.AddGroup("homeoffice", middle)
	d := open(t, s.SyncConfiguration())
	f := follow(t, d, adInterest())
	id := f.named(t, "Eva Müller").StableID
	// in walks up what has been told, as an observer does.
	var in func(name string) bool
	in = func(name string) bool {
		for _, e := range f.entries {
			if contains(e.Members, name) && (strings.EqualFold(e.DN, outer) || in(e.DN)) {
				return true
			}
		}
		return false
	}
	agree := func(what string, want bool) {
		t.Helper()
		f.until(t, what, func() bool { return in(f.entries[id].DN) == want })
		p, err := d.Lookup(t.Context(), "", id, []string{outer})
		if err != nil || p.In(outer) != want {
			t.Errorf("%s: looked up she is in %v, %v", what, p.Groups, err)
		}
	}
	agree("three levels", true)
	s.RemoveMembers(inner, eva)
	agree("out of the innermost", false)
	s.AddMembers(inner, eva)
	agree("back", true)
	s.RemoveMembers(outer, middle)
	agree("the middle out of the outermost", false)
	s.AddMembers(outer, middle)
	agree("back again", true)
	s.Move(eva, "Eva Schmidt", sambatest.Depot)
	f.until(t, "the new name in the group", func() bool {
		return slices.ContainsFunc(slices.Collect(maps.Values(f.entries)), func(e directory.Entry) bool {
			return shortName(e) == "Sachgebiet" && contains(e.Members, "CN=Eva Schmidt,"+sambatest.Depot)
		})
	})
	agree("after a move", true)
	s.Delete(middle)
	agree("the middle deleted", false)
}

func TestActiveDirectoryFeedOfThoseWhoComeBack(t *testing.T) {
	s := sambatest.Start(t, sambatest.Options{})
	dn := s.AddPerson(sambatest.TownHall, "eva", "Eva Müller", "Guten-Morgen", nil)
	f := adWays()[0].follow(t, s, time.Hour)
	before := f.named(t, "Eva Müller").StableID
	s.Delete(dn)
	f.until(t, "the deletion", func() bool { return slices.Contains(f.log, "gone Eva Müller") })
	s.Undelete(before, dn)
	f.until(t, "the return", func() bool { return slices.Contains(f.log, "changed Eva Müller") })
	if after := f.named(t, "Eva Müller").StableID; after != before {
		t.Errorf("who was taken out of the bin has the stable id %s, had %s", after, before)
	}
	f.log = nil
	s.Delete(dn)
	s.AddPerson(sambatest.TownHall, "eva", "Eva Müller", "Guten-Morgen", nil)
	f.until(t, "the namesake", func() bool {
		return slices.Contains(f.log, "changed Eva Müller") && slices.Contains(f.log, "gone Eva Müller")
	})
	if after := f.named(t, "Eva Müller").StableID; after == before {
		t.Error("a namesake has the stable id of who was before")
	}
}

func TestActiveDirectoryFeedOfARestoredServer(t *testing.T) {
	for _, way := range []adWay{adWays()[0], adWays()[2]} {
		t.Run(way.name, func(t *testing.T) {
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
