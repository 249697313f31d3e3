package warning

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity/warn"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// The types of messages.
const (
	typeRaised = "capacity.warning.raised"
	typeEnded  = "capacity.warning.ended"
	typeTest   = "capacity.warning.test"
)

// message is what the receiver is told.
type message struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      data      `json:"data"`
}

type data struct {
	Installation string     `json:"installation"`
	ID           string     `json:"id,omitempty"` // of the warning: the same in its end
	Kind         string     `json:"kind,omitempty"`
	Of           string     `json:"of,omitempty"`
	Name         string     `json:"name,omitempty"`
	Percent      int64      `json:"percent,omitempty"`
	Value        int64      `json:"value,omitempty"`
	Capacity     int64      `json:"capacity,omitempty"`
	SeenAt       *time.Time `json:"seen_at,omitempty"`
	ExpectedAt   *time.Time `json:"expected_at,omitempty"`
	RaisedAt     *time.Time `json:"raised_at,omitempty"`
	EndedAt      *time.Time `json:"ended_at,omitempty"`
	EndedWhy     string     `json:"ended_why,omitempty"`
	Sentence     sentence   `json:"sentence"`
}

type sentence struct {
	German  string `json:"de"`
	English string `json:"en"`
}

// messageOf is what is told of a warning that was raised or has ended.
func messageOf(o outcome, installation string) (store.WarningMessage, error) {
	m := message{Type: typeRaised, Timestamp: o.RaisedAt.UTC(), Data: data{
		Installation: installation, ID: o.ID, Kind: o.Kind, Of: o.Of, Name: o.Name, Percent: o.Percent, Value: o.Value, Capacity: o.Capacity,
		SeenAt: moment(o.SeenAt), ExpectedAt: moment(o.Expected), RaisedAt: moment(o.RaisedAt), EndedAt: moment(o.EndedAt), EndedWhy: o.EndedWhy,
		Sentence: sentence{Sentence(o.Warning, "de"), Sentence(o.Warning, "en")},
	}}
	if o.change == warn.Ended {
		m.Type, m.Timestamp = typeEnded, o.EndedAt.UTC()
	}
	return m.pack(o.ID)
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// pack makes it one that waits for its receiver.
func (m message) pack(about string) (store.WarningMessage, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return store.WarningMessage{}, fmt.Errorf("writing a message: %w", err)
	}
	return store.WarningMessage{ID: "msg_" + provisioner.NewID(), Warning: about, Body: string(body), MadeAt: m.Timestamp}, nil
}
