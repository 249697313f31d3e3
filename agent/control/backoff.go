package control

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff spaces attempts: the waits double from Min to Max and are spread at
// random, so that agents which lost their server together do not return
// together. Not safe for concurrent use.
type Backoff struct {
	// Min zero: 250 ms. Max zero: 30 s.
	Min, Max time.Duration
	// Settled is how long an attempt must have held before the waits start
	// anew at Min. Zero: one minute. A server that accepts everybody and
	// falls over is not helped by agents that return at once.
	Settled time.Duration

	attempts int
	since    time.Time
	lost     bool
	spread   time.Duration
}

// Succeeded notes that an attempt succeeded now.
func (b *Backoff) Succeeded() { b.since, b.lost, b.spread = time.Now(), false, 0 }

// Lost notes that the server was lost which had let us in, as far as anybody can
// see by its own end, so that all the others have lost it too. All return within
// spread: the next wait is longer by a random part of it. If that attempt
// fails, the next waits begin at a sixteenth of it, and grow to all of it at
// least.
func (b *Backoff) Lost(spread time.Duration) { b.lost, b.spread = spread > 0, spread }

// Reset makes the next wait the shortest again: somebody asked, or the
// network changed.
func (b *Backoff) Reset() { b.attempts, b.since, b.lost, b.spread = 0, time.Time{}, false, 0 }

// Next is how long to wait before the next attempt: between half of the
// interval and all of it, and no less than atLeast (a server's wish).
func (b *Backoff) Next(atLeast time.Duration) time.Duration {
	low, high, settled := orElse(b.Min, 250*time.Millisecond), orElse(b.Max, 30*time.Second), orElse(b.Settled, time.Minute)
	low, high = max(low, b.spread/16), max(high, b.spread)
	if !b.since.IsZero() && time.Since(b.since) >= settled {
		b.attempts = 0
	}
	b.since = time.Time{}
	interval := high
	if b.attempts < 30 && low<<b.attempts < high {
		interval = low << b.attempts
		b.attempts++
	}
	wait := interval/2 + rand.N(interval/2+1)
	if wait < atLeast {
		// Spread by more each time, or those who were told the same come together.
		wait = atLeast + rand.N(max(atLeast/5, interval)+1)
	}
	if b.lost {
		b.lost = false
		wait += rand.N(b.spread)
	}
	return wait
}

// Wait waits for Next, or until the context ends, and then returns its error.
func (b *Backoff) Wait(ctx context.Context, atLeast time.Duration) error {
	return Sleep(ctx, b.Next(atLeast))
}

// Sleep waits, or until the context ends, and then returns its error.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Jitter spreads d by up to share (0.2: between 80 % and 120 %).
func Jitter(d time.Duration, share float64) time.Duration {
	return time.Duration(float64(d) * (1 + share*(2*rand.Float64()-1)))
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
