package session_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// office is a world of laptops that wait.
type office struct {
	*world
	list []replica
	next int   // the replica asked next
	last int64 // the millisecond in which somebody began to wait
}

// at is the next replica: whoever waits at one is served by any.
func (o *office) at() *session.Service {
	o.next++
	return o.list[o.next%len(o.list)].sessions
}

func (o *office) ask(a provisioner.Actor) session.Opened {
	o.t.Helper()
	opened, err := o.at().Open(context.Background(), a, session.OpenRequest{Stream: a.ID, Wait: true})
	if err != nil {
		o.t.Fatal(err)
	}
	return opened
}

func (o *office) opens(a provisioner.Actor) session.Opened {
	o.t.Helper()
	opened := o.ask(a)
	if opened.Waits || opened.Session.ID == "" {
		o.t.Fatal("waits")
	}
	return opened
}

// waits has somebody wait, at a time of her own: of places of one millisecond ids decide.
func (o *office) waits(a provisioner.Actor) {
	o.t.Helper()
	for time.Now().UnixMilli() <= o.last {
		time.Sleep(time.Millisecond) // real: the clock alone tells of the next millisecond
	}
	defer func() { o.last = time.Now().UnixMilli() }()
	if opened := o.ask(a); !opened.Waits {
		o.t.Fatal("does not wait")
	}
}

func (o *office) close(a provisioner.Actor, s session.Opened) {
	o.t.Helper()
	if err := o.at().Close(context.Background(), a, s.Session.ID); err != nil {
		o.t.Fatal(err)
	}
}

// dispatch does a step of the duty in some time, in whichever process it is.
func (o *office) dispatch(in time.Duration) {
	o.t.Helper()
	if same, err := session.FreeIsSeen(context.Background(), o.at().Store); err != nil || !same {
		o.t.Errorf("who looks for free seats alone sees what the whole queue shows: %v, %v", same, err)
	}
	for range 2 { // what is taken back, and then who gets it
		if err := session.Dispatch(context.Background(), o.at().Store, in, func(*store.Writer) error { return nil }); err != nil {
			o.t.Fatal(err)
		}
	}
}

func (o *office) turn(a provisioner.Actor, want bool) {
	o.t.Helper()
	if got, err := o.at().Turn(context.Background(), a, a.ID); err != nil || got != want {
		o.t.Errorf("it is her turn: %v, %v, want %v", got, err, want)
	}
}

// counted compares what is counted with what is: held by sessions and offers, and who
// is in the queue.
func (o *office) counted(held, queued, waiting int64) {
	o.t.Helper()
	offers, err := store.Read(context.Background(), o.store, func(tx *store.Reader) ([]seat.Offer, error) {
		return tx.Offers(seat.Claim{Tenant: "stadt"}, time.Now())
	})
	if err != nil {
		o.t.Fatal(err)
	}
	if p := offers[0]; p.Held != held || p.Queued != queued || p.Waiting != waiting {
		o.t.Errorf("held %d, queued %d, waiting %d; want %d, %d, %d", p.Held, p.Queued, p.Waiting, held, queued, waiting)
	}
	// All moves of the queue, from when it was empty on, add up to who waits now.
	for at, want := range map[time.Time]int64{{}: 0, time.Now().Add(time.Hour): waiting} {
		waited, err := store.Read(context.Background(), o.store, func(tx *store.Reader) (map[string]int64, error) {
			waited, _, err := tx.WaitedAt(at)
			return waited, err
		})
		if err != nil || waited["stadt"] != want {
			o.t.Errorf("at %v %v waited (%v), want %d", at, waited, err, want)
		}
	}
}

const crisisGroup = "cn=krisenstab,dc=stadt"

// inOffice runs a test with two seats on each database.
func inOffice(t *testing.T, test func(o *office)) {
	onReplicas(t, 2, func(t *testing.T, w *world, list []replica) {
		w.t = t
		w.update(func(tx *store.Writer) error {
			tenant, err := tx.Tenant("stadt")
			if err != nil {
				return err
			}
			tenant.Priority.Crisis = crisisGroup
			return tx.PutTenant(tenant)
		})
		w.standing = func(p provisioner.Person) (provisioner.Standing, error) {
			groups := []string{staff}
			if p.StableID == "99" {
				groups = append(groups, crisisGroup)
			}
			return provisioner.Standing{Person: p.ID, Tenant: "stadt", Groups: groups, ReadAt: time.Now()}, nil
		}
		test(&office{world: w, list: list})
	})
}

func TestWhoWaitsGetsTheSeatThatComesFree(t *testing.T) {
	inOffice(t, func(o *office) {
		eva, emil, ada, kurt, crisis := o.laptop(1), o.laptop(2), o.laptop(3), o.laptop(4), o.laptop(99)
		evas := o.opens(eva)
		o.opens(emil)
		o.waits(ada)
		o.waits(kurt)
		o.waits(crisis)
		o.waits(kurt) // to ask again changes nothing
		o.counted(2, 3, 3)
		_, err := o.Open(t.Context(), o.laptop(5), session.OpenRequest{Stream: "s"}) // one that does not want to wait
		expect(t, err, provisioner.CodeNoSeat)
		o.dispatch(0)
		o.turn(ada, false)

		o.close(eva, evas)
		o.waits(eva) // who comes now does not pass who waits
		o.dispatch(0)
		o.turn(crisis, true)
		o.turn(ada, false)
		o.counted(2, 4, 3)
		o.opens(crisis)
		o.counted(2, 3, 3)

		// Who has a session has it still when she opens another.
		emils := o.opens(emil)
		o.counted(2, 3, 3)

		o.close(emil, emils)
		o.dispatch(0)
		o.turn(ada, true)
		o.turn(kurt, false)
		o.opens(ada)
		o.counted(2, 2, 2)
	})
}

// The queue is looked at before the transaction that gives a seat. It goes to who is first when
// it is given: to one of the crisis team who came in between, and to who was there before and had lost her
// connection for a moment.
func TestNobodyIsPassedBetweenLookAndGiving(t *testing.T) {
	for name, between := range map[string]func(o *office, first, crisis provisioner.Actor) (next provisioner.Actor){
		"nothing": func(_ *office, _, _ provisioner.Actor) provisioner.Actor { return provisioner.Actor{} },
		"a higher class comes": func(o *office, _, crisis provisioner.Actor) provisioner.Actor {
			o.waits(crisis)
			return crisis
		},
		"an older place is back": func(o *office, first, _ provisioner.Actor) provisioner.Actor {
			o.waits(first)
			return first
		},
	} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(o *office) {
				eva, emil, ada, kurt, crisis := o.laptop(1), o.laptop(2), o.laptop(3), o.laptop(4), o.laptop(99)
				evas := o.opens(eva)
				o.opens(emil)
				o.waits(ada)
				o.waits(kurt)
				if err := o.at().Leave(context.Background(), ada, ada.ID); err != nil {
					o.t.Fatal(err)
				}
				o.close(eva, evas)
				next := kurt
				err := session.DispatchAfter(context.Background(), o.at().Store, 0, func() {
					if other := between(o, ada, crisis); other.ID != "" {
						next = other
					}
				}, func(*store.Writer) error { return nil })
				if err != nil {
					o.t.Fatal(err)
				}
				for _, a := range []provisioner.Actor{ada, kurt, crisis} {
					q, err := store.Read(context.Background(), o.store, func(tx *store.Reader) (store.Queued, error) { return tx.InQueue(a.ID) })
					if err != nil && !errors.Is(err, store.ErrNone) {
						o.t.Fatal(err)
					}
					if (q.Pool != "") != (a.ID == next.ID) {
						o.t.Errorf("%+v, next is %s", q, next.ID)
					}
				}
			})
		})
	}
}

func TestAnOfferThatIsNotTakenGoesOn(t *testing.T) {
	inOffice(t, func(o *office) {
		eva, emil, ada, kurt := o.laptop(1), o.laptop(2), o.laptop(3), o.laptop(4)
		evas := o.opens(eva)
		o.opens(emil)
		o.waits(ada)
		o.waits(kurt)
		o.close(eva, evas)
		o.dispatch(0)
		o.dispatch(19 * time.Second)
		o.turn(ada, true)
		o.turn(kurt, false)
		o.dispatch(21 * time.Second)
		o.turn(kurt, true)
		o.counted(2, 2, 0)
		o.turn(ada, true) // to say that she is there
		o.waits(ada)
		o.counted(2, 2, 1)
		o.opens(kurt)
		o.counted(2, 1, 1)
	})
}

func TestAPlaceIsKeptForThreeMinutes(t *testing.T) {
	inOffice(t, func(o *office) {
		leave := func(a provisioner.Actor, stream string) {
			t.Helper()
			if err := o.at().Leave(t.Context(), a, stream); err != nil {
				t.Fatal(err)
			}
		}
		eva, emil, ada, kurt := o.laptop(1), o.laptop(2), o.laptop(3), o.laptop(4)
		evas, emils := o.opens(eva), o.opens(emil)
		o.waits(ada)
		o.waits(kurt)
		leave(ada, "another stream of hers that ended before")
		o.counted(2, 2, 2)
		leave(ada, ada.ID)
		o.counted(2, 2, 1)

		// Who is away is passed, and keeps her place.
		o.close(eva, evas)
		o.dispatch(2 * time.Minute)
		o.turn(kurt, true)
		kurts := o.opens(kurt)
		o.waits(eva)
		o.waits(ada)
		o.close(kurt, kurts)
		o.dispatch(0)
		o.turn(ada, true)
		o.turn(eva, false)

		// A seat that was held for who leaves goes to the next.
		leave(ada, ada.ID)
		o.dispatch(0)
		o.turn(eva, true)
		o.opens(eva)
		o.counted(2, 1, 0)

		// After three minutes it is gone.
		o.dispatch(4 * time.Minute)
		o.counted(2, 0, 0)
		o.waits(kurt)
		o.waits(ada)
		o.close(emil, emils)
		o.dispatch(0)
		o.turn(kurt, true)
		o.turn(ada, false)
	})
}

// A replica that is gone without a word takes nobody's turn from the others for long.
func TestWhoIsUnheardIsPassed(t *testing.T) {
	inOffice(t, func(o *office) {
		eva, emil, ada, kurt := o.laptop(1), o.laptop(2), o.laptop(3), o.laptop(4)
		evas := o.opens(eva)
		o.opens(emil)
		o.waits(ada)
		o.waits(kurt)
		o.update(func(tx *store.Writer) error {
			tx.Now = tx.Now.Add(time.Minute)
			return tx.HearQueued([]string{kurt.ID})
		})
		o.close(eva, evas)
		o.dispatch(2 * time.Minute)
		o.turn(kurt, true)
		o.counted(2, 2, 0)
	})
}

// Nobody who is forgotten leaves a seat behind that nobody holds.
func TestWhoIsForgottenLeavesTheQueue(t *testing.T) {
	inOffice(t, func(o *office) {
		eva, emil, ada := o.laptop(1), o.laptop(2), o.laptop(3)
		evas := o.opens(eva)
		o.opens(emil)
		o.waits(ada)
		o.close(eva, evas)
		o.dispatch(0)
		o.counted(2, 1, 0)
		o.update(func(tx *store.Writer) error {
			d, err := tx.Device(ada.ID)
			if err != nil {
				return err
			}
			return tx.ForgetEverything(store.Subject{Person: provisioner.Person{ID: d.Person}, Tenant: "stadt"})
		})
		o.counted(1, 0, 0)
	})
}

// The duty wakes by itself, and who waits here is told her place and how long it may last.
func TestTheQueueMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 6)
		w.serve("gw1")
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 2)
		go func() { ended <- w.RunQueue(ctx) }()
		go func() { ended <- w.RunLine(ctx) }()
		o := office{world: w, list: []replica{{sessions: w.Service}}}
		var open []session.Opened
		for n := range 6 {
			open = append(open, o.opens(w.laptop(n)))
		}
		goes := func(n int) {
			w.update(func(tx *store.Writer) error {
				_, err := tx.CloseSessionOf(open[n].Session.Device, provisioner.CodeSessionClosed)
				return err
			})
		}
		for n := range 4 {
			goes(n)
			open[n] = o.opens(w.laptop(20 + n))
		}
		ada, kurt := w.laptop(10), w.laptop(11)
		o.waits(ada)
		time.Sleep(time.Second)
		o.waits(kurt)
		adas, kurts := w.Await(ada.ID, session.Place{}), w.Await(kurt.ID, session.Place{})
		defer adas.Close()
		defer kurts.Close()
		<-kurts.C
		if p := kurts.Place(); p != (session.Place{Position: 2}) { // four in an hour are no rate
			t.Errorf("he has place %+v", p)
		}
		<-adas.C
		if p := adas.Place(); p != (session.Place{Position: 1}) {
			t.Errorf("she has place %+v", p)
		}
		goes(5)
		time.Sleep(2 * time.Second)
		o.turn(ada, true)
		o.opens(ada)
		time.Sleep(40 * time.Second)
		<-kurts.C
		if p := kurts.Place(); p != (session.Place{Position: 1, Wait: 6 * time.Minute}) {
			t.Errorf("he has place %+v", p)
		}
		stop()
		if err := errors.Join(<-ended, <-ended); err != nil {
			t.Error(err)
		}
	})
}

// Whoever works and is moved by the control plane comes back to her seat, however many
// wait; if she does not come, it goes on after a lease.
func TestWhoIsMovedKeepsHerSeat(t *testing.T) {
	inOffice(t, func(o *office) {
		eva, emil, ada := o.laptop(1), o.laptop(2), o.laptop(3)
		o.opens(eva)
		o.opens(emil)
		o.waits(ada)
		moved := func(a provisioner.Actor, why provisioner.Code) {
			o.update(func(tx *store.Writer) error { _, err := tx.CloseSessionOf(a.ID, why); return err })
			o.dispatch(time.Minute)
			o.turn(ada, false)
		}
		for _, why := range []provisioner.Code{provisioner.CodeGatewayMoved, provisioner.CodeAccessChanged, provisioner.CodeSessionAged, provisioner.CodeGatewayNotReady,
			provisioner.CodeGatewayDraining, provisioner.CodeGatewayMaintenance, provisioner.CodeGatewayLost} {
			moved(eva, why)
			o.counted(2, 2, 1)
			o.opens(eva)
			o.counted(2, 1, 1)
		}
		moved(emil, provisioner.CodeGatewayMoved)
		o.update(func(tx *store.Writer) error { // ada is there all the time
			tx.Now = tx.Now.Add(provisioner.Lease)
			return tx.HearQueued([]string{ada.ID})
		})
		o.dispatch(provisioner.Lease + time.Second)
		o.turn(ada, true)
		o.waits(emil)
	})
}

// While a pool drains, whoever is in stays in, also with her next session.
func TestADrainingPoolCutsNobodyOff(t *testing.T) {
	inOffice(t, func(o *office) {
		eva, emil := o.laptop(1), o.laptop(2)
		o.opens(eva)
		emils := o.opens(emil)
		o.update(func(tx *store.Writer) error {
			pool, err := tx.Pool("vpn")
			if err != nil {
				return err
			}
			pool.Contracts = []provisioner.Contract{{Seats: 1}}
			return tx.PutPool(pool)
		})
		o.waits(o.laptop(3))
		o.opens(eva)
		o.counted(2, 1, 1)
		o.close(emil, emils)
		o.dispatch(0)
		o.counted(1, 1, 1)
		o.waits(emil)
		o.opens(eva)
		o.counted(1, 2, 2)
	})
}

// Nobody waits for what no contract gives.
func TestNobodyWaitsForNothing(t *testing.T) {
	inOffice(t, func(o *office) {
		o.opens(o.laptop(1))
		o.opens(o.laptop(2))
		ada, kurt := o.laptop(3), o.laptop(4)
		o.waits(ada)
		o.waits(kurt)
		o.update(func(tx *store.Writer) error {
			pool, err := tx.Pool("vpn")
			if err != nil {
				return err
			}
			pool.Contracts = []provisioner.Contract{{Seats: 2, Until: tx.Now.Add(-time.Hour)}}
			return tx.PutPool(pool)
		})
		o.dispatch(0)
		o.dispatch(0)
		o.counted(2, 2, 0)
		for _, a := range []provisioner.Actor{ada, kurt} {
			o.turn(a, true) // to hear it
			_, err := o.at().Open(t.Context(), a, session.OpenRequest{Stream: a.ID, Wait: true})
			expect(t, err, provisioner.CodeNoLicence)
		}
	})
}

// While a crisis is closed to her who waits, she is passed and in nobody's way; after it
// she goes on in her place, also if her laptop was away for a moment.
func TestACrisisIsClosedToWhoWaits(t *testing.T) {
	inOffice(t, func(o *office) {
		eva, emil, ada, kurt, crisis := o.laptop(1), o.laptop(2), o.laptop(3), o.laptop(4), o.laptop(99)
		evas, emils := o.opens(eva), o.opens(emil)
		o.waits(ada)
		o.waits(kurt)
		o.close(eva, evas)
		o.dispatch(0)
		o.turn(ada, true)
		o.change(func(t *provisioner.Tenant) { t.Crisis.CloseOrdinary = true })
		begun := func(tx *store.Writer) error { _, err := tx.BeginCrisis("stadt", "flood"); return err }
		o.update(begun)
		o.counted(1, 2, 0)
		o.turn(ada, false)
		o.waits(ada) // her laptop had heard of the offer
		o.dispatch(0)
		o.counted(1, 2, 0)
		_, err := o.at().Open(t.Context(), eva, session.OpenRequest{Stream: eva.ID, Wait: true})
		expect(t, err, provisioner.CodeCrisisMode) // who has no place gets none
		if err := o.at().Leave(t.Context(), kurt, kurt.ID); err != nil {
			t.Fatal(err)
		}
		o.waits(kurt)

		team := o.opens(crisis)
		o.close(emil, emils)
		o.dispatch(0)
		o.counted(1, 2, 0)

		// The plan may change meanwhile.
		o.change(func(t *provisioner.Tenant) { t.Crisis.CloseOrdinary = false })
		o.counted(1, 2, 2)
		o.change(func(t *provisioner.Tenant) { t.Crisis.CloseOrdinary = true })
		o.counted(1, 2, 0)
		o.update(func(tx *store.Writer) error { _, err := tx.EndCrisis("stadt"); return err })
		o.counted(1, 2, 2)
		o.dispatch(0)
		o.turn(ada, true)
		o.turn(kurt, false)
		o.opens(ada)
		o.close(crisis, team)
		o.dispatch(0)
		o.opens(kurt)

		// Who was moved has her seat still.
		o.update(begun)
		o.update(func(tx *store.Writer) error {
			_, err := tx.CloseSessionOf(ada.ID, provisioner.CodeGatewayMoved)
			return err
		})
		o.dispatch(0)
		o.opens(ada)
	})
}
