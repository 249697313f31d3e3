package provisioner_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
)

func demands(pairs ...string) provisioner.ConditionPolicy {
	p := provisioner.ConditionPolicy{Demands: map[provisioner.Condition]provisioner.Demand{}, GraceDays: 14}
	for i := 0; i < len(pairs); i += 2 {
		p.Demands[provisioner.Condition(pairs[i])] = provisioner.Demand(pairs[i+1])
	}
	return p
}

func answer(pairs ...string) map[provisioner.Condition]provisioner.Answer {
	list := map[provisioner.Condition]provisioner.Answer{}
	for i := 0; i < len(pairs); i += 2 {
		list[provisioner.Condition(pairs[i])] = provisioner.Answer(pairs[i+1])
	}
	return list
}

func TestGraceRunsFromTheFirstDay(t *testing.T) {
	t.Parallel()
	p := demands("disk_encryption", "required", "firewall", "reported")
	day := func(d int) time.Time { return provisioner.DayBegins(2026, 11, d).Add(9 * time.Hour) }
	kept := p.Hear(nil, answer("disk_encryption", "no", "firewall", "no", "screen_lock", "no"), day(12))
	if text := provisioner.ConditionsText(kept); text != "disk_encryption=no@2026-11-12 firewall=no" {
		t.Fatalf("kept: %s", text)
	}
	for _, c := range []struct {
		day             int
		warned, refused bool
	}{{12, true, false}, {25, true, false}, {26, false, true}, {40, false, true}} {
		kept = p.Hear(kept, answer("disk_encryption", "no"), day(c.day))
		unmet := p.Unmet(kept, day(c.day))
		warning, refusal := p.Warns(unmet, "linux", day(c.day)), p.Refuses(unmet, "linux", day(c.day))
		if (warning != nil) != c.warned || (refusal != nil) != c.refused {
			t.Errorf("on the %d.: warning %v, refusal %v", c.day, warning, refusal)
		}
		if warning != nil {
			if sentence, _ := warning.Text("de"); sentence != "Die Festplatte ist nicht verschlüsselt. So verbindet sich dieser Laptop nur noch bis zum 25. November 2026." {
				t.Errorf("on the %d.: %s", c.day, sentence)
			}
		}
	}
	kept = p.Hear(kept, answer("disk_encryption", "yes"), day(41))
	if len(p.Unmet(kept, day(41))) > 0 || provisioner.ConditionsText(kept) != "disk_encryption=yes firewall=unknown" {
		t.Errorf("once it is met: %s", provisioner.ConditionsText(kept))
	}
}

// A condition that was only reported has its whole grace when it becomes required.
func TestWhatWasReportedHasItsGrace(t *testing.T) {
	t.Parallel()
	now := provisioner.DayBegins(2026, 11, 12)
	kept := demands("firewall", "reported").Hear(nil, answer("firewall", "no"), now)
	later := now.AddDate(0, 1, 0)
	p := demands("firewall", "required")
	kept = p.Hear(kept, answer("firewall", "no"), later)
	if u := p.Unmet(kept, later); len(u) != 1 || !u[0].RefusedFrom.Equal(later.AddDate(0, 0, 14)) {
		t.Errorf("%+v", u)
	}
}

func TestUnknownCountsAsPolicySays(t *testing.T) {
	t.Parallel()
	now := provisioner.DayBegins(2026, 11, 12)
	p := demands("firewall", "required")
	p.GraceDays = 0
	if r := p.Refuses(p.Unmet(p.Hear(nil, nil, now), now), "linux", now); r != nil {
		t.Errorf("it is refused although unknown is allowed: %v", r)
	}
	p.DenyUnknown = true
	r := p.Refuses(p.Unmet(p.Hear(nil, nil, now), now), "linux", now)
	if r == nil || !strings.Contains(r.Error(), "could not be found out") || r.RetryAfter == 0 {
		t.Errorf("it is not refused, or not in these words: %v", r)
	}
}

// Each condition has words of its own for each system, and no placeholder is left.
func TestConditionsHaveWordsForEachSystem(t *testing.T) {
	t.Parallel()
	now := provisioner.DayBegins(2026, 11, 12)
	seen := map[string]string{}
	for _, c := range provisioner.Conditions() {
		for _, platform := range []string{"linux", "windows", "darwin"} {
			for _, said := range []string{"no", "unknown"} {
				p := demands(string(c), "required")
				p.GraceDays, p.DenyUnknown, p.ScreenLockMinutes = 0, true, 15
				r := p.Refuses(p.Unmet(p.Hear(nil, answer(string(c), said), now), now), platform, now)
				for _, language := range []string{"de", "en"} {
					sentence, next := r.Text(language)
					if strings.ContainsAny(sentence+next, "{}") || c == provisioner.ScreenLock && !strings.Contains(next, "15") {
						t.Errorf("%s on %s: %s %s", c, platform, sentence, next)
					}
					if former, twice := seen[sentence+next]; twice {
						t.Errorf("%s on %s is told as %s", c, platform, former)
					}
					seen[sentence+next] = string(c) + " on " + platform
				}
			}
		}
	}
}

func TestAnotherQuestionHasAnotherName(t *testing.T) {
	t.Parallel()
	plain, minutes, ends := demands("screen_lock", "required"), demands("screen_lock", "required"), demands("supported_system", "reported")
	minutes.ScreenLockMinutes = 10
	ends.SystemEnds = []provisioner.SystemEnd{{System: "debian 11", Until: provisioner.DayBegins(2027, 6, 30)}}
	names := []string{provisioner.ConditionPolicy{}.Question(), plain.Question(), minutes.Question(), demands("supported_system", "reported").Question(), ends.Question()}
	slices.Sort(names)
	if len(slices.Compact(names)) != 5 || names[0] != "" {
		t.Errorf("%q", names)
	}
	if plain.Question() != demands("screen_lock", "reported").Question() {
		t.Error("what follows from an answer is no part of the question")
	}
}

// What is kept comes back as it was, whatever it is; a grace never moves into the future.
func TestConditionsComeBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := provisioner.ConditionPolicy{Demands: map[provisioner.Condition]provisioner.Demand{}, GraceDays: rapid.IntRange(0, 90).Draw(t, "grace"), DenyUnknown: rapid.Bool().Draw(t, "deny")}
		for _, c := range provisioner.Conditions() {
			p.Demands[c] = rapid.SampledFrom([]provisioner.Demand{"", "reported", "required"}).Draw(t, "demand")
		}
		now := provisioner.DayBegins(2026, 1, 1)
		var kept []provisioner.ConditionState
		for range 5 {
			now = now.Add(time.Duration(rapid.IntRange(0, 500).Draw(t, "hours")) * time.Hour)
			answers := map[provisioner.Condition]provisioner.Answer{}
			for _, c := range provisioner.Conditions() {
				answers[c] = rapid.SampledFrom([]provisioner.Answer{"", "yes", "no", "perhaps"}).Draw(t, "answer")
			}
			before := p.Unmet(kept, now)
			kept = p.Hear(kept, answers, now)
			if back := provisioner.ParseConditions(provisioner.ConditionsText(kept)); !slices.Equal(back, kept) {
				t.Fatalf("%v came back as %v", kept, back)
			}
			for _, u := range p.Unmet(kept, now) {
				i := slices.IndexFunc(before, func(b provisioner.Unmet) bool { return b.Condition == u.Condition })
				if i >= 0 && u.RefusedFrom.After(before[i].RefusedFrom) {
					t.Fatalf("the grace of %s has moved", u.Condition)
				}
			}
		}
	})
}

func FuzzParseConditions(f *testing.F) {
	f.Add("disk_encryption=no@2026-11-12 firewall=yes")
	f.Add("firewall=no@2026-99-99 = @ firewall=perhaps")
	f.Fuzz(func(t *testing.T, text string) {
		kept := provisioner.ParseConditions(text)
		if again := provisioner.ParseConditions(provisioner.ConditionsText(kept)); !slices.Equal(again, kept) {
			t.Errorf("%q: %v, then %v", text, kept, again)
		}
	})
}
