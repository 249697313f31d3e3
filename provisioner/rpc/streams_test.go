package rpc

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

func TestStreamsEndTogetherWithWhatTheyStandOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreams()
		until := time.Now().Add(time.Hour)
		first, releaseFirst := s.hold(t.Context(), "device a", until)
		other, releaseOther := s.hold(t.Context(), "device b", until)
		second, releaseSecond := s.hold(t.Context(), "device a", time.Time{})
		if why := context.Cause(first); !errors.Is(why, provisioner.Refuse(provisioner.CodeStreamReplaced)) {
			t.Errorf("the older stream ended with %v", why)
		}
		releaseFirst() // leaves the newer one where it is
		time.Sleep(time.Hour - time.Second)
		synctest.Wait()
		if other.Err() != nil || second.Err() != nil {
			t.Error("a stream ended before its certificate")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if why := context.Cause(other); !errors.Is(why, errProofOver) {
			t.Errorf("the stream with an expired certificate ended with %v", why)
		}
		if _, refusal := provisioner.AsRefusal(context.Cause(other)); refusal {
			t.Error("a refusal would stop an agent that has its next certificate already")
		}
		s.end()
		why, _ := provisioner.AsRefusal(context.Cause(second))
		if why == nil || why.Code != provisioner.CodeShuttingDown || why.RetryAfter == 0 {
			t.Errorf("at the end of the server a stream ended with %v", why)
		}
		late, releaseLate := s.hold(t.Context(), "device c", time.Time{})
		if late.Err() == nil {
			t.Error("a stream began after the end")
		}
		if err := because(late, errors.New("broken")); !errors.Is(err, provisioner.Refuse(provisioner.CodeShuttingDown)) {
			t.Errorf("the reason is lost: %v", err)
		}
		releaseOther()
		releaseSecond()
		releaseLate()
		if len(s.open) > 0 {
			t.Errorf("%d streams are left", len(s.open))
		}
	})
}
