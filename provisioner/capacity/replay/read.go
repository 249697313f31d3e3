package replay

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/capacity"
)

const (
	header = "at,sessions"
	// longest is three years of hours, which is how long rollups are kept, with room for a leap day.
	longest = 3*366*24 + 7*24
	// widestLine is far more than a line can need.
	widestLine = 200
)

// Unreadable says what is wrong with a line, to whoever wrote the file. It wraps ErrBad.
type Unreadable struct {
	Line            int
	German, English string
}

func (u *Unreadable) Error() string { return fmt.Sprintf("%v: line %d: %s", ErrBad, u.Line, u.English) }

func (u *Unreadable) Unwrap() error { return ErrBad }

// Read reads hours as lines such as 2027-01-11T08:00:00Z,731, in order and without a hole; an
// hour of which nothing is known has no number, but one at least has. What cannot be read is
// an Unreadable.
func Read(in io.Reader) (s capacity.Series, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<10)
	n, known := 0, false
	bad := func(german, english string, args ...any) (capacity.Series, error) {
		return capacity.Series{}, &Unreadable{n, fmt.Sprintf(german, args...), fmt.Sprintf(english, args...)}
	}
	s.Step = time.Hour
	for lines.Scan() {
		n++
		line := strings.TrimSuffix(lines.Text(), "\r")
		switch {
		case n == 1:
			if strings.TrimPrefix(line, "\ufeff") != header {
				return bad("hier muss %s stehen", "must be %s", header)
			}
			continue
		case len(line) > widestLine:
			return bad("sie ist länger als %d Zeichen", "is longer than %d bytes", widestLine)
		case len(s.Values) == longest:
			return bad("es sind mehr als %d Stunden", "there are more than %d hours", longest)
		}
		when, number, two := strings.Cut(line, ",")
		at, err := time.Parse(time.RFC3339, when)
		switch {
		case !two:
			return bad("eine Zeit und eine Zahl müssen hier stehen, mit einem Komma dazwischen", "must be a time and a number, with a comma between")
		case err != nil:
			return bad("%q ist keine Zeit; so geht es: 2027-01-11T08:00:00Z", "%q is no time such as 2027-01-11T08:00:00Z", when)
		case !at.Equal(at.Truncate(time.Hour)):
			return bad("%s ist keine volle Stunde", "%s is no full hour", when)
		case at.UTC().Year() < capacity.FirstYear || at.UTC().Year() > capacity.LastYear-5:
			return bad("%s liegt nicht in den Jahren von %d bis %d", "%s is out of range: from %d to %d", when, capacity.FirstYear, capacity.LastYear-5)
		}
		if len(s.Values) == 0 {
			s.Start = at.UTC()
		} else if want := s.Start.Add(time.Duration(len(s.Values)) * time.Hour); !at.Equal(want) {
			return bad("es folgt %s, folgen muss %s: Stunde für Stunde, und eine unbekannte ohne Zahl",
				"%s follows, must be %s: hour by hour, and one that is not known without a number", when, want.Format(time.RFC3339))
		}
		value := math.NaN()
		if number != "" {
			v, err := strconv.ParseUint(number, 10, 64)
			if err != nil || v > 1e9 {
				return bad("%q ist keine Zahl von 0 bis 1000000000", "%q is no number from 0 to 1000000000", number)
			}
			value, known = float64(v), true
		}
		s.Values = append(s.Values, value)
	}
	if err := lines.Err(); err != nil {
		if n++; strings.Contains(err.Error(), "too long") {
			return bad("sie ist länger als %d Zeichen", "is longer than %d bytes", widestLine)
		}
		return capacity.Series{}, fmt.Errorf("reading the series: %w", err)
	}
	if len(s.Values) == 0 {
		n++
		return bad("es gibt keine Stunde", "there is no hour")
	}
	if !known { // else nobody would have been refused
		return bad("von keiner Stunde ist etwas bekannt", "nothing is known of any hour")
	}
	return s, nil
}
