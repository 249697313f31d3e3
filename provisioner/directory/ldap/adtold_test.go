package ldap_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/sambatest"
)

func TestActiveDirectoryFeedOfAWholeTown(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
			s.PasswordEndsAt, s.PasswordChangedAt = time.Time{}, time.Time{}
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
	t.Parallel()
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
	t.Parallel()
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
