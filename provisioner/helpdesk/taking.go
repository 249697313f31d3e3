package helpdesk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Selection says whose devices are meant.
type Selection = store.Selection

// TakeRequest is a wish to take, or give back, the access of many devices.
type TakeRequest struct {
	// Action is revoke device, suspend device or restore device.
	Action    provisioner.Action
	Selection Selection
	Reason    string
	// EndsAt is when a suspension ends by itself; zero: never.
	EndsAt time.Time
	// Emergency says that there is no time for a second person. It is recorded.
	Emergency bool
	DryRun    bool // only count
}

// Taking is what became of a TakeRequest.
type Taking struct {
	store.Taking // without an id where nothing is done (yet)

	People   int64
	Proposal *Proposal // not nil: somebody else must confirm it
}

// Take takes, or gives back, the access of many devices. That of more than 20
// people, with those of the last hour, waits for a second person, unless it is an
// emergency. What is begun
// goes on if this replica dies; Follow tells how far it is.
func (s *Service) Take(ctx context.Context, actor provisioner.Actor, r TakeRequest) (t Taking, err error) {
	if r, err = checkTake(actor, r); err != nil {
		return Taking{}, err
	}
	err = s.Store.UpdateUrgent(ctx, func(tx *store.Writer) error {
		t = Taking{}
		if err := s.resolve(tx, actor, &r); err != nil {
			return err
		}
		t.Taking = store.Taking{Action: r.Action, Selection: r.Selection, Reason: r.Reason, Actor: actor, EndsAt: r.EndsAt}
		if t.Total, t.People, err = tx.Selected(r.Selection, r.Action); err != nil {
			return fmt.Errorf("counting whose access it is: %w", err)
		}
		if r.DryRun {
			return nil
		}
		if t.Total == 0 {
			if left, err := more(tx, r); err != nil || !left {
				return err
			}
		}
		if alone, err := mayAlone(tx, actor, r, t.People); err != nil {
			return err
		} else if !alone {
			t.Proposal, err = proposeTaking(tx, actor, t)
			return err
		}
		t.ID = provisioner.NewID()
		return begin(tx, t.Taking, t.People, r.Emergency, nil)
	})
	if err != nil {
		return Taking{}, fmt.Errorf("%s: %w", r.Action, err)
	}
	s.poke()
	return t, nil
}

// mayAlone reports whether it takes no second person, and counts it then.
func mayAlone(tx *store.Writer, actor provisioner.Actor, r TakeRequest, people int64) (bool, error) {
	if r.Emergency || people > provisioner.PeopleAlone {
		return r.Emergency, nil
	}
	people, err := tx.SelectedAlone(r.Selection, r.Action, actor.ID, tx.Now.Add(-provisioner.AloneWithin))
	if err != nil {
		return false, fmt.Errorf("counting whose access somebody takes alone: %w", err)
	}
	if people > provisioner.PeopleAlone {
		return false, nil
	}
	if err := tx.NoteSelectedAlone(r.Selection, r.Action, actor.ID); err != nil {
		return false, fmt.Errorf("keeping whose access somebody takes alone: %w", err)
	}
	return true, nil
}

// more reports whether there is something to be done where there is nothing to be done
// with devices: with a person or a tenant, or against what is just being taken.
func more(tx *store.Writer, r TakeRequest) (bool, error) {
	v := r.Selection
	switch {
	case r.Action == provisioner.ActionSuspendDevice:
		return v.Tenant != "" && v.Whole(), nil
	case r.Action != provisioner.ActionRestoreDevice:
		return false, nil
	}
	against, err := opposed(tx, store.Taking{Action: r.Action, Selection: v})
	if err != nil || len(against) > 0 || !v.Whole() {
		return len(against) > 0, err
	}
	if v.Person != "" {
		_, err = tx.PersonSuspended(v.Person, v.Tenant, tx.Now)
	} else {
		_, err = tx.TenantSuspended(v.Tenant, tx.Now)
	}
	if err != nil && !errors.Is(err, store.ErrNone) {
		return false, fmt.Errorf("reading whether access rests: %w", err)
	}
	return err == nil, nil
}

// rest has the access of a person or a tenant rest, or gives it back, whatever the
// devices are.
func rest(tx *store.Writer, t store.Taking) (err error) {
	v := t.Selection
	restore, suspend := t.Action == provisioner.ActionRestoreDevice, t.Action == provisioner.ActionSuspendDevice
	switch {
	case v.Tenant == "" || !v.Whole():
	case restore && v.Person != "":
		err = tx.RestorePerson(v.Tenant, v.Person)
	case restore:
		err = tx.RestoreTenant(v.Tenant)
	case suspend && v.Person != "":
		_, err = tx.SuspendPerson(v.Person, v.Tenant, t.Reason, t.EndsAt)
	case suspend:
		_, err = tx.SuspendTenant(v.Tenant, t.Reason, t.EndsAt)
	}
	if err != nil {
		return fmt.Errorf("keeping whose access rests: %w", err)
	}
	return nil
}

// opposed lists what is under way and does the opposite: it suspends what is to be
// given back, or the other way round.
func opposed(tx *store.Writer, t store.Taking) (list []store.Taking, err error) {
	opposite := map[provisioner.Action]provisioner.Action{
		provisioner.ActionSuspendDevice: provisioner.ActionRestoreDevice, provisioner.ActionRestoreDevice: provisioner.ActionSuspendDevice,
	}
	open, err := tx.OpenTakings(openTakings)
	if err != nil {
		return nil, fmt.Errorf("looking for what is under way: %w", err)
	}
	for _, v := range open {
		if v.Action == opposite[t.Action] && v.Selection.Tenant == t.Selection.Tenant && v.Selection.Person == t.Selection.Person &&
			v.Selection.Source() == t.Selection.Source() {
			list = append(list, v)
		}
	}
	return list, nil
}

// openTakings is more than are ever under way.
const openTakings = 10_000

// checkTake judges a request by itself.
func checkTake(actor provisioner.Actor, r TakeRequest) (TakeRequest, error) {
	switch r.Action {
	case provisioner.ActionRevokeDevice, provisioner.ActionSuspendDevice, provisioner.ActionRestoreDevice:
	default:
		return r, provisioner.Refuse(provisioner.CodeProtocol).With("why", "sie nennt nicht, was geschehen soll", "it does not say what is to be done")
	}
	v := &r.Selection
	for _, text := range []*string{&v.Tenant, &v.Person, &v.Gateway, &v.AgentVersion} {
		*text = strings.TrimSpace(*text)
	}
	action := provisioner.ActionTake
	if v.Tenant == "" && v.Person == "" {
		action = provisioner.ActionTakeEverywhere
	}
	if refusal := provisioner.Allow(actor, action, provisioner.Object{Tenant: v.Tenant}); refusal != nil {
		return r, refusal
	}
	if refusal := provisioner.Allow(actor, r.Action, provisioner.Object{Tenant: v.Tenant}); refusal != nil {
		return r, refusal
	}
	if *v == (Selection{}) {
		return r, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Auswahl", "selection").
			With("why", "sie ist leer: nennen Sie Person, Verwaltung, Zugangsserver, Version oder Tage ohne Benutzung", "it is empty: name a person, a tenant, a gateway, a version or days without use")
	}
	r.Reason = audit.CleanReason(r.Reason)
	if r.Reason == "" && !r.DryRun {
		return r, provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	if !r.EndsAt.IsZero() && (r.Action != provisioner.ActionSuspendDevice || !r.EndsAt.After(time.Now())) {
		return r, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Ende", "ends_at").
			With("why", "nur was ruht, endet von selbst, und nicht in der Vergangenheit", "only what is suspended ends by itself, and not in the past")
	}
	return r, nil
}

// resolve finds out whom the selection names, and says so if it is nobody.
func (s *Service) resolve(tx *store.Writer, actor provisioner.Actor, r *TakeRequest) error {
	v := &r.Selection
	if v.Person != "" {
		found, err := enrolment.FindPerson(&tx.Reader, actor, provisioner.ActionTake, v.Person, v.Tenant)
		if err != nil {
			return err
		}
		v.Person, v.Tenant = found.Person.ID, found.Tenant
		return nil
	}
	if v.Tenant != "" {
		if _, err := tx.Tenant(v.Tenant); err != nil {
			return missing(err, "Diese Verwaltung", "tenant", v.Tenant)
		}
	}
	if v.Gateway != "" {
		if _, err := tx.Gateway(v.Gateway); err != nil {
			return missing(err, "Diesen Zugangsserver", "gateway", v.Gateway)
		}
	}
	return nil
}

func missing(err error, was, what, name string) error {
	if errors.Is(err, store.ErrNone) {
		return provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(name, 64)).With("what", was, what)
	}
	return fmt.Errorf("reading %s %s: %w", what, name, err)
}

// Names of what a proposal to take holds.
const (
	detailAction    = "action"
	detailSelection = "selection"
	detailEnds      = "ends at"
	detailDevices   = "devices"
	detailPeople    = "people"
)

// proposeTaking keeps a taking for somebody else to confirm.
func proposeTaking(tx *store.Writer, actor provisioner.Actor, t Taking) (*Proposal, error) {
	selection, err := json.Marshal(t.Selection)
	if err != nil {
		return nil, err
	}
	p := Proposal{
		Kind: string(provisioner.ActionTake), Tenant: t.Selection.Tenant, Object: string(t.Action) + " " + string(selection),
		ObjectName: described(t.Selection), Reason: t.Reason, Details: map[string]string{
			detailAction: string(t.Action), detailSelection: string(selection),
			detailDevices: strconv.FormatInt(t.Total, 10), detailPeople: strconv.FormatInt(t.People, 10),
		},
	}
	if !t.EndsAt.IsZero() {
		p.Details[detailEnds] = t.EndsAt.UTC().Format(time.RFC3339)
	}
	return propose(tx, actor, p)
}

// described is a selection for people.
func described(v Selection) string {
	var list []string
	for _, part := range [][2]string{{"tenant", v.Tenant}, {"gateway", v.Gateway}, {"version", v.AgentVersion}} {
		if part[1] != "" {
			list = append(list, part[0]+" "+part[1])
		}
	}
	if !v.UnusedSince.IsZero() {
		list = append(list, "unused since "+v.UnusedSince.UTC().Format(time.DateOnly))
	}
	return strings.Join(list, ", ")
}

// takeProposed begins what somebody else has proposed. The taking has the
// proposal's id, so that both can follow it. Across all tenants it takes another
// operator.
func takeProposed(tx *store.Writer, actor provisioner.Actor, p Proposal) error {
	if p.Tenant == "" && provisioner.Allow(actor, provisioner.ActionTakeEverywhere, provisioner.Object{}) != nil {
		return provisioner.Refuse(provisioner.CodeProposalUnknown)
	}
	t := store.Taking{ID: p.ID, Action: provisioner.Action(p.Details[detailAction]), Reason: p.Reason, Actor: actor}
	if err := json.Unmarshal([]byte(p.Details[detailSelection]), &t.Selection); err != nil {
		return fmt.Errorf("reading what was proposed: %w", err)
	}
	if ends := p.Details[detailEnds]; ends != "" {
		var err error
		if t.EndsAt, err = time.Parse(time.RFC3339, ends); err != nil {
			return fmt.Errorf("reading what was proposed: %w", err)
		}
	}
	var people int64
	var err error
	if t.Total, people, err = tx.Selected(t.Selection, t.Action); err != nil {
		return fmt.Errorf("counting whose access it is: %w", err)
	}
	return begin(tx, t, people, false, &p)
}

// begin keeps what is to be done, and records that it is.
func begin(tx *store.Writer, t store.Taking, people int64, emergency bool, p *Proposal) error {
	if err := tx.AddTaking(t); err != nil {
		return fmt.Errorf("keeping what is to be done: %w", err)
	}
	if err := rest(tx, t); err != nil {
		return err
	}
	against, err := opposed(tx, t)
	if err != nil {
		return err
	}
	for _, v := range against { // or it would go on taking what was given back already
		v.FinishedAt = tx.Now
		if err := tx.MoveTaking(v, nil); err != nil {
			return fmt.Errorf("ending what is under way: %w", err)
		}
	}
	e := store.Event{
		Actor: t.Actor, Tenant: t.Selection.Tenant, Action: string(t.Action) + "s", Reason: t.Reason,
		Object:  audit.Object{Kind: "devices", ID: t.ID, Name: described(t.Selection)},
		Details: map[string]string{detailDevices: strconv.FormatInt(t.Total, 10), detailPeople: strconv.FormatInt(people, 10)},
	}
	if t.Selection.Person != "" {
		e.Details["person"] = t.Selection.Person
	}
	if emergency {
		e.Details["emergency"] = "yes"
	}
	if p != nil {
		e.Details["proposed by"] = p.ProposedName
	}
	return tx.Audit(e)
}
