package provisioner

import (
	"fmt"
	"time"
)

// DayBegins gives the instant at which a calendar day begins in Germany. Dates
// in contracts mean those days, wherever the control plane runs. Values out of
// range are carried over as time.Date does: day 32 of a month is in the next.
func DayBegins(year int, month time.Month, day int) time.Time {
	utc := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	// The clock is never set at midnight: an hour before it in UTC is already
	// the right side of every change.
	return utc.Add(-germanOffset(utc.Add(-time.Hour)))
}

// DayOf gives the calendar day in Germany at t.
func DayOf(t time.Time) (year int, month time.Month, day int) {
	t = t.UTC()
	return t.Add(germanOffset(t)).Date()
}

// germanOffset is the difference to UTC by the rule that holds since 1996
// (Directive 2000/84/EC): summer time from the last Sunday in March to the last
// Sunday in October, changed at 01:00 UTC. It is computed because this package
// reads no files, and a zone database is one.
func germanOffset(t time.Time) time.Duration {
	begin, end := lastSunday(t.Year(), time.March), lastSunday(t.Year(), time.October)
	if t.Before(begin) || !t.Before(end) {
		return time.Hour
	}
	return 2 * time.Hour
}

// lastSunday is 01:00 UTC of the last Sunday of a month with 31 days.
func lastSunday(year int, month time.Month) time.Time {
	last := time.Date(year, month, 31, 1, 0, 0, 0, time.UTC)
	return last.AddDate(0, 0, -int(last.Weekday()))
}

// ClockText writes a time as it is told in Germany.
func ClockText(t time.Time) (german, english string) {
	t = t.UTC()
	t = t.Add(germanOffset(t))
	return t.Format("2.1., 15:04") + " Uhr", t.Format("2 January, 15:04")
}

// DayText writes a day in Germany as people there write it.
func DayText(t time.Time) (german, english string) {
	year, month, day := DayOf(t)
	months := [...]string{"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"}
	return fmt.Sprintf("%d. %s %d", day, months[month-1], year), fmt.Sprintf("%d %s %d", day, month, year)
}
