package provisionertest_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/ldap"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// city is a control plane that follows a real slapd, with one gateway.
type city struct {
	*provisionertest.Server

	slapd   *slapdtest.Server
	gateway *provisionertest.Gateway
}

func newCity(tb testing.TB, people int) *city {
	tb.Helper()
	slapd := slapdtest.Start(tb, slapdtest.Options{People: people, Sync: true, SizeLimit: slapdtest.Unlimited, MemberOf: true})
	c := slapd.Configuration()
	d := provisionertest.Declaration()
	d.Directories[0].Servers, d.Directories[0].CaPem, d.Directories[0].Base = c.Servers, string(c.CAPEM), c.Base
	d.Directories[0].BindDn, d.Directories[0].BindPasswordFile = c.BindDN, c.BindPasswordFile
	d.Tenants = d.Tenants[:1]
	d.Tenants[0].StaffGroup, d.Tenants[0].Roles = slapdtest.StaffGroup, &heimdrahtv1.Roles{Helpdesk: slapdtest.Helpdesk}
	d.LicencePools[0].Seats, d.Gateways[0].Sessions = 100_000, 50_000
	s := provisionertest.StartWith(tb, provisionertest.Options{
		Declaration: d,
		OpenDirectory: func(d provisioner.Directory) (directory.Directory, error) {
			c.Name = d.Name
			return ldap.New(c, nil)
		},
	})
	city := &city{Server: s, slapd: slapd, gateway: s.JoinGateway("gw1")}
	city.gateway.Run()
	return city
}

// staff lists the numbers of n generated people who are in the staff group.
func staff(n int) []int {
	var list []int
	for i := 0; len(list) < n; i++ {
		if i%2 == 0 && i%10 != 0 {
			list = append(list, i)
		}
	}
	return list
}

// session enrols a laptop of a generated person, and opens a session, which stays when the stream has gone. It gives its id.
func (c *city) session(tb testing.TB, person int) string {
	tb.Helper()
	login, password := slapdtest.Person(person)
	l, err := provisionertest.TryEnrolWith(context.Background(), c.DialFrom(fmt.Sprintf("127.0.%d.%d", 1+person%250, 1+person/250%250), nil),
		provisionertest.NewLaptop(tb), login, password, fmt.Sprint("SN", person))
	if err != nil {
		tb.Fatal("enrolling: ", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	opened, err := provisionertest.Open(c.Attach(ctx, l), "")
	if err != nil || opened.GetOpened() == nil {
		tb.Fatal("opening: ", opened, err)
	}
	return opened.GetOpened().GetSessionId()
}

// untilGone waits until the gateway has removed the peer of a session, which it acknowledges next.
func (c *city) untilGone(tb testing.TB, session string, within time.Duration) time.Duration {
	tb.Helper()
	began := time.Now()
	for c.gateway.Peer(session) != nil {
		if time.Since(began) > within {
			tb.Fatalf("the peer is still there after %v", within)
		}
		time.Sleep(100 * time.Microsecond) // real: nothing tells of what the gateway holds
	}
	return time.Since(began)
}

// TestWhoLeavesLosesThePeer: a change in a real slapd takes the peer from the gateway, without anybody asking.
func TestWhoLeavesLosesThePeer(t *testing.T) {
	c := newCity(t, 40)
	people := staff(4)
	sessions := make([]string, len(people))
	for i, n := range people {
		sessions[i] = c.session(t, n)
	}
	department := func(n int) string { return fmt.Sprintf("cn=amt-%03d,%s", n%380, slapdtest.GroupsBase) }

	c.slapd.Set(slapdtest.PersonDN(people[0]), "pwdAccountLockedTime", "000001010000Z")
	c.untilGone(t, sessions[0], 10*time.Second)
	c.slapd.Delete(slapdtest.PersonDN(people[1]))
	c.untilGone(t, sessions[1], 10*time.Second)
	c.slapd.Put(department(people[2]), "member", slapdtest.AdminDN)              // a group must have one
	c.slapd.Take(department(people[2]), "member", slapdtest.PersonDN(people[2])) // three levels below the staff group
	c.untilGone(t, sessions[2], 10*time.Second)
	if c.gateway.Peer(sessions[3]) == nil {
		t.Error("somebody else lost the peer")
	}
}

// BenchmarkLeave is from before a person is deleted in slapd until the gateway has removed her peer, beside 5,000 sessions
// and 29,000 people.
func BenchmarkLeave(b *testing.B) {
	const sessions = 5000
	c := newCity(b, 29000)
	people := staff(sessions)
	ids := make([]string, sessions)
	each(b, 8, sessions, func(i int) { ids[i] = c.session(b, people[i]) })
	next := 0
	for _, change := range []struct {
		name string
		do   func(person int)
	}{
		{"deleted", func(n int) { c.slapd.Delete(slapdtest.PersonDN(n)) }},
		{"out-of-a-group", func(n int) {
			c.slapd.Take(fmt.Sprintf("cn=amt-%03d,%s", n%380, slapdtest.GroupsBase), "member", slapdtest.PersonDN(n))
		}},
	} {
		b.Run("change="+change.name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				n := next
				next++
				began := time.Now()
				change.do(people[n])
				c.untilGone(b, ids[n], 30*time.Second)
				took = append(took, time.Since(began))
			}
			slices.SortFunc(took, cmp.Compare)
			b.ReportMetric(float64(took[len(took)/2])/1e6, "ms-p50")
			b.ReportMetric(float64(took[len(took)*99/100])/1e6, "ms-p99")
		})
	}
}

// each does something n times, so many at a time.
func each(tb testing.TB, callers, n int, do func(int)) {
	tb.Helper()
	work := make(chan int)
	done := make(chan struct{})
	for range callers {
		go func() {
			for i := range work {
				do(i)
			}
			done <- struct{}{}
		}()
	}
	for i := range n {
		work <- i
	}
	close(work)
	for range callers {
		<-done
	}
}
