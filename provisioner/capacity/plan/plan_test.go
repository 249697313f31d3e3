package plan_test

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/capacity/plan"
)

func day(y int, m time.Month, d int) time.Time { return provisioner.DayBegins(y, m, d) }

// request is for tenants of so many people.
func request(home, online, refused int64, people ...int64) plan.Request {
	r := plan.Request{
		At: day(2026, 11, 26), From: day(2027, 1, 11), Years: 1, HomeShare: home, OnlineAtPeak: online, Refused: refused, Throughput: 150,
	}
	for i, n := range people {
		r.Tenants = append(r.Tenants, plan.Tenant{Name: fmt.Sprintf("t%03d", i), People: n})
	}
	return r
}

func made(t *testing.T, r plan.Request) *plan.Plan {
	t.Helper()
	p, err := plan.Make(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func value(t *testing.T, p *plan.Plan, name plan.Name, tenant, of string, year int) int64 {
	t.Helper()
	f := p.Find(name, tenant, of, year)
	if f == nil {
		t.Fatalf("no figure %s %q %q %d", name, tenant, of, year)
	}
	return f.Value
}

// The figures that are public.
func TestPublicFigures(t *testing.T) {
	for _, c := range []struct{ people, home, want int64 }{{21, 600_000, 18}, {120, 500_000, 71}, {29_000, 400_000, 11_595}} {
		p := made(t, request(c.home, 1_000_000, 10_000, c.people))
		if got := value(t, p, plan.SeatsNeeded, "", "", 1); got != c.want {
			t.Errorf("%d people, %d at home: %d seats, want %d", c.people, c.home, got, c.want)
		}
	}
	p := made(t, request(400_000, 1_000_000, 10_000, slices.Repeat([]int64{58}, 500)...))
	if got := value(t, p, plan.SeatsAlone, "", "", 1); got != 15_500 {
		t.Errorf("500 administrations alone: %d seats", got)
	}
	if got := value(t, p, plan.SeatsNeeded, "", "", 1); got != 11_595 {
		t.Errorf("and together: %d", got)
	}
	if got := value(t, p, plan.SavedByPooling, "", "", 1); got != 15_500-11_595 {
		t.Errorf("saved by pooling: %d", got)
	}
	// The cliff: 12,500 tunnels for 28,000 laptops.
	r := request(440_000, 1_000_000, 1000, 28_000)
	for share, want := range map[int64]float64{440_000: 500, 460_000: 56_000, 500_000: 190_000} {
		r.Pools = []plan.Pool{{Name: "vpn", Tenants: []string{"t000"}, Contracts: []provisioner.Contract{{Seats: 12_500}}}}
		// A point of the curve is at each 5 %; between them the share online moves it.
		r.OnlineAtPeak = share * 2
		for _, f := range made(t, r).Figures {
			if f.Name == plan.RefusedToday && f.Step == 500_000 && math.Abs(float64(f.Value)/want-1) > .1 {
				t.Errorf("%d online: %d of a million refused, want %v", share, f.Value, want)
			}
		}
	}
}

// town is a request that touches everything.
func town() plan.Request {
	r := request(600_000, 800_000, 1000, 21, 120, 1200)
	r.Years, r.Growth, r.HomeShareThen, r.GatewayKilobits = 5, 50_000, 300_000, 1_000_000
	for i := range r.Tenants {
		r.Tenants[i].Laptops = r.Tenants[i].People / 3
	}
	price := func(net, gross int64, per provisioner.PricePeriod) provisioner.Price {
		return provisioner.Price{NetCents: net, GrossCents: gross, Period: per}
	}
	r.Pools = []plan.Pool{
		{
			Name: "vpn", Tenants: []string{"t000", "t001", "t002"}, Peak: 420,
			Contracts: []provisioner.Contract{
				{Reference: "R-1", Seats: 300, Until: day(2028, 7, 1), NoticeBy: day(2028, 4, 1)},
				{Reference: "R-2", Seats: 200, Burst: 20, From: day(2026, 1, 1)},
			},
		},
		{Name: "small", Tenants: []string{"t000"}, Peak: 20, Contracts: []provisioner.Contract{{Seats: 20}}},
		{Name: "shared", Tenants: []string{"t001"}, Shared: true, Guaranteed: 7},
	}
	r.Gateways = []plan.Gateway{
		{Name: "gw1", Sessions: 500, Addresses: 1020, Tenants: []string{"t000", "t001"}},
		{Name: "gw2", Sessions: 300, Addresses: 1020, Tenants: []string{"t001", "elsewhere"}},
		{Name: "gw3", Sessions: 700, Addresses: 1020, Tenants: []string{"t002"}},
	}
	r.Offers = []plan.Offer{
		{Name: "buy", Kind: plan.Perpetual, Price: price(7001, 8331, ""), Maintenance: price(1203, 1432, ""), Pack: 25, DeliveryDays: 14},
		{Name: "use", Kind: plan.Used, Price: price(199, 237, provisioner.PerMonth), UsedShare: 650_000, DeliveryDays: 90},
		{Name: "base", Kind: plan.Base, Price: price(50_003, 0, provisioner.PerMonth), Included: 300, Overage: price(333, 0, ""), From: day(2027, 1, 1)},
		{Name: "box", Kind: plan.Server, Price: price(2_125_001, 2_528_751, ""), Maintenance: price(99_999, 118_999, ""), Sessions: 400, Kilobits: 500_000},
		{Name: "book", Kind: plan.Laptop, Price: price(98_765, 117_530, "")},
	}
	return r
}

// recompute computes a figure anew, from the leaves, and not as the plan did: with
// fractions instead of integers, and with formulas that only judge.
func recompute(f *plan.Figure, known map[*plan.Figure]int64) int64 {
	if n, done := known[f]; done {
		return n
	}
	n := f.Value
	if f.Formula != "" {
		v := make([]int64, len(f.Inputs))
		for i, in := range f.Inputs {
			v[i] = recompute(in, known)
		}
		n = again(f, v)
	}
	known[f] = n
	return n
}

func again(f *plan.Figure, v []int64) int64 {
	frac := func(a, b int64) *big.Rat { return big.NewRat(a, b) }
	up := func(r *big.Rat) int64 {
		n := new(big.Int).Div(r.Num(), r.Denom())
		if !r.IsInt() {
			n.Add(n, big.NewInt(1))
		}
		return n.Int64()
	}
	refused := func(seats, people, online int64) float64 {
		if seats >= people || online == 0 {
			return 0
		}
		if seats == 0 || online >= 1_000_000 {
			return 1
		}
		idle, _ := capacity.OnlineShare(float64(online) / 1e6).Idle()
		c, err := capacity.EngsetCall(int(seats), int(people), idle)
		if err != nil {
			panic(err)
		}
		return float64(c)
	}
	switch f.Formula {
	case plan.Sum:
		var sum int64
		for _, n := range v {
			sum += n
		}
		return sum
	case plan.Most:
		return slices.Max(v)
	case plan.Least:
		return slices.Min(v)
	case plan.Beyond:
		return max(v[0]-v[1], 0)
	case plan.Product:
		n := int64(1)
		for _, m := range v {
			n *= m
		}
		return n
	case plan.Part:
		return up(new(big.Rat).Mul(frac(v[0], 1), frac(v[1], 1_000_000)))
	case plan.Grown:
		r := frac(v[0], 1)
		for range v[2] {
			r.Mul(r, frac(1_000_000+v[1], 1_000_000))
		}
		return up(r)
	case plan.Scaled:
		r := frac(v[0], 1)
		for i := 1; i < len(v); i += 2 {
			r.Mul(r, frac(v[i], v[i+1]))
		}
		return up(r)
	case plan.Units:
		return up(frac(v[0], v[1]))
	case plan.Packs:
		return up(frac(v[0], v[1])) * v[1]
	case plan.SeatsFor:
		// The fewest that keep within the limit.
		if n := f.Value; refused(n, v[0], v[1]) > float64(v[2])/1e6 || n > 0 && refused(n-1, v[0], v[1]) <= float64(v[2])/1e6 {
			return -1
		}
		return f.Value
	case plan.Refused:
		return int64(math.Round(1e6 * refused(v[0], v[1], v[2])))
	case plan.Spare:
		n := int64(0)
		for ; ; n++ {
			largest := v[2]
			if n > 0 {
				largest = max(v[2], v[3])
			}
			if v[1]+n*v[3]-largest >= v[0] {
				return n
			}
		}
	case plan.Allotted:
		return part(v[0], f.Inputs[1].Inputs, v[2])
	}
	return -2
}

// part is one of the parts by largest remainder, by counting who comes before.
func part(total int64, needs []*plan.Figure, which int64) int64 {
	all := new(big.Int)
	weight := func(i int) int64 { return needs[i].Value }
	for i := range needs {
		all.Add(all, big.NewInt(weight(i)))
	}
	if all.Sign() == 0 {
		weight = func(int) int64 { return 1 }
		all.SetInt64(int64(len(needs)))
	}
	floor := func(i int) (int64, int64) {
		q, r := new(big.Int).QuoRem(new(big.Int).Mul(big.NewInt(total), big.NewInt(weight(i))), all, new(big.Int))
		return q.Int64(), r.Int64()
	}
	own, rest := floor(int(which))
	left, before := total, int64(0)
	for i := range needs {
		q, r := floor(i)
		left -= q
		if r > rest || r == rest && i < int(which) {
			before++
		}
	}
	if before < left {
		own++
	}
	return own
}

func TestEveryFigureFollowsFromItsLeaves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := town()
		if rapid.Bool().Draw(t, "other numbers") {
			r.Growth = rapid.Int64Range(-500_000, 300_000).Draw(t, "growth")
			r.HomeShare = rapid.Int64Range(1, 1_000_000).Draw(t, "home")
			r.OnlineAtPeak = rapid.Int64Range(1, 1_000_000).Draw(t, "online")
			r.Refused = rapid.Int64Range(1, 500_000).Draw(t, "refused")
			r.Years = rapid.IntRange(1, 8).Draw(t, "years")
			r.From = r.At.AddDate(0, rapid.IntRange(0, 60).Draw(t, "months"), 0)
			for i := range r.Tenants {
				r.Tenants[i].People = rapid.Int64Range(1, 3000).Draw(t, "people")
			}
		}
		p, err := plan.Make(r)
		if err != nil {
			t.Fatal(err)
		}
		known := make(map[*plan.Figure]int64)
		place := make(map[*plan.Figure]bool)
		for _, f := range p.Figures {
			for _, in := range f.Inputs {
				if !place[in] {
					t.Fatalf("%s %q %q stands before %s, from which it follows", f.Name, f.Tenant, f.Of, in.Name)
				}
			}
			place[f] = true
			if got := recompute(f, known); got != f.Value || f.Value < 0 && f.Name != plan.GrowthAYear {
				t.Fatalf("%s %q %q %d = %d, recomputed %d (%s)", f.Name, f.Tenant, f.Of, f.Year, f.Value, got, f.Formula)
			}
		}
		// No two are called the same.
		seen := make(map[string]bool)
		for _, f := range p.Figures {
			key := fmt.Sprint(f.Name, "|", f.Tenant, "|", f.Of, "|", f.Year, "|", f.Step)
			if seen[key] {
				t.Fatalf("two figures are called %s", key)
			}
			seen[key] = true
		}
		for _, o := range r.Offers {
			for total, share := range map[plan.Name]plan.Name{plan.CostNet: plan.ShareNet, plan.CostGross: plan.ShareGross} {
				if f := p.Find(total, "", o.Name, 0); f != nil {
					var sum int64
					for _, v := range r.Tenants {
						sum += p.Find(share, v.Name, o.Name, 0).Value
					}
					if sum != f.Value {
						t.Fatalf("%s: the tenants pay %d of %d", o.Name, sum, f.Value)
					}
				}
			}
		}
	})
}

func TestTown(t *testing.T) {
	p := made(t, town())
	var b strings.Builder
	say := func(name plan.Name, tenant, of string, year int) {
		fmt.Fprintf(&b, "%s %s %s %d: %d\n", name, tenant, of, year, value(t, p, name, tenant, of, year))
	}
	for year := 1; year <= 5; year++ {
		say(plan.SeatsNeeded, "", "", year)
		say(plan.SeatsOwned, "", "", year)
		say(plan.SeatsToBuy, "", "", year)
	}
	say(plan.SeatsByPeak, "", "vpn", 1)
	say(plan.SeatsByFormula, "", "", 1)
	say(plan.GatewaysToAdd, "", "gw1", 0)
	say(plan.GatewaysToAdd, "", "gw3", 0)
	say(plan.GatewaysToAdd, "", "box", 0)
	say(plan.LaptopsToBuy, "", "", 0)
	for _, o := range []string{"buy", "use", "base", "box", "book"} {
		say(plan.CostNet, "", o, 0)
	}
	fmt.Fprintln(&b, p.Reason, p.Decisive)
	for _, w := range p.Warnings {
		fmt.Fprint(&b, w.Code, " ", w.Of, "\n")
	}
	// Reckoned by hand: 420 of 1,341 were connected when 30 % were at home, so at 60 % it is 840, and 21 of
	// the smallest one's 20 · 2; a base costs 5 · 12 · 500.03 € and 3.33 € a month for each beyond 300.
	if diff := cmp.Diff(`seats   1: 861
seats-owned   1: 527
seats-to-buy   1: 334
seats   2: 906
seats-owned   2: 227
seats-to-buy   2: 679
seats   3: 952
seats-owned   3: 227
seats-to-buy   3: 725
seats   4: 999
seats-owned   4: 227
seats-to-buy   4: 772
seats   5: 1048
seats-owned   5: 227
seats-to-buy   5: 821
seats-by-observed-peak  vpn 1: 840
seats-by-formula   1: 689
gateways-to-add  gw1 0: 0
gateways-to-add  gw3 0: 2
gateways-to-add  box 0: 2
laptops-to-buy   0: 533
cost-net  buy 0: 9835950
cost-net  use 0: 5177184
cost-net  base 0: 10316856
cost-net  box 0: 5249992
cost-net  book 0: 52641745
seats-by-observed-peak 5
peak 
mandate 
addresses gw3
late use
notice vpn R-1
ends vpn R-1
`, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBadRequests(t *testing.T) {
	for name, change := range map[string]func(*plan.Request){
		"no tenants":          func(r *plan.Request) { r.Tenants = nil },
		"nobody":              func(r *plan.Request) { r.Tenants = []plan.Tenant{{Name: "a"}} },
		"twice":               func(r *plan.Request) { r.Tenants[1].Name = r.Tenants[0].Name },
		"fewer than none":     func(r *plan.Request) { r.Tenants[0].People = -1 },
		"a planet":            func(r *plan.Request) { r.Tenants[0].People = 8_000_000_000 },
		"grows to a planet":   func(r *plan.Request) { r.Growth, r.Years = 1_000_000, 20 },
		"share above 100 %":   func(r *plan.Request) { r.HomeShare = 1_000_001 },
		"share of nobody":     func(r *plan.Request) { r.OnlineAtPeak = 0 },
		"nobody ever refused": func(r *plan.Request) { r.Refused = 0 },
		"in the past":         func(r *plan.Request) { r.From = r.At.AddDate(0, 0, -2) },
		"in 30 years":         func(r *plan.Request) { r.From = r.At.AddDate(30, 0, 0) },
		"no year":             func(r *plan.Request) { r.Years = 0 },
		"100 years":           func(r *plan.Request) { r.Years = 100 },
		"negative price":      func(r *plan.Request) { r.Offers[0].Price.NetCents = -1 },
		"offered backwards":   func(r *plan.Request) { r.Offers[0].From, r.Offers[0].Until = day(2027, 2, 1), day(2027, 1, 1) },
		"offered twice":       func(r *plan.Request) { r.Offers[1].Name = r.Offers[0].Name },
		"kind":                func(r *plan.Request) { r.Offers[0].Kind = "gift" },
		"server of nothing":   func(r *plan.Request) { r.Offers[3].Sessions = 0 },
		"a pool of strangers": func(r *plan.Request) { r.Pools[0].Tenants = []string{"x"} },
		"gateway of nothing":  func(r *plan.Request) { r.Gateways[0].Sessions = 0 },
		"no throughput":       func(r *plan.Request) { r.Throughput = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			r := town()
			change(&r)
			if _, err := plan.Make(r); !errors.Is(err, plan.ErrBad) {
				t.Errorf("%v", err)
			}
		})
	}
}

// BenchmarkPlan is for 500 tenants, 29,000 people, 600 pools, 16 gateways, ten years.
func BenchmarkPlan(b *testing.B) {
	r := town()
	r.Tenants, r.Pools, r.Gateways, r.Years = nil, nil, nil, 10
	var names []string
	for i := range 500 {
		t := plan.Tenant{Name: fmt.Sprintf("t%03d", i), People: 21 + int64(i)*37%80}
		if i == 0 {
			t.People = 1000
		}
		r.Tenants, names = append(r.Tenants, t), append(names, t.Name)
		r.Pools = append(r.Pools, plan.Pool{Name: t.Name, Tenants: []string{t.Name}, Peak: 10, Contracts: []provisioner.Contract{{Seats: 10}}})
	}
	for i := range 100 {
		r.Pools = append(r.Pools, plan.Pool{Name: fmt.Sprint("more", i), Tenants: names, Peak: 100, Contracts: []provisioner.Contract{{Seats: 10}}})
	}
	for i := range 16 {
		r.Gateways = append(r.Gateways, plan.Gateway{Name: fmt.Sprint("gw", i), Sessions: 2000, Addresses: 1 << 16, Tenants: names})
	}
	for b.Loop() {
		if _, err := plan.Make(r); err != nil {
			b.Fatal(err)
		}
	}
}
