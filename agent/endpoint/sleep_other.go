//go:build !linux

package endpoint

import "time"

// asleep is by how much more the clock on the wall has gone on than Go's own, which stands still in sleep. A clock that is
// set by more than a little looks like a sleep, and costs a handshake.
func asleep() func() time.Duration {
	began := time.Now()
	return func() time.Duration {
		now := time.Now()
		return now.Round(0).Sub(began.Round(0)) - now.Sub(began)
	}
}
