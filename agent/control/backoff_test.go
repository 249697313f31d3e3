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
