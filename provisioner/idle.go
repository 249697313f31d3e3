package provisioner

import "time"

const (
	// idleWarning is how long before a session ends for idleness its laptop is told.
	idleWarning = 5 * time.Minute
	// DefaultIdleBelow is what Windows stays under when nobody works at it, in bytes a second: it is never silent.
	DefaultIdleBelow = 1000
	// LeastIdle is the shortest time that a policy may name. A laptop hears within a minute what there is to tell it,
	// and a gateway looks each half minute.
	LeastIdle = 5 * time.Minute
	// MostIdle is the longest. What is to hold for longer has no end.
	MostIdle = 24 * time.Hour
	// MostIdleBelow bounds what may count as nothing, in bytes a second: the most frugal telephone call moves more.
	MostIdleBelow = 5000
)

// IdlePolicy says when nobody works in a session. The zero value: always somebody does.
type IdlePolicy struct {
	After time.Duration // without activity; zero: sessions do not end for that
	Below int64         // bytes a second in both directions together, from which on it is activity; zero: DefaultIdleBelow
}

// warning is how long before its end a laptop is told of it.
func (p IdlePolicy) warning() time.Duration { return min(idleWarning, p.After/2) }

const (
	// ratedLeast is the shortest time over which a rate is reckoned. A gateway looks again within seconds when
	// somebody else comes; a handshake alone would be a rate then.
	ratedLeast = 15 * time.Second
	// ratedMost is the longest. What was not looked at for longer may have moved all at once, so somebody may have
	// worked.
	ratedMost = time.Minute
)

// Traffic is what a gateway has counted of a session, and when that last was activity.
type Traffic struct {
	At       time.Time // of the count; before the first, the opening
	Bytes    uint64    // until then, in both directions together
	ActiveAt time.Time // zero: never yet
}

// Counted judges another count: keepalives and handshakes are counted too, so it is
// the rate since the last one that tells whether somebody works. A count that fell
// began anew in between, because the peer was removed and added again.
func (p IdlePolicy) Counted(was Traffic, now time.Time, bytes uint64) Traffic {
	over := now.Sub(was.At)
	if over >= 0 && over < ratedLeast {
		was.Bytes = min(was.Bytes, bytes)
		return was // the rest goes with what comes next
	}
	moved := bytes
	if bytes >= was.Bytes {
		moved -= was.Bytes
	}
	is := Traffic{At: now, Bytes: bytes, ActiveAt: was.ActiveAt}
	if over < 0 { // the clock was set back
		over = ratedLeast
	}
	if float64(moved) >= float64(p.below())*min(over, ratedMost).Seconds() {
		is.ActiveAt = now
	}
	return is
}

func (p IdlePolicy) below() int64 {
	if p.Below <= 0 {
		return DefaultIdleBelow
	}
	return p.Below
}

// Idleness is what is to be done about a session in which nobody seems to work.
type Idleness struct {
	EndsAt time.Time // what the laptop is told; zero: it goes on
	LookAt time.Time // when to look again; zero: never
	Over   bool      // it ends now
}

// Idleness judges whether anybody works in a session. Silence is no evidence: where the
// gateway is cut off, or has not said anything of its peers since the end was due, the
// session goes on. Nobody's ends that has not been announced for as long as policy
// says, while this control plane served.
func (s Session) Idleness(p IdlePolicy, e ExpiryEvidence) Idleness {
	if p.After <= 0 || s.Static() {
		return Idleness{}
	}
	due, warning := later(e.ClockSet, later(s.OpenedAt, s.Traffic.ActiveAt)).Add(p.After), p.warning()
	switch told := later(due, e.ServingSince.Add(warning)); {
	case e.Now.Before(due.Add(-warning)):
		return Idleness{LookAt: due.Add(-warning)}
	case !e.GatewayConnected || e.Now.Sub(s.ObservedAt) > OnlineWithin:
		return Idleness{LookAt: e.Now.Add(warning)}
	case s.IdleAt.Before(told):
		ends := later(due, e.Now.Add(warning))
		return Idleness{EndsAt: ends, LookAt: ends}
	case e.Now.Before(s.IdleAt):
		return Idleness{EndsAt: s.IdleAt, LookAt: s.IdleAt}
	case !s.ObservedAt.After(s.IdleAt):
		return Idleness{EndsAt: s.IdleAt, LookAt: e.Now.Add(ratedLeast)}
	}
	return Idleness{Over: true}
}

// NextLook is when somebody has to look whether an open session goes on, if its idleness
// is to be looked at at a time; zero: never.
func (s Session) NextLook(idle time.Time) time.Time {
	if s.Ending.EndsAt.IsZero() || !idle.IsZero() && idle.Before(s.Ending.EndsAt) {
		return idle
	}
	return s.Ending.EndsAt
}
