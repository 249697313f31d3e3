package endpoint

import (
	"net/netip"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heimdraht/heimdraht/agent/control"
)

// State is how the laptop stands, in one stable word.
type State string

// The states.
const (
	// NotEnrolled: nobody has enrolled this laptop.
	NotEnrolled State = "not-enrolled"
	// Disconnected: no connection is wanted.
	Disconnected State = "disconnected"
	// Connecting: a connection is wanted, and the laptop is at it.
	Connecting State = "connecting"
	// Connected: the gateway has answered within the last 180 s.
	Connected State = "connected"
	// NoAnswer: a session is open, but the gateway does not answer.
	NoAnswer State = "no-answer"
	// Refused: a "no" stands in the way, and the laptop does not try again by itself soon.
	Refused State = "refused"
)

// answerExpected is how long a gateway may take to answer before it is called silent.
const answerExpected = 10 * time.Second

// Status is everything about a laptop that its person may want to know. The names of the fields are stable.
type Status struct {
	State State `json:"state"`
	// Code names the problem, if there is one.
	Code string `json:"code,omitempty"`
	// Sentence is what is the matter, Next what to do about it (empty: nothing).
	Sentence string `json:"sentence"`
	Next     string `json:"next_step,omitempty"`
	// Who can do that. Empty: a control plane that is older does not say.
	Who control.Who `json:"who,omitempty"`
	// Notes are matters beside the main one.
	Notes []Note `json:"notes,omitempty"`

	Person   string `json:"person,omitempty"`
	Tenant   string `json:"tenant,omitempty"`
	DeviceID string `json:"device_id,omitempty"`
	// CertificateUntil is when the laptop's certificate ends; it renews itself long before.
	CertificateUntil time.Time `json:"certificate_until,omitzero"`

	// QueuePosition is this laptop's place in the queue for a seat, from 1. Zero: it does not wait, or it is not counted yet.
	QueuePosition int64 `json:"queue_position,omitempty"`
	// ExpectedWait is after how many seconds it will probably be connected. Nil: nobody can tell.
	ExpectedWait *int64 `json:"expected_wait_s,omitempty"`

	// The rest is zero without a session.
	Gateway    string       `json:"gateway,omitempty"`
	Addresses  []netip.Addr `json:"addresses,omitempty"`
	Since      time.Time    `json:"since,omitzero"`
	LeaseUntil time.Time    `json:"lease_until,omitzero"`
	// EndsBy is when the session ends at the latest, as the control plane has said. Zero: it has said nothing.
	EndsBy time.Time `json:"ends_by,omitzero"`
	// ControlPlane says whether the control plane is connected too; a tunnel stands without.
	ControlPlane bool `json:"control_plane"`
	// HandshakeAge is how long ago the gateway gave a sign of life, in seconds. Nil: never.
	HandshakeAge  *int64 `json:"last_handshake_age_s,omitempty"`
	ReceivedBytes uint64 `json:"received_bytes"`
	SentBytes     uint64 `json:"sent_bytes"`

	// Links are the chain, if it was asked for (Explain): the nearest to the root first.
	Links []Link `json:"links,omitempty"`

	problem *control.Problem
}

// Note is a matter beside the main one.
type Note struct {
	Code     string `json:"code"`
	Sentence string `json:"sentence"`
	Next     string `json:"next_step,omitempty"`
	// Who can do that. Empty: nobody says.
	Who control.Who `json:"who,omitempty"`
}

func noteOf(p *control.Problem, language string) Note {
	t := p.Text(language)
	return Note{Code: p.Code, Sentence: t.Sentence, Next: t.Next, Who: p.Who}
}

// situation is all that decides about a status.
type situation struct {
	enrolled, wanted, halted, attached bool
	problem                            *control.Problem
	session                            *session
	end, idle                          *ending
	place                              *place
	tunnel                             reading
	clockOff                           time.Duration
}

// Status tells how the laptop stands by what it knows itself, in "en", else in German.
func (e *Endpoint) Status(language string) Status {
	s, who := e.situation()
	status := describe(s, language, time.Now())
	who.name(&status)
	return status
}

// situation is how the laptop stands now, and whose it is.
func (e *Endpoint) situation() (situation, whose) {
	tunnel := e.tunnel.reading()
	e.mu.Lock()
	defer e.mu.Unlock()
	return situation{
		enrolled: e.identity != nil, wanted: e.wanted, halted: e.halted != nil, attached: e.attached,
		problem: e.problem, session: e.held, end: e.end, idle: e.idle, place: e.place, tunnel: tunnel, clockOff: e.clockOff,
	}, whose{e.device, e.identity}
}

// whose a laptop is.
type whose struct {
	device   savedDevice
	identity *control.Identity
}

// name says so; nothing where nobody has enrolled it.
func (w whose) name(s *Status) {
	if w.identity != nil {
		s.Person, s.Tenant, s.DeviceID = w.device.Person, w.device.Tenant, w.device.DeviceID
		s.CertificateUntil = w.identity.Leaf().NotAfter.UTC()
	}
}

// describe finds the words for a situation. It is pure.
func describe(s situation, language string, now time.Time) Status {
	status := Status{ControlPlane: s.attached}
	state, problem := judge(s, now)
	said := words(state, language)
	if problem != nil {
		status.Code, said = problem.Code, problem.Text(language)
	}
	status.State, status.problem = state, problem
	status.Sentence, status.Next, status.Who = said.Sentence, said.Next, turnOf(state, problem)
	if s.place != nil {
		status.QueuePosition = s.place.position
		if s.place.wait > 0 {
			seconds := int64(s.place.wait.Seconds())
			status.ExpectedWait = &seconds
		}
	}
	if s.session != nil {
		status.Gateway, status.Addresses = s.session.settings.GatewayName, s.session.settings.Addresses
		status.Since, status.LeaseUntil = s.session.openedAt.UTC(), s.session.leaseUntil.UTC()
		status.ReceivedBytes, status.SentBytes = s.tunnel.received, s.tunnel.sent
		for _, end := range []*ending{s.end, s.idle} {
			if end != nil && (status.EndsBy.IsZero() || end.by.Before(status.EndsBy)) {
				status.EndsBy = end.by.UTC()
			}
		}
		if !s.tunnel.handshake.IsZero() {
			age := max(int64(now.Sub(s.tunnel.handshake).Seconds()), 0)
			status.HandshakeAge = &age
		}
	}
	for _, p := range notes(s, problem) {
		status.Notes = append(status.Notes, noteOf(p, language))
	}
	return status
}

// turnOf says who can do the next step.
func turnOf(state State, p *control.Problem) control.Who {
	switch {
	case p != nil:
		return p.Who
	case state == Disconnected:
		return control.Employee
	default:
		return control.Nobody
	}
}

// judge finds the state and the problem, if there is one.
func judge(s situation, now time.Time) (State, *control.Problem) {
	switch {
	case !s.enrolled:
		return NotEnrolled, notEnrolled()
	case s.session != nil:
		return judgeSession(s, now)
	case !s.wanted:
		return Disconnected, s.problem
	case s.halted && s.problem != nil && s.problem.Code == codeSessionIdle:
		return Disconnected, s.problem // nobody says no to her
	case s.halted, s.problem != nil && s.problem.Refused:
		return Refused, s.problem
	}
	return Connecting, s.problem
}

// judgeSession judges an open session.
func judgeSession(s situation, now time.Time) (State, *control.Problem) {
	switch {
	case s.tunnel.alive(now):
		return Connected, nil
	case !s.attached && s.problem != nil:
		// Neither the gateway nor the control plane answers: most likely the laptop has no network at all,
		// and the control plane's problem says more about that.
		return Connecting, s.problem
	case s.tunnel.unresolved != "":
		return NoAnswer, gatewayNotFound(s.tunnel.unresolved)
	case s.tunnel.handshake.IsZero() && now.Sub(s.tunnel.installed) < answerExpected:
		return Connecting, nil
	}
	if s.tunnel.elsewhere != "" {
		return NoAnswer, otherTunnel(s.tunnel.elsewhere)
	}
	return NoAnswer, gatewaySilent()
}

// notes are the problems beside the main one.
func notes(s situation, main *control.Problem) []*control.Problem {
	var all []*control.Problem
	if s.session != nil && !s.attached && s.problem != nil && s.problem != main {
		all = append(all, withoutStream(s.problem))
	}
	if s.session != nil && s.end != nil && s.end.why.Code != codeSessionAged && s.end.why.Code != codeGatewayHome { // of which she notices nothing
		all = append(all, s.end.asNote())
	}
	if s.session != nil && s.session.warning != nil {
		all = append(all, s.session.warning)
	}
	if s.session != nil && s.idle != nil {
		all = append(all, s.idle.asNote())
	}
	if s.session != nil && s.session.outdated != nil {
		all = append(all, s.session.outdated)
	}
	for _, c := range s.tunnel.conflicts {
		all = append(all, networkConflict(c))
	}
	if s.session != nil && main == nil && s.tunnel.oneSided() {
		all = append(all, insideSilent())
	}
	if s.clockOff != 0 && !slices.ContainsFunc(all, func(p *control.Problem) bool { return p.Code == control.CodeClockWrong }) {
		all = append(all, clockOff(clockAhead(s.clockOff)))
	}
	return all
}

// withoutStream says why the control plane is not connected although the tunnel stands. Mostly it is away, and nobody need do
// anything; of a wrong clock somebody must, and one that is left alone for its orders is there.
func withoutStream(p *control.Problem) *control.Problem {
	switch p.Code {
	case CodeServerErratic, control.CodeClockWrong:
		return p
	}
	return controlPlaneAway(p)
}

// words are said where there is no problem.
func words(state State, language string) control.Text {
	german := language != "en"
	switch {
	case state == Connected && german:
		return control.Text{Sentence: "Sie sind verbunden."}
	case state == Connected:
		return control.Text{Sentence: "You are connected."}
	case state == Connecting && german:
		return control.Text{Sentence: "Die Verbindung wird aufgebaut.", Next: "Einen Augenblick bitte."}
	case state == Connecting:
		return control.Text{Sentence: "The connection is being set up.", Next: "One moment, please."}
	}
	return notConnected().Text(language)
}

// asTime reads a time from the wire; none is zero.
func asTime(t *timestamppb.Timestamp) time.Time {
	if !t.IsValid() {
		return time.Time{}
	}
	return t.AsTime()
}
