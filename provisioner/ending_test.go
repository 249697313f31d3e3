package provisioner

import (
	"testing"
	"time"
)

func TestEnding(t *testing.T) {
	const hour, day = time.Hour, 24 * time.Hour
	noon := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	both := Policy{SignInEvery: 7 * day, LongestSession: 12 * hour}
	for _, c := range []struct {
		name             string
		policy           Policy
		opened, signedIn time.Time
		due              time.Duration // from noon
		ends             time.Duration
		why              Code
	}{
		{"no policy", Policy{}, noon, ago(999 * day), 0, 0, ""},
		{"a new session", both, noon, ago(day), 12 * hour, 14 * hour, CodeSessionAged},
		{"a sign-in in between begins it anew", both, ago(10 * hour), noon, 12 * hour, 14 * hour, CodeSessionAged},
		{"the sign-in is due before", both, noon, ago(7*day - 2*hour), 2 * hour, 4 * hour, CodeSignInNeeded},
		{"both at once: what takes a person goes first", both, noon, ago(7*day - 12*hour), 12 * hour, 14 * hour, CodeSignInNeeded},
		{"opened with a sign-in that was due", both, noon, ago(8 * day), -day, 2 * hour, CodeSignInNeeded},
		{"an old session", both, ago(20 * hour), ago(day), -8 * hour, 2 * hour, CodeSessionAged},
		{"signing in alone", Policy{SignInEvery: day}, noon, noon, day, day + 2*hour, CodeSignInNeeded},
		{"length alone", Policy{LongestSession: hour}, noon, ago(999 * day), hour, 3 * hour, CodeSessionAged},
	} {
		got := c.policy.Ending(c.opened, c.signedIn, noon)
		if c.why == "" {
			if got != (Ending{}) || got.IsDue(noon) {
				t.Errorf("%s: %+v", c.name, got)
			}
			continue
		}
		if want := (Ending{DueAt: noon.Add(c.due), EndsAt: noon.Add(c.ends), Why: c.why}); got != want {
			t.Errorf("%s: %+v, want %+v", c.name, got, want)
		}
		if got.IsDue(got.DueAt.Add(-1)) || !got.IsDue(got.DueAt) {
			t.Errorf("%s: is due at another time than said", c.name)
		}
	}
}

// While nobody can sign in the end moves on, but not for ever.
func TestEndingIsPutOff(t *testing.T) {
	due := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	e := Ending{DueAt: due, EndsAt: due.Add(QuietWithin), Why: CodeSignInNeeded}
	for n := 0; ; n++ {
		next := e.PutOff(e.EndsAt)
		if !next.EndsAt.After(e.EndsAt) {
			if e.EndsAt.Sub(due) != EndingWaits || n == 0 {
				t.Errorf("put off %d times, until %v after it was due", n, e.EndsAt.Sub(due))
			}
			return
		}
		e = next
	}
}

func TestSignInDue(t *testing.T) {
	now := time.Now()
	p := Policy{SignInEvery: time.Hour}
	if p.SignInDue(now.Add(-time.Hour+1), now) || !p.SignInDue(now.Add(-time.Hour), now) || (Policy{}).SignInDue(time.Time{}, now) {
		t.Error("due at another time than the policy says")
	}
}

func TestSpanText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "never", time.Hour: "1h", 24 * time.Hour: "1d", 36 * time.Hour: "36h", 7 * 24 * time.Hour: "7d", 90 * time.Minute: "90m", 90 * time.Second: "1m30s",
	} {
		if got := SpanText(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
