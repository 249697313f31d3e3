package entitlement_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

// entitled counts who has the right.
func (c *city) entitled() int {
	c.tb.Helper()
	l, err := store.Read(c.tb.Context(), c.store, func(tx *store.Reader) (store.Losses, error) { return tx.Losses("stadt", time.Now()) })
	if err != nil {
		c.tb.Fatal(err)
	}
	return l.Entitled
}

func (c *city) held() int {
	c.tb.Helper()
	list, err := c.rights.Pending(c.tb.Context(), operator, "")
	if err != nil {
		c.tb.Fatal(err)
	}
	n := 0
	for _, p := range list {
		n += len(p.People)
	}
	return n
}

// seen waits until everything changed in slapd so far has been looked at: somebody who is made last is known.
func (c *city) seen() {
	c.tb.Helper()
	uid := fmt.Sprint("letzte", time.Now().UnixNano())
	dn := "uid=" + uid + ",ou=Bauhof," + slapdtest.PeopleBase
	c.slapd.AddPerson(dn, uid, "Lena Letzte")
	c.slapd.Put(outsideGroup, "member", dn)
	c.until("the last one is known", func() bool {
		n, err := store.Read(c.tb.Context(), c.store, func(tx *store.Reader) (int, error) {
			people, err := tx.KnownPeople("stadt", "", 100_000)
			for _, k := range people {
				if k.Person.Login == uid {
					return 1, err
				}
			}
			return 0, err
		})
		if err != nil {
			c.tb.Fatal(err)
		}
		return n == 1
	})
	c.until("it is settled", func() bool { return c.status().HeardAt.After(time.Time{}) })
}

// TestABurstOfIntruderLocks: somebody who locks everybody out by wrong passwords throws nobody off the network.
func TestABurstOfIntruderLocks(t *testing.T) {
	t.Parallel()
	const people = 5000 // of whom the brake would let 200 go
	c := newCity(t, startCity(t, people), storetest.SQLite(t))
	c.follow()
	c.settled(1)
	before := c.entitled()
	if before < people*2/5 {
		t.Fatalf("%d people have the right", before)
	}
	now := time.Now().UTC().Format("20060102150405Z")
	for i := range people {
		c.slapd.Set(slapdtest.PersonDN(i), "pwdAccountLockedTime", now)
	}
	c.seen()
	if got := c.entitled(); got != before || c.held() != 0 {
		t.Errorf("%d of %d people have the right, %d are held", got, before, c.held())
	}
}

// TestACityLosesNothingByMistake lets things happen in a real directory that took everybody off other systems.
func TestACityLosesNothingByMistake(t *testing.T) {
	const people = 500 // of whom 200 are staff, and the ten with a trait who have the right
	staffOf := func() int {
		n := 0
		for i := range people {
			if i%2 == 0 && i%10 != 0 {
				n++
			}
		}
		return n
	}
	person := slapdtest.PersonDN
	for _, tt := range []struct {
		name       string
		do         func(*city)
		lose, held int
	}{
		{"the staff group is emptied", func(c *city) {
			c.slapd.Set(slapdtest.StaffGroup, "member", slapdtest.AdminDN)
		}, 0, -1},
		{"the staff group is deleted", func(c *city) { c.slapd.Delete(slapdtest.StaffGroup) }, 0, 0},
		{"many are deleted one by one", func(c *city) {
			for i := range people {
				if i%2 == 0 && i%10 != 0 {
					c.slapd.Delete(person(i))
				}
			}
		}, 21, 179}, // a tenth of 210
		{"many are moved within the base", func(c *city) {
			for i := range 50 {
				login, _ := slapdtest.Person(i)
				c.slapd.Rename(person(i), "uid="+login, "ou=Bauhof,"+slapdtest.PeopleBase)
			}
		}, 0, 0},
		{"two lose a group three levels up", func(c *city) {
			c.slapd.Take("cn=dezernat-002,"+slapdtest.GroupsBase, "member", "cn=amt-002,"+slapdtest.GroupsBase)
		}, 2, 0},
		{"the server goes away and comes back", func(c *city) {
			c.slapd.Stop()
			c.until("the directory is lost", func() bool { return c.status().State == store.FollowingDown })
			c.slapd.Run()
			c.until("it is followed again", func() bool { return c.status().State == store.FollowingLive })
		}, 0, 0},
		{"an old copy is restored, from before many were staff", func(c *city) {
			// What is the present becomes the past: many join after the copy was made.
			c.slapd.Quit()
			restore := c.slapd.Backup()
			c.slapd.Run()
			for i := range 50 {
				c.slapd.Put(slapdtest.StaffGroup, "member", person(10*i+1))
			}
			c.seen()
			c.slapd.Quit()
			restore()
			c.slapd.Run()
			c.until("it is followed again", func() bool { return c.status().State == store.FollowingLive })
		}, -50, 50},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newCity(t, startCity(t, people), storetest.SQLite(t))
			c.follow()
			c.settled(1)
			before := c.entitled()
			if before < staffOf() {
				t.Fatalf("%d people have the right, of %d", before, staffOf())
			}
			tt.do(c)
			c.seen()
			want := before - tt.lose
			if got := c.entitled(); got != want {
				t.Errorf("%d of %d people have the right, want %d", got, before, want)
			}
			held := tt.held
			if held < 0 {
				held = before
			}
			if got := c.held(); got != held {
				t.Errorf("%d people are held, want %d", got, held)
			}
		})
	}
}
