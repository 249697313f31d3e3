package provisioner_test

import (
	"testing"
	"time"
	_ "time/tzdata" // what the world says of Germany's clocks

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
)

func berlin(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func rule(t testing.TB, group, days, hours string) provisioner.AccessTime {
	t.Helper()
	a := provisioner.AccessTime{Group: group}
	var err error
	if a.Days, err = provisioner.ParseWeekdays(days); err != nil {
		t.Fatal(err)
	}
	if a.Begin, a.End, err = provisioner.ParseHours(hours); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAccessTimes(t *testing.T) {
	zone := berlin(t)
	at := func(s string) time.Time {
		if s == "" {
			return time.Time{}
		}
		v, err := time.ParseInLocation("2006-01-02 15:04", s, zone)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	office, trainees, always := rule(t, "all", "mon-fri", "06:00-20:00"), rule(t, "cn=azubis", "mon-thu", "08:00-16:00"), rule(t, "cn=it", "", "")
	mandate := always
	mandate.From, mandate.Until = provisioner.DayBegins(2027, 3, 1), provisioner.DayBegins(2027, 4, 1)
	night := []provisioner.AccessTime{rule(t, "all", "", "22:00-24:00"), rule(t, "all", "", "00:00-02:30")}
	for _, c := range []struct {
		name   string
		rules  []provisioner.AccessTime
		groups []string
		now    string
		open   bool
		change string
	}{
		{"no rules", nil, nil, "2027-03-03 03:00", true, ""},
		{"in the morning", []provisioner.AccessTime{office}, nil, "2027-03-03 05:59", false, "2027-03-03 06:00"},
		{"at six", []provisioner.AccessTime{office}, nil, "2027-03-03 06:00", true, "2027-03-03 20:00"},
		{"at eight in the evening", []provisioner.AccessTime{office}, nil, "2027-03-03 20:00", false, "2027-03-04 06:00"},
		{"Friday evening, into summer time", []provisioner.AccessTime{office}, nil, "2027-03-26 21:00", false, "2027-03-29 06:00"},
		{"a group's own times in place of all", []provisioner.AccessTime{office, trainees}, []string{"CN=Azubis"}, "2027-03-03 17:00", false, "2027-03-04 08:00"},
		{"of two groups what is open", []provisioner.AccessTime{office, trainees, always}, []string{"cn=azubis", "cn=it"}, "2027-03-07 03:00", true, ""},
		{"before dates", []provisioner.AccessTime{mandate}, []string{"cn=it"}, "2026-11-26 10:00", false, "2027-03-01 00:00"},
		{"within dates", []provisioner.AccessTime{mandate}, []string{"cn=it"}, "2027-03-30 10:00", true, "2027-04-01 00:00"},
		{"after dates", []provisioner.AccessTime{mandate}, []string{"cn=it"}, "2027-04-01 00:00", false, ""},
		{"over midnight", night, nil, "2027-02-01 23:00", true, "2027-02-02 02:30"},
	} {
		open, change := provisioner.Policy{Access: c.rules}.OpenAt(c.groups, at(c.now))
		if open != c.open || !change.Equal(at(c.change)) {
			t.Errorf("%s: open %v, changes %v, want %v, %v", c.name, open, change.In(zone), c.open, c.change)
		}
	}
}

// Whatever the rules, nothing changes before the change that was named, and then it
// does: held against the zone database, minute by minute, around the days on which the
// clock is set too.
func TestAccessChangesWhenItSays(t *testing.T) {
	zone := berlin(t)
	rapid.Check(t, func(r *rapid.T) {
		var p provisioner.Policy
		for range rapid.IntRange(1, 3).Draw(r, "rules") {
			begin := rapid.IntRange(0, 24*60-1).Draw(r, "begin")
			p.Access = append(p.Access, provisioner.AccessTime{
				Group: provisioner.GroupAll, Days: provisioner.Weekdays(rapid.IntRange(0, 127).Draw(r, "days")),
				Begin: begin, End: rapid.IntRange(begin+1, 24*60).Draw(r, "end"),
			})
		}
		days := rapid.SampledFrom([]time.Time{
			time.Date(2027, 3, 27, 0, 0, 0, 0, zone), time.Date(2027, 10, 30, 0, 0, 0, 0, zone), time.Date(2027, 12, 30, 0, 0, 0, 0, zone),
		}).Draw(r, "day")
		now := days.Add(time.Duration(rapid.IntRange(0, 3*24*60).Draw(r, "minute")) * time.Minute)
		holds := func(t time.Time) bool {
			local := t.In(zone)
			minute := local.Hour()*60 + local.Minute()
			for _, a := range p.Access {
				if (a.Days == 0 || a.Days&(1<<local.Weekday()) != 0) && minute >= a.Begin && minute < a.End {
					return true
				}
			}
			return false
		}
		open, change := p.OpenAt(nil, now)
		if open != holds(now) {
			r.Fatalf("open %v at %v", open, now)
		}
		for m := 1; m <= 8*24*60; m++ {
			at := now.Add(time.Duration(m) * time.Minute)
			if holds(at) == open {
				continue
			}
			if !change.Equal(at) {
				r.Fatalf("at %v it changes at %v, not at %v", now, at, change.In(zone))
			}
			return
		}
		if !change.IsZero() {
			r.Fatalf("at %v it never changes, not at %v", now, change.In(zone))
		}
	})
}

func TestParsingAccessTimes(t *testing.T) {
	for text, want := range map[string]string{"mon-fri": "mon,tue,wed,thu,fri", "sat, sun": "sun,sat", "fri-mon": "sun,mon,fri,sat", "": ""} {
		if got, err := provisioner.ParseWeekdays(text); err != nil || got.String() != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"mo-fr", "mon-", "-", "mon,,tue", "mon-fri-sun", "MON"} {
		if got, err := provisioner.ParseWeekdays(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	for _, text := range []string{"06:00-20:00", "00:00-24:00", "23:59-24:00", ""} {
		begin, end, err := provisioner.ParseHours(text)
		if got := (provisioner.AccessTime{Begin: begin, End: end}).Hours(); err != nil || got != text {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"6-20", "06:00", "20:00-06:00", "06:00-06:00", "06:00-24:01", "06:60-20:00", "-1:00-20:00", "+6:00-20:00", "06:00-20:00-22:00", " "} {
		if begin, end, err := provisioner.ParseHours(text); err == nil {
			t.Errorf("%q: %d to %d", text, begin, end)
		}
	}
}

func FuzzAccessTimes(f *testing.F) {
	f.Add("mon-fri", "06:00-20:00")
	f.Fuzz(func(t *testing.T, days, hours string) {
		if d, err := provisioner.ParseWeekdays(days); err == nil {
			if again, err := provisioner.ParseWeekdays(d.String()); err != nil || again != d {
				t.Errorf("%q is %v, and that is %v, %v", days, d, again, err)
			}
		}
		if begin, end, err := provisioner.ParseHours(hours); err == nil {
			if got := (provisioner.AccessTime{Begin: begin, End: end}).Hours(); got != hours {
				t.Errorf("%q is %q", hours, got)
			}
		}
	})
}
