package gateway

import "time"

// cutOff measures how long the control plane has been out of reach. Two clocks
// are asked and the longer time counts: the monotonic one stands still while a
// virtual machine is paused, the other one can be set back.
type cutOff struct {
	// last is the last contact; while connected, its beginning. Zero: never.
	last time.Time
	// since is from when on this process has watched, and base what had
	// passed before.
	since time.Time
	base  time.Duration
}

// resumeCutOff goes on after a restart, which must not extend the grace time.
func resumeCutOff(c contactRecord, now time.Time) cutOff {
	if c.At.IsZero() {
		return cutOff{since: now}
	}
	base := time.Duration(c.CutOffMS) * time.Millisecond
	return cutOff{last: c.At, since: now, base: max(base, now.Round(0).Sub(c.At), 0)}
}

// lost begins to count: contact was lost now.
func lostContact(now time.Time) cutOff { return cutOff{last: now, since: now} }

func (c cutOff) elapsed(now time.Time) time.Duration {
	if c.since.IsZero() {
		return 0
	}
	return c.base + max(now.Sub(c.since), now.Round(0).Sub(c.since.Round(0)), 0)
}

// contact is what the journal keeps.
func (g *Gateway) contact(now time.Time) contactRecord {
	c := contactRecord{At: g.cutOff.last.Round(0), Epoch: g.wanted.at.epoch, Revision: g.wanted.at.revision}
	if g.connected {
		c.At = now.Round(0)
	} else {
		c.CutOffMS = g.cutOff.elapsed(now).Milliseconds()
	}
	return c
}
