package plan

import (
	"fmt"
	"math"
	"math/big"
	"slices"

	"github.com/heimdraht/heimdraht/provisioner/capacity"
)

// Figure is a number of a plan with what it was made of. All are whole numbers, so
// that whoever recomputes one gets the same, and money adds up.
type Figure struct {
	Name   Name
	Tenant string // whose; empty: of all that are planned for
	Of     string // pool, contract, gateways or offer; empty: of none
	Year   int    // of the plan, from 1; zero: it is not of a year
	Step   int64  // share at home, in millionths, of a point of a curve; zero: it is no point of one
	Value  int64
	Unit   Unit

	Formula Formula   // empty: it was given or counted
	Inputs  []*Figure // in the order in which the formula takes them
}

// Unit is what a figure counts.
type Unit string

// The units.
const (
	Millionths Unit = "millionths" // of a share or a probability
	People     Unit = "people"
	Seats      Unit = "seats"
	Laptops    Unit = "laptops"
	Gateways   Unit = "gateways"
	Addresses  Unit = "addresses"
	Blocks     Unit = "blocks"
	Tenants    Unit = "tenants"
	Kilobits   Unit = "kbit/s"
	Cents      Unit = "cents"
	Months     Unit = "months"
	Years      Unit = "years"
	Days       Unit = "days"
	Date       Unit = "date" // days since 1970-01-01
)

// Formula says how a figure's value follows from those of its inputs. In it shares are parts of one.
type Formula string

// The formulas. The inputs are a, b, c and so on, and ⌈ ⌉ rounds up.
const (
	Sum      Formula = "a + b + …"
	Most     Formula = "max(a, b, …)"
	Least    Formula = "min(a, b)"
	Beyond   Formula = "max(0, a − b)"
	Product  Formula = "a · b · …"
	Part     Formula = "⌈a · b⌉"             // b is a share
	Grown    Formula = "⌈a · (1 + b)^c⌉"     // b is a share
	Scaled   Formula = "⌈a · b / c · d / e⌉" // d and e may be missing
	Units    Formula = "⌈a / b⌉"             // how many hold all
	Packs    Formula = "⌈a / b⌉ · b"         // in whole packs
	SeatsFor Formula = "Engset seats(a people, b online, c refused)"
	Refused  Formula = "Engset refused(a seats, b people, c online)"
	// Spare is how many gateways are added so that a is carried without the largest one:
	// there are b in all, c on the largest one, and d on each that is added.
	Spare Formula = "n: b + n · d − max(c, d) ≥ a"
	// Allotted is a part of a by need, exact in the sum: ⌊a · need / all needs⌋, and one
	// more for those with the largest remainders. The inputs of b are all needs, and c says
	// which of them, from 0.
	Allotted Formula = "a by need c of b, largest remainder"
)

const million = 1_000_000

// Apply computes a formula.
func (f Formula) apply(v []int64) (int64, error) {
	switch f {
	case Sum:
		var sum int64
		for _, n := range v {
			sum += n
		}
		return sum, nil
	case Most:
		return slices.Max(v), nil
	case Least:
		return min(v[0], v[1]), nil
	case Beyond:
		return max(0, v[0]-v[1]), nil
	case Product:
		return product(v)
	case Part:
		return ratio(v[0], v[1], million)
	case Grown:
		return grown(v[0], v[1], v[2])
	case Scaled:
		return ratio(v[0], v[1:]...)
	case Units:
		return up(v[0], v[1]), nil
	case Packs:
		return up(v[0], v[1]) * v[1], nil
	case SeatsFor:
		return seatsFor(v[0], v[1], v[2])
	case Refused:
		return refused(v[0], v[1], v[2])
	case Spare:
		return spare([4]int64(v)), nil
	default:
		return 0, fmt.Errorf("the formula %q is not one of numbers alone", f)
	}
}

func up(a, b int64) int64 { return (a + b - 1) / b }

func product(v []int64) (int64, error) {
	p := big.NewInt(1)
	for _, n := range v {
		p.Mul(p, big.NewInt(n))
	}
	return whole(p)
}

// ratio is a · by[0] / by[1] · …, rounded up once.
func ratio(a int64, by ...int64) (int64, error) {
	over, under := big.NewInt(a), big.NewInt(1)
	for i, n := range by {
		if i%2 == 0 {
			over.Mul(over, big.NewInt(n))
		} else {
			under.Mul(under, big.NewInt(n))
		}
	}
	return quotient(over, under)
}

func grown(a, growth, years int64) (int64, error) {
	exponent := big.NewInt(years)
	over := new(big.Int).Exp(big.NewInt(million+growth), exponent, nil)
	return quotient(over.Mul(over, big.NewInt(a)), new(big.Int).Exp(big.NewInt(million), exponent, nil))
}

// quotient rounds up; both are positive, or over is zero.
func quotient(over, under *big.Int) (int64, error) {
	q, rest := new(big.Int).QuoRem(over, under, new(big.Int))
	if rest.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return whole(q)
}

func whole(n *big.Int) (int64, error) {
	if !n.IsInt64() {
		return 0, fmt.Errorf("%w: a number has more than 18 digits", ErrBad)
	}
	return n.Int64(), nil
}

func seatsFor(people, online, refused int64) (int64, error) {
	switch {
	case people == 0 || online == 0:
		return 0, nil
	case online >= million: // everybody always is
		return people, nil
	}
	idle, err := capacity.OnlineShare(float64(online) / million).Idle()
	if err != nil {
		return 0, err
	}
	seats, err := capacity.EngsetCallSeats(int(people), idle, capacity.CallCongestion(float64(refused)/million))
	return int64(min(seats, int(people))), err
}

func refused(seats, people, online int64) (int64, error) {
	switch {
	case seats >= people || online == 0:
		return 0, nil
	case seats == 0 || online >= million: // who has a seat keeps it, and all others are refused
		return million, nil
	}
	idle, err := capacity.OnlineShare(float64(online) / million).Idle()
	if err != nil {
		return 0, err
	}
	part, err := capacity.EngsetCall(int(seats), int(people), idle)
	return int64(math.Round(float64(part) * million)), err
}

func spare(v [4]int64) int64 {
	need, all, largest, each := v[0], v[1], v[2], v[3]
	if all-largest >= need {
		return 0
	}
	return max(1, up(need+max(largest, each)-all, each))
}

// allot divides a total by need, exactly: what is left of rounding down goes, one by one,
// to those with the largest remainders, of equals to the first. If nobody needs anything,
// all bear the same.
func allot(total int64, needs []int64) []int64 {
	parts, rests := make([]int64, len(needs)), make([]*big.Int, len(needs))
	all := new(big.Int)
	for _, n := range needs {
		all.Add(all, big.NewInt(n))
	}
	if all.Sign() == 0 && len(needs) > 0 {
		return allot(total, slices.Repeat([]int64{1}, len(needs)))
	}
	left := total
	order := make([]int, len(needs))
	for i, n := range needs {
		part, rest := new(big.Int).QuoRem(new(big.Int).Mul(big.NewInt(total), big.NewInt(n)), all, new(big.Int))
		parts[i], rests[i], order[i] = part.Int64(), rest, i
		left -= parts[i]
	}
	slices.SortStableFunc(order, func(a, b int) int { return rests[b].Cmp(rests[a]) })
	for _, i := range order[:left] {
		parts[i]++
	}
	return parts
}
