package provisioner

import (
	"strconv"
	"time"
)

const (
	// QuietWithin is how long a laptop has from the time a session is due to end
	// until it is ended: time for a quiet moment, and for signing in.
	QuietWithin = 2 * time.Hour
	// EndingWaits is how long the end of a session is put off at the most while the
	// directory does not answer: nobody can sign in, or be looked up for another
	// session.
	EndingWaits = 24 * time.Hour
)

// The longest spans that a policy may name, in days. What is to hold for longer
// has no end.
const (
	MostSignInDays  = 365
	MostSessionDays = 30
)

// SpanText writes a span of a policy as its file does: 12h, 7d, never.
func SpanText(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return "never"
	case d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	case d%time.Hour == 0:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	case d%time.Minute == 0:
		return strconv.FormatInt(int64(d/time.Minute), 10) + "m"
	default:
		return d.String()
	}
}

// Ending is when policy ends a session, and why. The zero Ending: it does not.
type Ending struct {
	DueAt  time.Time // from then on the laptop opens another one at a quiet moment
	EndsAt time.Time // then it is closed
	Why    Code      // with which
}

// IsDue reports whether the laptop should look for a quiet moment.
func (e Ending) IsDue(now time.Time) bool { return !e.DueAt.IsZero() && !now.Before(e.DueAt) }

// PutOff is the end while the directory does not answer: once more as long as a
// laptop has, and EndingWaits after it was due at the latest.
func (e Ending) PutOff(now time.Time) Ending {
	e.EndsAt = earlier(now.Add(QuietWithin), e.DueAt.Add(EndingWaits))
	return e
}

// SignInDue reports whether somebody who last proved who she is at a time has to
// do it again before another session is opened.
func (p Policy) SignInDue(signedIn, now time.Time) bool {
	return p.SignInEvery > 0 && !now.Before(signedIn.Add(p.SignInEvery))
}

// Ending says when policy ends a session that was opened, and of whom somebody
// last proved that she is its person, at these times. A new sign-in begins a
// session's longest time anew.
func (p Policy) Ending(opened, signedIn, now time.Time) Ending {
	var e Ending
	if p.LongestSession > 0 {
		e = endingDue(later(opened, signedIn).Add(p.LongestSession), now, CodeSessionAged)
	}
	if due := signedIn.Add(p.SignInEvery); p.SignInEvery > 0 && (e.DueAt.IsZero() || !due.After(e.DueAt)) {
		e = endingDue(due, now, CodeSignInNeeded)
	}
	return e
}

func endingDue(due, now time.Time, why Code) Ending {
	return Ending{DueAt: due, EndsAt: later(due, now).Add(QuietWithin), Why: why}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
