package config

import (
	"strconv"
	"strings"
	"time"
)

// span reads a span of time of at least an hour and at most so many days: 12h,
// 7d, or never, which is zero.
func (m *mapping) span(key string, into *time.Duration, most int64) {
	v, ok := m.ask(key)
	if !ok {
		return
	}
	s, ok := v.text()
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
