package endpoint

import (
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

const codeAgentOutdated = "agent-outdated"

// outdatedOf is the note that this program is older than its administration wants; nil: it is not. Nothing is fetched for it:
// programs come from the administration's software distribution alone.
func outdatedOf(m *heimdrahtv1.AgentOutdated) *control.Problem {
	if m == nil {
		return nil
	}
	from := phrase{"bald", "before long"}
	if t := asTime(m.GetRefusedFrom()); !t.IsZero() {
		from = phrase{"ab dem " + t.Local().Format("02.01.2006"), "from " + t.Local().Format(time.DateOnly) + " on"}
	}
	return agentOutdated(control.Printable(m.GetMinimumVersion()), from)
}

func agentOutdated(minimum string, from phrase) *control.Problem {
	return &control.Problem{Code: codeAgentOutdated, Who: control.Helpdesk,
		German: control.Text{Sentence: "Das Programm Heimdraht auf diesem Laptop ist alt: Verlangt wird mindestens " + minimum + ", und " + from.german + " verbindet es sich nicht mehr.",
			Next: "Ihre Verwaltung verteilt die neue Fassung. Lassen Sie den Laptop dafür eine Weile an; kommt nichts, fragen Sie den Helpdesk."},
		English: control.Text{Sentence: "The program Heimdraht on this laptop is old: " + minimum + " is wanted at least, and " + from.english + " it does not connect any more.",
			Next: "Your administration distributes the new version. Leave the laptop on for a while; if nothing comes, ask the helpdesk."}}
}
