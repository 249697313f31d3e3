package tenancy

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Nothing that is told leaves a remainder that speaks of few, and what is told is right.
func TestCountsOfConditionsSpeakOfNobody(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var answered []store.Answered
		total := int64(0)
		want := map[provisioner.Answer]int64{}
		for _, said := range []provisioner.Answer{provisioner.AnswerYes, provisioner.AnswerNo, provisioner.AnswerUnknown, ""} {
			n := rapid.Int64Range(0, 12).Draw(t, "devices")
			a := store.Answered{Devices: n}
			if said != "" {
				a.Conditions = []provisioner.ConditionState{{Condition: provisioner.ScreenLock, Answer: "no"}, {Condition: provisioner.Firewall, Answer: said}}
			}
			answered, total, want[said] = append(answered, a), total+n, n
		}
		c := countOf(provisioner.Firewall, provisioner.DemandRequired, answered, total)
		rest := total
		withheld := false
		for said, got := range map[provisioner.Answer]capacity.Count{provisioner.AnswerYes: c.Met, provisioner.AnswerNo: c.Unmet, provisioner.AnswerUnknown: c.Unknown, "": c.Unasked} {
			if got.Withheld {
				withheld = true
				continue
			}
			if rest -= got.Value; got.Value != want[said] || got.Value > 0 && got.Value < capacity.Smallest {
				t.Fatalf("%q: told %d of %d", said, got.Value, want[said])
			}
		}
		if withheld && rest < capacity.Smallest && total >= capacity.Smallest {
			t.Fatalf("what is left out adds up to %d: %+v", rest, c)
		}
	})
}
