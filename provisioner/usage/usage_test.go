package usage_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/usage"
)

// The bubble's clock begins at 2000-01-01 00:00 UTC.
func begin() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

// until sleeps until some time after the beginning.
func until(d time.Duration) { time.Sleep(time.Until(begin().Add(d))) }

// gaugeOf is what a gauge of sessions would be told as.
func gaugeOf(highest, mean, p95 int64) capacity.Gauge {
	return capacity.Gauge{Max: highest, Mean: mean, P95: p95}
}

// Maxima are exact between samples, means by time; bytes and openings are in the minute
// in which they were.
func TestMinutesAreExact(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dbFile(dir))
		defer w.end(t)
		w.staff(t, "stadt", 20)
		w.all(t, "stadt", 6, true)
		stop := w.start(t.Context())
		until(5*time.Minute + 30*time.Second)
		for i := 6; i < 16; i++ { // ten more, for a fifth of a second
			w.open(t, "stadt", i)
		}
		time.Sleep(200 * time.Millisecond)
		for i := 6; i < 16; i++ {
			w.close(t, "stadt", i)
		}
		w.carry(t, "stadt", 0, 1000, 70)
		until(6*time.Minute + 30*time.Second)
		w.close(t, "stadt", 0) // what it carried has been counted, and stays
		w.carry(t, "stadt", 1, 5, 5)
		until(9 * time.Minute)
		stop()
		points := w.ask(t, operator(), usage.Query{By: usage.Gateways, Name: "gw1", Step: usage.Minute, From: begin(), To: begin().Add(8 * time.Minute)})
		var got []capacity.Gauge
		var opened, bytes []int64
		for _, p := range points[3:] {
			got = append(got, p.Sessions.Gauge)
			opened, bytes = append(opened, p.Opened.Value), append(bytes, p.Received.Value+p.Sent.Value)
		}
		if diff := cmp.Diff([]capacity.Gauge{gaugeOf(6, 600, 6), gaugeOf(6, 600, 6), gaugeOf(16, 603, 6), gaugeOf(6, 550, 6), gaugeOf(5, 500, 5)}, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]int64{0, 0, 10, 0, 0}, opened) + cmp.Diff([]int64{0, 0, 1070, 10, 0}, bytes); diff != "" {
			t.Error(diff)
		}
		if p := points[0]; p.Opened.Value != 6 || p.Sessions.Max != 6 {
			t.Errorf("the first minute: %+v", p)
		}
	})
}

// A queue that was longer between two looks is told as long as it was, of the tenant, of the
// pools that may give it seats, and of all together.
func TestTheQueueIsExact(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dbFile(dir))
		defer w.end(t)
		w.staff(t, "stadt", 20)
		w.staff(t, "markt", 20)
		stop := w.start(t.Context())
		until(2*time.Minute + 7*time.Second)
		w.wait(t, "stadt", 9)
		w.wait(t, "markt", 6)
		time.Sleep(300 * time.Millisecond)
		w.leave(t, "markt", 6)
		w.leave(t, "stadt", 7) // of nine
		until(4 * time.Minute)
		w.leave(t, "stadt", 9)
		w.wait(t, "markt", 5)
		until(6 * time.Minute)
		stop()
		for _, c := range []struct {
			kind usage.Kind
			name string
			want []capacity.Gauge
		}{
			{usage.Tenants, "stadt", []capacity.Gauge{{}, {Max: 9, Mean: 180, P95: 2}, {Max: 2, Mean: 200, P95: 2}, {Max: 2}}},
			{usage.Tenants, "markt", []capacity.Gauge{{}, {Max: 6, Mean: 3}, {}, {Max: 5, Mean: 500, P95: 5}}},
			{usage.Pools, "vpn", []capacity.Gauge{{}, {Max: 15, Mean: 183, P95: 2}, {Max: 2, Mean: 200, P95: 2}, {Max: 5, Mean: 500, P95: 5}}},
			{usage.Provider, "", []capacity.Gauge{{}, {Max: 15, Mean: 183, P95: 2}, {Max: 2, Mean: 200, P95: 2}, {Max: 5, Mean: 500, P95: 5}}},
			{usage.Gateways, "gw1", []capacity.Gauge{{}, {}, {}, {}}},
		} {
			var got []capacity.Gauge
			for _, v := range w.minutes(t, c.kind, c.name, begin().Add(time.Minute), begin().Add(5*time.Minute)) {
				got = append(got, v.Queue)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s %s:\n%s", c.kind, c.name, diff)
			}
		}
		if moves := w.moves(t); moves == 0 {
			t.Error("nothing is left to forget")
		}
		stop = w.start(t.Context())
		until(20 * time.Minute)
		stop()
		if moves := w.moves(t); moves != 0 {
			t.Errorf("%d moves are kept", moves)
		}
	})
}

// A restart, a failover and a second replica count nothing twice, and leave no gap.
func TestNothingCountsTwice(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dbFile(dir))
		defer w.end(t)
		second := &world{store: openStore(t, storeAt(dir))}
		second.Service = usage.New(usage.Options{Store: second.store, Logger: w.Logger})
		defer second.end(t)
		w.staff(t, "stadt", 30)
		stop, stopSecond := w.start(t.Context()), second.start(t.Context())
		for i := range 20 {
			until(time.Duration(2*i+2) * time.Minute / 4)
			w.open(t, "stadt", i)
			w.carry(t, "stadt", i, 100, 0)
			w.Refused("stadt", "p", provisioner.CodeNoSeat)
			second.Refused("stadt", "q", provisioner.CodeNoSeat)
			switch i % 4 {
			case 1:
				stop()
				stop = w.start(t.Context())
			case 3:
				stopSecond()
				stopSecond = second.start(t.Context())
			}
		}
		until(15 * time.Minute)
		stop()
		stopSecond()
		opened, bytes, refused := int64(0), int64(0), int64(0)
		for i, p := range w.ask(t, operator(), usage.Query{By: usage.Provider, Step: usage.Minute, From: begin(), To: begin().Add(14 * time.Minute)}) {
			if p.Minutes != 1 {
				t.Errorf("minute %d is a gap", i)
			}
			opened += p.Opened.Value
			bytes += p.Received.Value
			refused += p.Refused[capacity.NoSeat].Value
		}
		if opened != 20 || bytes != 2000 || refused != 40 {
			t.Errorf("%d opened, %d bytes, %d refused; were 20, 2000 and 40", opened, bytes, refused)
		}
	})
}

// While no control plane runs there is a gap, though sessions last through it.
func TestNobodyServed(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dbFile(dir))
		defer w.end(t)
		w.staff(t, "stadt", 10)
		w.all(t, "stadt", 10, true)
		stop := w.start(t.Context())
		until(3*time.Minute + 10*time.Second)
		stop()
		w.carry(t, "stadt", 0, 5_000, 0) // meanwhile: nobody knows in which minute
		until(7*time.Minute + 40*time.Second)
		stop = w.start(t.Context())
		until(10 * time.Minute)
		stop()
		text := ""
		for _, p := range w.ask(t, operator(), usage.Query{By: usage.Provider, Step: usage.Minute, From: begin(), To: begin().Add(9 * time.Minute)}) {
			switch {
			case p.Minutes == 0:
				text += "-"
			case p.Sessions.Max == 10 && p.Received.Value == 0:
				text += "x"
			default:
				t.Errorf("%+v", p)
			}
		}
		if text != "xxxx---xx" {
			t.Errorf("measured %s, want xxxx---xx", text)
		}
		series, err := w.Hours(t.Context(), usage.Tenants, "nirgends", begin(), begin().Add(2*time.Hour))
		if err != nil || len(series.Values) != 2 || !math.IsNaN(series.Values[0]) {
			t.Errorf("%+v, %v", series, err)
		}
	})
}

// A gateway that was away is a gap, and totals without it are marked.
func TestGatewayAway(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dbFile(dir))
		defer w.end(t)
		w.staff(t, "stadt", 10)
		w.all(t, "stadt", 10, true)
		defer w.start(t.Context())()
		until(3 * time.Minute)
		w.contact(t, false, 0)
		until(5 * time.Minute)
		w.contact(t, true, time.Hour)
		w.carry(t, "stadt", 0, 7_000, 0) // of all the time that it was away
		until(8 * time.Minute)
		text := ""
		for i, p := range w.ask(t, operator(), usage.Query{By: usage.Provider, Step: usage.Minute, From: begin(), To: begin().Add(7 * time.Minute)}) {
			g := w.ask(t, operator(), usage.Query{By: usage.Gateways, Name: "gw1", Step: usage.Minute, From: begin(), To: begin().Add(7 * time.Minute)})[i]
			switch {
			case g.Minutes == 0:
				text += "-"
			case g.Incomplete:
				text += "i"
			default:
				text += "x"
			}
			if p.Minutes != 1 || p.Sessions.Max != 10 || p.Received.Value != 0 {
				t.Errorf("minute %d: %+v", i, p)
			}
			if p.Incomplete {
				text += "I"
			}
		}
		if text != "xxx-I-IiIx" {
			t.Errorf("measured %s", text)
		}
	})
}

// What is told of hours is what was decided when they were over, in whatever step; and so
// it stays when the day is packed.
func TestHoursAndDays(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dbFile(dir))
		defer w.end(t)
		w.staff(t, "stadt", 120)
		w.staff(t, "markt", 60)
		w.staff(t, "dorf", 30)
		stop := w.start(t.Context())
		until(20 * time.Minute)
		w.all(t, "stadt", 80, true)
		w.all(t, "markt", 3, true)
		w.all(t, "dorf", 13, true)
		until(2*time.Hour + time.Minute)
		stop()
		tell := func(by usage.Kind, name string, step time.Duration) (text string) {
			for _, p := range w.ask(t, planner(tenants...), usage.Query{By: by, Name: name, Step: step, From: begin(), To: begin().Add(3 * time.Hour)}) {
				switch {
				case p.Minutes == 0:
					text += "-"
				case p.Sessions.Withheld:
					text += "."
				default:
					text += string(rune('a' + p.Sessions.Max/5))
				}
			}
			return text
		}
		expect := func() {
			t.Helper()
			for _, c := range []struct {
				by          usage.Kind
				name        string
				hours, fine string
			}{
				{usage.Tenants, "stadt", ".q", "....qqqq"},
				{usage.Tenants, "markt", "..", "........"},
				{usage.Tenants, "dorf", "..", "........"}, // hides markt's three
				{usage.Pools, "vpn", ".t", "....tttt"},
			} {
				if hours, fine := tell(c.by, c.name, usage.Hour), tell(c.by, c.name, usage.Quarter); !strings.HasPrefix(hours, c.hours) || !strings.HasPrefix(fine, c.fine) {
					t.Errorf("%s %s: %s and %s, want %s and %s", c.by, c.name, hours, fine, c.hours, c.fine)
				}
			}
			day := w.ask(t, planner("stadt"), usage.Query{By: usage.Tenants, Name: "stadt", Step: usage.Day, From: begin(), To: begin().Add(time.Hour)})
			if p := day[0]; p.Sessions.Gauge != gaugeOf(80, 8000, 80) || !p.Partly || !p.At.Equal(begin().Add(-time.Hour)) {
				t.Errorf("the day in Germany: %+v", p)
			}
		}
		expect()
		until(23*time.Hour + 58*time.Minute)
		stop = w.start(t.Context())
		until(24*time.Hour + 12*time.Minute)
		stop()
		expect()
		series, err := w.Hours(t.Context(), usage.Pools, "vpn", begin(), begin().Add(24*time.Hour))
		if err != nil || series.Values[0] != 96 || series.Values[1] != 96 || !math.IsNaN(series.Values[2]) || !math.IsNaN(series.Values[23]) {
			t.Errorf("%+v, %v", series, err)
		}
		if rows := w.kept(t); rows != [3]int{0, 1, 6} {
			t.Errorf("kept %v", rows)
		}
	})
}

// Minutes are kept for two days, five minutes for 60 and hours for three years, and nothing for longer.
func TestHowLongIsKept(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dbFile(dir))
		defer w.end(t)
		const day = 24 * time.Hour
		type kept struct{ minutes, fives, hours []time.Duration } // before now
		given := kept{[]time.Duration{49 * time.Hour, 47 * time.Hour}, []time.Duration{62 * day, 60 * day}, []time.Duration{1097 * day, 1095 * day}}
		packed := func(id int64) string {
			return capacity.PackIntervals([]int64{id}, []capacity.Interval{{Minutes: 1, Complete: 1}})
		}
		var id int64
		w.update(t, func(tx *store.Writer) error {
			err := tx.AddUsageSeries([]store.UsageSeries{{Kind: string(usage.Provider)}})
			all, e := tx.UsageSeries()
			err = errors.Join(err, e)
			id = all[0].ID
			for _, ago := range given.minutes {
				err = errors.Join(err, tx.PutUsageInterval(usage.Minute, begin().Add(-ago), string(usage.Provider), packed(id)))
			}
			for step, list := range map[time.Duration][]time.Duration{usage.FiveMinutes: given.fives, usage.Hour: given.hours} {
				for _, ago := range list {
					err = errors.Join(err, tx.PutUsageDays(step, []store.UsageRow{{Series: id, At: begin().Add(-ago), Packed: packed(0)}}))
				}
			}
			return err
		})
		stop := w.start(t.Context())
		until(5 * time.Minute)
		stop()
		var got kept
		if err := w.store.View(t.Context(), func(tx *store.Reader) error {
			long := begin().Add(-2000 * day)
			minutes, err := tx.UsageIntervals(usage.Minute, string(usage.Provider), long, begin().Add(-day))
			for _, row := range minutes {
				got.minutes = append(got.minutes, begin().Sub(row.At))
			}
			for step, list := range map[time.Duration]*[]time.Duration{usage.FiveMinutes: &got.fives, usage.Hour: &got.hours} {
				days, e := tx.UsageDays(step, []int64{id}, long, begin())
				err = errors.Join(err, e)
				for _, row := range days {
					*list = append(*list, begin().Sub(row.At))
				}
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if want := (kept{given.minutes[1:], given.fives[1:], given.hours[1:]}); !reflect.DeepEqual(got, want) {
			t.Errorf("kept are %v, want %v", got, want)
		}
	})
}
