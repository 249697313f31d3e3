package memory_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/memory"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

// told is what a feed has told, but for what full reads have read.
type told struct {
	mu    sync.Mutex
	log   []string
	heard int
}

func (o *told) Pass() directory.Pass { return &toldPass{o: o} }

func (o *told) Changed(e directory.Entry) {
	o.note("changed ", e.DN, " ", e.Names, " ", len(e.Members))
}
func (o *told) Gone(string)             { o.note("gone") }
func (o *told) Live(s directory.Source) { o.note("live ", s.Way) }

func (o *told) Heard() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.heard++
}

func (o *told) note(parts ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.log = append(o.log, fmt.Sprint(parts...))
}

// times is how often the directory has been heard of.
func (o *told) times() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.heard
}

type toldPass struct {
	o    *told
	read int
}

func (p *toldPass) Read(directory.Entry) { p.read++ }
func (p *toldPass) Unchanged(...string)  {}
func (p *toldPass) Whole()               { p.o.note("whole ", p.read) }

func (o *told) want(t *testing.T, what string, want ...string) {
	t.Helper()
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if diff := cmp.Diff(want, o.log); diff != "" {
		t.Errorf("%s (-want +told):\n%s", what, diff)
	}
	o.log = nil
}

func TestFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := memory.New(memory.Options{Name: "stadt", Base: slapdtest.PeopleBase, LDIF: slapdtest.LDIF(20)})
		if err != nil {
			t.Fatal(err)
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		feed := d.Feed(directory.Interest{Bases: []string{slapdtest.PeopleBase}})
		o := &told{}
		ended := make(chan error, 1)
		follow := func() context.CancelFunc {
			ctx, cancel := context.WithCancel(t.Context())
			go func() { ended <- feed.Follow(ctx, o) }()
			return cancel
		}
		cancel := follow()
		everything := fmt.Sprint("whole ", 20+len(slapdtest.Members())+slapdtest.Groups)
		o.want(t, "the first read", everything, "live persistent-search")

		p1, p2 := slapdtest.PersonDN(1), slapdtest.PersonDN(2)
		must(d.Set(p1, "mail", "eins@stadt.example"))
		o.want(t, "a change", "changed "+p1+" [uid:p00001] 0")
		must(d.Disable(p1))
		o.want(t, "disabling", "changed "+p1+" [uid:p00001] 0")
		must(d.Join(slapdtest.Helpdesk, p1))
		o.want(t, "joining", "changed "+slapdtest.Helpdesk+" [] 2")
		must(d.Leave(slapdtest.Helpdesk, p1))
		o.want(t, "leaving", "changed "+slapdtest.Helpdesk+" [] 1")
		renamed := "uid=zwei,ou=Bauhof," + slapdtest.PeopleBase
		must(d.Rename(p2, renamed))
		o.want(t, "renaming", "changed "+renamed+" [uid:p00002] 0", "changed cn=amt-002,"+slapdtest.GroupsBase+" [] 1")
		must(d.Rename(renamed, "uid=zwei,ou=Leer,"+slapdtest.Base))
		o.want(t, "moving out", "gone", "changed cn=amt-002,"+slapdtest.GroupsBase+" [] 1")
		must(d.Delete("uid=zwei,ou=Leer," + slapdtest.Base))
		o.want(t, "deleting who is not of interest")
		must(d.Delete(p1))
		o.want(t, "deleting", "gone")
		must(d.Add([]byte("dn: " + p1 + "\nobjectClass: inetOrgPerson\nuid: p00001\n")))
		o.want(t, "adding", "changed "+p1+" [uid:p00001] 0")

		before := o.times()
		time.Sleep(time.Minute)
		o.want(t, "silence")
		if got := o.times(); got != before+6 {
			t.Errorf("heard %d times within a minute", got-before)
		}
		d.SetUnavailable(true)
		synctest.Wait()
		cause(t, <-ended, directory.Unavailable)
		cause(t, feed.Follow(t.Context(), o), directory.Unavailable)
		cause(t, feed.Reconcile(t.Context(), o), directory.Unavailable)
		d.SetUnavailable(false)
		cancel()
		cancel = follow()
		synctest.Wait()
		cancel()
		cause(t, <-ended, directory.Unavailable)
		o.want(t, "another first read", fmt.Sprint("whole ", 20-1+len(slapdtest.Members())+slapdtest.Groups), "live persistent-search")
		must(feed.Reconcile(t.Context(), o))
		o.want(t, "a full read", fmt.Sprint("whole ", 20-1+len(slapdtest.Members())+slapdtest.Groups))
		missing := d.Feed(directory.Interest{Bases: []string{"ou=weg," + slapdtest.Base}})
		cause(t, missing.Follow(t.Context(), o), directory.Misconfigured)
		o.want(t, "nothing")
	})
}
