package provisioner_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Whatever contracts there are: at each moment a pool has what those give that run,
// and the quantity says for how long.
func TestQuantitiesOfContracts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		day := func(n int) time.Time { return time.Date(2027, 1, n, 0, 0, 0, 0, time.UTC) }
		var p provisioner.LicencePool
		for range rapid.IntRange(1, 5).Draw(t, "contracts") {
			c := provisioner.Contract{Seats: rapid.Int64Range(1, 100).Draw(t, "seats"), Burst: rapid.Int64Range(0, 5).Draw(t, "burst")}
			from := rapid.IntRange(0, 20).Draw(t, "from")
			if from > 0 {
				c.From = day(from)
			}
			if rapid.Bool().Draw(t, "ends") {
				c.Until = day(from + rapid.IntRange(1, 10).Draw(t, "days"))
			}
			p.Contracts = append(p.Contracts, c)
		}
		list := p.Quantities(day(-1))
		var most int64
		for n := -1; n < 40; n++ {
			now := day(n).Add(time.Duration(rapid.IntRange(0, 86_399).Draw(t, "second")) * time.Second)
			var seats, burst int64
			for _, c := range p.Contracts {
				if c.RunsAt(now) {
					seats, burst = seats+c.Seats, burst+c.Burst
				}
			}
			most = max(most, seats)
			covered := 0
			for i, q := range list {
				if !q.Covers(now) {
					continue
				}
				covered++
				if q.Seats != seats || q.Burst != burst || q.Most() != seats+burst || (q.Running == 0) != (seats == 0) {
					t.Fatalf("%v: %+v, want %d and %d", now, q, seats, burst)
				}
				if i > 0 && !list[i-1].Until.Equal(q.From) {
					t.Fatalf("%v does not follow %v", q, list[i-1])
				}
				if diff := cmp.Diff(q, p.At(now)); diff != "" {
					t.Fatalf("%v: %s", now, diff)
				}
			}
			if covered != 1 {
				t.Fatalf("%v is in %d quantities", now, covered)
			}
		}
		if got := provisioner.MostSeats(p.Contracts); got != most {
			t.Fatalf("most seats %d, want %d", got, most)
		}
	})
}

func TestPoolOfOneContract(t *testing.T) {
	var got provisioner.LicencePool
	text := `{"Name":"vpn","Model":"concurrent","Seats":1200,"Burst":50,"From":"2026-12-31T23:00:00Z","Until":"0001-01-01T00:00:00Z",
		"Contract":"R-4711","CentsPerSeatYear":1850,"Shares":[{"Tenant":"stadt","Guarantee":800}]}`
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := provisioner.LicencePool{
		Name: "vpn", Model: provisioner.PoolConcurrent, Shares: []provisioner.PoolShare{{Tenant: "stadt", Guarantee: 800}},
		Contracts: []provisioner.Contract{{
			Reference: "R-4711", Seats: 1200, Burst: 50, From: time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC),
			Price: provisioner.Price{NetCents: 1850, Period: provisioner.PerYear},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("as it was kept:", diff)
	}
	kept, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var again provisioner.LicencePool
	if err := json.Unmarshal(kept, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Error("as it is kept:", diff)
	}
}
