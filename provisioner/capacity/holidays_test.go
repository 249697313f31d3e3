package capacity_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner/capacity"
)

// Known years, day by day. A star marks what holds in a part of the Land only.
func TestHolidays(t *testing.T) {
	for _, c := range []struct {
		land string
		year int
		want string
	}{
		{"BW", 2024, "1.1 6.1 29.3 1.4 1.5 9.5 20.5 30.5 3.10 1.11 25.12 26.12"},
		{"BY", 2024, "1.1 6.1 29.3 1.4 1.5 9.5 20.5 30.5 8.8* 15.8* 3.10 1.11 25.12 26.12"},
		{"BE", 2024, "1.1 8.3 29.3 1.4 1.5 9.5 20.5 3.10 25.12 26.12"},
		{"BE", 2025, "1.1 8.3 18.4 21.4 1.5 8.5 29.5 9.6 3.10 25.12 26.12"},
		{"BE", 2020, "1.1 8.3 10.4 13.4 1.5 8.5 21.5 1.6 3.10 25.12 26.12"},
		{"BE", 2018, "1.1 30.3 2.4 1.5 10.5 21.5 3.10 25.12 26.12"},
		{"BE", 2028, "1.1 8.3 14.4 17.4 1.5 25.5 5.6 17.6 3.10 25.12 26.12"},
		{"BB", 2024, "1.1 29.3 31.3 1.4 1.5 9.5 19.5 20.5 3.10 31.10 25.12 26.12"},
		{"HB", 2018, "1.1 30.3 2.4 1.5 10.5 21.5 3.10 31.10 25.12 26.12"},
		{"HB", 2016, "1.1 25.3 28.3 1.5 5.5 16.5 3.10 25.12 26.12"},
		{"HE", 2026, "1.1 3.4 6.4 1.5 14.5 25.5 4.6 3.10 25.12 26.12"},
		{"HE", 2027, "1.1 26.3 29.3 1.5 6.5 17.5 27.5 3.10 25.12 26.12"},
		// Ascension on Labour Day.
		{"HE", 2008, "1.1 21.3 24.3 1.5 1.5 12.5 22.5 3.10 25.12 26.12"},
		// Once everywhere, and in Hesse never again.
		{"HE", 2017, "1.1 14.4 17.4 1.5 25.5 5.6 15.6 3.10 31.10 25.12 26.12"},
		{"HH", 2024, "1.1 29.3 1.4 1.5 9.5 20.5 3.10 31.10 25.12 26.12"},
		{"MV", 2022, "1.1 15.4 18.4 1.5 26.5 6.6 3.10 31.10 25.12 26.12"},
		{"MV", 2024, "1.1 8.3 29.3 1.4 1.5 9.5 20.5 3.10 31.10 25.12 26.12"},
		{"NI", 2024, "1.1 29.3 1.4 1.5 9.5 20.5 3.10 31.10 25.12 26.12"},
		{"NW", 2024, "1.1 29.3 1.4 1.5 9.5 20.5 30.5 3.10 1.11 25.12 26.12"},
		{"RP", 2024, "1.1 29.3 1.4 1.5 9.5 20.5 30.5 3.10 1.11 25.12 26.12"},
		{"SH", 2024, "1.1 29.3 1.4 1.5 9.5 20.5 3.10 31.10 25.12 26.12"},
		{"SL", 2024, "1.1 29.3 1.4 1.5 9.5 20.5 30.5 15.8 3.10 1.11 25.12 26.12"},
		{"SN", 2024, "1.1 29.3 1.4 1.5 9.5 20.5 30.5* 3.10 31.10 20.11 25.12 26.12"},
		{"SN", 2023, "1.1 7.4 10.4 1.5 18.5 29.5 8.6* 3.10 31.10 22.11 25.12 26.12"},
		{"ST", 2024, "1.1 6.1 29.3 1.4 1.5 9.5 20.5 3.10 31.10 25.12 26.12"},
		{"TH", 2024, "1.1 29.3 1.4 1.5 9.5 20.5 30.5* 20.9 3.10 31.10 25.12 26.12"},
		{"TH", 2018, "1.1 30.3 2.4 1.5 10.5 21.5 31.5* 3.10 31.10 25.12 26.12"},
	} {
		all, err := capacity.Holidays(c.land, c.year)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range all {
			s := fmt.Sprintf("%d.%d", h.Day, h.Month)
			if h.Partly {
				s += "*"
			}
			got = append(got, s)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s %d: %s", c.land, c.year, diff)
		}
	}
}

// Easter of years that are known for it: the earliest and the latest, and those
// in which other rules err.
func TestEaster(t *testing.T) {
	for _, want := range []string{"1996-04-07", "2000-04-23", "2008-03-23", "2011-04-24", "2019-04-21", "2024-03-31", "2025-04-20", "2026-04-05", "2027-03-28", "2035-03-25", "2038-04-25", "2049-04-18", "2076-04-19", "2100-03-28", "2160-03-23", "2199-04-14"} {
		day, err := time.Parse(time.DateOnly, want)
		if err != nil {
			t.Fatal(err)
		}
		all, err := capacity.Holidays("BB", day.Year())
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range all {
			if h.Name == "Ostersonntag" && (h.Month != day.Month() || h.Day != day.Day()) {
				t.Errorf("%s: found %v", want, h)
			}
		}
	}
}

func TestHolidaysOfEveryLandInEveryYear(t *testing.T) {
	for _, land := range capacity.Laender() {
		for year := capacity.FirstYear; year <= capacity.LastYear; year++ {
			all, err := capacity.Holidays(land, year)
			if err != nil || len(all) < 9 || len(all) > 15 {
				t.Fatalf("%s %d: %v, %v", land, year, all, err)
			}
			for _, h := range all {
				weekday := time.Date(h.Year, h.Month, h.Day, 0, 0, 0, 0, time.UTC).Weekday()
				want := map[string]time.Weekday{
					"Karfreitag": time.Friday, "Ostersonntag": time.Sunday, "Ostermontag": time.Monday, "Christi Himmelfahrt": time.Thursday,
					"Pfingstsonntag": time.Sunday, "Pfingstmontag": time.Monday, "Fronleichnam": time.Thursday, "Buß- und Bettag": time.Wednesday,
				}
				if w, moves := want[h.Name]; moves && w != weekday || h.Year != year {
					t.Fatalf("%s %d: %v is a %v", land, year, h, weekday)
				}
			}
		}
	}
}

func TestHolidaysOfNoLand(t *testing.T) {
	for _, c := range []struct {
		land string
		year int
		want string
	}{
		{"", 2026, `no Land "" in Germany: must be one of [BB BE BW BY HB HE HH MV NI NW RP SH SL SN ST TH]`},
		{"he", 2026, `no Land "he" in Germany: must be one of [BB BE BW BY HB HE HH MV NI NW RP SH SL SN ST TH]`},
		{"HE", 1995, "no holidays known for 1995, only from 1996 to 2199"},
		{"HE", 2200, "no holidays known for 2200, only from 1996 to 2199"},
	} {
		if _, err := capacity.Holidays(c.land, c.year); err == nil || err.Error() != c.want {
			t.Errorf("%q %d: %v", c.land, c.year, err)
		}
	}
}
