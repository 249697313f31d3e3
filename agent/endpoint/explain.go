package endpoint

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// explainWithin is how long a person waits for the control plane's word, before she is told what the laptop knows.
const explainWithin = 3 * time.Second

// maxLinks bounds how much of a chain is taken in.
const maxLinks = 64

// LinkState is how a link of the chain is. The values are stable.
type LinkState string

// The states.
const (
	LinkOK      LinkState = "ok"
	LinkWrong   LinkState = "not-ok"    // it keeps her from connecting, or from working
	LinkNoted   LinkState = "attention" // it does not, and is worth a word
	LinkUnknown LinkState = "not-known" // or it does not apply
)

// Link is one link of the chain between the person's account and the laptop, with what was found there.
type Link struct {
	Name   string    `json:"link"` // stable
	State  LinkState `json:"state"`
	Title  string    `json:"title"`
	Figure string    `json:"figure,omitempty"`
	Code   string    `json:"code,omitempty"` // of what is wrong there
}

// explained is what the control plane says, as HelpdeskService.Explain says it to the helpdesk.
type explained struct {
	cause Note
	links []Link
}

// Explain is Status with the control plane's word on why, in the codes that the helpdesk is told, and with the chain:
// the control plane's part of it, where it can be asked, and the laptop's. It takes 3 s at the most.
func (e *Endpoint) Explain(ctx context.Context, language string) Status {
	s, _ := e.situation()
	if !s.enrolled {
		return e.Status(language)
	}
	var told *explained
	failed := s.problem
	if s.attached || !isAway(failed) { // else it is known that nobody answers
		told, failed = e.askWhy(ctx, language)
	}
	s, who := e.situation()
	status := explain(s, told, failed, language, time.Now())
	who.name(&status)
	return status
}

// askWhy asks the control plane. A problem says why it did not answer, or is its refusal; neither: it cannot say.
func (e *Endpoint) askWhy(ctx context.Context, language string) (*explained, *control.Problem) {
	ctx, cancel := context.WithTimeout(ctx, explainWithin)
	defer cancel()
	answer, err := e.explainOwn(ctx, language)
	if err == nil {
		return fromExplained(answer), nil
	}
	e.log.Debug("could not ask the control plane why", "error", err)
	p, ok := control.AsProblem(err)
	switch {
	case !ok && ctx.Err() != nil:
		return nil, serverSilent().Because(err)
	case !ok, !p.Refused && !isAway(p):
		return nil, nil // one that is older than this program, or has a fault
	case p.Code == control.CodeServerUnreachable && !errors.Is(p, syscall.ECONNREFUSED) && !e.options.Online():
		return nil, noNetwork(p)
	}
	return nil, p
}

func (e *Endpoint) explainOwn(ctx context.Context, language string) (*heimdrahtv1.ExplainOwnResponse, error) {
	conn, err := e.connectIn(ctx, language)
	if err != nil {
		return nil, err
	}
	// What was answered counts; the connection is of no more use.
	defer func() { _ = conn.Close() }()
	answer, err := heimdrahtv1.NewSessionServiceClient(conn).ExplainOwn(ctx, &heimdrahtv1.ExplainOwnRequest{})
	return answer, control.FromStatus(err)
}

func fromExplained(m *heimdrahtv1.ExplainOwnResponse) *explained {
	c := m.GetCause()
	// In the way of a refusal: what is not printable is taken out.
	p := control.FromRefusal(&heimdrahtv1.Refusal{Code: c.GetCode(), Sentence: c.GetSentence(), NextStep: c.GetNextStep(), Who: c.GetWho()})
	told := &explained{cause: noteOf(p, "")}
	for _, l := range m.GetLinks()[:min(len(m.GetLinks()), maxLinks)] {
		told.links = append(told.links, Link{
			Name: control.Printable(l.GetLink()), State: linkStateOf(l.GetState()), Title: control.Printable(l.GetTitle()),
			Figure: control.Printable(l.GetFigure()), Code: control.Printable(l.GetCode()),
		})
	}
	return told
}

func linkStateOf(s heimdrahtv1.LinkState) LinkState {
	switch s {
	case heimdrahtv1.LinkState_LINK_STATE_OK:
		return LinkOK
	case heimdrahtv1.LinkState_LINK_STATE_NOT_OK:
		return LinkWrong
	case heimdrahtv1.LinkState_LINK_STATE_ATTENTION:
		return LinkNoted
	default:
		return LinkUnknown
	}
}

// isAway names the problems of reaching the control plane at all.
func isAway(p *control.Problem) bool {
	return p != nil && !p.Refused && slices.Contains([]string{
		CodeNoNetwork, CodeCaptivePortal, control.CodeServerUnreachable, control.CodeServerUntrusted, control.CodeWrongPin, control.CodeConnectionLost,
		CodeServerSilent,
	}, p.Code)
}

// explain joins what the control plane says with what the laptop sees. It is pure. The nearest to the root is the
// cause: what the control plane says of account, licence and gateway comes before what is wrong on the laptop, and that
// before what the control plane hears, or does not hear, of the laptop.
func explain(s situation, told *explained, failed *control.Problem, language string, now time.Time) Status {
	status := describe(s, language, now)
	switch {
	case told != nil:
		status.Links = told.links
		status.take(s, told)
	case failed == nil:
	case failed.Refused && !isPassing(failed.Code), failed.Refused && status.Code == "" && status.State != Connected:
		status.blame(noteOf(failed, language))
	case status.Code == "" && s.session == nil:
		status.note(noteOf(failed, language))
	}
	status.Links = append(slices.Clone(status.Links), linksOfLaptop(s, status, told != nil, failed, language, now)...)
	return status
}

// take takes in the control plane's cause.
func (s *Status) take(at situation, told *explained) {
	i := slices.IndexFunc(told.links, func(l Link) bool {
		return (l.State == LinkWrong || l.State == LinkNoted) && l.Code == told.cause.Code
	})
	if i < 0 {
		return // nothing keeps her from it
	}
	link := told.links[i]
	mine := at.problem
	if at.session != nil {
		mine = s.problem
	}
	switch {
	case isHearsay(link, at.session != nil, s.State == Connected):
	case s.State == Connected, link.State == LinkNoted:
		s.note(told.cause)
	case isOfLaptop(mine) && isBehind(link):
	default:
		s.blame(told.cause)
	}
}

// isHearsay tells what the control plane has heard of the laptop, or not, where the laptop knows better itself.
func isHearsay(l Link, open, alive bool) bool {
	switch l.Name {
	case "lease":
		return true
	case "session":
		return open || l.Code == "session-closed" || l.Code == "session-expired"
	case "handshake":
		return !open || alive
	case "clock", "traffic":
		return !open
	}
	return false
}

// isBehind tells the links that lie behind the laptop, seen from the root.
func isBehind(l Link) bool {
	return slices.Contains([]string{"session", "clock", "handshake", "traffic"}, l.Name)
}

// isOfLaptop tells the problems of which only this laptop knows.
func isOfLaptop(p *control.Problem) bool {
	if p == nil {
		return false
	}
	if p.Refused {
		return p.Code == codeStreamReplaced || p.Code == codeSessionElsewhere
	}
	return p.Code != CodeGatewaySilent
}

// blame makes something the one cause.
func (s *Status) blame(c Note) {
	s.Code, s.Sentence, s.Next, s.Who = c.Code, c.Sentence, c.Next, c.Who
	s.Notes = slices.DeleteFunc(s.Notes, func(n Note) bool { return n.Code == c.Code })
}

// note says something beside the main matter, before the other notes and once.
func (s *Status) note(c Note) {
	s.Notes = slices.DeleteFunc(s.Notes, func(n Note) bool { return n.Code == c.Code })
	if s.Code != c.Code {
		s.Notes = slices.Insert(s.Notes, 0, c)
	}
}

// linksOfLaptop are the laptop's own links of the chain.
func linksOfLaptop(s situation, status Status, told bool, failed *control.Problem, language string, now time.Time) []Link {
	said := func(german, english string) string { return phrase{german, english}.in(language) }
	answered := told || s.attached || failed != nil && failed.Refused
	network := Link{Name: "laptop-network", Title: said("Netz des Laptops", "laptop's network"), State: LinkUnknown}
	server := Link{Name: "laptop-server", Title: said("Server von hier", "server from here"), State: LinkUnknown}
	switch {
	case answered:
		network.State, server.State, server.Figure = LinkOK, LinkOK, said("antwortet", "answers")
	case failed == nil:
	case failed.Code == CodeNoNetwork || failed.Code == CodeCaptivePortal:
		network.State, network.Code, network.Figure = LinkWrong, failed.Code, failed.Text(language).Sentence
	default:
		server.State, server.Code, server.Figure = LinkWrong, failed.Code, failed.Text(language).Sentence
	}
	tunnel := Link{Name: "laptop-tunnel", Title: said("Verbindung am Laptop", "connection on the laptop"), State: LinkUnknown, Figure: said("keine", "none")}
	answer := Link{Name: "laptop-answer", Title: said("Antwort von dort", "answer from there"), State: LinkUnknown}
	switch {
	case s.session != nil:
		tunnel.State, tunnel.Figure = LinkOK, said("eingerichtet, zu ", "set up, to ")+status.Gateway
		answer.State, answer.Figure = LinkOK, said("noch keine", "none yet")
		if age := status.HandshakeAge; age != nil {
			answer.Figure = phrase{"vor " + seconds(*age), seconds(*age) + " ago"}.in(language)
		}
		if p := status.problem; p != nil && !s.tunnel.alive(now) {
			answer.State, answer.Code = LinkWrong, p.Code
		}
	case isOfLaptop(s.problem) && !isAway(s.problem):
		tunnel.State, tunnel.Code, tunnel.Figure = LinkWrong, s.problem.Code, s.problem.Text(language).Sentence
	}
	if len(s.tunnel.conflicts) > 0 && tunnel.State == LinkOK {
		tunnel.State, tunnel.Code = LinkNoted, CodeNetworkConflict
	}
	return []Link{network, server, tunnel, answer}
}
