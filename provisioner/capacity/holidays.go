package capacity

import (
	"fmt"
	"slices"
	"time"
)

// Holiday is a public holiday by law, on a day as the calendar in Germany has
// it.
type Holiday struct {
	Year  int
	Month time.Month
	Day   int
	Name  string // in German

	// Partly holds where the law gives the day to a part of the Land only:
	// Catholic municipalities in Bavaria, Saxony and Thuringia, and Augsburg.
	Partly bool
}

// The years for which Holidays answers: the clock changes as it does since
// 1996, and a law for the 23rd century is nobody's to guess.
const (
	FirstYear = 1996
	LastYear  = 2199
)

// Laender are the two-letter codes for which Holidays answers.
func Laender() []string {
	return []string{"BB", "BE", "BW", "BY", "HB", "HE", "HH", "MV", "NI", "NW", "RP", "SH", "SL", "SN", "ST", "TH"}
}

// rule is one line of the laws on public holidays.
type rule struct {
	name     string
	month    time.Month // zero: day counts from Easter Sunday
	day      int
	laender  []string // nil: all
	from, to int      // years; zero: without such a limit
	partly   bool
}

// rules are the laws of the sixteen Länder, but for the one day that is no date
// and does not hang on Easter (repentanceDay). The Sundays that Brandenburg
// names change nothing, but the law names them.
func rules() []rule {
	return []rule{
		{name: "Neujahr", month: time.January, day: 1},
		{name: "Heilige Drei Könige", month: time.January, day: 6, laender: []string{"BW", "BY", "ST"}},
		{name: "Internationaler Frauentag", month: time.March, day: 8, laender: []string{"BE"}, from: 2019},
		{name: "Internationaler Frauentag", month: time.March, day: 8, laender: []string{"MV"}, from: 2023},
		{name: "Karfreitag", day: -2},
		{name: "Ostersonntag", day: 0, laender: []string{"BB"}},
		{name: "Ostermontag", day: 1},
		{name: "Tag der Arbeit", month: time.May, day: 1},
		{name: "75. Jahrestag der Befreiung", month: time.May, day: 8, laender: []string{"BE"}, from: 2020, to: 2020},
		{name: "80. Jahrestag der Befreiung", month: time.May, day: 8, laender: []string{"BE"}, from: 2025, to: 2025},
		{name: "Christi Himmelfahrt", day: 39},
		{name: "Pfingstsonntag", day: 49, laender: []string{"BB"}},
		{name: "Pfingstmontag", day: 50},
		{name: "Fronleichnam", day: 60, laender: []string{"BW", "BY", "HE", "NW", "RP", "SL"}},
		{name: "Fronleichnam", day: 60, laender: []string{"SN", "TH"}, partly: true},
		{name: "75. Jahrestag des Aufstandes vom 17. Juni 1953", month: time.June, day: 17, laender: []string{"BE"}, from: 2028, to: 2028},
		{name: "Augsburger Friedensfest", month: time.August, day: 8, laender: []string{"BY"}, partly: true},
		{name: "Mariä Himmelfahrt", month: time.August, day: 15, laender: []string{"SL"}},
		{name: "Mariä Himmelfahrt", month: time.August, day: 15, laender: []string{"BY"}, partly: true},
		{name: "Weltkindertag", month: time.September, day: 20, laender: []string{"TH"}, from: 2019},
		{name: "Tag der Deutschen Einheit", month: time.October, day: 3},
		{name: "Reformationstag", month: time.October, day: 31, laender: []string{"BB", "MV", "SN", "ST", "TH"}},
		{name: "Reformationstag", month: time.October, day: 31, laender: []string{"BE", "BW", "BY", "HB", "HE", "HH", "NI", "NW", "RP", "SH", "SL"}, from: 2017, to: 2017},
		{name: "Reformationstag", month: time.October, day: 31, laender: []string{"HB", "HH", "NI", "SH"}, from: 2018},
		{name: "Allerheiligen", month: time.November, day: 1, laender: []string{"BW", "BY", "NW", "RP", "SL"}},
		{name: "1. Weihnachtstag", month: time.December, day: 25},
		{name: "2. Weihnachtstag", month: time.December, day: 26},
	}
}

// Holidays are the public holidays of a Land in a year, by date. A Land that
// there is not and a year without known rules are errors.
func Holidays(land string, year int) ([]Holiday, error) {
	if !slices.Contains(Laender(), land) {
		return nil, fmt.Errorf("no Land %q in Germany: must be one of %v", land, Laender())
	}
	if year < FirstYear || year > LastYear {
		return nil, fmt.Errorf("no holidays known for %d, only from %d to %d", year, FirstYear, LastYear)
	}
	easter := easterSunday(year)
	var all []Holiday
	add := func(day time.Time, name string, partly bool) {
		y, m, d := day.Date()
		all = append(all, Holiday{Year: y, Month: m, Day: d, Name: name, Partly: partly})
	}
	for _, r := range rules() {
		switch {
		case r.laender != nil && !slices.Contains(r.laender, land), r.from > year, r.to > 0 && r.to < year:
		case r.month == 0:
			add(easter.AddDate(0, 0, r.day), r.name, r.partly)
		default:
			add(time.Date(year, r.month, r.day, 0, 0, 0, 0, time.UTC), r.name, r.partly)
		}
	}
	if land == "SN" {
		add(repentanceDay(year), "Buß- und Bettag", false)
	}
	slices.SortFunc(all, func(a, b Holiday) int { return a.key() - b.key() })
	return all, nil
}

// key orders days.
func (h Holiday) key() int { return dayKey(h.Year, h.Month, h.Day) }

func dayKey(year int, month time.Month, day int) int { return (year*12+int(month))*32 + day }

// easterSunday by the Gregorian computus in the form of Meeus, Jones and
// Butcher (Nature, 20 April 1876).
func easterSunday(year int) time.Time {
	golden := year % 19
	century, rest := year/100, year%100
	epact := (19*golden + century - century/4 - (century-(century+8)/25+1)/3 + 15) % 30
	weekday := (32 + 2*(century%4) + 2*(rest/4) - epact - rest%4) % 7
	late := (golden + 11*epact + 22*weekday) / 451
	n := epact + weekday - 7*late + 114
	return time.Date(year, time.Month(n/31), n%31+1, 0, 0, 0, 0, time.UTC)
}

// repentanceDay is the Wednesday before 23 November.
func repentanceDay(year int) time.Time {
	day := time.Date(year, time.November, 22, 0, 0, 0, 0, time.UTC)
	return day.AddDate(0, 0, -(int(day.Weekday())-int(time.Wednesday)+7)%7)
}
