package replay_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/capacity/replay"
)

func said(r replay.Result) string {
	var b strings.Builder
	when := func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return t.UTC().Format("2006-01-02 15")
	}
	fmt.Fprintf(&b, "highest %d at %s, exhausted %s, %d on %d days\n", r.Highest, when(r.HighestAt), when(r.Exhausted), r.Refused(), len(r.Days))
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "%d/%d %s %d\n", w.Percent, w.Probable, when(w.At), w.WorkingDays)
	}
	return b.String()
}

// held are thresholds, with the probabilities of which is warned by default.
func held(percent ...int64) replay.Thresholds {
	return replay.Thresholds{Held: percent, Probable: provisioner.DefaultForecastWarnings()}
}

// An office of 1,000 of whom one in ten was at home, with a seat for four in ten.
func TestTheBreakOf2020(t *testing.T) {
	s, err := replay.Office{People: 1000, Home: 100_000, Online: 1_000_000}.Break()
	if err != nil {
		t.Fatal(err)
	}
	r, err := replay.Replay(s, replay.Seats{Owned: 400}, held(provisioner.DefaultWarnings()...), replay.BreakLand)
	if err != nil {
		t.Fatal(err)
	}
	// On Wednesday, 18 March, .1 + .9 · .33 were at home, 397 people, on the 19th 424: two days after the
	// first threshold. No forecast saw it coming: it takes two days in a row for a new level.
	if got, want := said(r), `highest 550 at 2020-04-09 07, exhausted 2020-03-19 07, 2784 on 32 days
80/0 2020-03-17 08 2
95/0 2020-03-18 09 1
0/5 never 0
0/50 never 0
`; got != want {
		t.Errorf("%s", got)
	}
	// Nobody works on Good Friday, and everybody on the day before.
	good := provisioner.DayBegins(2020, 4, 10)
	if v := s.Values[int(good.Sub(s.Start)/time.Hour)+9]; v > 10 {
		t.Errorf("on Good Friday %v are connected", v)
	}
}

func TestADay(t *testing.T) {
	day := make([]float64, 24)
	for i := range day {
		day[i] = 10
	}
	day[8], day[9], day[10], day[11] = 90, 120, 110, math.NaN()
	s := capacity.Hours(time.Date(2027, 1, 11, 0, 0, 0, 0, time.UTC), day...)
	r, err := replay.Replay(s, replay.Seats{Owned: 100}, held(80, 95), "HE")
	if err != nil || r.Gaps != 1 || len(r.Days) != 1 || r.Days[0].Hours != 2 || r.Days[0].Refused != 20 || !r.Unforeseen {
		t.Errorf("%+v, %v", r, err)
	}
	if want := "highest 120 at 2027-01-11 09, exhausted 2027-01-11 09, 20 on 1 days\n80/0 2027-01-11 09 0\n95/0 2027-01-11 10 0\n0/5 never 0\n0/50 never 0\n"; said(r) != want {
		t.Errorf("%s", said(r))
	}
	if r, err = replay.Replay(s, replay.Seats{Owned: 120}, held(), ""); err != nil || !r.Exhausted.IsZero() || len(r.Days) > 0 {
		t.Errorf("with a seat for each: %+v, %v", r, err)
	}
	if r, err = replay.Replay(s, replay.Seats{Owned: 0}, held(80), ""); err != nil || len(r.Days) != 2 || !r.Warnings[0].At.IsZero() { // it is midnight in Germany before
		t.Errorf("without a seat: %+v, %v", r, err)
	}
	// Beyond those owned nobody is refused, and it is warned of all the same.
	if r, err = replay.Replay(s, replay.Seats{Owned: 90, Burst: 30}, held(100), ""); err != nil || !r.Exhausted.IsZero() || !r.Warnings[0].At.Equal(s.Start.Add(9*time.Hour)) {
		t.Errorf("with a burst: %+v, %v", r, err)
	}
	gaps := capacity.Hours(s.Start, math.NaN(), math.NaN())
	if r, err = replay.Replay(gaps, replay.Seats{Owned: 1}, held(80), ""); err != nil || !r.HighestAt.IsZero() || r.Gaps != 2 {
		t.Errorf("of gaps: %+v, %v", r, err)
	}
}

func TestWhatCannotBePlayed(t *testing.T) {
	hour := time.Date(2027, 1, 11, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		s     capacity.Series
		seats int64
		land  string
	}{
		"nothing":   {capacity.Hours(hour), 1, ""},
		"negative":  {capacity.Hours(hour, -1), 1, ""},
		"infinite":  {capacity.Hours(hour, math.Inf(1)), 1, ""},
		"seats":     {capacity.Hours(hour, 1), -1, ""},
		"a country": {capacity.Hours(hour, 1), 1, "XX"},
		"minutes":   {capacity.Series{Start: hour, Step: time.Minute, Values: []float64{1}}, 1, ""},
	} {
		if _, err := replay.Replay(c.s, replay.Seats{Owned: c.seats}, held(), c.land); !errors.Is(err, replay.ErrBad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, o := range []replay.Office{{}, {People: -1, Online: 5}, {People: 5}, {People: 5, Online: 2_000_000}, {People: 5, Online: 5, Home: -1}} {
		if _, err := o.Break(); !errors.Is(err, replay.ErrBad) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestWorkingDays(t *testing.T) {
	for _, c := range []struct {
		from, until string
		want        int
	}{
		{"2020-04-09T12:00:00Z", "2020-04-15T08:00:00Z", 2}, // Easter between
		{"2020-03-16T00:00:00Z", "2020-03-16T08:00:00Z", 0},
		{"2020-03-13T00:00:00Z", "2020-03-17T08:00:00Z", 2}, // a weekend between
		{"2020-03-27T23:30:00Z", "2020-03-30T23:30:00Z", 1}, // the clock changes, and it is Saturday already
	} {
		from, _ := time.Parse(time.RFC3339, c.from)
		until, _ := time.Parse(time.RFC3339, c.until)
		if got, err := replay.WorkingDays(from, until, "HE"); got != c.want || err != nil {
			t.Errorf("%s to %s: %d, %v, want %d", c.from, c.until, got, err, c.want)
		}
	}
}

func TestRead(t *testing.T) {
	s, err := replay.Read(strings.NewReader("\ufeffat,sessions\r\n2027-03-28T02:00:00+01:00,5\r\n2027-03-28T04:00:00+02:00,\r\n2027-03-28T03:00:00Z,7\n"))
	if err != nil || len(s.Values) != 3 || s.Values[0] != 5 || !math.IsNaN(s.Values[1]) || s.Values[2] != 7 {
		t.Errorf("%v, %v", s, err)
	}
	for in, want := range map[string]string{
		"":                                                            "line 1: there is no hour",
		"at;sessions\n":                                               "line 1: must be at,sessions",
		"at,sessions\n":                                               "line 2: there is no hour",
		"at,sessions\n2027-01-11T08:00:00Z,\n":                        "line 2: nothing is known of any hour",
		"at,sessions\n\n":                                             "line 2: must be a time and a number, with a comma between",
		"at,sessions\nx,5":                                            `line 2: "x" is no time such as 2027-01-11T08:00:00Z`,
		"at,sessions\n2027-02-30T08:00:00Z,5":                         `line 2: "2027-02-30T08:00:00Z" is no time such as 2027-01-11T08:00:00Z`,
		"at,sessions\n2027-01-11T08:30:00Z,5":                         "line 2: 2027-01-11T08:30:00Z is no full hour",
		"at,sessions\n1027-01-11T08:00:00Z,5":                         "line 2: 1027-01-11T08:00:00Z is out of range: from 1996 to 2194",
		"at,sessions\n2027-01-11T08:00:00Z,-5":                        `line 2: "-5" is no number from 0 to 1000000000`,
		"at,sessions\n2027-01-11T08:00:00Z,NaN":                       `line 2: "NaN" is no number from 0 to 1000000000`,
		"at,sessions\n2027-01-11T08:00:00Z,5,6":                       `line 2: "5,6" is no number from 0 to 1000000000`,
		"at,sessions\n" + strings.Repeat("a", 300):                    "line 2: is longer than 200 bytes",
		"at,sessions\n" + strings.Repeat("a", 99_999):                 "line 2: is longer than 200 bytes",
		"at,sessions\n2027-01-11T08:00:00Z,5\n2027-01-11T08:00:00Z,5": "line 3: 2027-01-11T08:00:00Z follows, must be 2027-01-11T09:00:00Z: hour by hour, and one that is not known without a number",
	} {
		_, err := replay.Read(strings.NewReader(in))
		if !errors.Is(err, replay.ErrBad) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", in, err, want)
		}
		var said *replay.Unreadable
		if !errors.As(err, &said) || said.German == "" || said.German == said.English || strings.Contains(said.German, "%!") {
			t.Errorf("%.60q: in German %+v", in, said)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("at,sessions\n2027-01-11T08:00:00Z,5\n2027-01-11T09:00:00Z,\n", int64(3))
	f.Add("\ufeffat,sessions\r\n1996-01-01T00:00:00Z,1000000000\r\n", int64(0))
	f.Fuzz(func(t *testing.T, in string, seats int64) {
		s, err := replay.Read(strings.NewReader(in))
		if err != nil {
			return
		}
		r, err := replay.Replay(s, replay.Seats{Owned: seats}, held(80), "HE")
		if (seats < 0 || seats > 1e9) != (err != nil) || r.Refused() < 0 {
			t.Errorf("%v seats: %+v, %v", seats, r, err)
		}
	})
}

// A threshold that was passed in January and is not thought of any more in March does not
// count as the warning of what happens then.
func TestTheWarningThatStoodCounts(t *testing.T) {
	values := make([]float64, 60*24)
	values[12], values[50*24+10], values[51*24+10] = 85, 81, 101
	s := capacity.Hours(provisioner.DayBegins(2027, 1, 4), values...)
	r, err := replay.Replay(s, replay.Seats{Owned: 100}, held(80), "")
	if want := s.Start.Add((50*24 + 11) * time.Hour); err != nil || !r.Warnings[0].At.Equal(want) {
		t.Errorf("%v, %v, want %v", r.Warnings[0].At, err, want)
	}
}

// Slow growth is seen by forecasts weeks before: 2 % more each week, on a weekly shape.
func TestGrowthIsForeseen(t *testing.T) {
	start := provisioner.DayBegins(2027, 1, 4)
	values := make([]float64, 20*7*24)
	for i := range values {
		if day, hour := i/24%7, i%24; day < 5 && hour >= 8 && hour < 17 {
			values[i] = math.Round(300 * math.Pow(1.02, float64(i)/168) * (1 + .02*math.Sin(float64(i))))
		}
	}
	r, err := replay.Replay(capacity.Hours(start, values...), replay.Seats{Owned: 400}, held(95), "")
	if err != nil {
		t.Fatal(err)
	}
	unlikely, likely := r.Warnings[1], r.Warnings[2]
	if r.Exhausted.IsZero() || unlikely.At.IsZero() || unlikely.WorkingDays < 5 || likely.At.Before(unlikely.At) || !unlikely.At.Before(r.Exhausted) {
		t.Errorf("%s", said(r))
	}
}
