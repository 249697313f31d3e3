package control

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// Problem is a "no" that a person can act upon: one that this machine found
// itself, or a refusal of the control plane. It is an error.
type Problem struct {
	// Code is stable: programs and people on the phone rely on it.
	Code string
	// A refusal of the control plane comes in one language and stands in both.
	German, English Text
	// Who can do the next step. Empty: a control plane that is older does not say.
	Who Who
	// RetryAfter is the soonest that trying again by itself may help. Zero:
	// somebody must do something first.
	RetryAfter time.Duration
	// Refused says that the control plane said it, not this machine.
	Refused bool
	// HouseRules are what the person must acknowledge first. Nil: nothing.
	HouseRules *HouseRules
	// Cause is for the log. It may be nil.
	Cause error
}

// HouseRules are what an administration wants everybody to have read who works
// from home.
type HouseRules struct {
	Version string `json:"version"`
	// Text has several lines, and nothing in it that steers a terminal.
	Text string `json:"text"`
	// Link is where they can be read too. Empty: nowhere.
	Link string `json:"link,omitempty"`
}

// Who can do something. The values are stable, and those of the protocol.
type Who string

// Those who can.
const (
	Employee    Who = "employee"
	Helpdesk    Who = "helpdesk"
	TenantAdmin Who = "tenant_admin"
	Operator    Who = "operator"
	Nobody      Who = "nobody" // nobody has to: it passes by itself
)

// known is who, or empty if this program does not know the word.
func (w Who) known() Who {
	switch w {
	case Employee, Helpdesk, TenantAdmin, Operator, Nobody:
		return w
	}
	return ""
}

// Text is what happened and what to do next.
type Text struct {
	Sentence string
	Next     string
}

// Error is the English text with the code and the cause.
func (p *Problem) Error() string {
	s := p.Code + ": " + strings.TrimSpace(p.English.Sentence+" "+p.English.Next)
	if p.Cause != nil {
		return fmt.Sprintf("%s (%v)", s, p.Cause)
	}
	return s
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// Is makes errors.Is compare codes.
func (p *Problem) Is(target error) bool {
	t, ok := target.(*Problem)
	return ok && t.Code == p.Code
}

// Text is the text in "en", else in German.
func (p *Problem) Text(language string) Text {
	if strings.HasPrefix(strings.ToLower(language), "en") {
		return p.English
	}
	return p.German
}

// Because returns a copy that keeps the cause, for the log.
func (p *Problem) Because(cause error) *Problem {
	q := *p
	q.Cause = cause
	return &q
}

// AsProblem finds a Problem in err's chain.
func AsProblem(err error) (*Problem, bool) {
	var p *Problem
	ok := errors.As(err, &p)
	return p, ok && p != nil
}

// maxText bounds what is kept of a control plane's words.
const maxText = 1000

// FromRefusal makes a Problem of a refusal that came as a message. Control
// characters, which could play tricks on a terminal, are taken out.
// One without words or code, which no control plane of ours sends, gets some.
func FromRefusal(r *heimdrahtv1.Refusal) *Problem {
	t := Text{Sentence: Printable(r.GetSentence()), Next: Printable(r.GetNextStep())}
	p := &Problem{
		Code: cmp.Or(Printable(r.GetCode()), codeRefused), German: t, English: t, Refused: true, Who: Who(r.GetWho()).known(),
		RetryAfter: milliseconds(r.GetRetryAfterMs()), HouseRules: FromHouseRules(r.GetHouseRules()),
	}
	if strings.TrimSpace(t.Sentence) == "" {
		p.German.Sentence, p.English.Sentence = "Der Server lehnt ab, ohne zu sagen, warum.", "The server refuses without saying why."
	}
	if strings.TrimSpace(t.Next) == "" {
		p.German.Next, p.English.Next = "Fragen Sie den Helpdesk.", "Ask the helpdesk."
	}
	return p
}

// maxRules bounds how much text of house rules is taken in, in bytes.
const maxRules = 64 << 10

// FromHouseRules takes in house rules as FromRefusal does a refusal; nil for nil.
func FromHouseRules(r *heimdrahtv1.HouseRules) *HouseRules {
	if r == nil {
		return nil
	}
	text := r.GetText()
	if len(text) > maxRules {
		text = text[:maxRules]
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(printableOf(line), " ")
	}
	return &HouseRules{Version: Printable(r.GetVersion()), Text: strings.Join(lines, "\n"), Link: Printable(r.GetLink())}
}

// codeRefused stands for a refusal that came without a code.
const codeRefused = "refused"

// FromStatus turns what a call returned into a *Problem: the refusal that is
// attached to it, a fault with its number, a server that is away or too old.
// It returns nil for nil, and an error that is no status, or that says that
// our own context ended, as it is.
func FromStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := AsProblem(err); ok {
		return err
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *heimdrahtv1.Refusal:
			return FromRefusal(d)
		case *heimdrahtv1.Fault:
			return serverFault(Printable(d.GetId())).Because(err)
		}
	}
	switch s.Code() {
	case codes.Canceled, codes.DeadlineExceeded:
		return err
	case codes.Unavailable:
		return connectionLost().Because(err)
	case codes.Unimplemented:
		return serverOld().Because(err)
	case codes.ResourceExhausted:
		return tooLarge().Because(err)
	}
	return serverFault("").Because(err)
}

// Printable bounds what a control plane says, and takes out what could play tricks on a terminal.
func Printable(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return printableOf(s)
}

func printableOf(s string) string {
	return strings.Map(func(r rune) rune {
		// C0, DEL and C1 controls, and the characters that turn text around
		// on a screen.
		switch {
		case r < 0x20 || r >= 0x7f && r < 0xa0,
			r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// milliseconds reads a duration from the wire: never negative, at most a day.
func milliseconds(ms int64) time.Duration {
	const most = 24 * time.Hour
	switch {
	case ms <= 0:
		return 0
	case ms > most.Milliseconds():
		return most
	}
	return time.Duration(ms) * time.Millisecond
}
