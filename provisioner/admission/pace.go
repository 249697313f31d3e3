package admission

import (
	"runtime/metrics"
	"time"
)

const (
	// lookAgain is how soon the door looks whether there is room again.
	lookAgain = 2 * time.Millisecond
	// atLeast is how often somebody of the long line comes in whatever else
	// there is to do.
	atLeast = 20 * time.Millisecond
)

// readyToRun gives how many goroutines wait for a processor (runtime/metrics).
// What is to be done at once in this process, of whatever kind, waits as long
// as all of them take.
func readyToRun() func() int {
	sample := []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}}
	return func() int {
		metrics.Read(sample)
		if sample[0].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return int(min(sample[0].Value.Uint64(), 1<<30))
	}
}

// mayEnter says whether the long line may have a turn now; if not, the door
// looks again soon. d.mu is held.
func (d *Door) mayEnter() bool {
	now := time.Now()
	if now.Sub(d.lastOfLine) < atLeast && d.ready() > d.limits.Ready {
		if !d.looking {
			d.looking = true
			time.AfterFunc(lookAgain, d.look)
		}
		return false
	}
	d.lastOfLine = now
	return true
}

func (d *Door) look() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looking = false
	d.next()
}
