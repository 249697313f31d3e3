package diagnosis

import (
	"slices"

	"github.com/heimdraht/heimdraht/provisioner"
)

// State is how a link of the chain is.
type State string

// The states. The values are stable.
const (
	OK      State = "ok"
	Wrong   State = "not-ok"    // it keeps her from connecting, or from working
	Noted   State = "attention" // it does not, and is worth a word
	Unknown State = "not-known" // or it does not apply
)

// Link is one link of the chain, with what was found there.
type Link struct {
	Name  string // stable
	Title words
	State State
	// Figure is what was found: "last handshake 14 s ago".
	Figure words
	// Cause is set where the link is Wrong or Noted.
	Cause Cause
}

// Shown is title and figure in "en", else in German.
func (l Link) Shown(language string) (title, figure string) {
	if language == "en" {
		return l.Title.english, l.Figure.english
	}
	return l.Title.german, l.Figure.german
}

// Finding is what came of a diagnosis.
type Finding struct {
	Links []Link
	Cause Cause
}

// Judge walks the chain.
func Judge(f Facts) Finding {
	links := []Link{
		f.directory(), f.brake(), f.account(), f.group(), f.password(), f.signIn(), f.device(), f.certificate(), f.houseRules(), f.conditions(),
		f.licence(), f.gateways(), f.session(), f.lease(), f.clock(), f.handshakes(), f.traffic(), f.version(),
	}
	return Finding{Links: links, Cause: f.cause(links)}
}

// cause is that of the first link that is wrong, else of the first one that is
// worth a word.
func (f Facts) cause(links []Link) Cause {
	for _, state := range []State{Wrong, Noted} {
		if i := slices.IndexFunc(links, func(l Link) bool { return l.State == state }); i >= 0 {
			return links[i].Cause
		}
	}
	switch {
	case f.online():
		return because(Connected)
	case f.Session != nil:
		return because(Connecting)
	default:
		return because(LaptopOff)
	}
}

func link(name, german, english string) Link {
	return Link{Name: name, Title: words{german, english}, State: Unknown}
}

func (l Link) ok(figure words) Link {
	l.State, l.Figure = OK, figure
	return l
}

func (l Link) unknown(figure words) Link {
	l.State, l.Figure = Unknown, figure
	return l
}

func (l Link) wrong(figure words, code provisioner.Code, fills ...fill) Link {
	l.State, l.Figure, l.Cause = Wrong, figure, because(code, fills...)
	return l
}

// refused makes a link wrong in the words of a refusal.
func (l Link) refused(figure words, r *provisioner.Refusal) Link {
	l.State, l.Figure, l.Cause = Wrong, figure, told(r)
	return l
}

// noted is wrong for who is not connected, where it matters only for opening.
func (l Link) noted(figure words, code provisioner.Code, fills ...fill) Link {
	l = l.wrong(figure, code, fills...)
	l.State = Noted
	return l
}

// wrongUnless makes a link wrong, or where she is connected all the same worth a
// word.
func (l Link) wrongUnless(connected bool, figure words, code provisioner.Code, fills ...fill) Link {
	if connected {
		return l.noted(figure, code, fills...)
	}
	return l.wrong(figure, code, fills...)
}

// isOfStanding tells refusals that came from what the directory says of her: how
// that is now is told by the links of account, group and password.
func (r Refusal) isOfStanding() bool {
	switch r.Code {
	case provisioner.CodeAccessEnded, provisioner.CodeNotInGroup, provisioner.CodePasswordExpired, provisioner.CodeExternalEnded:
		return true
	}
	return false
}
