package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Event is what happened. Texts are cleaned when it is appended (see
// CleanText); secrets have no place in it.
//
// Encoded it is a JSON object (RFC 8259) in UTF-8 without line feeds, with the
// keys in the order of these fields, those of empty fields left out, details in
// the order of their keys, and times as RFC 3339 in UTC with milliseconds.
type Event struct {
	At     time.Time // when it was durable; kept in milliseconds
	Tenant string    // empty: concerns the whole installation
	Actor  Actor
	Action string // "revoke device"
	Object Object
	Reason string // in the actor's words; at most 500 characters
	Source string // the network address it came from
	Result string // "done", or the code of the refusal
	// Details are what else one must know, by name: "revision" to "1234".
	Details map[string]string
}

// Actor is who did it, as known at the time: names change, and people leave.
type Actor struct {
	Kind string `json:"kind,omitempty"` // the role in which it was done
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// Object is what it was done to.
type Object struct {
	Kind string `json:"kind,omitempty"` // "device", "person", "gateway", …
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// ResultDone is the result of what was done.
const ResultDone = "done"

// Class is how long an event is of use, and so kept whole.
type Class string

// The classes.
const (
	ClassSecurity Class = "security" // sign-ins, looks at what concerns one person or at this log, refusals
	ClassChange   Class = "change"   // of rights and configuration
)

// Class of the event.
func (e Event) Class() Class {
	if e.Result != "" && e.Result != ResultDone {
		return ClassSecurity
	}
	switch provisioner.Action(e.Action) {
	case provisioner.ActionSignIn, provisioner.ActionReadPerson, provisioner.ActionReadDevice, provisioner.ActionExplain, provisioner.ActionExplainSeat,
		provisioner.ActionReadAudit, provisioner.ActionExportAudit, provisioner.ActionReadHistory, provisioner.ActionExportPerson, provisioner.ActionListLost, provisioner.ActionListUnused:
		return ClassSecurity
	}
	return ClassChange
}

// By fills in who acted, and from where.
func (e Event) By(actor provisioner.Actor) Event {
	e.Actor = Actor{Kind: string(actor.MainRole()), ID: actor.ID, Name: actor.Name}
	e.Source = actor.Source
	return e
}

const (
	eventVersion = 1
	timeFormat   = "2006-01-02T15:04:05.000Z"
)

// encoded is the payload. New fields go to the end and are left out when
// empty, so that old payloads read the same.
type encoded struct {
	Version int               `json:"v"`
	At      string            `json:"at"`
	Tenant  string            `json:"tenant,omitempty"`
	Actor   Actor             `json:"actor"`
	Action  string            `json:"action"`
	Object  Object            `json:"object"`
	Reason  string            `json:"reason,omitempty"`
	Source  string            `json:"source,omitempty"`
	Result  string            `json:"result,omitempty"`
	Details map[string]string `json:"details,omitempty"`
}

func (e Event) encode() ([]byte, error) {
	if y := e.At.Year(); y < 1970 || y > 9999 {
		return nil, errors.New("encoding an audit event: it has no time of this era")
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // RFC 8259 knows no such escapes
	if err := enc.Encode(encoded{
		eventVersion, e.At.Format(timeFormat), e.Tenant, e.Actor, e.Action, e.Object, e.Reason, e.Source, e.Result, e.Details,
	}); err != nil {
		return nil, fmt.Errorf("encoding an audit event: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte{'\n'}), nil
}

// DecodeEvent reads a payload.
func DecodeEvent(payload []byte) (Event, error) {
	var head struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(payload, &head); err != nil {
		return Event{}, fmt.Errorf("decoding an audit event: %w", err)
	}
	if head.Version != eventVersion {
		return Event{}, fmt.Errorf("decoding an audit event: version %d is unknown to this program", head.Version)
	}
	var e encoded
	if err := json.Unmarshal(payload, &e); err != nil {
		return Event{}, fmt.Errorf("decoding an audit event: %w", err)
	}
	at, err := time.Parse(timeFormat, e.At)
	if err != nil {
		return Event{}, fmt.Errorf("decoding an audit event: %w", err)
	}
	return Event{at, e.Tenant, e.Actor, e.Action, e.Object, e.Reason, e.Source, e.Result, e.Details}, nil
}

// clean is the event as it is kept.
func (e Event) clean() Event {
	e.At = e.At.UTC().Truncate(time.Millisecond)
	for _, s := range []*string{
		&e.Tenant, &e.Actor.Kind, &e.Actor.ID, &e.Actor.Name, &e.Action, &e.Object.Kind, &e.Object.ID, &e.Object.Name, &e.Source, &e.Result,
	} {
		*s = CleanText(*s, textLimit)
	}
	e.Reason = CleanReason(e.Reason)
	var details map[string]string
	for _, k := range slices.Sorted(maps.Keys(e.Details)) {
		if details == nil {
			details = make(map[string]string, len(e.Details))
		}
		details[CleanText(k, textLimit)] = CleanText(e.Details[k], detailLimit)
	}
	e.Details = details
	return e
}
