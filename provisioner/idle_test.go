package provisioner

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestCounted(t *testing.T) {
	const second = time.Second
	noon := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	before := Traffic{At: noon, Bytes: 10_000}
	for _, c := range []struct {
		name   string
		after  time.Duration
		bytes  uint64
		active bool
		taken  bool // the count is one from which the next rate is reckoned
	}{
		{"nothing", 30 * second, 10_000, false, true},
		{"keepalives and a handshake", 30 * second, 10_000 + 2*32 + 148 + 92, false, true},
		{"just below", 30 * second, 39_999, false, true},
		{"just as much", 30 * second, 40_000, true, true},
		{"a handshake in a moment", second / 10, 10_240, false, false},
		{"much in a moment is told by the next count", 14 * second, 90_000, false, false},
		{"not looked at for an hour: who knows when it was", time.Hour, 70_000, true, true},
		{"not looked at for an hour, and next to nothing", time.Hour, 69_999, false, true},
		{"the peer was added again", 30 * second, 29_999, false, true},
		{"the peer was added again, and works", 30 * second, 40_001, true, true},
		{"the clock was set back", -time.Hour, 12_000, false, true},
		{"as much as can be counted", 30 * second, math.MaxUint64, true, true},
	} {
		was := before
		if c.name == "the peer was added again" || c.name == "the peer was added again, and works" {
			was.Bytes = 50_000
		}
		got := IdlePolicy{Below: 1000}.Counted(was, noon.Add(c.after), c.bytes)
		if got.ActiveAt.IsZero() == c.active || got.At.Equal(was.At) == c.taken {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// However an hour is cut into counts, whoever moves as much as policy says is seen to
// work, and a laptop that only keeps its tunnel alive is not.
func TestActivityIsARate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := IdlePolicy{Below: rapid.Int64Range(100, MostIdleBelow).Draw(t, "below")}
		noon := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
		working, resting := Traffic{At: noon}, Traffic{At: noon}
		now, bytes, kept := noon, uint64(0), uint64(0)
		for range rapid.IntRange(1, 100).Draw(t, "counts") {
			span := time.Duration(rapid.Int64Range(int64(time.Second), int64(70*time.Second)).Draw(t, "span")).Truncate(time.Second)
			now = now.Add(span)
			bytes += uint64(p.Below) * uint64(span/time.Second)
			kept += uint64(span/(25*time.Second)) * 32
			if rapid.Bool().Draw(t, "handshake") && span >= ratedLeast {
				kept += 148 + 92
			}
			if rapid.IntRange(0, 9).Draw(t, "added again") == 0 && now.Sub(resting.At) >= ratedLeast {
				kept = 0
			}
			working, resting = p.Counted(working, now, bytes), p.Counted(resting, now, kept)
			if since := now.Sub(later(noon, working.ActiveAt)); since >= ratedLeast {
				t.Fatalf("works and was not seen to for %v: %+v", since, working)
			}
			if !resting.ActiveAt.IsZero() {
				t.Fatalf("rests and was seen to work: %+v", resting)
			}
		}
	})
}

// model plays a session and the duty that looks at it.
type model struct {
	policy    IdlePolicy
	session   Session
	serving   time.Time
	clockSet  time.Time
	connected bool
	announced time.Time // since when the present announcement stands; zero: none does
}

// look does what the duty does.
func (m *model) look(now time.Time) (over bool) {
	got := m.session.Idleness(m.policy, ExpiryEvidence{Now: now, ServingSince: m.serving, ClockSet: m.clockSet, GatewayConnected: m.connected})
	if !got.EndsAt.Equal(m.session.IdleAt) {
		m.announced = time.Time{}
		if !got.EndsAt.IsZero() {
			m.announced = now
		}
	}
	m.session.IdleAt, m.session.LookAt = got.EndsAt, got.LookAt
	return got.Over
}

// Nobody's session ends who was active within the time, or was not told as long before as
// policy says by a control plane that has served since, or of whom her gateway has said
// nothing since it was due. And whoever does nothing is ended in the end.
func TestNobodyIsEndedForSilence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		noon := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
		m := model{policy: IdlePolicy{After: time.Duration(rapid.Int64Range(5, 90).Draw(t, "minutes")) * time.Minute, Below: 1000}, serving: noon, connected: true}
		m.session = Session{OpenedAt: noon, ObservedAt: noon}
		m.look(noon)
		const step = 30 * time.Second
		now, calm := noon, time.Duration(0) // since when nothing has come in the way of its end
		for range rapid.IntRange(1, 500).Draw(t, "steps") {
			now, calm = now.Add(step), calm+step
			switch rapid.IntRange(0, 99).Draw(t, "event") {
			case 0:
				m.connected, calm = !m.connected, 0
			case 1:
				m.serving, calm = now, 0
			case 2:
				calm = 0
				m.session.Traffic.ActiveAt = now
				m.session.IdleAt = time.Time{} // as an observation has it
			case 3:
				now, calm = now.Add(time.Duration(rapid.Int64Range(-120, 120).Draw(t, "set by minutes"))*time.Minute), 0
				m.clockSet, m.serving = now, now
			}
			if m.connected {
				m.session.ObservedAt = now
			} else {
				calm = 0
			}
			if m.session.LookAt.After(now) {
				continue
			}
			said, announced := m.session.IdleAt, m.announced
			over := m.look(now)
			active := later(m.clockSet, later(m.session.OpenedAt, m.session.Traffic.ActiveAt))
			switch {
			case !over && !m.session.LookAt.After(now):
				t.Fatalf("to be looked at again at once: %+v", m.session)
			case !over && calm > m.policy.After+2*m.policy.warning()+3*step:
				t.Fatalf("goes on after %v of nothing", calm)
			case over && now.Sub(active) < m.policy.After:
				t.Fatalf("was active %v ago", now.Sub(active))
			case over && (said.IsZero() || announced.IsZero() || said.Sub(later(announced, m.serving)) < m.policy.warning()):
				t.Fatalf("ends at %v, was told at %v, served since %v", said, announced, m.serving)
			case over && !m.session.ObservedAt.After(said):
				t.Fatal("nobody has seen that she does nothing")
			}
			if over {
				return
			}
		}
	})
}

func TestIdlenessOfOthers(t *testing.T) {
	noon := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	old := Session{OpenedAt: noon.Add(-24 * time.Hour), ObservedAt: noon, IdleAt: noon.Add(-time.Hour)}
	e := ExpiryEvidence{Now: noon, GatewayConnected: true}
	if got := old.Idleness(IdlePolicy{Below: 1000}, e); got != (Idleness{}) {
		t.Errorf("where sessions do not end for idleness: %+v", got)
	}
	old.KeyOf = "a static peer"
	if got := old.Idleness(IdlePolicy{After: time.Hour}, e); got != (Idleness{}) {
		t.Errorf("a static peer: %+v", got)
	}
}

func TestNextLook(t *testing.T) {
	noon := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct{ ends, idle, want time.Time }{
		{},
		{noon, time.Time{}, noon},
		{time.Time{}, noon, noon},
		{noon, noon.Add(time.Hour), noon},
		{noon.Add(time.Hour), noon, noon},
	} {
		if got := (Session{Ending: Ending{EndsAt: c.ends}}).NextLook(c.idle); !got.Equal(c.want) {
			t.Errorf("ends %v, idle %v: %v", c.ends, c.idle, got)
		}
	}
}

// A crisis makes nobody's time longer, and is no reason to end sessions where it has none.
func TestIdleInCrisis(t *testing.T) {
	const hour = time.Hour
	for _, c := range []struct{ always, crisis, want time.Duration }{
		{hour, 15 * time.Minute, 15 * time.Minute}, {hour, 0, hour}, {0, 15 * time.Minute, 15 * time.Minute}, {0, 0, 0}, {hour, 2 * hour, hour},
	} {
		tenant := Tenant{Policy: Policy{Idle: IdlePolicy{After: c.always}}, Crisis: CrisisPlan{Idle: c.crisis}}
		if got := tenant.Idle().After; got != c.always {
			t.Errorf("before the crisis %v, want %v", got, c.always)
		}
		tenant.CrisisSince = time.Now()
		if got := tenant.Idle().After; got != c.want {
			t.Errorf("%v with %v in a crisis is %v, want %v", c.always, c.crisis, got, c.want)
		}
	}
}
