package enrolment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/access"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// ExternalRequest makes somebody an external person, or renews that.
type ExternalRequest struct {
	Person  string // her id, login or mail address
	Tenant  string // may be empty where only one is possible
	Sponsor string // who answers for her, likewise. Empty: as before
	// Until is the end, at most provisioner.ExternalLongest from now.
	Until    time.Time
	Reason   string // recorded
	NoLonger bool   // she is one of the tenant's own people from now on; Sponsor and Until are empty then
}

// SetExternal has somebody answer for a person until a day, or for longer; then, and
// when she is external no longer, she gets back what the end of the day took. The
// helpdesk may, and of those for whom somebody answers he himself may renew. Refusals:
// reason-missing, invalid, not-found, ambiguous, tenant-missing.
func (s *Service) SetExternal(ctx context.Context, actor provisioner.Actor, r ExternalRequest) (e ExternalPerson, err error) {
	const action = provisioner.ActionRenewExternal
	if err := r.check(actor); err != nil {
		return e, err
	}
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		person, err := FindNamed(&tx.Reader, actor, action, r.Person, r.Tenant)
		if err != nil {
			return err
		}
		was, err := tx.External(person.Person.ID, person.Tenant)
		if err != nil && !errors.Is(err, store.ErrNone) {
			return fmt.Errorf("reading whether she is external: %w", err)
		}
		may := provisioner.Allow(actor, provisioner.ActionMakeExternal, provisioner.Object{Tenant: person.Tenant}) == nil
		if !may && (was.Sponsor != actor.ID || was.Person == "" || r.Sponsor != "" || r.NoLonger) {
			return notFound("Diese Person", "person", r.Person)
		}
		if e, err = r.apply(tx, actor, person, was); err != nil {
			return err
		}
		return giveBack(tx, actor, person, r.Reason)
	})
	if err != nil {
		return ExternalPerson{}, fmt.Errorf("%s: %w", action, err)
	}
	return e, nil
}

// check judges a request by itself.
func (r *ExternalRequest) check(actor provisioner.Actor) error {
	if refusal := provisioner.Allow(actor, provisioner.ActionRenewExternal, provisioner.Object{}); refusal != nil {
		return refusal
	}
	if r.Reason = audit.CleanReason(r.Reason); r.Reason == "" {
		return provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	now := time.Now()
	switch {
	case r.NoLonger:
		return nil
	case !r.Until.After(now):
		return provisioner.Refuse(provisioner.CodeInvalid).With("field", "Ende", "until").With("why", "es fehlt oder ist vorbei", "it is missing or over")
	case r.Until.After(now.Add(provisioner.ExternalLongest)):
		return provisioner.Refuse(provisioner.CodeInvalid).With("field", "Ende", "until").With("why", "es liegt mehr als 90 Tage voraus", "it is more than 90 days away")
	}
	return nil
}

// apply writes what is asked for.
func (r *ExternalRequest) apply(tx *store.Writer, actor provisioner.Actor, person store.FoundPerson, was provisioner.External) (e ExternalPerson, err error) {
	event := store.Event{
		Actor: actor, Tenant: person.Tenant, Action: string(provisioner.ActionMakeExternal), Reason: r.Reason,
		Object: audit.Object{Kind: "person", ID: person.Person.ID, Name: person.Person.DisplayName},
	}
	if r.NoLonger {
		if was.Person == "" {
			return e, notFound("Diese externe Person", "external person", r.Person)
		}
		event.Details = map[string]string{"external": "no longer"}
		return ExternalPerson{Name: person.Person.DisplayName, Login: person.Person.Login, External: provisioner.External{Person: was.Person, Tenant: was.Tenant}},
			errors.Join(tx.DropExternal(was.Person, was.Tenant), tx.Audit(event))
	}
	sponsor, err := r.sponsor(&tx.Reader, actor, person, was)
	if err != nil {
		return e, err
	}
	e = ExternalPerson{
		External: provisioner.External{Person: person.Person.ID, Tenant: person.Tenant, Sponsor: sponsor.ID, Until: r.Until.Truncate(time.Millisecond), Reason: r.Reason},
		Name:     person.Person.DisplayName, Login: person.Person.Login, SponsorName: sponsor.DisplayName,
	}
	if was.Person != "" {
		event.Action = string(provisioner.ActionRenewExternal)
	}
	event.Details = map[string]string{"sponsor": sponsor.ID, "until": e.Until.UTC().Format(time.RFC3339)}
	return e, errors.Join(tx.PutExternal(e.External), tx.Audit(event))
}

// sponsor finds who is to answer for her: somebody who has the right in the same
// tenant, and is not external himself.
func (r *ExternalRequest) sponsor(tx *store.Reader, actor provisioner.Actor, person store.FoundPerson, was provisioner.External) (provisioner.Person, error) {
	typed := r.Sponsor
	if typed == "" {
		typed = was.Sponsor
	}
	no := func(german, english string) (provisioner.Person, error) {
		return provisioner.Person{}, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Wer einsteht", "sponsor").With("why", german, english)
	}
	if typed == "" {
		return no("sie fehlt", "it is missing")
	}
	found, err := FindNamed(tx, actor, provisioner.ActionRenewExternal, typed, person.Tenant)
	if err != nil {
		return provisioner.Person{}, err
	}
	standing, err := tx.Standing(found.Person.ID, person.Tenant)
	if err != nil {
		return provisioner.Person{}, fmt.Errorf("reading how the sponsor stands: %w", err)
	}
	switch {
	case found.Person.ID == person.Person.ID:
		return no("niemand steht für sich selbst ein", "nobody answers for herself")
	case !standing.Entitled:
		return no("sie hat selbst keinen Zugang mehr", "that person has no access any more")
	case !standing.ExternalUntil.IsZero():
		return no("sie ist selbst extern", "that person is external too")
	}
	return found.Person, nil
}

// giveBack gives back what the end of the day took.
func giveBack(tx *store.Writer, actor provisioner.Actor, person store.FoundPerson, reason string) error {
	devices, err := tx.DevicesOf(person.Person.ID, person.Tenant)
	if err != nil {
		return fmt.Errorf("reading the person's devices: %w", err)
	}
	for _, d := range devices {
		if d.State() != provisioner.DeviceSuspended {
			continue
		}
		if _, err := access.RestoreExternal(tx, actor, d, reason); err != nil {
			return fmt.Errorf("device %s: %w", d.ID, err)
		}
	}
	return nil
}

// EndExternals takes the access of external people whose day is over, at most limit,
// and tells how many there were. What is revoked stays so, and what others took stays
// theirs to give back.
func EndExternals(tx *store.Writer, limit int) (int, error) {
	list, err := tx.ExternalsOver(tx.Now, limit)
	if err != nil {
		return 0, fmt.Errorf("looking for external people whose day is over: %w", err)
	}
	actor, reason := provisioner.System("heimdrahtd"), "the day is over that was agreed for an external person"
	for _, x := range list {
		devices, err := tx.DevicesOf(x.Person, x.Tenant)
		if err != nil {
			return 0, fmt.Errorf("reading the devices of an external person: %w", err)
		}
		for _, d := range devices {
			if d.State() == provisioner.DeviceRevoked {
				continue
			}
			if _, err := access.SuspendExternal(tx, actor, d, reason); err != nil {
				return 0, fmt.Errorf("device %s: %w", d.ID, err)
			}
		}
		x.EndedAt = tx.Now
		if err := tx.PutExternal(x); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}

// ExternalPerson is an external person for a list.
type ExternalPerson = store.ExternalPerson

// ExternalsRequest asks for external people.
type ExternalsRequest struct {
	Tenant string // empty: every tenant in scope
	Limit  int    // 0: 100, at most 1,000
	After  string // where the former answer ended
}

// Externals lists external people by id: the helpdesk all, and others those for whom
// they answer. next is what to ask After for more, empty at the end.
func (s *Service) Externals(ctx context.Context, actor provisioner.Actor, r ExternalsRequest) (list []ExternalPerson, next string, err error) {
	const standard, most = 100, 1000
	action, sponsor := provisioner.ActionMakeExternal, ""
	if provisioner.Allow(actor, action, provisioner.Object{Tenant: r.Tenant}) != nil {
		action, sponsor = provisioner.ActionRenewExternal, actor.ID
	}
	if refusal := provisioner.Allow(actor, action, provisioner.Object{Tenant: r.Tenant}); refusal != nil {
		return nil, "", refusal
	}
	limit := standard
	if r.Limit > 0 {
		limit = min(r.Limit, most)
	}
	scope := provisioner.ScopeOf(actor, action).Narrow(r.Tenant)
	list, err = store.Read(ctx, s.Store, func(tx *store.Reader) ([]ExternalPerson, error) {
		return tx.Externals(scope, sponsor, r.After, limit+1)
	})
	if err != nil {
		return nil, "", fmt.Errorf("reading external people: %w", err)
	}
	if len(list) > limit {
		list = list[:limit]
		next = list[limit-1].Place()
	}
	return list, next, nil
}

// FindNamed is FindPerson, also by login or mail address.
func FindNamed(tx *store.Reader, actor provisioner.Actor, action provisioner.Action, typed, tenant string) (store.FoundPerson, error) {
	found, err := FindPerson(tx, actor, action, typed, tenant)
	if refusal, ok := provisioner.AsRefusal(err); !ok || refusal.Code != provisioner.CodeNotFound {
		return found, err
	}
	scope := provisioner.ScopeOf(actor, action).Narrow(tenant)
	list, failed := tx.PeopleTyped(scope, typed)
	if failed != nil {
		return found, fmt.Errorf("finding a person by login: %w", failed)
	}
	switch len(list) {
	case 0:
		return found, err
	case 1:
		return list[0], nil
	default:
		if list[0].Person.ID == list[1].Person.ID { // one, in several tenants
			return FindPerson(tx, actor, action, list[0].Person.ID, tenant)
		}
		return found, provisioner.Refuse(provisioner.CodeAmbiguous, "name", shown(typed)).With("what", "Personen", "person")
	}
}
