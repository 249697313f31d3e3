package ldap_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

// listener passes everything over but that a feed has become live, and changes of people.
type listener struct {
	live    chan struct{}
	changed chan string // the mail address
}

func (l listener) Pass() directory.Pass { return ignored{} }

func (l listener) Changed(e directory.Entry) {
	if e.Person != nil {
		l.changed <- e.Person.Mail
	}
}
func (l listener) Gone(string)           {}
func (l listener) Live(directory.Source) { l.live <- struct{}{} }
func (l listener) Heard()                {}

type ignored struct{}

func (ignored) Read(directory.Entry) {}
func (ignored) Unchanged(...string)  {}
func (ignored) Whole()               {}

// BenchmarkFeedReads is a first read of the whole city, up to the moment from which changes are followed, and a full
// read beside it.
func BenchmarkFeedReads(b *testing.B) {
	s := slapdtest.Start(b, synced(benchPeople))
	d := open(b, s.Configuration())
	b.Run("following", func(b *testing.B) {
		for b.Loop() {
			ctx, cancel := context.WithCancel(b.Context())
			l := listener{live: make(chan struct{}, 1)}
			ended := make(chan error, 1)
			go func() { ended <- d.Feed(interest()).Follow(ctx, l) }()
			select {
			case <-l.live:
			case err := <-ended:
				b.Fatal(err)
			}
			cancel()
			wantCause(b, <-ended, directory.Unavailable)
		}
	})
	b.Run("reconciling", func(b *testing.B) {
		for b.Loop() {
			if err := d.Feed(interest()).Reconcile(b.Context(), listener{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkFeedChange is from the moment at which a change is sent to the server to the one at which an observer is told
// of it: its median and its 99th percentile.
func BenchmarkFeedChange(b *testing.B) {
	s := slapdtest.Start(b, synced(benchPeople))
	l := listener{live: make(chan struct{}, 1), changed: make(chan string, 1)}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- open(b, s.Configuration()).Feed(interest()).Follow(ctx, l) }()
	defer func() { cancel(); wantCause(b, <-ended, directory.Unavailable) }()
	select {
	case <-l.live:
	case err := <-ended:
		b.Fatal(err)
	}
	admin, err := goldap.DialURL(s.LDAP)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	if err := admin.Bind(slapdtest.AdminDN, slapdtest.AdminPassword); err != nil {
		b.Fatal(err)
	}
	var took []time.Duration
	n := 0
	for b.Loop() {
		n++
		mail := fmt.Sprintf("n%d@stadt.example", n)
		request := goldap.NewModifyRequest(slapdtest.PersonDN(n%benchPeople), nil)
		request.Replace("mail", []string{mail})
		start := time.Now()
		if err := admin.Modify(request); err != nil {
			b.Fatal(err)
		}
		if got := <-l.changed; got != mail {
			b.Fatalf("told %s, not %s", got, mail)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
