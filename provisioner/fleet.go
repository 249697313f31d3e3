package provisioner

import (
	"strconv"
	"strings"
	"time"
)

// DefaultWeight is that of a gateway of which nothing else is declared.
const DefaultWeight = 100

// The most that may be declared of a gateway: numbers beyond are typing errors.
const (
	MostWeight     = 1000
	MostThroughput = 10_000_000_000_000 // bits a second
	// MostPeers is how many sessions a gateway gets, whatever is declared: WireGuard
	// takes 65,536 peers, and some are on their way out.
	MostPeers = 65_000
)

// BitRateText writes a bit rate as a declaration does: 2Gbit, 500Mbit. Zero: none.
func BitRateText(rate int64) string {
	for _, unit := range []struct {
		name string
		of   int64
	}{{"Gbit", 1e9}, {"Mbit", 1e6}, {"kbit", 1e3}} {
		if rate != 0 && rate%unit.of == 0 {
			return strconv.FormatInt(rate/unit.of, 10) + unit.name
		}
	}
	if rate == 0 {
		return ""
	}
	return strconv.FormatInt(rate, 10) + "bit"
}

// ParseBitRate reads what BitRateText writes, but for the empty text.
func ParseBitRate(s string) (rate int64, ok bool) {
	for _, unit := range []struct {
		name string
		of   int64
	}{{"Gbit", 1e9}, {"Mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}} {
		if number, found := strings.CutSuffix(s, unit.name); found {
			n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
			return n * unit.of, err == nil && n > 0 && n <= MostThroughput/unit.of
		}
	}
	return 0, false
}

// MaintenanceLead is how long before a maintenance a gateway is drained: time for a
// moment in which nobody works.
const MaintenanceLead = 2 * time.Hour

// GatewayLoad is what a gateway measured last. The zero GatewayLoad: nothing yet.
type GatewayLoad struct {
	Rate int64 // bits a second, in both directions together
	CPU  int64 // how busy its processors are, in thousandths; zero: not known
}

// Drain is somebody's word that a gateway is to be empty. The zero Drain: it is not.
type Drain struct {
	Since time.Time
	By    time.Time // then whoever is left is moved
	Why   string
}

// Maintenance is when a gateway is not to be used. The zero Maintenance: none is announced.
type Maintenance struct {
	From, Until time.Time
	Why         string
}

// Leaving is that a gateway takes no sessions, and moves those that it has.
type Leaving struct {
	By    time.Time // whoever is there then is moved
	Until time.Time // from then on it takes sessions again; zero: nobody knows
	Why   Code      // with which
}

// Leaving reports whether a gateway is being left now. A maintenance begins and ends by
// the clock alone; of it and a drain the earlier end counts.
func (g Gateway) Leaving(now time.Time) (Leaving, bool) {
	m := g.Maintenance
	planned := !m.From.IsZero() && !now.Before(m.From.Add(-MaintenanceLead)) && now.Before(m.Until)
	drained := !g.Drain.Since.IsZero()
	switch {
	case drained && (!planned || !m.From.Before(g.Drain.By)):
		return Leaving{By: g.Drain.By, Why: CodeGatewayDraining}, true
	case planned && drained:
		return Leaving{By: m.From, Why: CodeGatewayMaintenance}, true
	case planned:
		return Leaving{By: m.From, Until: m.Until, Why: CodeGatewayMaintenance}, true
	default:
		return Leaving{}, false
	}
}

const (
	// mostLeaving is how long a session may be left beside the next one at the most, so
	// that place and address do not stay with a connection which never ends.
	mostLeaving = 4 * time.Hour
	// LeastLeaving is the shortest time for which a second session pays.
	LeastLeaving = 5 * time.Second
)

// LeavesBy is until when a session may be open beside the next one of its device, on
// another gateway: no longer than its own gateway is there, and no longer than it might
// have been by policy. Not ok: there is no time for that.
func (s Session) LeavesBy(g Gateway, now time.Time) (by time.Time, ok bool) {
	by = now.Add(mostLeaving)
	leaving, _ := g.Leaving(now)
	for _, end := range []time.Time{leaving.By, s.Ending.EndsAt, s.EndsAt} {
		if !end.IsZero() && end.Before(by) {
			by = end
		}
	}
	return by, by.Sub(now) >= LeastLeaving
}

// homeWithin is how long a laptop may take to move where there is more room: it is a
// wish, after which nothing ends.
const homeWithin = 24 * time.Hour

// GoingHome is the wish that a session moves, in a moment in which nobody works, to a
// gateway with much more room.
func GoingHome(now time.Time) Ending {
	return endingDue(now, now.Add(homeWithin-QuietWithin), CodeGatewayHome)
}
