package config

import (
	"strconv"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// span reads a span of time of at least an hour and at most so many days: 12h,
// 7d, or never, which is zero.
func (m *mapping) span(key string, into *time.Duration, most int64) {
	v, s, ok := m.askText(key)
	if !ok {
		return
	}
	if s == "never" {
		*into = 0
		return
	}
	n, unit := int64(0), time.Hour
	number, hours := strings.CutSuffix(s, "h")
	if !hours {
		if number, ok = strings.CutSuffix(s, "d"); ok {
			unit = 24 * time.Hour
		}
	}
	if ok && number != "" && number[0] != '0' && strings.Trim(number, "0123456789") == "" {
		n, _ = strconv.ParseInt(number, 10, 32) // none, or too many: 0
	}
	if limit := time.Duration(most) * 24 * time.Hour; n < 1 || n > int64(limit/unit) {
		v.failf("%q is no span such as 12h or 7d, of at most %d days; without an end: never", quoted(s), most)
		return
	}
	*into = time.Duration(n) * unit
}

// bitRate reads how much a line carries: 2Gbit, 500Mbit.
func (m *mapping) bitRate(key string, into *int64) {
	v, s, ok := m.askText(key)
	if !ok {
		return
	}
	rate, ok := provisioner.ParseBitRate(s)
	if !ok {
		v.failf("%q is no rate such as 2Gbit or 500Mbit", quoted(s))
		return
	}
	*into = rate
}

// askText gives the text of a key that may be missing.
func (m *mapping) askText(key string) (v value, s string, ok bool) {
	if v, ok = m.ask(key); ok {
		s, ok = v.text()
	}
	return v, s, ok
}

// shortSpan reads a span of minutes or hours, such as 60m or 2h, as idleness is told in.
// With or, a text that means something else may stand there: it gives zero.
func (m *mapping) shortSpan(key string, into *time.Duration, or string) {
	v, s, ok := m.askText(key)
	if !ok {
		return
	}
	if s == or && or != "" {
		*into = 0
		return
	}
	n, unit := int64(0), time.Minute
	number, found := strings.CutSuffix(s, "m")
	if !found {
		unit = time.Hour
		number, found = strings.CutSuffix(s, "h")
	}
	if found && number != "" && number[0] != '0' && strings.Trim(number, "0123456789") == "" {
		n, _ = strconv.ParseInt(number, 10, 32) // too many: the most there are
	}
	if n <= int64(provisioner.MostIdle/unit) && time.Duration(n)*unit >= provisioner.LeastIdle {
		*into = time.Duration(n) * unit
		return
	}
	alternative := ""
	if or != "" {
		alternative = "; without an end: " + or
	}
	v.failf("%q is no span such as 60m or 2h, from %s to %s%s", quoted(s), provisioner.SpanText(provisioner.LeastIdle), provisioner.SpanText(provisioner.MostIdle), alternative)
}
