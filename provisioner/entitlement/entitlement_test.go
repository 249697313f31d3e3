package entitlement_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/entitlement"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// suspendedFor tells why the directory has suspended somebody's device; empty: it has not.
func (w *world) suspendedFor(id string) string {
	for _, s := range w.device(id).SuspendedBy {
		if s.Source == provisioner.SuspendedByDirectory {
			return s.Reason
		}
	}
	return ""
}

// TestWhatEndsTheRight plays what a directory can tell, and what becomes of device and session.
func TestWhatEndsTheRight(t *testing.T) {
	t.Parallel()
	in := func(ids ...string) directory.Entry {
		members := make([]string, len(ids))
		for i, id := range ids {
			members[i] = dnOf(id)
		}
		return group(staffGroup, members...)
	}
	status := func(s directory.Status) directory.Entry {
		return person("p000", func(p *directory.Person) { p.Status = s })
	}
	for _, tt := range []struct {
		name string
		do   func(*feed)
		want string
	}{
		{"disabled", func(f *feed) { f.put(person("p000", disabled)) }, "disabled"},
		{"locked by an administrator", func(f *feed) { f.put(status(directory.Status{Ended: directory.EndLocked})) }, "locked"},
		{"expired", func(f *feed) { f.put(status(directory.Status{Ended: directory.EndExpired, EndsAt: time.Unix(1, 0)})) }, "expired"},
		{"deleted", func(f *feed) { f.remove("p000") }, "deleted"},
		{"moved out of the tenant's base", func(f *feed) {
			f.put(person("p000", func(p *directory.Person) { p.DN = "uid=p000,ou=Ehemalige,dc=stadt,dc=example" }))
		}, "deleted"},
		{"out of the group", func(f *feed) { f.put(in("p001")) }, "group"},
		{"too many wrong passwords", func(f *feed) { f.put(status(directory.Status{SignInBlocked: true})) }, ""},
		{"password expired", func(f *feed) { f.put(status(directory.Status{PasswordExpired: true})) }, ""},
		{"must change the password", func(f *feed) { f.put(status(directory.Status{MustChangePassword: true})) }, ""},
		{"renamed and moved within the base", func(f *feed) {
			f.put(person("p000", func(p *directory.Person) { p.DN, p.Login = "uid=meier,ou=Bauamt,"+peopleBase, "meier" }))
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2)
			tt.do(w.feed)
			w.settled()
			if got := w.suspendedFor("p000"); got != tt.want {
				t.Fatalf("suspended for %q, want %q", got, tt.want)
			}
			want := 2
			if tt.want != "" {
				want = 1
			}
			if n := w.connected(); n != want {
				t.Errorf("%d sessions are open, want %d", n, want)
			}
			if s := w.standing("p000"); s.Entitled != (tt.want == "") {
				t.Errorf("stands as %+v", s)
			}
			// Coming back gives back what the directory took, not what the helpdesk took.
			w.update(func(tx *store.Writer) error {
				_, err := tx.SuspendDevice(w.device("p000"), provisioner.Suspension{Source: provisioner.SuspendedByHelpdesk, Reason: "lost", Since: tx.Now})
				return err
			})
			w.feed.put(person("p000"))
			w.feed.put(in("p000", "p001"))
			w.settled()
			if got := w.suspendedFor("p000"); got != "" || !w.standing("p000").Entitled {
				t.Errorf("back again, and suspended for %q", got)
			}
			if d := w.device("p000"); len(d.SuspendedBy) != 1 || d.SuspendedBy[0].Source != provisioner.SuspendedByHelpdesk {
				t.Errorf("suspended by %+v", d.SuspendedBy)
			}
		})
	}
}

func TestWhoIsRenamedIsFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	before := w.known("p000").Person
	w.feed.put(person("p000", func(p *directory.Person) {
		p.Login, p.DisplayName, p.Mail, p.DN = "meier", "Eva Meier", "eva.meier@stadt.example", "uid=meier,ou=Bauamt,"+peopleBase
	}))
	w.settled()
	after := w.known("p000").Person
	want := before
	want.Login, want.DisplayName, want.Mail = "meier", "Eva Meier", "eva.meier@stadt.example"
	if after != want {
		t.Errorf("known as %+v, want %+v", after, want)
	}
}

func TestSomebodyMadeAnewIsSomebodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.feed.remove("p000")
	again := person("other")
	again.DN = dnOf("p000") // the group still names her
	again.Person.DN, again.Person.Login = dnOf("p000"), "p000"
	w.feed.put(again)
	w.settled()
	if got := w.suspendedFor("p000"); got != "deleted" {
		t.Errorf("the former one's device is suspended for %q", got)
	}
	if !w.standing("other").Entitled || w.known("other").Person.ID == w.known("p000").Person.ID {
		t.Error("the new one is not somebody else with the right")
	}
}

// TestSilenceTakesNothing: the directory is lost, half a page comes, a group cannot be read.
func TestSilenceTakesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	to := w.feed.followed()
	p := to.Pass()
	p.Read(person("p000")) // and no more
	w.settled()
	w.feed.remove("g:" + staffGroup)
	w.settled()
	w.feed.ends <- errors.New("the line is dead")
	w.feed.followed()
	w.settled()
	if n := w.connected(); n != 3 {
		t.Errorf("%d of 3 sessions are open", n)
	}
	t.Run("and what comes after a read that broke off counts", func(t *testing.T) {
		w.feed.put(group(staffGroup, dnOf("p000"), dnOf("p001")))
		w.eventually("who is out of the group loses the session", func() bool { return w.suspendedFor("p002") == "group" })
		w.feed.remove("g:" + staffGroup)
	})
	w.eventually("the missing group is named", func() bool {
		status, err := w.rights.Status(t.Context(), operator)
		return err == nil && len(status) == 1 && slices.Equal(status[0].MissingGroups, []string{staffGroup})
	})
}

func TestDatesEndTheRightByThemselves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	ends := time.Now().Add(1500 * time.Millisecond)
	w.feed.put(person("p000", func(p *directory.Person) { p.Status.EndsAt = ends }))
	w.settled()
	if got := w.suspendedFor("p000"); got != "" && time.Now().Before(ends) {
		t.Fatalf("suspended for %q before the date", got)
	}
	w.eventually("the date ends the right", func() bool { return w.suspendedFor("p000") == "expired" })
	if w.connected() != 1 || w.suspendedFor("p001") != "" {
		t.Error("somebody else lost the session")
	}
	w.feed.put(person("p000", func(p *directory.Person) { p.Status.EndsAt = time.Now().Add(time.Hour) }))
	w.settled()
	if got := w.suspendedFor("p000"); got != "" {
		t.Errorf("prolonged, and suspended for %q", got)
	}
}

// TestDatesThatTheBrakeHolds: somebody is told of those, too.
func TestDatesThatTheBrakeHolds(t *testing.T) {
	t.Parallel()
	const people, dated = 10, 8 // five pass
	w := newWorld(t, people)
	ends := time.Now().Add(time.Second)
	for _, id := range w.people[:dated] {
		w.feed.put(person(id, func(p *directory.Person) { p.Status.EndsAt = ends }))
	}
	w.settled()
	w.eventually("the dates are judged", func() bool { return len(w.pending().People) == dated-5 })
	if n := w.connected(); n != people-5 {
		t.Errorf("%d sessions are open", n)
	}
	// It is said once it is durable.
	w.eventually("it is said", func() bool { return w.log.count("too many people would lose their access") > 0 })
	w.settled()
	if n := w.log.count("too many people would lose their access"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

func TestExpiredPasswords(t *testing.T) {
	t.Parallel()
	expired := func(p *directory.Person) { p.Status.PasswordExpired = true }
	t.Run("close", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 2, func(t *provisioner.Tenant) { t.Policy.PasswordExpired = provisioner.PasswordClose })
		w.feed.put(person("p000", expired))
		w.settled()
		if got := w.suspendedFor("p000"); got != "password" || w.connected() != 1 {
			t.Errorf("suspended for %q, %d sessions", got, w.connected())
		}
		w.feed.put(person("p000"))
		w.settled()
		if got := w.suspendedFor("p000"); got != "" {
			t.Errorf("a new password, and suspended for %q", got)
		}
	})
	t.Run("password_only", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 2, func(t *provisioner.Tenant) { t.Policy.PasswordExpired = provisioner.PasswordHostsOnly })
		w.feed.put(person("p000", expired))
		w.settled()
		session, err := store.Read(t.Context(), w.store, func(tx *store.Reader) (provisioner.Session, error) { return tx.Session("sessionp000") })
		if err != nil || session.ClosedWhy != provisioner.CodeAccessChanged || session.WhyClosed().RetryAfter == 0 {
			t.Errorf("the session is %+v, %v: it should be opened anew", session, err)
		}
		if got := w.suspendedFor("p000"); got != "" || !w.tenant.PasswordOnly(w.standing("p000")) {
			t.Errorf("suspended for %q, stands as %+v", got, w.standing("p000"))
		}
	})
}

func ids(list []store.HeldLoss) []string {
	var ids []string
	for _, h := range list {
		ids = append(ids, h.Person.StableID)
	}
	return ids
}

// TestTheBrakeHoldsAGroup empties the group: nobody loses anything until a person has decided.
func TestTheBrakeHoldsAGroup(t *testing.T) {
	t.Parallel()
	const people = 40 // 2 % are fewer than 5, so 5 may go
	w := newWorld(t, people)
	w.feed.put(group(staffGroup, dnOf("p000"), dnOf("p001")))
	w.settled()
	p := w.pending()
	if n := w.connected(); n != people || len(p.People) != people-2 {
		t.Fatalf("%d sessions are open, %d people are held", n, len(p.People))
	}
	if h := p.People[0]; h.Why != provisioner.WhyGroup || h.Own || h.Devices != 1 || !h.Connected {
		t.Errorf("held: %+v", h)
	}
	if n := w.log.count("too many people would lose their access"); n != 1 {
		t.Errorf("said %d times", n)
	}
	if r := w.tenant.Admits(w.standing("p010"), time.Now()); r != nil {
		t.Errorf("who is held is refused: %v", r)
	}

	t.Run("another list is not confirmed", func(t *testing.T) {
		_, err := w.rights.Confirm(t.Context(), operator, entitlement.Decision{Tenant: "stadt", Hash: "0123456789ab", Reason: "yes"})
		if r, ok := provisioner.AsRefusal(err); !ok || r.Code != provisioner.CodePendingChanged {
			t.Errorf("confirming another list: %v", err)
		}
	})
	t.Run("half of them are back", func(t *testing.T) {
		members := []string{dnOf("p000"), dnOf("p001")}
		for _, id := range w.people[2:20] {
			members = append(members, dnOf(id))
		}
		w.feed.put(group(staffGroup, members...))
		w.settled()
		if now := w.pending(); len(now.People) != 20 || now.Hash == p.Hash {
			t.Errorf("held are %v", ids(now.People))
		}
	})
	t.Run("confirmed", func(t *testing.T) {
		now := w.pending()
		n, err := w.rights.Confirm(t.Context(), operator, entitlement.Decision{Tenant: "stadt", Hash: now.Hash, Reason: "the department moved"})
		if err != nil || n != 20 {
			t.Fatalf("confirmed %d, %v", n, err)
		}
		if w.connected() != 20 || len(w.pending().People) != 0 || w.suspendedFor("p030") != "group" {
			t.Errorf("%d sessions are open, held are %v", w.connected(), ids(w.pending().People))
		}
	})
	t.Run("what was confirmed does not count", func(t *testing.T) {
		for _, id := range w.people[:5] {
			w.feed.put(person(id, disabled))
		}
		w.settled()
		if w.connected() != 15 || len(w.pending().People) != 0 {
			t.Errorf("%d sessions are open, held are %v", w.connected(), ids(w.pending().People))
		}
	})
}

// TestTheBrakeLetsTheFirstPass: changes of people's own entries pass up to a tenth.
func TestTheBrakeLetsTheFirstPass(t *testing.T) {
	t.Parallel()
	const people = 80
	w := newWorld(t, people)
	for _, id := range w.people[:20] {
		w.feed.put(person(id, disabled))
		w.settled()
	}
	if n := w.connected(); n != people-8 || len(w.pending().People) != 12 {
		t.Fatalf("%d sessions are open, held are %v", n, ids(w.pending().People))
	}
	p := w.pending()
	if _, err := w.rights.Dismiss(t.Context(), operator, entitlement.Decision{Tenant: "stadt", Hash: p.Hash, Reason: "a mistake in the script"}); err != nil {
		t.Fatal(err)
	}
	now := w.pending()
	if len(now.People) != 0 || len(now.Dismissed) != 12 || w.connected() != people-8 {
		t.Fatalf("held are %v, dismissed %v", ids(now.People), ids(now.Dismissed))
	}
	t.Run("a full read does not ask again", func(t *testing.T) {
		if err := w.feed.Reconcile(t.Context(), w.feed.followed()); err != nil {
			t.Fatal(err)
		}
		w.settled()
		if now := w.pending(); len(now.People) != 0 || len(now.Dismissed) != 12 {
			t.Errorf("held are %v, dismissed %v", ids(now.People), ids(now.Dismissed))
		}
	})
	t.Run("something new is asked", func(t *testing.T) {
		w.feed.remove("p015")
		w.settled()
		if now := w.pending(); !slices.Equal(ids(now.People), []string{"p015"}) || now.People[0].Why != provisioner.WhyDeleted {
			t.Errorf("held are %+v", now.People)
		}
		if n := w.log.count("too many people would lose their access"); n != 2 {
			t.Errorf("said %d times, want once for each time that it began", n)
		}
	})
	t.Run("who is back is no longer kept", func(t *testing.T) {
		w.feed.put(person("p016"))
		w.settled()
		if now := w.pending(); slices.Contains(ids(now.Dismissed), "p016") || !w.standing("p016").Entitled {
			t.Errorf("dismissed are %v", ids(now.Dismissed))
		}
	})
}

// TestTheBrakeHoldsASweep: a full read finds fewer people, as after an old copy was restored or with a filter that matches nobody.
func TestTheBrakeHoldsASweep(t *testing.T) {
	t.Parallel()
	const people = 30
	for _, tt := range []struct {
		name     string
		gone     int
		held     int
		sessions int
	}{
		{"nobody", 0, 0, people},
		{"a few", 5, 0, people - 5},
		{"one more than may go", 6, 6, people},
		{"everybody", people, people, people},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, people)
			w.feed.forget(w.people[:tt.gone]...)
			if err := w.feed.Reconcile(t.Context(), w.feed.followed()); err != nil {
				t.Fatal(err)
			}
			w.settled()
			if n, p := w.connected(), w.pending(); n != tt.sessions || len(p.People) != tt.held {
				t.Errorf("%d sessions are open, held are %v", n, ids(p.People))
			}
		})
	}
}

// TestWhoChangesBesideAFullRead is judged by her own entry, though the read finds so few that all whom it misses are held.
func TestWhoChangesBesideAFullRead(t *testing.T) {
	t.Parallel()
	const people, missed = 60, 10
	w := newWorld(t, people)
	const taken = "what the directory says was taken in"
	before := w.log.count(taken)
	release := w.log.holdUp(taken)
	defer release()
	w.feed.put(group(probeGroup, dnOf("zz-probe-0")))
	w.feed.put(person("zz-probe-0"))
	// While the follower is kept at its log, all that follows reaches it as one.
	w.eventually("the follower is busy", func() bool { return w.log.count(taken) > before })
	to := w.feed.followed()
	p := to.Pass()
	to.Changed(person("p020", disabled))
	to.Gone("p021")
	for id, e := range map[string]directory.Entry{"p020": person("p020"), "p021": person("p021"), "p022": person("p022", disabled)} {
		p.Read(e) // as it was before, but for one whose change is told only now
		if id == "p022" {
			to.Changed(e)
		}
	}
	for _, e := range w.feed.snapshot() {
		switch {
		case slices.Contains(w.people[:missed], e.StableID), e.StableID >= "p020" && e.StableID <= "p022":
		default:
			p.Read(e)
		}
	}
	p.Whole()
	release()
	w.eventually("whom the read missed is held", func() bool { return len(w.pending().People) >= missed })
	w.settled()
	if diff := cmp.Diff(w.people[:missed], ids(w.pending().People)); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
	for id, want := range map[string]string{"p020": "disabled", "p021": "deleted", "p022": "disabled", "p000": "", "p023": ""} {
		if got := w.suspendedFor(id); got != want {
			t.Errorf("%s is suspended for %q, want %q", id, got, want)
		}
	}
	if n := w.connected(); n != people-3 {
		t.Errorf("%d sessions are open, want %d", n, people-3)
	}
}

// TestASmallTownHall: an empty answer takes nothing from three people either, whom the brake would let go.
func TestASmallTownHall(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		do   func(*world)
		held int
	}{
		{"nobody is found at all", func(w *world) { w.feed.forget("p000", "p001", "p002", "zz-probe") }, 3},
		{"the group is empty", func(w *world) {
			w.feed.mu.Lock()
			defer w.feed.mu.Unlock()
			w.feed.entries["g:"+staffGroup] = group(staffGroup)
		}, 3},
		{"one has left", func(w *world) { w.feed.forget("p001") }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3)
			tt.do(w)
			if err := w.feed.Reconcile(t.Context(), w.feed.followed()); err != nil {
				t.Fatal(err)
			}
			w.eventually("the full read is settled", func() bool { return len(w.pending().People) == tt.held })
			w.settled()
			want := 3
			if tt.held == 0 {
				want = 2
			}
			if n := w.connected(); n != want || len(w.pending().People) != tt.held {
				t.Errorf("%d sessions are open, held are %v", n, ids(w.pending().People))
			}
		})
	}
}

// TestATenantChangesDirectories: people of the former one have no right by the new one.
func TestATenantChangesDirectories(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.feeds["neu"] = newFeed()
	w.feeds["neu"].put(person("n000"))
	w.feeds["neu"].put(group(staffGroup, dnOf("n000")))
	w.tenant.Directory = "neu"
	w.update(func(tx *store.Writer) error {
		if err := tx.PutDirectory(provisioner.Directory{Name: "neu", Servers: []string{"ldaps://neu"}, Base: peopleBase}); err != nil {
			return err
		}
		return tx.PutTenant(w.tenant)
	})
	w.rights.Declared()
	w.eventually("who came from the former directory is held", func() bool { return len(w.pending().People) == 3 })
	if n := w.connected(); n != 3 {
		t.Errorf("%d of 3 sessions are open", n)
	}
}

// TestANewStaffGroupThatMatchesNobody: a slip in the tenant's file cuts nobody off.
func TestANewStaffGroupThatMatchesNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10)
	w.feed.put(group("cn=Niemand,ou=Gruppen,dc=stadt,dc=example"))
	w.tenant.StaffGroup = "cn=Niemand,ou=Gruppen,dc=stadt,dc=example"
	w.update(func(tx *store.Writer) error { return tx.PutTenant(w.tenant) })
	w.rights.Declared()
	w.eventually("all are held", func() bool { return len(w.pending().People) == 10 })
	if n := w.connected(); n != 10 {
		t.Errorf("%d of 10 sessions are open", n)
	}
}

// TestOtherChangesOfADeclaration: nobody is looked at again for what decides about nobody's right.
func TestOtherChangesOfADeclaration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.settled() // the first full read is said to be compared after everybody is known
	compared := func() int { return w.log.count("a full read was compared") }
	before := compared()
	declare := func(change func()) {
		change()
		w.update(func(tx *store.Writer) error { return tx.PutTenant(w.tenant) })
		w.rights.Declared()
	}
	declare(func() { w.tenant.DisplayName, w.tenant.Policy.DevicesPerPerson = "Stadt Beispiel", 3 })
	w.settled()
	if n := compared(); n != before {
		t.Errorf("everybody was looked at %d times for another name", n-before)
	}
	declare(func() { w.tenant.Roles.Planner = "cn=Planung,ou=Gruppen,dc=stadt,dc=example" })
	w.eventually("everybody is looked at for another group", func() bool { return compared() > before })
}

// TestARestartFindsWhatHappenedMeanwhile: nobody followed while people left and came back.
func TestARestartFindsWhatHappenedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5)
	w.feed.put(person("p004", disabled))
	w.settled()
	w.stop()
	w.feed.put(person("p004"))
	w.feed.forget("p000")
	w.feed.put(person("p001", disabled))
	w.follow()
	w.eventually("everything is settled", func() bool {
		return w.suspendedFor("p000") == "deleted" && w.suspendedFor("p001") == "disabled" && w.suspendedFor("p004") == ""
	})
	if n := w.connected(); n != 2 {
		t.Errorf("%d sessions are open", n)
	}
}

// TestARestartWhileTheDirectoryIsAway: what was heard before still tells how old the last word is, and dates are judged all the same.
func TestARestartWhileTheDirectoryIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.feed.put(person("p001", func(p *directory.Person) { p.Status.EndsAt = time.Now().Add(time.Second) }))
	w.settled()
	before, err := w.rights.Status(t.Context(), operator)
	if err != nil || before[0].HeardAt.IsZero() {
		t.Fatalf("status %+v, %v", before, err)
	}
	w.stop()
	w.feed.mu.Lock()
	w.feed.away = true
	w.feed.mu.Unlock()
	w.start()
	w.eventually("the directory is known to be away", func() bool {
		now, err := w.rights.Status(t.Context(), operator)
		return err == nil && now[0].State == store.FollowingDown && now[0].Advice == "look at the server" && !now[0].HeardAt.Before(before[0].HeardAt)
	})
	w.eventually("a date ends the right", func() bool { return w.suspendedFor("p001") == "expired" })
	if n := w.connected(); n != 1 || w.log.count("the directory is lost") != 1 {
		t.Errorf("%d sessions are open; said %d times that the directory is lost", n, w.log.count("the directory is lost"))
	}
}

// TestAFullReadWithNothingNewWritesNothing, not even where somebody is held.
func TestAFullReadWithNothingNewWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20)
	w.feed.put(group(staffGroup, dnOf("p000")))
	w.settled()
	if len(w.pending().People) != 19 {
		t.Fatalf("held are %v", ids(w.pending().People))
	}
	reconcile := func() {
		compared := w.log.count("a full read was compared")
		if err := w.feed.Reconcile(t.Context(), w.feed.followed()); err != nil {
			t.Fatal(err)
		}
		w.eventually("the full read is settled", func() bool { return w.log.count("a full read was compared") > compared })
	}
	reconcile() // when that is logged, all that came before it is
	before := w.log.count("what the directory says was taken in")
	reconcile()
	if n := w.log.count("what the directory says was taken in"); n != before {
		t.Errorf("a full read with nothing new changed something: %d, before %d", n, before)
	}
}
