package session_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	namedSeats  = 2
	namedPeople = 4
	namedEach   = 2 // laptops of each
)

// seatOf is whose a named seat is.
type seatOf int8

const (
	seatNone seatOf = iota
	seatHers
	seatReturned // taken back, and counted while a session of hers is on it
)

// namedState is who has a seat, and which laptops have a session.
type namedState struct {
	seats [namedPeople]seatOf
	open  [namedPeople * namedEach]bool
}

func (s *namedState) counted() (n int) {
	for _, v := range s.seats {
		if v != seatNone {
			n++
		}
	}
	return n
}

// askedNamed is what somebody asks with a laptop.
type askedNamed struct {
	laptop int
	what   string
}

func stepNamed(before, input, output any) (bool, any) {
	s, in, code := before.(namedState), input.(askedNamed), output.(provisioner.Code)
	person := in.laptop / namedEach
	switch in.what {
	case "open":
		granted := s.seats[person] != seatNone || s.counted() < namedSeats // one that is counted still is hers again
		if !granted {
			return code == provisioner.CodeNoSeat, s
		}
		s.seats[person], s.open[in.laptop] = seatHers, true
	case "close":
		s.open[in.laptop] = false
	case "take back":
		if s.seats[person] == seatNone {
			return code == provisioner.CodeNotFound, s
		}
		s.seats[person] = seatReturned
		s.drop(person)
	case "sweep":
		for p := range s.seats {
			if s.seats[p] == seatReturned {
				s.drop(p)
			}
		}
	}
	return code == "", s
}

// drop frees a seat that was taken back, unless a session is on it.
func (s *namedState) drop(person int) {
	for n := range namedEach {
		if s.open[person*namedEach+n] {
			return
		}
	}
	s.seats[person] = seatNone
}

// TestHistoriesOfNamedSeats: people share named seats with several laptops each, while
// the administrator takes seats back. A seat is never two people's: whoever has a
// session has one, and there are never more than were bought, those that were taken
// back and are still used among them.
func TestHistoriesOfNamedSeats(t *testing.T) {
	model := porcupine.Model{Init: func() any { return namedState{} }, Step: stepNamed}
	onReplicas(t, 0, func(t *testing.T, w *world, list []replica) {
		pool := provisioner.LicencePool{
			Name: "names", Model: provisioner.PoolNamed, Contracts: []provisioner.Contract{{Seats: namedSeats}}, Shares: []provisioner.PoolShare{{Tenant: "stadt"}},
		}
		w.update(func(tx *store.Writer) error { return tx.PutPool(pool) })
		laptops := make([]laptop, 0, namedPeople*namedEach)
		people := make([]string, namedPeople)
		for p := range people {
			first := w.laptop(p)
			d := w.device(first.ID)
			people[p] = d.Person
			laptops = append(laptops, laptop{actor: first})
			w.update(func(tx *store.Writer) error {
				return tx.PutStanding(provisioner.Standing{Person: d.Person, Tenant: "stadt", Groups: []string{staff}, Entitled: true, ReadAt: tx.Now})
			})
			for n := range namedEach - 1 {
				next := first
				next.ID = provisioner.NewID()
				d.ID, d.SerialNumber, d.PublicKey[0] = next.ID, fmt.Sprint("another ", n), d.PublicKey[0]^byte(n+1)
				w.update(func(tx *store.Writer) error { return tx.AddDevice(d) })
				laptops = append(laptops, laptop{actor: next})
			}
		}
		h := newHistory(t)
		clients(len(laptops), 25, func(n int, random *rand.Rand) {
			s, l, person := list[random.IntN(len(list))].sessions, &laptops[n], people[n/namedEach]
			in := askedNamed{n, []string{"open", "open", "take back", "sweep"}[random.IntN(4)]}
			if in.what == "open" && l.held != "" && random.IntN(4) > 0 {
				in.what = "close"
			}
			h.do(n, in, func() any {
				var err error
				switch in.what {
				case "take back":
					err = takeBack(s, pool, person)
				case "sweep":
					err = s.Store.Update(context.Background(), func(tx *store.Writer) error {
						_, err := tx.DropSeats(pool, people)
						return err
					})
				default:
					_, err = l.use(t.Context(), s, in.what == "open")
				}
				return codeOf(t, err)
			})
		})
		h.judge(model)
	})
}

// takeBack takes somebody's seat back, as an administrator does.
func takeBack(s *session.Service, pool provisioner.LicencePool, person string) error {
	return s.Store.Update(context.Background(), func(tx *store.Writer) error {
		n, err := tx.NamedSeat(pool.Name, person)
		if errors.Is(err, store.ErrNone) {
			return provisioner.Refuse(provisioner.CodeNotFound)
		}
		if err != nil {
			return err
		}
		_, err = tx.ReturnSeat(pool, n)
		return err
	})
}
