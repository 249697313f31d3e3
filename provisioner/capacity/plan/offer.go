package plan

import (
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
)

// Offer is something that can be bought.
type Offer struct {
	Name string
	Kind Kind

	// Price is of a seat, a server or a laptop; of a base, for all seats that are included.
	// Its period counts for Used and Base.
	Price       provisioner.Price
	Maintenance provisioner.Price // of each that was bought, a year; zero: none

	Pack         int64     // only so many at a time; zero: one
	DeliveryDays int64     // from order to use
	From, Until  time.Time // when it can be ordered; Until is not in it; zero: always

	UsedShare int64             // Used: how many of the seats are used on average, in millionths; zero: all
	Included  int64             // Base: seats
	Overage   provisioner.Price // Base: of a seat beyond, in the period of Price

	Sessions int64 // Server: at most
	Kilobits int64 // Server: kbit/s; zero: not said
}

// Kind is how an offer is paid.
type Kind string

// The kinds.
const (
	Perpetual Kind = "perpetual" // a seat is bought once, and maintained
	Used      Kind = "used"      // a seat is paid as it is used
	Base      Kind = "base"      // some seats are included, each beyond is paid
	Server    Kind = "server"    // one more gateway
	Laptop    Kind = "laptop"
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{Perpetual, Used, Base, Server, Laptop} }

// The dearest that can be offered: a hundred million euros.
const mostCents = 10_000_000_000

func (o Offer) check() error {
	prices := []provisioner.Price{o.Price, o.Maintenance, o.Overage}
	for _, p := range prices {
		if p.Period != "" && p.Period != provisioner.PerYear && p.Period != provisioner.PerMonth {
			return errors.New("a price is for a period that is none")
		}
		if p.NetCents < 0 || p.GrossCents < 0 || p.NetCents > mostCents || p.GrossCents > mostCents {
			return fmt.Errorf("a price is %d net and %d gross, must be from 0 to %d cents", p.NetCents, p.GrossCents, int64(mostCents))
		}
	}
	switch {
	case o.Name == "" || len(o.Name) > 100:
		return errors.New("it has no name, or one of more than 100 bytes")
	case o.Price.NetCents == 0:
		return errors.New("it has no price")
	case o.Pack < 0 || o.Pack > capacity.MostSeats || o.Included < 0 || o.Included > capacity.MostSeats:
		return errors.New("its pack or its included seats are out of range")
	case o.DeliveryDays < 0 || o.DeliveryDays > 3650:
		return errors.New("its delivery is out of range")
	case !o.From.IsZero() && !o.Until.IsZero() && !o.From.Before(o.Until):
		return errors.New("it ends before it begins")
	case o.UsedShare < 0 || o.UsedShare > million:
		return errors.New("more seats are used than there are")
	case o.Kind == Server && (o.Sessions < 1 || o.Sessions > capacity.MostSeats || o.Kilobits < 0 || o.Kilobits > mostKilo):
		return errors.New("what it carries is out of range")
	}
	for _, k := range Kinds() {
		if k == o.Kind {
			return nil
		}
	}
	return fmt.Errorf("the kind %q is none", o.Kind)
}

// gross reports whether all prices are known with tax.
func (o Offer) gross() bool {
	for _, p := range []provisioner.Price{o.Price, o.Maintenance, o.Overage} {
		if p.NetCents > 0 && p.GrossCents == 0 {
			return false
		}
	}
	return true
}
