package session_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

// asked keeps what is asked of a database.
type asked struct {
	mu         sync.Mutex
	statements []string
}

func (a *asked) note(statement string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.statements = append(a.statements, statement)
}

// during gives what is asked while something is done, one after the other.
func (a *asked) during(do func()) []string {
	a.mu.Lock()
	a.statements = nil
	a.mu.Unlock()
	do()
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.statements)
}

// An opening beside 10,000 people of another tenant who wait for seats of the same pool asks
// the database exactly what one asks beside nobody, and nothing of the queue by itself: who
// waits stands in the pool's row and the tenant's share, and how often the device took a place of
// its own comes with the device. On PostgreSQL places
// are read ahead for many openings at once, whether anybody waits or not.
func TestAQueueCostsNothingToThoseWhoAreNotInIt(t *testing.T) {
	for _, e := range []struct {
		name string
		make func() store.Options
		most int // statements of an opening, its transaction and what is read before included
	}{
		{"sqlite", func() store.Options { return storetest.SQLite(t) }, 21},
		{"postgres", func() store.Options { return storetest.Postgres(t) }, 22},
	} {
		t.Run(e.name, func(t *testing.T) {
			var a asked
			o := e.make()
			o.Asked = a.note
			w := newWorldOn(t, o, 1000)
			w.only("10.80.0.0/16", provisioner.LicencePool{
				Contracts: []provisioner.Contract{{Seats: 1000}},
				Shares:    []provisioner.PoolShare{{Tenant: "stadt", Guarantee: 900}, {Tenant: "nachbar"}},
			})
			s := session.New(session.Options{Store: w.store, Standings: standings{w}, Confirmations: atOnce{}, Keys: keys{}, Logger: w.Logger})
			w.update(func(tx *store.Writer) error {
				_, err := tx.PutContact(store.Contact{Gateway: "gw1", Connected: true, ContactAt: time.Now().Add(time.Hour)}, true)
				return err
			})
			opens := func(n int) []string {
				actor := w.laptopOf("stadt", n)
				// In an order that does not depend on the one of a map.
				return slices.Sorted(slices.Values(a.during(func() {
					if opened, err := s.Open(context.Background(), actor, session.OpenRequest{Stream: "s", Wait: true}); err != nil || opened.Waits {
						t.Fatal(opened.Waits, err)
					}
				})))
			}
			opens(0) // its block of addresses is made
			alone := opens(1)
			w.update(func(tx *store.Writer) (err error) {
				for n := range 10_000 {
					err = errors.Join(err, tx.Enqueue(fmt.Sprintf("waits%06d", n), seat.Claim{Tenant: "nachbar"}, "stream"))
				}
				return err
			})
			beside := opens(2)
			if !slices.Equal(alone, beside) {
				t.Errorf("alone it asks\n%s\nbeside a queue\n%s", strings.Join(alone, "\n"), strings.Join(beside, "\n"))
			}
			if len(beside) > e.most || len(beside) == 0 {
				t.Errorf("an opening asks %d statements, more than %d:\n%s", len(beside), e.most, strings.Join(beside, "\n"))
			}
			if slices.ContainsFunc(beside, func(q string) bool { return strings.Contains(q, "from seat_queue") }) {
				t.Errorf("it asks of the queue:\n%s", strings.Join(beside, "\n"))
			}
		})
	}
}

// Whoever gives a seat reads the whole queue before its transaction: in it, in which nobody
// else can write, those alone who are next.
func TestWhoGivesSeatsKeepsOthersWaitingForThoseAlone(t *testing.T) {
	var a asked
	w := newWorldOn(t, store.Options{Database: storetest.SQLite(t).Database, Asked: a.note}, 1)
	w.serve("gw1")
	o := office{world: w, list: []replica{{sessions: w.Service}}}
	eva := w.laptop(1)
	evas := o.opens(eva)
	for n := range 3 {
		o.waits(w.laptop(2 + n))
	}
	o.close(eva, evas)
	all := a.during(func() { o.dispatch(0) })
	views, updates := 0, 0
	writes := false
	for _, q := range all {
		switch {
		case q == "begin immediate":
			writes = true
		case q == "commit":
			writes = false
		case strings.Contains(q, "with recursive line") && writes:
			updates++
		case strings.Contains(q, "with recursive line"):
			views++
		}
	}
	if views == 0 || updates > 0 {
		t.Errorf("the whole queue is read %d times in views and %d times in transactions:\n%s", views, updates, strings.Join(all, "\n"))
	}
	o.counted(1, 3, 2)
}
