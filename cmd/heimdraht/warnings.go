package main

import (
	"context"
	"fmt"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

type capacityWarningsCommands struct {
	List warningsListCommand `cmd:"" default:"withargs" help:"${warnings_list}"`
	Test warningsTestCommand `cmd:"" help:"${warnings_test}"`
}

type warningsListCommand struct {
	All bool `help:"${warnings_all}"`
}

// Run shows what is warned of.
func (c *warningsListCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.plan.ListWarnings(ctx, &heimdrahtv1.ListWarningsRequest{All: c.All})
		if err != nil {
			return err
		}
		return a.showWarnings(r)
	})
}

func (a *app) showWarnings(r *heimdrahtv1.ListWarningsResponse) error {
	switch a.form {
	case formCSV:
		return writeCSV(a.out, capacityWarningColumns(), r.GetWarnings())
	case formJSON:
		var receiver any
		if v := r.GetReceiver(); v != nil {
			receiver = orderedObject{{"waiting", v.GetWaiting()}, {"failing_since", forPrograms(timeOf(v.GetFailingSince()))}, {"given_up", v.GetGivenUp()}}
		}
		return a.json(orderedObject{{"warnings", objects(capacityWarningColumns(), r.GetWarnings())}, {"receiver", receiver}})
	}
	if len(r.GetWarnings()) == 0 {
		a.say(words{"Es gibt keine Warnung.", "There is no warning."})
	}
	for _, w := range r.GetWarnings() {
		when := a.time(timeOf(w.GetRaisedAt()))
		if w.GetEndedAt() == nil {
			a.say(words{"! %s  %s", "! %s  %s"}, when, w.GetSentence())
		} else {
			a.say(words{"  %s bis %s  %s", "  %s to %s  %s"}, when, a.time(timeOf(w.GetEndedAt())), w.GetSentence())
		}
	}
	a.sayReceiver(r.GetReceiver())
	return nil
}

// sayReceiver says what the webhook's receiver has not got.
func (a *app) sayReceiver(v *heimdrahtv1.WarningReceiver) {
	if v.GetFailingSince() != nil {
		a.hint(words{"Seit %s nimmt der Empfänger keine Warnungen an; es warten: %d. Warum, sagt das Protokoll von heimdrahtd.", "Since %s the receiver has taken no warnings; waiting: %d. The log of heimdrahtd says why."},
			a.time(timeOf(v.GetFailingSince())), v.GetWaiting())
	}
	if v.GetGivenUp() > 0 {
		a.hint(words{"Nachrichten, die ihn drei Tage lang nicht erreichten und aufgegeben sind: %d.", "Messages that did not reach it for three days and are given up: %d."}, v.GetGivenUp())
	}
}

func capacityWarningColumns() []column[*heimdrahtv1.CapacityWarning] {
	type warning = *heimdrahtv1.CapacityWarning
	orNil := func(n int64) any {
		if n == 0 {
			return nil
		}
		return n
	}
	orNone := func(t time.Time) any {
		if t.IsZero() {
			return nil
		}
		return t
	}
	return []column[warning]{
		{"id", words{}, func(w warning) any { return w.GetId() }},
		{"kind", words{}, func(w warning) any { return warningKind(w.GetKind()) }},
		{"of", words{}, func(w warning) any { return warningOf(w.GetOf()) }},
		{"name", words{}, func(w warning) any { return w.GetName() }},
		{"percent", words{}, func(w warning) any { return orNil(w.GetPercent()) }},
		{"value", words{}, func(w warning) any { return orNil(w.GetValue()) }},
		{"capacity", words{}, func(w warning) any { return orNil(w.GetCapacity()) }},
		{"seen_at", words{}, func(w warning) any { return timeOf(w.GetSeenAt()) }},
		{"expected_at", words{}, func(w warning) any { return orNone(timeOf(w.GetExpectedAt())) }},
		{"raised_at", words{}, func(w warning) any { return timeOf(w.GetRaisedAt()) }},
		{"ended_at", words{}, func(w warning) any { return orNone(timeOf(w.GetEndedAt())) }},
		{"ended_why", words{}, func(w warning) any { return warningEnd(w.GetEndedWhy()) }},
		{"sentence", words{}, func(w warning) any { return w.GetSentence() }},
	}
}

func warningKind(k heimdrahtv1.WarningKind) string {
	switch k {
	case heimdrahtv1.WarningKind_WARNING_KIND_SEATS:
		return "seats"
	case heimdrahtv1.WarningKind_WARNING_KIND_FORECAST:
		return "forecast"
	case heimdrahtv1.WarningKind_WARNING_KIND_QUEUE:
		return "queue"
	case heimdrahtv1.WarningKind_WARNING_KIND_REFUSED:
		return "refused"
	case heimdrahtv1.WarningKind_WARNING_KIND_SESSIONS:
		return "sessions"
	case heimdrahtv1.WarningKind_WARNING_KIND_ADDRESSES:
		return "addresses"
	default:
		return fmt.Sprint(int32(k))
	}
}

func warningOf(o heimdrahtv1.WarningOf) string {
	switch o {
	case heimdrahtv1.WarningOf_WARNING_OF_TENANT:
		return "tenant"
	case heimdrahtv1.WarningOf_WARNING_OF_POOL:
		return "pool"
	case heimdrahtv1.WarningOf_WARNING_OF_GATEWAY:
		return "gateway"
	case heimdrahtv1.WarningOf_WARNING_OF_PROVIDER:
		return "provider"
	default:
		return fmt.Sprint(int32(o))
	}
}

func warningEnd(e heimdrahtv1.WarningEnd) any {
	switch e {
	case heimdrahtv1.WarningEnd_WARNING_END_UNSPECIFIED:
		return nil
	case heimdrahtv1.WarningEnd_WARNING_END_QUIET:
		return "quiet"
	case heimdrahtv1.WarningEnd_WARNING_END_GONE:
		return "gone"
	case heimdrahtv1.WarningEnd_WARNING_END_THRESHOLD:
		return "threshold"
	default:
		return fmt.Sprint(int32(e))
	}
}

type warningsTestCommand struct{}

// testTime is longer than a receiver may take, and a message before it.
const testTime = 75 * time.Second

// Run sends a message to the receiver.
func (c *warningsTestCommand) Run(ctx context.Context, a *app) error {
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.plan.TestWarnings(ctx, &heimdrahtv1.TestWarningsRequest{})
		if err != nil {
			return err
		}
		if a.form == formJSON {
			return a.json(orderedObject{{"message_id", r.GetMessageId()}})
		}
		a.say(words{"Der Empfänger hat die Nachricht angenommen: %s", "The receiver has taken the message: %s"}, r.GetMessageId())
		return nil
	})
}
