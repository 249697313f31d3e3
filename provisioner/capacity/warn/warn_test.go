package warn_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/capacity/warn"
)

func TestShare(t *testing.T) {
	for _, c := range []struct {
		n, of, percent int64
		want           warn.Sign
	}{
		{0, 0, 80, warn.Unknown},
		{5, 0, 80, warn.Unknown},
		{0, 100, 80, warn.Quiet},
		{71, 100, 80, warn.Quiet},
		{72, 100, 80, warn.Between},
		{79, 100, 80, warn.Between},
		{80, 100, 80, warn.Loud},
		{130, 100, 95, warn.Loud},
		{3, 5, 80, warn.Quiet},
		{4, 5, 80, warn.Loud},
		{0, 5, 1, warn.Quiet},
		{1, 5, 1, warn.Loud},
	} {
		if got := warn.Share(c.n, c.of, c.percent); got != c.want {
			t.Errorf("%d of %d at %d %%: %v, want %v", c.n, c.of, c.percent, got, c.want)
		}
	}
	if warn.Few(4) != warn.Quiet || warn.Few(5) != warn.Loud {
		t.Error("few are not fewer than five")
	}
}

// monday is midnight in Germany, before the clock changes in spring.
func monday() time.Time { return provisioner.DayBegins(2027, 3, 15) }

// play judges hours, and gives how often it was raised and ended, and when last.
func play(signs []warn.Sign) (track warn.Track, raised, ended int, at time.Time) {
	for i, s := range signs {
		begins := monday().Add(time.Duration(i) * time.Hour)
		next, change := track.Next(begins, time.Hour, s)
		if again, more := next.Next(begins, time.Hour, s); next.Open && (again != next || more != warn.Nothing) {
			panic("judging a step again changes something")
		}
		track = next
		switch change {
		case warn.Raised:
			raised, at = raised+1, begins
		case warn.Ended:
			ended, at = ended+1, begins
		}
	}
	return track, raised, ended, at
}

// days are so many of them, of which a function says the hours.
func days(n int, hour func(day, hour int) warn.Sign) (signs []warn.Sign) {
	for i := range n * 24 {
		signs = append(signs, hour(i/24, i%24))
	}
	return signs
}

func TestItEndsAfterTwoQuietWeeks(t *testing.T) {
	once := func(day, hour int) warn.Sign {
		if day == 0 && hour == 9 {
			return warn.Loud
		}
		return warn.Quiet
	}
	track, raised, ended, at := play(days(20, once))
	// Tuesday to Monday, twice; in between the clock is put forward.
	if want := provisioner.DayBegins(2027, 3, 30); track.Open || raised != 1 || ended != 1 || !at.Equal(want) {
		t.Errorf("raised %d, ended %d at %v, want once at %v", raised, ended, at, want)
	}
	for name, c := range map[string]func(day, hour int) warn.Sign{
		"a gap of a month": func(day, hour int) warn.Sign {
			if day >= 2 && day < 32 {
				return warn.Unknown
			}
			return once(day, hour)
		},
		"days of which too little is known": func(day, hour int) warn.Sign {
			if hour >= 5 && (day > 0 || hour > 9) {
				return warn.Unknown
			}
			return once(day, hour)
		},
		"an hour in between on the last day": func(day, hour int) warn.Sign {
			if day == 13 && hour == 22 {
				return warn.Between
			}
			return once(day, hour)
		},
	} {
		if track, raised, ended, _ := play(days(15, c)); !track.Open || raised != 1 || ended != 0 {
			t.Errorf("%s: raised %d, ended %d", name, raised, ended)
		}
	}
	// Nights that are withheld hold nothing up.
	office := func(day, hour int) warn.Sign {
		if hour < 7 || hour > 17 {
			return warn.Unknown
		}
		return once(day, hour)
	}
	if _, _, ended, at := play(days(20, office)); ended != 1 || at.Before(monday().Add(15*24*time.Hour)) {
		t.Errorf("without nights it ended %d times, at %v", ended, at)
	}
}

// Each raise has one end, or is open; whatever comes.
func TestRaisesAndEndsAlternate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Long stretches, so that some end.
		var signs []warn.Sign
		for range rapid.IntRange(1, 12).Draw(t, "stretches") {
			s := warn.Sign(rapid.IntRange(0, 3).Draw(t, "sign"))
			for range rapid.IntRange(1, 600).Draw(t, "hours") {
				signs = append(signs, s)
			}
		}
		track, raised, ended, _ := play(signs)
		open := 0
		if track.Open {
			open = 1
		}
		if raised != ended+open {
			t.Fatalf("raised %d times, ended %d, open %v", raised, ended, track.Open)
		}
	})
}

// What comes back each week raises once and never ends, as does what is loud throughout,
// also where a Monday is off, and with any gaps.
func TestWhatComesBackNeverFlaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Hardly anything but one hour is more than quiet.
		week := rapid.SliceOfN(rapid.IntRange(0, 72), 7*24, 7*24).Draw(t, "week")
		loud := rapid.IntRange(0, 7*24-1).Draw(t, "loud")
		week[loud] = 100
		gaps := rapid.Float64Range(0, .5).Draw(t, "gaps")
		off := rapid.IntRange(0, 9).Draw(t, "week off")
		random := rapid.Uint64().Draw(t, "seed")
		var signs []warn.Sign
		for i := range 10 * 7 * 24 {
			random = random*6364136223846793005 + 1442695040888963407
			switch {
			case i/(7*24) == off && i%(7*24)/24 == loud/24: // that day nobody came
				signs = append(signs, warn.Quiet)
			case i%(7*24) != loud && float64(random>>40)/(1<<24) < gaps:
				signs = append(signs, warn.Unknown)
			default:
				signs = append(signs, warn.Share(int64(week[i%(7*24)]), 100, 80))
			}
		}
		if _, raised, ended, _ := play(signs); raised != 1 || ended != 0 {
			t.Fatalf("raised %d times, ended %d", raised, ended)
		}
	})
}

// Noise between what raises and what is quiet changes nothing once it is raised, and raises
// nothing before.
func TestNoiseBetweenChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.IntRange(0, 500).Draw(t, "before")
		of := rapid.Int64Range(100, 5000).Draw(t, "of")
		percent := rapid.Int64Range(20, 100).Draw(t, "percent")
		var signs []warn.Sign
		for i := range 40 * 24 {
			n := rapid.Int64Range((9*percent*of+999)/1000, (percent*of-1)/100).Draw(t, "n")
			if i == before {
				n = (percent*of + 99) / 100
			}
			signs = append(signs, warn.Share(n, of, percent))
		}
		if _, raised, ended, _ := play(signs); raised != 1 || ended != 0 {
			t.Fatalf("raised %d times, ended %d", raised, ended)
		}
	})
}

func always(seats int64) func(time.Time) int64 { return func(time.Time) int64 { return seats } }

// Seats that last are quiet, and those that run out soon are loud: also because a contract ends.
func TestExpected(t *testing.T) {
	at := monday()
	in := func(days int) *capacity.Forecast {
		var values []float64
		for i := range 16 * 7 * 24 { // each day one more, until there are 400
			values = append(values, 400-float64(days)-float64(16*7-1-i/24))
		}
		f, err := capacity.Hours(at.Add(-16*7*24*time.Hour), values...).Forecast("", int(warn.QuietAhead/time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for _, c := range []struct {
		days int
		want warn.Sign
	}{{5, warn.Loud}, {200, warn.Quiet}} {
		sign, end, err := warn.Expected(in(c.days), always(400), 5, at)
		if err != nil || sign != c.want || (sign == warn.Loud) == end.IsZero() {
			t.Errorf("%d days: %v, %v, %v", c.days, sign, end, err)
		}
	}
	ends := at.Add(20 * 24 * time.Hour)
	sign, end, err := warn.Expected(in(200), func(t time.Time) int64 {
		if t.Before(ends) {
			return 400
		}
		return 150
	}, 5, at)
	if err != nil || sign != warn.Loud || !end.Equal(ends) {
		t.Errorf("where a contract ends on %v: %v, %v, %v", ends, sign, end, err)
	}
	if sign, _, err := warn.Expected(in(5), always(0), 5, at); err != nil || sign != warn.Unknown {
		t.Errorf("without seats: %v, %v", sign, err)
	}
}
