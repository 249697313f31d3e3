package control

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoffGrowsAndStaysBelowMax(t *testing.T) {
	var b Backoff
	for i := range 200 {
		interval := 30 * time.Second
		if i < 7 {
			interval = 250 * time.Millisecond << i
		}
		if got := b.Next(0); got < interval/2 || got > interval {
			t.Fatalf("wait %d is %v, want %v to %v", i, got, interval/2, interval)
		}
	}
	if got := b.Next(time.Hour); got < time.Hour || got > 73*time.Minute {
		t.Errorf("a server asked for an hour and gets %v", got)
	}
}

func TestBackoffForgetsOnlyAfterAMinuteOfSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Backoff
		for range 20 {
			b.Next(0)
		}
		b.Succeeded()
		time.Sleep(59 * time.Second)
		if got := b.Next(0); got < 15*time.Second {
			t.Errorf("after 59 s of success the wait is %v", got)
		}
		b.Succeeded()
		time.Sleep(time.Minute)
		if got := b.Next(0); got > 250*time.Millisecond {
			t.Errorf("after a minute of success the wait is %v", got)
		}
	})
}

func TestBackoffWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var b Backoff
		if err := b.Wait(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// schedule is when agents try that have lost their server at zero, until each
// has tried n times. A server that is away refuses at once.
func schedule(agents, tries int, spread, told time.Duration) []time.Duration {
	var at []time.Duration
	for range agents {
		var b Backoff
		b.Succeeded()
		b.Lost(spread)
		var now time.Duration
		for range tries {
			now += b.Next(told)
			at = append(at, now)
		}
	}
	return at
}

// However the server went, and whether it is back or not: never do many agents
// come in one second.
func TestAgentsReturnSpread(t *testing.T) {
	const agents = 1000
	for name, c := range map[string]struct {
		tries  int
		spread time.Duration
		told   time.Duration // by the refusal with which the server went
		// In any second, beyond chance: the usual most is 18, and 52 when they try again and again.
		most int
	}{
		"killed, back at once":    {1, 100 * time.Second, 250 * time.Millisecond, 45},
		"shut down, back at once": {1, 100 * time.Second, time.Second, 45},
		"away for long":           {12, 100 * time.Second, 250 * time.Millisecond, 90},
	} {
		t.Run(name, func(t *testing.T) {
			arrivals := make(map[time.Duration]int)
			for _, at := range schedule(agents, c.tries, c.spread, c.told) {
				arrivals[at.Truncate(time.Second)]++
			}
			for second, n := range arrivals {
				if n > c.most {
					t.Errorf("%d of %d agents come in the second after %v", n, agents, second)
				}
			}
			if c.tries == 1 {
				for second := range arrivals {
					if second > c.spread*9/8+2*time.Second {
						t.Errorf("one comes only after %v", second)
					}
				}
			}
		})
	}
}

// Who did not lose the server, but asked or changed networks, does not wait.
func TestResetForgetsThatTheServerWasLost(t *testing.T) {
	var b Backoff
	b.Lost(time.Hour)
	b.Reset()
	for range 5 {
		if got := b.Next(0); got > 8*time.Second {
			t.Errorf("waits %v", got)
		}
	}
	b.Lost(time.Hour)
	b.Succeeded()
	if got := b.Next(0); got > 8*time.Second {
		t.Errorf("after a success it waits %v", got)
	}
}
