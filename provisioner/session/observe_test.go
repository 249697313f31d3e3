package session

import (
	"testing"
	"time"
)

// Neither a pause of the process nor a clock that is set proves that laptops
// are silent.
func TestInterrupted(t *testing.T) {
	for _, c := range []struct {
		name         string
		steady, wall time.Duration
		want         bool
	}{
		{"an ordinary pass", 6 * time.Second, 6 * time.Second, false},
		{"a slow pass, a slewed clock", 20 * time.Second, 21 * time.Second, false},
		{"the process stood still", 10 * time.Minute, 10 * time.Minute, true},
		{"the machine slept, and its steady clock with it", 6 * time.Second, 8 * time.Hour, true},
		{"the clock was set forward", 6 * time.Second, time.Hour, true},
		{"the clock was set back", 6 * time.Second, -time.Hour, true},
	} {
		if got := interrupted(c.steady, c.wall-c.steady); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
