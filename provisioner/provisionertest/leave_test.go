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
	"github.com/heimdraht/heimdraht/provisioner/directory/sambatest"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// city is a control plane that follows a real directory, with one gateway.
type city struct {
	*provisionertest.Server

	slapd   *slapdtest.Server // nil: it is another one
	gateway *provisionertest.Gateway
}

func newCity(tb testing.TB, people int) *city {
	tb.Helper()
	slapd := slapdtest.Start(tb, slapdtest.Options{People: people, Sync: true, SizeLimit: slapdtest.Unlimited, MemberOf: true})
	city := newCityOn(tb, slapd.Configuration(), slapdtest.StaffGroup, slapdtest.Helpdesk)
	city.slapd = slapd
	return city
}

func newCityOn(tb testing.TB, c directory.Config, staffGroup, helpdesk string) *city {
	tb.Helper()
	d := provisionertest.Declaration()
	d.Directories[0].Servers, d.Directories[0].CaPem, d.Directories[0].Base = c.Servers, string(c.CAPEM), c.Base
	d.Directories[0].BindDn, d.Directories[0].BindPasswordFile = c.BindDN, c.BindPasswordFile
	d.Tenants = d.Tenants[:1]
	d.Tenants[0].StaffGroup, d.Tenants[0].Roles = staffGroup, &heimdrahtv1.Roles{Helpdesk: helpdesk}
	d.LicencePools[0].Contracts[0].Seats, d.Gateways[0].Sessions = 100_000, 50_000
	s := provisionertest.StartWith(tb, provisionertest.Options{
		Declaration: d,
		OpenDirectory: func(d provisioner.Directory) (directory.Directory, error) {
			c.Name = d.Name
			return ldap.New(c, nil)
		},
	})
	city := &city{Server: s, gateway: s.JoinGateway("gw1")}
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

// session is sessionOf a person generated in slapd.
func (c *city) session(tb testing.TB, person int) string {
	tb.Helper()
	login, password := slapdtest.Person(person)
	return c.sessionOf(tb, person, login, password)
}

// sessionOf enrols a laptop of somebody, and opens a session, which stays when the stream has gone. It gives its id.
func (c *city) sessionOf(tb testing.TB, person int, login, password string) string {
	tb.Helper()
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
			c.leave(b, func() (string, func()) {
				n := next
				next++
				return ids[n], func() { change.do(people[n]) }
			})
		})
	}
}

// leave measures from before a change until the gateway has removed the peer of the session. Each time another one is given.
func (c *city) leave(b *testing.B, another func() (session string, change func())) {
	b.Helper()
	var took []time.Duration
	for b.Loop() {
		session, change := another()
		began := time.Now()
		change()
		c.untilGone(b, session, 30*time.Second)
		took = append(took, time.Since(began))
	}
	slices.SortFunc(took, cmp.Compare)
	b.ReportMetric(float64(took[len(took)/2])/1e6, "ms-p50")
	b.ReportMetric(float64(took[len(took)*99/100])/1e6, "ms-p99")
}

// BenchmarkLeaveActiveDirectory is the same on Samba's domain controller, beside 100 sessions and 2,000 people. At most 40
// may leave the group before the brake holds them, so each run has a control plane of its own.
func BenchmarkLeaveActiveDirectory(b *testing.B) {
	const sessions, people = 100, 2000
	s := sambatest.Start(b, sambatest.Options{People: people})
	var everybody []string
	for n := range people {
		everybody = append(everybody, sambatest.PersonDN(n))
	}
	staffGroup, helpdesk := s.AddGroup("Homeoffice", everybody...), s.AddGroup("Helpdesk")
	next := 0
	for _, change := range []struct {
		name string
		do   func(dn string)
	}{
		{"disabled", s.Disable},
		{"out-of-a-group", func(dn string) { s.RemoveMembers(staffGroup, dn) }},
	} {
		b.Run("change="+change.name, func(b *testing.B) {
			c := newCityOn(b, s.SyncConfiguration(), staffGroup, helpdesk)
			const password = "Guten-Morgen"
			ids, first := make([]string, sessions), next
			next += sessions
			for i := range ids {
				n := (first + i) % people
				s.SetPassword(sambatest.PersonDN(n), password)
				ids[i] = c.sessionOf(b, n, sambatest.PersonLogin(n), password)
			}
			i := 0
			c.leave(b, func() (string, func()) {
				n, id := (first+i)%people, ids[i]
				i++
				return id, func() { change.do(sambatest.PersonDN(n)) }
			})
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
