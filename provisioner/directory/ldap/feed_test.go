package ldap_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/ldap"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

// synced is a server that offers syncrepl and shows the service account everything.
func synced(people int) slapdtest.Options {
	return slapdtest.Options{People: people, SizeLimit: slapdtest.Unlimited, Sync: true, SessionLog: 1000, MemberOf: true}
}

func TestFeedTellsEverybody(t *testing.T) {
	t.Parallel()
	const people = 29000 // a shared IT provider's
	s := slapdtest.Start(t, synced(people))
	d := open(t, s.Configuration())
	f := follow(t, d, interest())
	if got, want := len(f.entries), people+len(slapdtest.Members())+slapdtest.Groups-1; got != want {
		t.Errorf("%d entries were told, there are %d (one group is hidden)", got, want)
	}
	want := directory.Source{Server: s.LDAPS, Flavour: directory.OpenLDAP, Way: directory.WaySyncrepl}
	if diff := cmp.Diff(want, f.sources[0]); diff != "" {
		t.Errorf("source (-want +got):\n%s", diff)
	}
	for _, uid := range []string{"p00002", "p28999", "gesperrt", "abgelaufen", "neuling"} {
		e := f.named(t, uid)
		p, err := d.Lookup(t.Context(), "", e.StableID, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(directory.Entry{StableID: p.StableID, DN: p.DN, Person: &p, Names: []string{"uid:" + uid}}, e); diff != "" {
			t.Errorf("%s (-looked up +told):\n%s", uid, diff)
		}
	}
	for group, members := range map[string][]string{
		"posix": {"uid:kreis"}, "Eindeutig": {"uid=müller,ou=Rathaus," + slapdtest.PeopleBase}, "kreis-000": {"cn=kreis-001," + slapdtest.GroupsBase, "uid=kreis,ou=Rathaus," + slapdtest.PeopleBase},
	} {
		e := f.named(t, group)
		if diff := cmp.Diff(members, e.Members); diff != "" || e.Person != nil || e.StableID == "" {
			t.Errorf("%s: %+v, members (-want +got):\n%s", group, e, diff)
		}
	}
	if err := f.end(); directory.CauseOf(err) != directory.Unavailable {
		t.Errorf("a feed that was ended says %v", err)
	}

	polled := newObserver()
	if err := f.Reconcile(t.Context(), polled); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f.entries, polled.entries); diff != "" {
		t.Errorf("a full read differs (-followed +read):\n%s", diff)
	}
}

func TestFeedTellsChanges(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, synced(20))
	f := follow(t, open(t, s.Configuration()), interest())
	f.next(t, "the first read")
	p2, p4 := slapdtest.PersonDN(2), slapdtest.PersonDN(4)
	eva := "uid=eva,ou=Bauhof," + slapdtest.PeopleBase
	var moved string
	for _, step := range []struct {
		what string
		do   func()
		want []string
	}{
		{"add", func() { s.AddPerson(eva, "eva", "Eva Neu") }, []string{"changed eva"}},
		{"modify", func() { s.Set(p2, "mail", "zwei@stadt.example") }, []string{"changed p00002"}},
		{"lock", func() { s.Set(p2, "pwdAccountLockedTime", "000001010000Z") }, []string{"changed p00002"}},
		{"unlock", func() { s.Set(p2, "pwdAccountLockedTime") }, []string{"changed p00002"}},
		{"join", func() { s.Put(slapdtest.Helpdesk, "member", eva) }, []string{"changed Helpdesk"}},
		{"nest", func() { s.Put(slapdtest.StaffGroup, "member", slapdtest.Helpdesk) }, []string{"changed Homeoffice"}},
		{"rename", func() { moved = s.Rename(eva, "uid=evi", "") }, []string{"changed evi", "changed Helpdesk"}},
		{"leave", func() { s.Take(slapdtest.Helpdesk, "member", moved) }, []string{"changed Helpdesk"}},
		{"move to another unit", func() { moved = s.Rename(moved, "uid=evi", "ou=Rathaus,"+slapdtest.PeopleBase) }, []string{"changed evi"}},
		{"move out of the base", func() { moved = s.Rename(moved, "uid=evi", "ou=Leer,"+slapdtest.Base) }, []string{"gone evi"}},
		{"change outside of the base", func() { s.Set(moved, "mail", "evi@stadt.example") }, nil},
		{"move back", func() { moved = s.Rename(moved, "uid=evi", "ou=Bauhof,"+slapdtest.PeopleBase) }, []string{"changed evi"}},
		{"delete", func() { s.Delete(moved) }, []string{"gone evi"}},
		{"delete a member of a group", func() { s.Delete(p4) }, []string{"gone p00004", "changed amt-004"}},
		{"make anew", func() { s.AddPerson(moved, "evi", "Evi Neu") }, []string{"changed evi"}},
		{"add a group", func() {
			s.Add("cn=neu,"+slapdtest.GroupsBase, "objectClass: groupOfNames", "cn: neu", "member: "+moved)
		}, []string{"changed neu"}},
		{"delete a group", func() { s.Delete("cn=neu," + slapdtest.GroupsBase) }, []string{"gone neu"}},
		{"something else", func() { s.Set(slapdtest.PeopleBase, "description", "Personal") }, nil},
	} {
		step.do()
		s.Set(slapdtest.PersonDN(0), "description", "told after "+step.what) // after that nothing else can come
		f.until(t, step.what, func() bool { return slices.Contains(f.log, "changed p00000") })
		f.until(t, "groups in order", func() bool { return ldap.Settled(f.Feed) })
		if diff := cmp.Diff(sorted(append(step.want, "changed p00000")), sorted(f.next(t, step.what))); diff != "" {
			t.Errorf("%s (-want +told):\n%s", step.what, diff)
		}
		switch step.what {
		case "lock":
			if got := f.named(t, "p00002").Person.Status.Ended; got != directory.EndLocked {
				t.Errorf("locked: %q", got)
			}
		case "join":
			if !contains(f.named(t, "Helpdesk").Members, eva) {
				t.Errorf("members after joining: %v", f.named(t, "Helpdesk").Members)
			}
		}
	}
}

// TestFeedOfAUnitThatMoves: the server tells of the unit alone, and everybody below it is somewhere else.
func TestFeedOfAUnitThatMoves(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, synced(5))
	f := follow(t, open(t, s.Configuration()), interest())
	f.next(t, "the first read")
	former := f.named(t, "p00003")
	s.Rename("ou=Rathaus,"+slapdtest.PeopleBase, "ou=Stadthaus", "")
	f.until(t, "everybody in the renamed unit is told", func() bool {
		return f.entries[former.StableID].DN == "uid=p00003,ou=Stadthaus,"+slapdtest.PeopleBase
	})
	s.Rename("ou=Stadthaus,"+slapdtest.PeopleBase, "ou=Stadthaus", "ou=Leer,"+slapdtest.Base)
	f.until(t, "everybody in the unit that has left is gone", func() bool {
		_, there := f.entries[former.StableID]
		return !there
	})
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if strings.EqualFold(v, s) {
			return true
		}
	}
	return false
}

// TestFeedGoesOn follows again after something has happened that nobody followed.
func TestFeedGoesOn(t *testing.T) {
	t.Parallel()
	const people, told = 600, 600 + 13 + slapdtest.Groups - 1
	meanwhile := func(s *slapdtest.Server) {
		s.Delete(slapdtest.PersonDN(7))
		s.Set(slapdtest.PersonDN(8), "mail", "acht@stadt.example")
		s.Rename(slapdtest.PersonDN(9), "uid=p00009", "ou=Leer,"+slapdtest.Base)
		s.AddPerson("uid=eva,ou=Bauhof,"+slapdtest.PeopleBase, "eva", "Eva Neu")
		s.Await("cn=Innendienst,"+slapdtest.GroupsBase, "member", func(members []string) bool { // refint takes a moment
			return !contains(members, slapdtest.PersonDN(7)) && !contains(members, slapdtest.PersonDN(9))
		})
	}
	restart := func(s *slapdtest.Server) { s.Quit(); s.Run() }
	deleted := []string{"gone p00007", "changed p00008", "gone p00009", "changed eva", "live syncrepl resumed", "changed Innendienst"}
	present := []string{"changed p00008", "gone p00009", "changed eva", "absent p00007",
		fmt.Sprintf("whole: 0 read, %d unchanged", told-2+1), "live syncrepl resumed", "changed Innendienst"}
	anew := []string{"absent p00007", "absent p00009", fmt.Sprintf("whole: %d read, 0 unchanged", told-2+1), "live syncrepl"}
	for _, tt := range []struct {
		name   string
		log    int
		away   func(*slapdtest.Server)
		cookie string
		want   []string
	}{
		{"with the session log", 1000, meanwhile, "", deleted},
		{"without one", 0, meanwhile, "", present},
		{"after a restart", 1000, func(s *slapdtest.Server) { meanwhile(s); restart(s) }, "", present},
		// OpenLDAP writes down how far it is when it ends in an orderly way. Killed, it says that nothing has happened.
		{"killed", 1000, func(s *slapdtest.Server) { meanwhile(s); s.Stop(); s.Run() }, "", []string{"live syncrepl resumed", "changed Innendienst"}},
		{"nothing has happened", 1000, func(*slapdtest.Server) {}, "", []string{"live syncrepl resumed"}},
		{"nothing has happened, after a restart", 1000, restart, "", []string{"live syncrepl resumed"}},
		{"the cookie is useless", 1000, meanwhile, "rid=000", anew},
		{"the cookie is from the future", 1000, meanwhile, "rid=000,csn=20990101000000.000000Z#000000#000#000000", anew},
		{"the cookie is rubbish", 1000, meanwhile, "%$/&", anew},
		{"the cookie is another server's", 1000, meanwhile, "rid=000,csn=20200101000000.000000Z#000000#00a#000000",
			[]string{"absent p00007", "absent p00009", fmt.Sprintf("whole: 0 read, %d unchanged", told-2+1), "live syncrepl resumed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := synced(people)
			o.SessionLog = tt.log
			s := slapdtest.Start(t, o)
			f := follow(t, open(t, s.Configuration()), interest())
			_ = f.end()
			f.log = nil
			tt.away(s)
			if tt.cookie != "" {
				ldap.SetCookies(f.Feed, tt.cookie)
			}
			f = followOn(t, f.Feed, f.observer)
			f.until(t, "groups in order", func() bool { return ldap.Settled(f.Feed) })
			got := f.next(t, "going on")
			// A server that tells everything before it turns out not to know what is gone is heard out.
			if i := slices.IndexFunc(got, func(s string) bool { return strings.HasPrefix(s, "absent") }); i > 0 && tt.cookie != "" {
				got = append([]string{"absent p00007", "absent p00009"}, got[i+1:]...)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("going on (-want +told):\n%s", diff)
			}
			read := newObserver()
			if err := f.Reconcile(t.Context(), read); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(read.entries, f.entries); diff != "" && tt.name != "killed" {
				t.Errorf("what was told is not what is there (-read +told):\n%s", diff)
			}
		})
	}
}

func TestFeedNoticesThatItsServerIsLost(t *testing.T) {
	s := slapdtest.Start(t, synced(10))
	cfg := s.Configuration()
	cfg.Timeout = impatient
	f := follow(t, open(t, cfg), interest())
	noticesLoss(t, f, cfg.Timeout, []loss{{"stopped", s.Pause, s.Resume}, {"killed", s.Stop, s.Run}, {"shut down", s.Quit, s.Run}})
}

// loss is how a server is lost, and how it comes back.
type loss struct {
	what       string
	lose, back func()
}

// noticesLoss loses the server of a feed, first of all by stopping it. Each time it goes on where it was.
func noticesLoss(t *testing.T, f *following, timeout time.Duration, losses []loss) {
	t.Helper()
	for _, tt := range losses {
		tt.lose()
		within(t, timeout, "noticing that the server is "+tt.what, func() { wantCause(t, f.lost(t), directory.Unavailable) })
		again := start(t, f.Feed, f.observer)
		within(t, timeout, "finding that the server is "+tt.what, func() { wantCause(t, again.lost(t), directory.Unavailable) })
		tt.back()
		f = followOn(t, f.Feed, f.observer)
	}
	losses[0].lose()
	within(t, 0, "ending", func() { wantCause(t, f.end(), directory.Unavailable) })
	losses[0].back()
	f = followOn(t, f.Feed, f.observer)
	if f.passes != 1 {
		t.Errorf("after an interruption everything was read again: %d passes", f.passes)
	}
}

func TestFeedOfARestoredServer(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, synced(20))
	f := follow(t, open(t, s.Configuration()), interest())
	before := f.named(t, "p00003")
	_ = f.end()
	s.Quit()
	restore := s.Backup()
	s.Run()
	f = followOn(t, f.Feed, f.observer)
	f.next(t, "going on")
	s.Set(slapdtest.PersonDN(3), "mail", "drei@stadt.example")
	s.AddPerson("uid=eva,ou=Bauhof,"+slapdtest.PeopleBase, "eva", "Eva Neu")
	f.until(t, "the changes", func() bool { return len(f.log) == 2 })
	f.log = nil
	s.Quit()
	wantCause(t, f.lost(t), directory.Unavailable)
	restore()
	s.Run()
	f = followOn(t, f.Feed, f.observer)
	if diff := cmp.Diff([]string{"absent eva", "whole: 533 read, 0 unchanged", "live syncrepl"}, f.next(t, "reading anew")); diff != "" {
		t.Errorf("after a restore (-want +told):\n%s", diff)
	}
	if diff := cmp.Diff(before, f.named(t, "p00003")); diff != "" {
		t.Errorf("after a restore (-before +told):\n%s", diff)
	}
}

func TestFeedTakesTheSecondServer(t *testing.T) {
	first, second := slapdtest.Start(t, synced(10)), slapdtest.Start(t, synced(10))
	cfg := first.Configuration()
	cfg.Servers = append(cfg.Servers, second.LDAPS)
	cfg.CAPEM = append(cfg.CAPEM, second.CAPEM...)
	cfg.Timeout = impatient
	first.Stop()
	f := follow(t, open(t, cfg), interest())
	first.Run()
	second.Stop()
	wantCause(t, f.lost(t), directory.Unavailable)
	f = followOn(t, f.Feed, f.observer)
	if f.sources[0].Server != second.LDAPS || f.sources[1].Server != first.LDAPS {
		t.Errorf("followed %v", f.sources)
	}
	first.Stop()
	wantCause(t, f.lost(t), directory.Unavailable)
	err := f.Follow(t.Context(), f.observer)
	wantCause(t, err, directory.Unavailable)
	for _, server := range cfg.Servers {
		if err == nil || !strings.Contains(err.Error(), server) {
			t.Errorf("the error does not name %s: %v", server, err)
		}
	}
}

func TestFeedTakesNothingAwayForWhatItCannotRead(t *testing.T) {
	t.Parallel()
	hidden := func(what string) func(string) string {
		return func(text string) string {
			return strings.Replace(text, "access to * by", "access to "+what+" by * none\naccess to * by", 1)
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*slapdtest.Options)
		i      directory.Interest
		says   []string
	}{
		{"a size limit", func(o *slapdtest.Options) { o.SizeLimit = 0 }, interest(), []string{"500 entries and no more", "limits dn.exact=", "size=unlimited"}},
		{"a small size limit", func(o *slapdtest.Options) { o.SizeLimit = 5 }, interest(), []string{"5 entries and no more"}},
		{"ids are hidden", func(o *slapdtest.Options) { o.Config = hidden("attrs=entryUUID") }, interest(), []string{"entryUUID", "service account"}},
		{"a base that is no DN", nil, directory.Interest{Bases: []string{"weg"}}, []string{"weg"}},
		{"a group that is no DN", nil, directory.Interest{Groups: []string{"weg"}}, []string{"weg"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := synced(50)
			if tt.change != nil {
				tt.change(&o)
			}
			d := open(t, slapdtest.Start(t, o).Configuration())
			for way, read := range map[string]func(directory.Feed, *observer) error{
				"following":   func(f directory.Feed, o *observer) error { return f.Follow(t.Context(), o) },
				"reconciling": func(f directory.Feed, o *observer) error { return f.Reconcile(t.Context(), o) },
			} {
				o := newObserver()
				err := read(d.Feed(tt.i), o)
				wantCause(t, err, directory.Misconfigured, slapdtest.ServicePassword)
				for _, word := range tt.says {
					if err == nil || !strings.Contains(err.Error(), word) {
						t.Errorf("%s: the error does not say %q: %v", way, word, err)
					}
				}
				if len(o.log) > 0 {
					t.Errorf("%s: told %v", way, o.log)
				}
			}
		})
	}
}

// TestFeedGoesOnWithoutWhatIsMissing: an address book's contact has no login, and one tenant's slip in its base keeps the others
// from nothing.
func TestFeedGoesOnWithoutWhatIsMissing(t *testing.T) {
	t.Parallel()
	o := synced(5)
	o.Config = func(text string) string {
		return strings.Replace(text, "access to * by", `access to dn.exact="`+slapdtest.PersonDN(3)+`" attrs=uid by * none`+"\naccess to * by", 1)
	}
	s := slapdtest.Start(t, o)
	i := interest()
	i.Bases, i.Groups = append(i.Bases, "ou=weg,"+slapdtest.Base), append(i.Groups, "cn=weg,dc=anders,dc=example")
	f := follow(t, open(t, s.Configuration()), i)
	f.next(t, "the first read")
	f.mu.Lock()
	source, people := f.sources[0], len(f.entries)
	f.mu.Unlock()
	if !strings.Contains(source.Limited, "ou=weg,"+slapdtest.Base) {
		t.Errorf("the base that is not there is not named: %+v", source)
	}
	if people < 5 {
		t.Errorf("%d entries were told", people)
	}
	s.AddPerson("uid=neu,ou=Rathaus,"+slapdtest.PeopleBase, "neu", "Nora Neu")
	if diff := cmp.Diff([]string{"changed neu"}, f.next(t, "somebody new")); diff != "" {
		t.Errorf("(-want +told):\n%s", diff)
	}
}

func TestFeedOfWhatIsHidden(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, synced(20))
	f := follow(t, open(t, s.Configuration()), interest())
	f.next(t, "the first read")
	s.Quit()
	wantCause(t, f.lost(t), directory.Unavailable)
	s.Reconfigure(func(text string) string {
		return strings.Replace(text, "access to * by", `access to dn.exact="`+slapdtest.PersonDN(3)+`" by * none`+"\naccess to * by", 1)
	})
	s.Run()
	f = followOn(t, f.Feed, f.observer)
	if diff := cmp.Diff([]string{"live syncrepl resumed"}, f.next(t, "going on")); diff != "" {
		t.Errorf("access rules are no change of an entry (-want +told):\n%s", diff)
	}
	if err := f.Reconcile(t.Context(), f.observer); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"absent p00003", "whole: 532 read, 0 unchanged"}, f.next(t, "reading everything")); diff != "" {
		t.Errorf("a full read (-want +told):\n%s", diff)
	}
}

// slow takes its time over every change.
type slow struct {
	*observer
	time.Duration
}

func (s slow) Changed(e directory.Entry) {
	rest := time.NewTimer(s.Duration)
	<-rest.C
	s.observer.Changed(e)
}

func TestFeedWaitsForItsObserver(t *testing.T) {
	s := slapdtest.Start(t, synced(10))
	cfg := s.Configuration()
	cfg.Timeout = impatient
	f := open(t, cfg).Feed(interest())
	ldap.Hurry(f, quick, settle)
	o := newObserver()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Follow(ctx, slow{o, impatient + 4*quick}) }()
	o.until(t, "becoming live", func() bool { return len(o.sources) > 0 })
	s.Set(slapdtest.PersonDN(1), "mail", "eins@stadt.example")
	s.Set(slapdtest.PersonDN(2), "mail", "zwei@stadt.example")
	o.until(t, "both changes", func() bool { return len(o.log) == 4 })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the feed took a slow observer for a lost server: %v", err)
	}
}

func TestFeedOfARefusedServiceAccount(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, synced(0))
	cfg := s.Configuration()
	cfg.Servers = []string{s.LDAPS, s.LDAP}
	cfg.BindPasswordFile = write(t, "falsches-passwort")
	f := open(t, cfg).Feed(interest())
	for range 5 { // three wrong ones would lock it
		wantCause(t, f.Follow(t.Context(), newObserver()), directory.Misconfigured, "falsches-passwort")
		wantCause(t, f.Reconcile(t.Context(), newObserver()), directory.Misconfigured, "falsches-passwort")
	}
	if err := os.WriteFile(cfg.BindPasswordFile, []byte(slapdtest.ServicePassword), 0o600); err != nil {
		t.Fatal(err)
	}
	followOn(t, f, newObserver())
}

func TestFeedEndsWithItsDirectory(t *testing.T) {
	s := slapdtest.Start(t, synced(10))
	before := runtime.NumGoroutine()
	d := open(t, s.Configuration())
	f := follow(t, d, interest())
	within(t, 0, "closing", func() { _ = d.Close() })
	within(t, 0, "ending", func() { wantCause(t, f.lost(t), directory.Unavailable) })
	wantCause(t, f.Follow(t.Context(), f.observer), directory.Unavailable)
	wantCause(t, f.Reconcile(t.Context(), f.observer), directory.Unavailable)
	settled(t, before)
}
