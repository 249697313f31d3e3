package diagnosis

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/seat"
)

const (
	reopenedWithin = 10 * time.Minute
	// silentAfter is how long a laptop that renews each minute may be silent.
	silentAfter = 2*provisioner.RenewEvery + 30*time.Second
	// answerExpected is how long a gateway may take to answer: WireGuard repeats a
	// handshake after 5 s.
	answerExpected = 5 * time.Second
	// clockAllowed is how far a laptop's clock may be off without a word.
	clockAllowed = 2 * time.Minute
	// Of so many bytes up something must have come back: who uploads gets an
	// acknowledgement of one in forty or more.
	sentEnough  = 50_000
	returnedMin = 100 // one in
)

func (f Facts) licence() Link {
	l := link("licence", "Lizenz", "licence")
	if f.Session != nil {
		return l.ok(words{"Platz aus ", "seat of "}.with(same(f.Session.Pool)))
	}
	if len(f.Pools) == 0 {
		return l.wrong(words{"keine hinterlegt", "none on record"}, NoLicence)
	}
	if f.Rests {
		return l.refused(words{"wartet auf einen Platz; die Stelle ruht im Krisenbetrieb", "waits for a seat; its place rests in the crisis mode"}, provisioner.Refuse(provisioner.CodeCrisisMode))
	}
	if f.Waits {
		position := same(strconv.FormatInt(max(f.Position, 1), 10))
		return l.wrong(words{"wartet auf einen Platz, an Stelle ", "waits for a seat, place "}.with(position), SeatAwaited, fill{"position", position})
	}
	pool, refusal := seat.Choose(f.Pools)
	switch {
	case refusal == nil:
		return l.ok(words{"Platz frei in ", "seat free in "}.with(same(pool)))
	case refusal.Code == provisioner.CodeNoSeat:
		return l.wrong(words{"alle Plätze belegt", "all seats taken"}, NoSeat, fill{"seats", same(refusal.Args["seats"])})
	default:
		return l.wrong(words{"Vertrag läuft nicht", "contract does not run"}, LicenceOver, fill{"pool", same(f.Pools[0].Pool)})
	}
}

func (f Facts) gateways() Link {
	l := link("gateway", "Zugangsserver", "gateway")
	if g, ok := f.gateway(); ok {
		return f.ownGateway(l, g)
	}
	if len(f.Gateways) == 0 {
		return l.wrong(words{"keiner vorgesehen", "none declared"}, NoGateway)
	}
	reachable := slices.DeleteFunc(slices.Clone(f.Gateways), func(g Gateway) bool { return !g.Reachable || g.PublicKey.IsZero() })
	if len(reachable) == 0 {
		last := slices.MaxFunc(f.Gateways, func(a, b Gateway) int { return a.ContactAt.Compare(b.ContactAt) })
		return f.away(l, last)
	}
	var names []string
	var open, most int64
	full, leaving := true, true
	for _, g := range reachable {
		names = append(names, g.Name)
		open, most = open+g.Open, most+g.Sessions
		_, left := g.Leaving(f.Now)
		full, leaving = full && (left || g.Open >= g.Sessions), leaving && left
	}
	figure := same(strings.Join(names, " "))
	if !f.Own {
		figure = figure.with(same(fmt.Sprintf(", %d/%d", open, most)))
	}
	if leaving {
		return l.wrong(figure, GatewaysResting, fill{"gateways", same(strings.Join(names, " "))})
	}
	if full {
		return l.wrong(figure, GatewayFull, fill{"sessions", same(strconv.FormatInt(most, 10))})
	}
	if r, ok := f.turnedAway(); ok && r.Code == provisioner.CodeGatewayNotReady {
		return l.wrong(figure, GatewayBehind, fill{"gateway", same(cmp.Or(f.formerGateway(), names[0]))})
	}
	return l.ok(figure)
}

// formerGateway is where the device was last.
func (f Facts) formerGateway() string {
	if last, ok := f.lastClosed(); ok {
		return last.Gateway
	}
	return ""
}

// ownGateway is that of an open session.
func (f Facts) ownGateway(l Link, g Gateway) Link {
	figure := same(g.Name)
	if !f.Own {
		figure = figure.with(words{fmt.Sprintf(", %d/%d belegt", g.Open, g.Sessions), fmt.Sprintf(", %d/%d taken", g.Open, g.Sessions)})
	}
	switch {
	case !g.Reachable:
		return f.away(l, g)
	case g.Revision < f.Session.Revision:
		return l.wrongUnless(f.online(), figure, GatewayBehind, fill{"gateway", same(g.Name)})
	default:
		return l.ok(figure)
	}
}

func (f Facts) away(l Link, g Gateway) Link {
	name := fill{"gateway", same(g.Name)}
	if g.ContactAt.IsZero() {
		return l.wrong(same(g.Name).with(words{", noch nie gehört", ", never heard of"}), GatewayAway, name, fill{"age", words{"seiner Einrichtung", "as long as it has been declared"}})
	}
	return l.wrongUnless(f.online(), same(g.Name).with(words{", zuletzt gehört ", ", last heard "}).with(f.ago(g.ContactAt)),
		GatewayAway, name, fill{"age", f.age(g.ContactAt)})
}

func (f Facts) session() Link {
	l := link("session", "Verbindung", "session")
	if n := f.takenOver(); n >= reopenedTooOften {
		return l.noted(words{fmt.Sprintf("%d neue in zehn Minuten", n), fmt.Sprintf("%d new ones in ten minutes", n)}, Reopening, fill{"times", same(strconv.Itoa(n))})
	}
	if f.Session != nil {
		return l.ok(words{"offen", "open"})
	}
	last, closed := f.lastClosed()
	if r, ok := f.turnedAway(); ok && !r.isToldElsewhere() && (r.Code != provisioner.CodeCrisisMode || f.Tenant.InCrisis()) {
		return l.refused(words{"abgelehnt ", "refused "}.with(f.ago(r.At)), provisioner.Refuse(r.Code))
	}
	if refusal := f.outside(); refusal != nil {
		return l.wrong(words{"außerhalb der Zeiten", "outside the hours"}, OutsideHours, fill{"when", words{refusal.German["when"], refusal.Args["when"]}})
	}
	if !closed {
		return l.unknown(words{"noch nie eine geöffnet", "never opened one"})
	}
	// When it was open is nobody's business here: it would be a record of working hours.
	figure := words{"keine offen", "none is open"}
	switch {
	case f.Now.Sub(last.ClosedAt) > lately, isOwn(last.ClosedWhy):
		return l.unknown(figure)
	case last.ClosedWhy == provisioner.CodeSessionClosed, last.ClosedWhy == provisioner.CodeSessionExpired, last.ClosedWhy == provisioner.CodeSessionIdle:
		return l.noted(figure, last.ClosedWhy)
	}
	return l.refused(figure, provisioner.Refuse(last.ClosedWhy))
}

// outside is what she is told if her tenant lets her in at other times only.
func (f Facts) outside() *provisioner.Refusal {
	if f.Standing == nil {
		return nil
	}
	if _, refusal := f.Tenant.AdmitsAt(*f.Standing, f.Now); refusal != nil && refusal.Code == provisioner.CodeOutsideHours {
		return refusal
	}
	return nil
}

// isToldElsewhere reports whether what a device was refused for is told by
// another link as it is now, or passes by itself.
func (r Refusal) isToldElsewhere() bool {
	switch r.Code {
	case provisioner.CodeNoLicence, provisioner.CodeNoSeat, provisioner.CodeNoGateway, provisioner.CodeGatewayFull, provisioner.CodeGatewayNotReady,
		provisioner.CodeGatewaysResting, provisioner.CodeDirectoryUnavailable, provisioner.CodeDeviceSuspended, provisioner.CodeTenantSuspended, provisioner.CodeDeviceRevoked, provisioner.CodeDeviceReplaced,
		provisioner.CodeTryLater, provisioner.CodeDatabaseUnavailable, provisioner.CodeOutsideHours,
		provisioner.CodeApprovalAwaited, provisioner.CodeHouseRules, provisioner.CodeSignInNeeded, provisioner.CodeConditionUnmet:
		return true
	}
	return r.isOfStanding()
}

// isOwn tells endings that another link explains, or after which the laptop
// opens the next session by itself.
func isOwn(why provisioner.Code) bool {
	switch why {
	case provisioner.CodeDeviceRevoked, provisioner.CodeDeviceSuspended, provisioner.CodeTenantSuspended, provisioner.CodeDeviceReplaced, provisioner.CodeSessionElsewhere,
		provisioner.CodeGatewayMoved, provisioner.CodeGatewayNotReady, provisioner.CodeAccessChanged,
		provisioner.CodeGatewayDraining, provisioner.CodeGatewayMaintenance, provisioner.CodeGatewayLost,
		provisioner.CodeAccessEnded, provisioner.CodeNotInGroup, provisioner.CodePasswordExpired,
		provisioner.CodeExternalEnded, provisioner.CodeOutsideHours, provisioner.CodeHouseRules, provisioner.CodeSignInNeeded:
		return true
	}
	return false
}

func (f Facts) lease() Link {
	l := link("lease", "Meldung des Laptops", "laptop's word")
	if f.Session == nil || f.static() {
		return l
	}
	figure := words{"zuletzt ", "last "}.with(f.ago(f.Session.RenewedAt))
	switch {
	case f.Now.Sub(f.Session.RenewedAt) <= silentAfter:
		return l.ok(figure)
	case f.online():
		return l.noted(figure, ServerAway)
	}
	return l.wrong(figure, LaptopSilent, fill{"age", f.age(f.Session.RenewedAt)})
}

func (f Facts) clock() Link {
	l := link("clock", "Uhr des Laptops", "laptop's clock")
	if f.Session == nil || f.Session.Reported.Clock.IsZero() {
		return l
	}
	ahead := f.Session.Reported.Clock.Sub(f.Session.RenewedAt).Round(time.Second)
	if ahead.Abs() <= clockAllowed {
		return l.ok(seconds(ahead))
	}
	off := seconds(ahead)
	return l.wrongUnless(f.online(), off, ClockWrong, fill{"off", off})
}

func (f Facts) handshakes() Link {
	l := link("handshake", "Lebenszeichen", "handshake")
	s := f.Session
	if s == nil {
		return l
	}
	last := f.handshake()
	figure := words{"noch keines", "none yet"}
	if !last.IsZero() {
		figure = words{"zuletzt ", "last "}.with(f.ago(last))
	}
	late := s.OpenedAt.Add(answerExpected)
	switch {
	case f.online():
		return l.ok(figure)
	case f.static():
		return l.noted(figure, StaticOff)
	case last.IsZero() && !s.ObservedAt.After(late) && !s.RenewedAt.After(late):
		return l.unknown(words{"noch nichts gemeldet", "nothing reported yet"})
	case s.ReceivedBytes > 0 && s.Reported.ReceivedBytes == 0 && last.IsZero():
		return l.wrong(figure, OneWay)
	}
	return l.wrong(figure, GatewaySilent)
}

func (f Facts) traffic() Link {
	l := link("traffic", "Daten", "traffic")
	s := f.Session
	if s == nil {
		return l
	}
	up, down := max(s.ReceivedBytes, s.Reported.SentBytes), max(s.SentBytes, s.Reported.ReceivedBytes)
	figure := words{bytesOf(up).german + " hin, " + bytesOf(down).german + " zurück", bytesOf(up).english + " up, " + bytesOf(down).english + " down"}
	switch {
	case !f.online():
		return l.unknown(figure)
	case up >= sentEnough && down < up/returnedMin:
		return l.wrong(figure, InsideSilent)
	}
	return l.ok(figure)
}
