package diagnosis

import (
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner"
)

// conditions is what the tenant asks of laptops, as this one answered last.
func (f Facts) conditions() Link {
	l := link("conditions", "Zustand des Laptops", "condition of the laptop")
	d := f.Device
	if d == nil || !d.RevokedAt.IsZero() || f.static() {
		return l
	}
	policy := f.Tenant.Policy.Conditions
	asked := policy.Asked()
	if len(asked) == 0 {
		return l.ok(words{"nichts wird verlangt", "nothing is asked"})
	}
	kept := slices.DeleteFunc(slices.Clone(d.Conditions), func(s provisioner.ConditionState) bool { return !slices.Contains(asked, s.Condition) })
	if len(kept) == 0 {
		return l.unknown(words{"noch nichts gemeldet", "nothing reported yet"})
	}
	figure := conditionsFigure(kept)
	unmet := policy.Unmet(kept, f.Now)
	if r := policy.Refuses(unmet, d.Platform, f.Now); r != nil {
		l.State, l.Figure, l.Cause = Wrong, figure, inItsWords(r)
		if f.Session != nil {
			l.State = Noted
		}
		return l
	}
	if r := policy.Warns(unmet, d.Platform, f.Now); r != nil {
		l.State, l.Figure, l.Cause = Noted, figure, inItsWords(r)
		return l
	}
	return l.ok(figure)
}

// conditionsFigure lists what the laptop has answered.
func conditionsFigure(kept []provisioner.ConditionState) words {
	in := func(language string) string {
		var list []string
		for _, s := range kept {
			list = append(list, s.Condition.In(language)+": "+s.Answer.In(language))
		}
		return strings.Join(list, ", ")
	}
	return words{in("de"), in("en")}
}

// inItsWords is a refusal that holds now.
func inItsWords(r *provisioner.Refusal) Cause {
	in := func(language string) provisioner.Text {
		sentence, next := r.Text(language)
		return provisioner.Text{Sentence: sentence, Next: next}
	}
	return Cause{Code: r.Code, Who: r.Who(), German: in("de"), English: in("en")}
}
