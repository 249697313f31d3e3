package endpoint

import (
	"errors"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// toldOf is what a control plane says of which one link is to blame.
func toldOf(link, code string, state heimdrahtv1.LinkState) *explained {
	return fromExplained(&heimdrahtv1.ExplainOwnResponse{
		Cause: &heimdrahtv1.Cause{Code: code, Sentence: "It is so.", NextStep: "Do something.", Who: "operator"},
		Links: []*heimdrahtv1.Link{
			{Link: "directory", State: heimdrahtv1.LinkState_LINK_STATE_OK, Title: "directory"}, {Link: link, State: state, Title: link, Code: code},
		},
	})
}

// TestExplain: of what the control plane says and what the laptop sees, the nearest to the root is the cause.
func TestExplain(t *testing.T) {
	const wrong, noted = heimdrahtv1.LinkState_LINK_STATE_NOT_OK, heimdrahtv1.LinkState_LINK_STATE_ATTENTION
	now := time.Now()
	held := func(answered bool, p *control.Problem) situation {
		s := situation{enrolled: true, wanted: true, attached: true, problem: p, session: &session{settings: &settings{GatewayName: "gw1"}}}
		s.tunnel.installed = now.Add(-time.Minute)
		if answered {
			s.tunnel.handshake = now
		}
		return s
	}
	without := func(p *control.Problem) situation {
		return situation{enrolled: true, wanted: true, halted: p != nil, problem: p}
	}
	refusal := func(code string) *control.Problem {
		return control.FromRefusal(&heimdrahtv1.Refusal{Code: code, Sentence: "No.", NextStep: "Wait.", Who: "nobody"})
	}
	for name, c := range map[string]struct {
		s         situation
		told      *explained
		failed    *control.Problem
		code      string // empty: nothing is wrong
		note      string // the first one
		wrongHere string // what a link of the laptop has
	}{
		"all is well":                                      {s: held(true, nil), told: &explained{cause: Note{Code: "connected"}, links: []Link{{Name: "account", State: LinkOK}}}},
		"connected, and something worth a word":            {s: held(true, nil), told: toldOf("version", "agent-too-old", noted), note: "agent-too-old"},
		"a refusal, and the reason behind it":              {s: without(refusal("device-suspended")), told: toldOf("group", "not-in-group", wrong), code: "not-in-group"},
		"a refusal that nothing present explains":          {s: without(refusal("no-seat")), told: &explained{cause: Note{Code: "laptop-off"}}, code: "no-seat"},
		"a refusal, and something worth a word":            {s: without(refusal("no-seat")), told: toldOf("password", "password-expired", noted), code: "no-seat", note: "password-expired"},
		"the account comes before the laptop":              {s: without(tunnelFailed(errors.ErrUnsupported)), told: toldOf("account", "account-deleted", wrong), code: "account-deleted", wrongHere: CodeUnsupported},
		"the laptop comes before what is not heard of it":  {s: without(tunnelFailed(errors.ErrUnsupported)), told: toldOf("session", "session-expired", noted), code: CodeUnsupported, wrongHere: CodeUnsupported},
		"another tunnel, of which only silence is heard":   {s: besideAnother(held(false, nil)), told: toldOf("handshake", "gateway-silent", wrong), code: CodeOtherTunnel, wrongHere: CodeOtherTunnel},
		"no answer, because the gateway is gone":           {s: held(false, nil), told: toldOf("gateway", "gateway-away", wrong), code: "gateway-away", wrongHere: CodeGatewaySilent},
		"no answer, and the gateway hears the laptop":      {s: held(false, nil), told: toldOf("handshake", "one-way-traffic", wrong), code: "one-way-traffic", wrongHere: CodeGatewaySilent},
		"connected, and the gateway has told nothing yet":  {s: held(true, nil), told: toldOf("handshake", "gateway-silent", wrong)},
		"connected, and the account is gone just now":      {s: held(true, nil), told: toldOf("account", "account-deleted", wrong), note: "account-deleted"},
		"a copy of the laptop holds the session":           {s: without(refusal("stream-replaced")), told: toldOf("handshake", "gateway-silent", wrong), code: "stream-replaced", wrongHere: "stream-replaced"},
		"disconnected, and suspended meanwhile":            {s: situation{enrolled: true}, told: toldOf("device", "device-suspended", wrong), code: "device-suspended"},
		"disconnected by herself":                          {s: situation{enrolled: true}, told: toldOf("session", "session-closed", noted)},
		"disconnected, and revoked meanwhile":              {s: situation{enrolled: true}, failed: refusal("device-revoked"), code: "device-revoked"},
		"disconnected, and nobody answers":                 {s: situation{enrolled: true}, failed: noNetwork(nil), note: CodeNoNetwork, wrongHere: CodeNoNetwork},
		"connecting, and nobody answers":                   {s: without(noNetwork(nil)), failed: noNetwork(nil), code: CodeNoNetwork, wrongHere: CodeNoNetwork},
		"the server is busy":                               {s: without(nil), failed: refusal(codeTryLater), code: codeTryLater},
		"the server is busy, and the connection stands":    {s: held(true, nil), failed: refusal(codeTryLater)},
		"a server that cannot say":                         {s: without(refusal("device-suspended")), code: "device-suspended"},
		"a server that says something without being asked": {s: held(true, nil), told: &explained{}},
	} {
		status := explain(c.s, c.told, c.failed, "en", now)
		note, here := "", ""
		if len(status.Notes) > 0 {
			note = status.Notes[0].Code
		}
		for _, l := range status.Links[len(status.Links)-4:] {
			if l.State == LinkWrong {
				here = l.Code
			}
		}
		if status.Code != c.code || note != c.note || here != c.wrongHere {
			t.Errorf("%s: cause %q, note %q, at the laptop %q; want %q, %q, %q", name, status.Code, note, here, c.code, c.note, c.wrongHere)
		}
		if c.told != nil && len(status.Links) != len(c.told.links)+4 {
			t.Errorf("%s: the chain is %+v", name, status.Links)
		}
	}
}

func besideAnother(s situation) situation {
	s.tunnel.elsewhere = "wg0"
	return s
}

// TestExplainedIsHarmless: what a control plane says steers no terminal, and has no end without one.
func TestExplainedIsHarmless(t *testing.T) {
	answer := &heimdrahtv1.ExplainOwnResponse{Cause: &heimdrahtv1.Cause{Code: "a\x1b[2J", Sentence: "b\nc", Who: "somebody"}}
	for range 1000 {
		answer.Links = append(answer.Links, &heimdrahtv1.Link{Title: "\u202ex", Figure: "\x07"})
	}
	told := fromExplained(answer)
	if told.cause.Code != "a [2J" || told.cause.Sentence != "b c" || told.cause.Who != "" || len(told.links) != maxLinks || told.links[0].Title != " x" || told.links[0].Figure != " " {
		t.Errorf("taken in: %+v, %d links, the first %+v", told.cause, len(told.links), told.links[0])
	}
}
