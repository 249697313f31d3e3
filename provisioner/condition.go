package provisioner

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Condition is something that a tenant may ask of laptops before a session opens.
type Condition string

// The conditions. The names are those of the tenant's file, of the protocol and of the database.
const (
	DiskEncryption  Condition = "disk_encryption"
	Firewall        Condition = "firewall"
	ScreenLock      Condition = "screen_lock"
	SupportedSystem Condition = "supported_system"
)

// Conditions lists them all, in the order in which people are told of them.
func Conditions() []Condition {
	return []Condition{DiskEncryption, Firewall, ScreenLock, SupportedSystem}
}

// Demand is how much a tenant asks for a condition.
type Demand string

// The demands.
const (
	DemandOff      Demand = ""         // laptops are not asked
	DemandReported Demand = "reported" // they are asked, and nothing follows
	DemandRequired Demand = "required" // where it is unmet no session opens, after the grace
)

// Answer is what a laptop says of a condition. The zero value: nobody could look.
type Answer string

// The answers.
const (
	AnswerUnknown Answer = "unknown"
	AnswerYes     Answer = "yes"
	AnswerNo      Answer = "no"
)

// Bounds of what a tenant may ask for.
const (
	MostGraceDays    = 90
	MostScreenLock   = 60 // minutes
	MostSystemEnds   = 50
	MostSystemName   = 40 // bytes
	DefaultGraceDays = 14
)

// ConditionPolicy is what a tenant asks of laptops. The zero value: nothing.
type ConditionPolicy struct {
	Demands map[Condition]Demand `json:",omitempty"`
	// ScreenLockMinutes is after how long without a touch the screen must be locked at the latest. Zero: at some time.
	ScreenLockMinutes int `json:",omitempty"`
	// SystemEnds are until when systems count as supported, where the tenant knows it better than our table.
	SystemEnds []SystemEnd `json:",omitempty"`
	// GraceDays is for how many days a laptop may connect on from the day on which something was first seen unmet.
	GraceDays int `json:",omitempty"`
	// DenyUnknown: what nobody could find out counts as unmet.
	DenyUnknown bool `json:",omitempty"`
}

// SystemEnd is the last day on which a system is supported.
type SystemEnd struct {
	System string // such as "debian 12", "windows 19045", "macos 14"
	Until  time.Time
}

// IsSystemName reports whether s names a system and its version: two words of small letters, digits and dots.
func IsSystemName(s string) bool {
	name, version, ok := strings.Cut(s, " ")
	plain := func(s string) bool {
		return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == ""
	}
	return ok && len(s) <= MostSystemName && plain(name) && plain(version)
}

// Demand is how much is asked for a condition.
func (p ConditionPolicy) Demand(c Condition) Demand { return p.Demands[c] }

// Asked lists the conditions of which laptops are to say something.
func (p ConditionPolicy) Asked() []Condition {
	return slices.DeleteFunc(Conditions(), func(c Condition) bool { return p.Demands[c] == DemandOff })
}

// Question names what laptops are asked, so that an answer is known to be one to today's question. Empty: nothing is asked.
func (p ConditionPolicy) Question() string {
	asked := p.Asked()
	if len(asked) == 0 {
		return ""
	}
	var b strings.Builder
	for _, c := range asked {
		fmt.Fprint(&b, c, " ")
		switch c {
		case ScreenLock:
			fmt.Fprint(&b, p.ScreenLockMinutes, " ")
		case SupportedSystem:
			for _, e := range p.SystemEnds {
				fmt.Fprint(&b, e.System, "=", ISODay(e.Until), " ")
			}
		}
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:6])
}

// ConditionState is what is kept of a condition of one device: the last answer, and nothing of when it was given.
type ConditionState struct {
	Condition Condition
	Answer    Answer
	// Since is the day on which it was first seen unmet, of a condition that is required. Zero: it is met, or not required.
	Since time.Time
}

// Unmet is a required condition that is not met.
type Unmet struct {
	ConditionState
	// RefusedFrom is the beginning of the day from which no session opens any more.
	RefusedFrom time.Time
}

// Hear takes a laptop's answers, and gives what is kept from now on: of what is asked, and of nothing else.
// before is what was kept. A condition without an answer is not known.
func (p ConditionPolicy) Hear(before []ConditionState, answers map[Condition]Answer, now time.Time) []ConditionState {
	var after []ConditionState
	for _, c := range p.Asked() {
		state := ConditionState{Condition: c, Answer: AnswerUnknown}
		if a := answers[c]; a == AnswerYes || a == AnswerNo {
			state.Answer = a
		}
		if p.unmet(state) {
			state.Since = today(now)
			if i := slices.IndexFunc(before, func(s ConditionState) bool { return s.Condition == c && !s.Since.IsZero() }); i >= 0 && before[i].Since.Before(state.Since) {
				state.Since = before[i].Since
			}
		}
		after = append(after, state)
	}
	return after
}

// Unmet lists the required conditions that are not met, by what is kept.
func (p ConditionPolicy) Unmet(kept []ConditionState, now time.Time) []Unmet {
	var list []Unmet
	for _, c := range Conditions() {
		i := slices.IndexFunc(kept, func(s ConditionState) bool { return s.Condition == c })
		if i < 0 || !p.unmet(kept[i]) {
			continue
		}
		since := kept[i].Since
		if since.IsZero() { // it is required only since then
			since = today(now)
		}
		y, m, d := DayOf(since)
		list = append(list, Unmet{kept[i], DayBegins(y, m, d+p.GraceDays)})
	}
	return list
}

func (p ConditionPolicy) unmet(s ConditionState) bool {
	return p.Demands[s.Condition] == DemandRequired && (s.Answer == AnswerNo || s.Answer == AnswerUnknown && p.DenyUnknown)
}

// Refuses is the refusal of an opening on a system, by what is unmet; nil: it may go on.
func (p ConditionPolicy) Refuses(list []Unmet, platform string, now time.Time) *Refusal {
	over := slices.DeleteFunc(slices.Clone(list), func(u Unmet) bool { return now.Before(u.RefusedFrom) })
	if len(over) == 0 {
		return nil
	}
	what, how := p.words(over, platform)
	return Refuse(CodeConditionUnmet).With("what", what.german, what.english).With("how", how.german, how.english).After(conditionAskAgain)
}

// Warns is what a laptop is told while the grace lasts; nil: nothing.
func (p ConditionPolicy) Warns(list []Unmet, platform string, now time.Time) *Refusal {
	soon := slices.DeleteFunc(slices.Clone(list), func(u Unmet) bool { return !now.Before(u.RefusedFrom) })
	if len(soon) == 0 {
		return nil
	}
	first := slices.MinFunc(soon, func(a, b Unmet) int { return a.RefusedFrom.Compare(b.RefusedFrom) })
	german, english := DayText(first.RefusedFrom.Add(-time.Hour)) // the last day
	what, how := p.words(soon, platform)
	return Refuse(CodeConditionGrace).With("what", what.german, what.english).With("how", how.german, how.english).With("day", german, english)
}

// conditionAskAgain is how long a laptop waits before it looks again whether it may connect.
const conditionAskAgain = 5 * time.Minute

// Text tells a policy from every other one.
func (p ConditionPolicy) Text() string {
	var parts []string
	for _, c := range p.Asked() {
		parts = append(parts, string(c)+": "+string(p.Demands[c]))
	}
	if len(parts) == 0 {
		return ""
	}
	if p.ScreenLockMinutes > 0 {
		parts = append(parts, "screen_lock_minutes: "+strconv.Itoa(p.ScreenLockMinutes))
	}
	for _, e := range p.SystemEnds {
		parts = append(parts, "supported_until "+e.System+": "+ISODay(e.Until))
	}
	parts = append(parts, fmt.Sprintf("grace: %dd", p.GraceDays))
	if p.DenyUnknown {
		parts = append(parts, "unknown: deny")
	}
	return strings.Join(parts, ", ")
}

// ConditionsText writes what is kept of a device as the database has it: disk_encryption=no@2026-11-12 firewall=yes.
func ConditionsText(kept []ConditionState) string {
	var words []string
	for _, s := range kept {
		word := string(s.Condition) + "=" + string(s.Answer)
		if !s.Since.IsZero() {
			word += "@" + ISODay(s.Since)
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// ParseConditions reads what ConditionsText has written. What it does not know it passes over: a newer version may
// have written it.
func ParseConditions(text string) (kept []ConditionState) {
	for _, word := range strings.Fields(text) {
		name, value, _ := strings.Cut(word, "=")
		answer, since, dated := strings.Cut(value, "@")
		s := ConditionState{Condition: Condition(name), Answer: Answer(answer)}
		known := slices.Contains(Conditions(), s.Condition) && (s.Answer == AnswerYes || s.Answer == AnswerNo || s.Answer == AnswerUnknown)
		if dated {
			day, err := time.Parse(time.DateOnly, since)
			if err != nil {
				continue
			}
			s.Since = DayBegins(day.Date())
		}
		if known && !slices.ContainsFunc(kept, func(k ConditionState) bool { return k.Condition == s.Condition }) {
			kept = append(kept, s)
		}
	}
	return kept
}

func today(now time.Time) time.Time { return DayBegins(DayOf(now)) }

// ISODay writes a day in Germany as programs do.
func ISODay(t time.Time) string {
	y, m, d := DayOf(t)
	return fmt.Sprintf("%04d-%02d-%02d", y, int(m), d)
}
