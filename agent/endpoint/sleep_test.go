package endpoint

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
)

// TestSleepIsNoticed: each sleep is told once and within a second of waking up; short ones and none are not.
func TestSleepIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slept atomic.Int64
		woke := watchSleep(t.Context(), func() time.Duration { return time.Duration(slept.Load()) })
		told := func() bool {
			select {
			case <-woke:
				return true
			default:
				return false
			}
		}
		for _, c := range []struct {
			asleep time.Duration
			want   bool
		}{{0, false}, {8 * time.Hour, true}, {0, false}, {2 * time.Second, false}, {5 * time.Second, true}, {60 * 24 * time.Hour, true}, {0, false}} {
			pass(10 * time.Minute)
			if told() {
				t.Errorf("told of a sleep before one of %v", c.asleep)
			}
			slept.Add(int64(c.asleep))
			pass(sleepLook)
			if told() != c.want {
				t.Errorf("a sleep of %v: told %v", c.asleep, !c.want)
			}
		}
	})
}

// TestThisMachineIsAwake: what the system says of sleep goes on no further than the machine sleeps.
func TestThisMachineIsAwake(t *testing.T) {
	at := asleep()
	before := at()
	time.Sleep(10 * time.Millisecond) // real: a clock that went on would show
	if d := at() - before; d.Abs() > 5*time.Millisecond {
		t.Errorf("asleep for %v meanwhile", d)
	}
}

// TestBackAfterSleep: the gateway has forgotten the keys, and the stream to the control plane is dead without a word, as
// after a night; a moment after waking up the page is there, and so is the control plane.
func TestBackAfterSleep(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	woke := make(chan struct{})
	e := s.laptop(func(o *Options) { o.Woke = woke })
	s.enrol(e)
	s.up(e)
	check(t, page(t, e, time.Second))
	s.ForgetKeys()
	s.Script(func(x *endpointtest.Script) { x.Silent = true })
	if page(t, e, time.Second) == nil {
		t.Fatal("the gateway has forgotten nothing")
	}
	streams := s.Seen().Streams
	s.Script(func(x *endpointtest.Script) { x.Silent = false })
	began := time.Now()
	woke <- struct{}{}
	for page(t, e, 200*time.Millisecond) != nil {
		if time.Since(began) > 2*time.Second {
			t.Fatalf("no traffic for %v: %+v", time.Since(began), e.Status("en"))
		}
	}
	eventually(t, e, "another stream", func(status Status) bool { return s.Seen().Streams > streams && status.ControlPlane })
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("back after %v", took)
	} else {
		t.Logf("back after %v", took)
	}
}
