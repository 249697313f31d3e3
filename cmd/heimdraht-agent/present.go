package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

// say prints one line, whatever is in it.
func (a *app) say(line string) { show(a.out, harmless(strings.ReplaceAll(line, "\n", " "))+"\n") }

// present prints a status for people: the sentence, the next step, then what the helpdesk may ask for.
func (a *app) present(got *answer) {
	s := got.Status
	a.say(s.Sentence)
	if s.Next != "" {
		a.say(s.Next)
	}
	if turn := turns(s.Who); s.Code != "" && turn != (words{}) {
		a.say(words{"Wer es kann: ", "Who can do it: "}.in(a.language) + turn.in(a.language))
	}
	for _, n := range s.Notes {
		a.say(strings.TrimSpace(n.Sentence + " " + n.Next))
	}
	line := func(label words, value string) {
		if value != "" {
			a.say(fmt.Sprintf("  %-*s %s", labelWidth(a.language), label.in(a.language), value))
		}
	}
	line(words{"Grund", "reason"}, s.Code)
	line(words{"Person", "person"}, joined(s.Person, s.Tenant))
	line(words{"Zugangsserver", "gateway"}, s.Gateway)
	var addresses []string
	for _, addr := range s.Addresses {
		addresses = append(addresses, addr.String())
	}
	line(words{"Adresse", "address"}, strings.Join(addresses, ", "))
	if got.Proxy != "" {
		line(words{"Proxy", "proxy"}, "SOCKS5 "+got.Proxy)
	}
	line(words{"Seit", "since"}, a.clock(s.Since))
	line(words{"Verlängert bis", "lease until"}, a.clock(s.LeaseUntil))
	if s.HandshakeAge != nil {
		age := fmt.Sprintf("%d s", *s.HandshakeAge)
		line(words{"Lebenszeichen", "sign of life"}, words{"vor " + age, age + " ago"}.in(a.language))
	}
	if s.Gateway != "" {
		received, sent := bytesText(s.ReceivedBytes, a.language), bytesText(s.SentBytes, a.language)
		line(words{"Daten", "data"}, words{received + " empfangen, " + sent + " gesendet", received + " received, " + sent + " sent"}.in(a.language))
	}
}

// presentLinks prints the chain as heimdraht why does, so that two on the phone read the same.
func (a *app) presentLinks(links []endpoint.Link) {
	if len(links) == 0 {
		return
	}
	a.say("")
	state := func(l endpoint.Link) string { return stateOf(l.State).in(a.language) }
	states, titles := 0, 0
	for _, l := range links {
		states, titles = max(states, utf8.RuneCountInString(state(l))), max(titles, utf8.RuneCountInString(l.Title))
	}
	for _, l := range links {
		a.say(strings.TrimRight(fmt.Sprintf("  %-*s  %-*s  %s", states, state(l), titles, l.Title, l.Figure), " "))
	}
}

func stateOf(s endpoint.LinkState) words {
	switch s {
	case endpoint.LinkOK:
		return words{"ok", "ok"}
	case endpoint.LinkWrong:
		return words{"NICHT OK", "NOT OK"}
	case endpoint.LinkNoted:
		return words{"Achtung", "attention"}
	default:
		return words{"unbekannt", "not known"}
	}
}

// turns names who can do the next step.
func turns(who control.Who) words {
	switch who {
	case control.Employee:
		return words{"Sie selbst.", "you."}
	case control.Helpdesk:
		return words{"der Helpdesk.", "the helpdesk."}
	case control.TenantAdmin:
		return words{"wer den Zugang Ihrer Verwaltung betreut; der Helpdesk sagt es weiter.", "your tenant's administrator; the helpdesk passes it on."}
	case control.Operator:
		return words{"der Betrieb; der Helpdesk sagt es weiter.", "the operator; the helpdesk passes it on."}
	case control.Nobody:
		return words{"niemand; abwarten.", "nobody; wait."}
	}
	return words{}
}

func labelWidth(l speech.Language) int {
	if l == speech.German {
		return utf8.RuneCountInString("Verlängert bis")
	}
	return utf8.RuneCountInString("sign of life")
}

func joined(person, tenant string) string {
	if person == "" || tenant == "" {
		return person + tenant
	}
	return person + " (" + tenant + ")"
}

// clock writes a time as people of the language do, in the laptop's own zone.
func (a *app) clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(words{"02.01.2006 15:04", "2006-01-02 15:04"}.in(a.language))
}

// bytesText rounds as people read: 1.2 MB.
func bytesText(n uint64, l speech.Language) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, names := float64(n)/unit, []string{"kB", "MB", "GB", "TB", "PB", "EB"}
	for value >= unit && len(names) > 1 {
		value, names = value/unit, names[1:]
	}
	text := fmt.Sprintf("%.1f %s", value, names[0])
	if l == speech.German {
		text = strings.Replace(text, ".", ",", 1)
	}
	return text
}
