package seat_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner/seat"
)

// However seats are held: what tenants hold is what they use of their guarantees and what
// they borrow; of what is borrowed all that is not lent is promised to nobody, or kept for a
// class that does not use it; and what is lent lies unused in somebody's guarantee.
func TestWhatIsLentAndBorrowedAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := func(most int64, name string) int64 { return rapid.Int64Range(0, most).Draw(t, name) }
		var shares []seat.Share
		var held, guaranteed, unused, borrowed int64
		for range rapid.IntRange(1, 6).Draw(t, "tenants") {
			s := seat.Share{Guarantee: n(10, "guarantee"), Held: n(15, "held")}
			shares = append(shares, s)
			held, guaranteed = held+s.Held, guaranteed+s.Guarantee
			unused, borrowed = unused+s.Unused(), borrowed+s.Borrowed()
			if s.Unused() > 0 && s.Borrowed() > 0 || s.Held != s.Guarantee-s.Unused()+s.Borrowed() {
				t.Fatalf("%+v: unused %d, borrowed %d", s, s.Unused(), s.Borrowed())
			}
		}
		reserve, ofReserve := n(5, "reserve"), n(5, "held of the reserve")
		reserved := max(reserve, ofReserve)
		most := n(80, "seats")
		lent := seat.Lent(most, reserved, shares)
		if held != guaranteed-unused+borrowed || lent < 0 || lent > unused || lent > borrowed {
			t.Fatalf("held %d, guaranteed %d, unused %d, borrowed %d, lent %d", held, guaranteed, unused, borrowed, lent)
		}
		free := max(0, most-reserved-guaranteed)
		if held+ofReserve <= most && borrowed-lent > free+reserved-ofReserve { // it does not drain
			t.Fatalf("%d are borrowed, %d of them lent, and promised to nobody are %d", borrowed, lent, free)
		}
		if lent > 0 && borrowed-lent < free {
			t.Fatalf("%d are lent, although of %d that are promised to nobody only %d are borrowed", lent, free, borrowed-lent)
		}
	})
}
