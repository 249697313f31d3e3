package capacity_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner/capacity"
)

func TestFollow(t *testing.T) {
	type moves = []capacity.Move
	for _, c := range []struct {
		name  string
		begin int64
		moves moves
		want  capacity.Gauge
	}{
		{"nothing moves", 7, nil, capacity.Gauge{Max: 7, Mean: 700, P95: 7}},
		{"nobody", 0, nil, capacity.Gauge{}},
		{"half-way one more", 1, moves{{30_000, 1}}, capacity.Gauge{Max: 2, Mean: 150, P95: 2}},
		{"for a moment", 10, moves{{100, 5}, {200, -5}}, capacity.Gauge{Max: 15, Mean: 1001, P95: 10}},
		{"the next session at one instant", 3, moves{{500, 1}, {500, -1}}, capacity.Gauge{Max: 3, Mean: 300, P95: 3}},
		{"at the very beginning", 0, moves{{0, 4}}, capacity.Gauge{Max: 4, Mean: 400, P95: 4}},
		{"fewer than none", -5, moves{{30_000, 6}}, capacity.Gauge{Max: 1, Mean: 50, P95: 1}},
		{"for 3 s of 60", 0, moves{{0, 4}, {3_000, -4}}, capacity.Gauge{Max: 4, Mean: 20, P95: 0}},
		{"for 4 s of 60", 0, moves{{0, 4}, {4_000, -4}}, capacity.Gauge{Max: 4, Mean: 27, P95: 4}},
	} {
		if got := capacity.Follow(c.begin, c.moves, 60_000); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestMerge(t *testing.T) {
	minute := func(n int64) capacity.Interval {
		return capacity.Interval{
			Minutes: 1, Complete: 1, Opened: n, Received: 10 * n, Sent: n, Refused: [capacity.Reasons]int64{n},
			Sessions: capacity.Gauge{Max: n + 1, Mean: 100 * n, P95: n}, Queue: capacity.Gauge{Max: 1, Mean: 50, P95: 1},
		}
	}
	var hour []capacity.Interval
	for n := range int64(60) {
		hour = append(hour, minute(n))
	}
	hour[3], hour[59].Complete = capacity.Interval{}, 0
	got := capacity.Merge(hour)
	want := capacity.Interval{
		Minutes: 59, Complete: 58, Opened: 1767, Received: 17670, Sent: 1767, Refused: [capacity.Reasons]int64{1767},
		Sessions: capacity.Gauge{Max: 60, Mean: 2995, P95: 57}, Queue: capacity.Gauge{Max: 1, Mean: 50, P95: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := capacity.Merge(make([]capacity.Interval, 12)); got != (capacity.Interval{}) {
		t.Errorf("gaps make %+v", got)
	}
}

func anInterval() *rapid.Generator[capacity.Interval] {
	return rapid.Custom(func(t *rapid.T) capacity.Interval {
		n := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 1<<40))
		v := capacity.Interval{Minutes: rapid.Int64Range(0, 60).Draw(t, "minutes"), Opened: n.Draw(t, "opened"), Received: n.Draw(t, "received"), Sessions: capacity.Gauge{Max: n.Draw(t, "max"), Mean: n.Draw(t, "mean"), P95: n.Draw(t, "p95")}}
		v.Refused[capacity.NotNow] = n.Draw(t, "refused")
		v.Disclosed = capacity.Disclosure(rapid.Int64Range(0, 255).Draw(t, "disclosed"))
		return v
	})
}

func TestPackComesBack(t *testing.T) {
	var used capacity.Unpacker // in which what was read before must leave nothing
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(anInterval(), 0, 50).Draw(t, "intervals")
		keys := make([]int64, len(list))
		at := int64(0)
		for i := range keys {
			at += rapid.Int64Range(1, 1<<30).Draw(t, "key")
			keys[i] = at
		}
		gotKeys, got, err := used.Intervals(capacity.PackIntervals(keys, list))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(keys, gotKeys, cmpopts.EquateEmpty()) + cmp.Diff(list, got, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}

// Whatever stands in the column: an error, or intervals that packed anew read the same.
func FuzzUnpackIntervals(f *testing.F) {
	for _, text := range []string{"", "AQ", "AgAA", "AQEM", "!", capacity.PackIntervals(nil, nil), capacity.PackIntervals([]int64{3, 9}, []capacity.Interval{{Minutes: 60, Opened: 4}, {Minutes: 7, Sent: 1 << 50}})} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, list, err := capacity.UnpackIntervals(text)
		if err != nil {
			if !errors.Is(err, capacity.ErrPacked) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		againKeys, again, err := capacity.UnpackIntervals(capacity.PackIntervals(keys, list))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(keys, againKeys, cmpopts.EquateEmpty()) + cmp.Diff(list, again, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}
