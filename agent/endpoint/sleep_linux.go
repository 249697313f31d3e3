package endpoint

import (
	"time"

	"golang.org/x/sys/unix"
)

// asleep is how long the machine was asleep since it was started: one of the kernel's clocks goes on meanwhile, another one
// does not.
func asleep() func() time.Duration {
	at := func(clock int32) time.Duration {
		var ts unix.Timespec
		if unix.ClockGettime(clock, &ts) != nil {
			return 0 // for both: neither is missing on any kernel that has WireGuard
		}
		return time.Duration(ts.Nano())
	}
	return func() time.Duration { return at(unix.CLOCK_BOOTTIME) - at(unix.CLOCK_MONOTONIC) }
}
