package seat_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner/seat"
)

// Whoever takes a place whenever she may takes it 30 times within a minute of a count, and
// waits for no longer than until that minute is over.
func TestHowOftenAPlaceIsTaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 3, 2, 7, 0, 0, 0, time.UTC)
		var taken seat.Taken
		var times []time.Time
		for _, pause := range rapid.SliceOfN(rapid.IntRange(-5, 4000), 1, 200).Draw(t, "pauses in ms") {
			now = now.Add(time.Duration(pause) * time.Millisecond)
			if wait := taken.Wait(now); wait > 0 {
				if wait > time.Minute || len(times) < 30 {
					t.Fatalf("waits %v after %d times", wait, len(times))
				}
				now = now.Add(wait)
				if taken.Wait(now) > 0 {
					t.Fatal("has to wait longer than it was told")
				}
			}
			taken = taken.Again(now)
			if taken.Times > 30 {
				t.Fatalf("%d times within a minute", taken.Times)
			}
			times = append(times, now)
		}
	})
	now := time.Date(2026, 3, 2, 7, 0, 0, 0, time.UTC)
	full := seat.Taken{Since: now, Times: 30}
	for after, want := range map[time.Duration]time.Duration{
		0: time.Minute, 59 * time.Second: time.Second, time.Minute: 0, -time.Second: time.Minute, -time.Hour: 0, // a clock that was set
	} {
		if got := full.Wait(now.Add(after)); got != want {
			t.Errorf("after %v it waits %v, want %v", after, got, want)
		}
	}
}
