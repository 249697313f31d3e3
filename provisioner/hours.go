package provisioner

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AccessTime is when the members of a group may be connected. Clock and days are
// Germany's.
type AccessTime struct {
	Group string    // a DN, or GroupAll for those of whom no other group's times speak
	Days  Weekdays  // zero: every day
	Begin int       // minutes since midnight, by the clock on the wall
	End   int       // exclusive, up to 24:00; zero, with Begin zero: the whole day
	From  time.Time // zero: always was
	Until time.Time // exclusive; zero: open end
}

// Weekdays is a set of days, a bit each (1 << time.Sunday, ...).
type Weekdays uint8

const wholeDay = 24 * 60

// holds reports whether the times of a rule include t.
func (a AccessTime) holds(t time.Time) bool {
	if t.Before(a.From) || !a.Until.IsZero() && !t.Before(a.Until) {
		return false
	}
	clock := onTheWall(t)
	if a.Days != 0 && a.Days&(1<<clock.Weekday()) == 0 {
		return false
	}
	minute := clock.Hour()*60 + clock.Minute()
	return a.Begin == 0 && a.End == 0 || minute >= a.Begin && minute < a.End
}

// onTheWall is what clock and calendar in Germany show, as if it were UTC.
func onTheWall(t time.Time) time.Time { return t.UTC().Add(germanOffset(t.UTC())) }

// timesOf lists the rules that speak of somebody in groups: those of her own groups, or
// else those for all.
func (p Policy) timesOf(groups []string) (own []AccessTime) {
	var all []AccessTime
	for _, a := range p.Access {
		switch {
		case a.Group == GroupAll:
			all = append(all, a)
		case InGroup(groups, a.Group):
			own = append(own, a)
		}
	}
	if len(own) > 0 {
		return own
	}
	return all
}

// timesAhead is how many days ahead the next change of access is looked for: a week
// has every day, and a day more has every hour of it.
const timesAhead = 8

// OpenAt says whether somebody in groups may be connected at t, and when that changes
// next; the zero time: not within a week of t or of a date in the rules.
func (p Policy) OpenAt(groups []string, t time.Time) (open bool, change time.Time) {
	rules := p.timesOf(groups)
	if len(rules) == 0 {
		return true, time.Time{}
	}
	at := func(t time.Time) bool {
		return slices.ContainsFunc(rules, func(a AccessTime) bool { return a.holds(t) })
	}
	open = at(t)
	for _, c := range turns(rules, t) {
		if c.After(t) && at(c) != open {
			return open, c
		}
	}
	return open, time.Time{}
}

// turns lists the instants at which a rule may begin or end to hold, in order: near t,
// and near each date in the rules that is ahead.
func turns(rules []AccessTime, t time.Time) (list []time.Time) {
	near := []time.Time{t}
	for _, a := range rules {
		for _, date := range []time.Time{a.From, a.Until} {
			if date.After(t) {
				list, near = append(list, date), append(near, date)
			}
		}
	}
	for _, n := range near {
		midnight := onTheWall(n).Truncate(24 * time.Hour)
		for day := range timesAhead + 1 {
			begins := midnight.AddDate(0, 0, day)
			list = append(list, instants(begins)...)
			for _, a := range rules {
				list = append(list, instants(begins.Add(time.Duration(a.Begin)*time.Minute))...)
				list = append(list, instants(begins.Add(time.Duration(a.End)*time.Minute))...)
			}
		}
		// Where the clock is set, the time on the wall jumps.
		list = append(list, lastSunday(n.UTC().Year(), time.March), lastSunday(n.UTC().Year(), time.October))
	}
	slices.SortFunc(list, time.Time.Compare)
	return list
}

// instants are those at which clock and calendar show a time: one, two in the hour that
// comes twice, none in the one that is left out.
func instants(wall time.Time) (list []time.Time) {
	for _, offset := range []time.Duration{2 * time.Hour, time.Hour} {
		if t := wall.Add(-offset); onTheWall(t).Equal(wall) {
			list = append(list, t)
		}
	}
	return list
}

// outsideHours refuses somebody at a time that is none of hers.
func outsideHours(opens time.Time, now time.Time) *Refusal {
	german, english := "vorerst nicht", "not for the time being"
	if !opens.IsZero() {
		wall := onTheWall(opens)
		german, english = "ab "+wall.Format("02.01.2006 15:04")+" Uhr", "from "+wall.Format("2006-01-02 15:04")+" (German time)"
	}
	r := Refuse(CodeOutsideHours).With("when", german, english)
	if opens.IsZero() {
		return r
	}
	return r.After(opens.Sub(now))
}

// AdmitsAt decides whether a session of somebody with this standing may be open at a
// time, and until when: the zero time, as long as it likes. Else it is the refusal that
// says when that begins.
func (t Tenant) AdmitsAt(s Standing, now time.Time) (until time.Time, refusal *Refusal) {
	if t.InCrisis() && t.Crisis.LiftHours {
		return time.Time{}, nil
	}
	open, change := t.Policy.OpenAt(s.Groups, now)
	if !open {
		return time.Time{}, outsideHours(change, now)
	}
	return change, nil
}

// dayNames in the order of time.Weekday.
func dayNames() []string { return []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

// ParseWeekdays reads days such as "mon-fri" or "sat, mon-wed". Empty: every day.
func ParseWeekdays(text string) (days Weekdays, err error) {
	if strings.TrimSpace(text) == "" {
		return 0, nil
	}
	for _, part := range strings.Split(text, ",") {
		first, last, span := strings.Cut(strings.TrimSpace(part), "-")
		if !span {
			last = first
		}
		from, to := slices.Index(dayNames(), first), slices.Index(dayNames(), last)
		if from < 0 || to < 0 {
			return 0, fmt.Errorf("%q is no day or span of days such as mon-fri", part)
		}
		for d := from; ; d = (d + 1) % 7 {
			days |= 1 << d
			if d == to {
				break
			}
		}
	}
	return days, nil
}

// String is how ParseWeekdays reads them.
func (w Weekdays) String() string {
	var list []string
	for d, name := range dayNames() {
		if w&(1<<d) != 0 {
			list = append(list, name)
		}
	}
	return strings.Join(list, ",")
}

// ParseHours reads hours of one day such as "06:00-20:00". Empty: the whole day.
func ParseHours(text string) (begin, end int, err error) {
	if text == "" {
		return 0, 0, nil
	}
	first, last, _ := strings.Cut(text, "-")
	if begin, err = parseClock(first); err == nil {
		end, err = parseClock(last)
	}
	switch {
	case err != nil:
		return 0, 0, fmt.Errorf("%q is no hours such as 06:00-20:00", text)
	case end <= begin:
		return 0, 0, fmt.Errorf("%q ends before it begins: write two entries, one up to 24:00", text)
	}
	return begin, end, nil
}

func parseClock(text string) (int, error) {
	hour, minute, _ := strings.Cut(text, ":")
	if len(hour) != 2 || len(minute) != 2 {
		return 0, fmt.Errorf("%q is no time of day", text)
	}
	h, err := strconv.ParseUint(hour, 10, 8)
	if err != nil {
		return 0, err
	}
	m, err := strconv.ParseUint(minute, 10, 8)
	if err != nil || m > 59 || h*60+m > wholeDay {
		return 0, fmt.Errorf("%q is no time of day", text)
	}
	return int(h*60 + m), nil
}

// Hours is how ParseHours reads them.
func (a AccessTime) Hours() string {
	if a.Begin == 0 && a.End == 0 {
		return ""
	}
	return fmt.Sprintf("%02d:%02d-%02d:%02d", a.Begin/60, a.Begin%60, a.End/60, a.End%60)
}
