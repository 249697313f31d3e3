package metering

import (
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner/store"
)

// However laptops come, say and go, the numbers are those of the streams that stand,
// and what is written follows them.
func TestTallyFollowsStreams(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(Options{})
		streams := make([]*Stream, 6)
		for i := range streams {
			streams[i] = s.Open([]string{"stadt", "dorf"}[i%2])
		}
		written := make(map[counted]int64)
		t.Repeat(map[string]func(*rapid.T){
			"say": func(t *rapid.T) {
				var uses []Use
				for _, p := range []string{"citrix", "phone"} {
					if rapid.Bool().Draw(t, p) {
						uses = append(uses, Use{p, rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "version")})
					}
				}
				rapid.SampledFrom(streams).Draw(t, "stream").Say(uses)
			},
			"go": func(t *rapid.T) { rapid.SampledFrom(streams).Draw(t, "stream").Forget() },
			"write": func(t *rapid.T) {
				list := s.tally.differences()
				n := rapid.IntRange(0, len(list)).Draw(t, "rows") // the rest fails
				for _, c := range list[:n] {
					key := counted{product{c.Tenant, c.Product}, c.Version}
					if written[key] = c.Sessions; c.Sessions == 0 {
						delete(written, key)
					}
				}
				s.tally.wrote(list[:n])
				if n == len(list) && !maps.Equal(written, expected(streams)) {
					t.Fatalf("written %v, said %v", written, expected(streams))
				}
			},
			"": func(t *rapid.T) {
				now := make(map[counted]int64)
				for p, n := range s.tally.counts {
					now[counted{p, ""}] = n.all
					for v, sessions := range n.versions {
						now[counted{p, v}] = sessions
					}
				}
				if !maps.Equal(now, expected(streams)) {
					t.Fatalf("counted %v, said %v", now, expected(streams))
				}
			},
		})
	})
}

// expected are the numbers of what streams have said.
func expected(streams []*Stream) map[counted]int64 {
	n := make(map[counted]int64)
	for _, s := range streams {
		for _, u := range s.uses {
			n[counted{product{s.tenant, u.Product}, ""}]++
			if u.Version != "" {
				n[counted{product{s.tenant, u.Product}, u.Version}]++
			}
		}
	}
	return n
}

// One who makes versions up does not fill the database.
func TestVersionsAreBounded(t *testing.T) {
	s := New(Options{})
	for i := range 1000 {
		s.Open("stadt").Say([]Use{{"citrix", fmt.Sprint(i)}})
	}
	if list := s.tally.differences(); len(list) != mostVersions+1 {
		t.Errorf("%d rows", len(list))
	}
	n := s.tally.counts[product{"stadt", "citrix"}]
	if n.all != 1000 {
		t.Errorf("counted %d", n.all)
	}
}

// What is kept has no small number, and none can be computed from it.
func TestTellable(t *testing.T) {
	numbers := rapid.SliceOfN(rapid.Int64Range(0, 12), 0, 5)
	rapid.Check(t, func(t *rapid.T) {
		var counts []store.ProductCount
		totals := make(map[string]int64)
		for _, p := range []string{"a", "b"} {
			versions := numbers.Draw(t, p)
			total := rapid.Int64Range(0, 12).Draw(t, "without version")
			for _, n := range versions {
				total += n
			}
			totals[p] = total
			counts = append(counts, store.ProductCount{Tenant: "stadt", Product: p, Sessions: total})
			for i, n := range versions {
				counts = append(counts, store.ProductCount{Tenant: "stadt", Product: p, Version: fmt.Sprint(i), Sessions: n})
			}
		}
		told, rest := make(map[string]bool), maps.Clone(totals)
		for _, c := range tellable(counts) {
			if c.Sessions < 5 {
				t.Fatalf("tells %+v", c)
			}
			if c.Version == "" {
				told[c.Product] = true
			} else {
				rest[c.Product] -= c.Sessions
			}
		}
		for p, total := range totals {
			if told[p] != (total >= 5) || told[p] && rest[p] > 0 && rest[p] < 5 || !told[p] && rest[p] != total {
				t.Fatalf("of %s %d are left untold of %d: %+v", p, rest[p], total, counts)
			}
		}
	})
}
