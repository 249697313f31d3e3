package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// What is watched is shown every ten seconds until somebody ends it, which is no failure; what
// cannot be shown is.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		shown, between := 0, 0
		err := watch(ctx, func() error { shown++; return nil }, func() { between++ })
		if err != nil || shown != 3 || between != 2 {
			t.Errorf("shown %d times and %d between, %v", shown, between, err)
		}
		gone := errors.New("the control plane is away")
		if err := watch(t.Context(), func() error { return gone }, func() {}); !errors.Is(err, gone) {
			t.Error(err)
		}
		if err := watch(ctx, func() error { return ctx.Err() }, func() {}); err != nil {
			t.Errorf("ended while it asked: %v", err)
		}
	})
}

// Reasons for refusals that never came take no room.
func TestColumnsOfReasons(t *testing.T) {
	line := func(reason heimdrahtv1.RefusalReason, n int64) usageLine {
		return usageLine{UsagePoint: &heimdrahtv1.UsagePoint{Refused: []*heimdrahtv1.UsageRefused{{Reason: reason, Attempts: &heimdrahtv1.Count{Value: n}}}}}
	}
	keys := func(lines ...usageLine) (text string) {
		for _, c := range pointColumns(lines) {
			if len(c.key) > 8 && c.key[:8] == "refused_" {
				text += c.key[8:] + " "
			}
		}
		return text
	}
	if got := keys(line(heimdrahtv1.RefusalReason_REFUSAL_REASON_NOT_NOW, 0)); got != "no_seat " {
		t.Error(got)
	}
	if got := keys(line(heimdrahtv1.RefusalReason_REFUSAL_REASON_NOT_NOW, 0), line(heimdrahtv1.RefusalReason_REFUSAL_REASON_NO_GATEWAY, 7)); got != "no_seat no_gateway " {
		t.Error(got)
	}
}
