package diagnosis

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// with puts another text behind.
func (w words) with(more words) words { return words{w.german + more.german, w.english + more.english} }

// span is a time as people say it, in the unit that fits.
func span(d time.Duration) words {
	switch {
	case d < 2*time.Minute:
		return same(strconv.FormatInt(int64(d/time.Second), 10) + " s")
	case d < 2*time.Hour:
		return same(strconv.FormatInt(int64(d/time.Minute), 10) + " min")
	case d < 48*time.Hour:
		return same(strconv.FormatInt(int64(d/time.Hour), 10) + " h")
	default:
		days := strconv.FormatInt(int64(d/(24*time.Hour)), 10)
		return words{days + " Tagen", days + " days"}
	}
}

// age is how long ago something was.
func (f Facts) age(t time.Time) words { return span(max(0, f.Now.Sub(t))) }

// ago says it.
func (f Facts) ago(t time.Time) words {
	age := f.age(t)
	return words{"vor " + age.german, age.english + " ago"}
}

// seconds says by how much a clock is off, in the unit in which somebody compares it.
func seconds(ahead time.Duration) words {
	n := int64(ahead.Abs() / time.Second)
	switch {
	case n == 0:
		return words{"auf die Sekunde richtig", "right to the second"}
	case ahead < 0:
		return words{fmt.Sprintf("%d s nach", n), fmt.Sprintf("%d s slow", n)}
	default:
		return words{fmt.Sprintf("%d s vor", n), fmt.Sprintf("%d s fast", n)}
	}
}

// day is a calendar day in Germany.
func day(t time.Time) words {
	y, m, d := provisioner.DayOf(t)
	return words{fmt.Sprintf("%02d.%02d.%d", d, m, y), fmt.Sprintf("%d-%02d-%02d", y, m, d)}
}

// bytesOf rounds as people read: 1.2 MB.
func bytesOf(n uint64) words {
	const unit = 1000
	if n < unit {
		return same(strconv.FormatUint(n, 10) + " B")
	}
	value, names := float64(n)/unit, []string{"kB", "MB", "GB", "TB", "PB", "EB"}
	for value >= unit && len(names) > 1 {
		value, names = value/unit, names[1:]
	}
	english := fmt.Sprintf("%.1f %s", value, names[0])
	return words{strings.Replace(english, ".", ",", 1), english}
}

// release is a version's first two numbers.
type release struct{ major, minor int }

// parseVersion reads v1.2.3, with whatever follows; what is no release is not
// understood.
func parseVersion(s string) (r release, ok bool) {
	s, ok = strings.CutPrefix(s, "v")
	if !ok {
		return r, false
	}
	parts := strings.SplitN(s, ".", 3)
	if len(parts) != 3 {
		return r, false
	}
	var err error
	if r.major, err = strconv.Atoi(parts[0]); err != nil {
		return r, false
	}
	r.minor, err = strconv.Atoi(parts[1])
	return r, err == nil
}
