// Package helpdesk shows people, devices and sessions to those who help, and
// numbers to those who plan; and it does what takes a second person: the access
// of many at once, and the second factor of somebody with a role.
//
// What always holds here:
//   - Nothing is shown of tenants outside the caller's scope, not even that it
//     exists: a foreign id is answered like one that nobody has.
//   - Planners get numbers, and none that speaks of individuals.
//   - Who looks at one person or her device is recorded before he is answered; what cannot be
//     recorded is not shown. Lists of who was found, or is connected, are not looks.
//   - Beside that, looking changes nothing.
//   - The access of many is taken in slices, each with its records, and goes on
//     after a crash. What one person proposes another one confirms.
//
// Not its business: taking and giving the access of one (enrolment).
package helpdesk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/access"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Options are what a Service needs.
type Options struct {
	Store         *store.Store
	Confirmations enrolment.Confirmations
	Journal       enrolment.Journal // nil: nobody keeps one
	Version       string            // of the control plane
	Logger        *slog.Logger
}

// Service is the helpdesk's use cases.
type Service struct {
	Options

	begun chan struct{} // something is to be taken
}

// New makes the service.
func New(o Options) *Service { return &Service{Options: o, begun: make(chan struct{}, 1)} }

// How much one answer holds.
const (
	defaultPeople   = 20
	maxPeople       = 200
	defaultSessions = 100
	maxSessions     = 1000
	maxQuery        = 200 // bytes
	shownRefusals   = 10
)

// Found is somebody in a tenant, with how many devices she has.
type Found = store.FoundPerson

// Person is somebody with everything the helpdesk may see.
type Person struct {
	Found
	Standing provisioner.Standing
	// Rests is why her access rests, whatever her devices; nil: it does not.
	Rests    *provisioner.Suspension
	Devices  []Device
	Refusals []Refusal
}

// Refusal is a recent refusal, with a cause that its receiver was not told.
type Refusal struct {
	At     time.Time
	Code   provisioner.Code
	Cause  string // in the asking person's language
	Source string
}

// Device is a device with its person and session.
type Device struct {
	provisioner.Device
	PersonName string
	Session    *Session // nil: none is open
	// Conditions are what its tenant asks of laptops now, as this one answered last.
	Conditions []Condition
}

// Condition is what a laptop answered last, and from when it opens no session any more for it.
type Condition struct {
	provisioner.ConditionState
	RefusedFrom time.Time // zero: it does
}

// Session is an open session.
type Session struct {
	provisioner.Session
	PersonName string
	DeviceName string
	Addresses  []netip.Prefix
	Online     bool
}

// FindPeople lists people of whom a name, login, mail address or device
// contains every word of query, in any spelling, or whom an address, key or id
// means, the best first (store.Reader.FindPeople); more tells that there were
// more than limit (0: 20, at most 200).
func (s *Service) FindPeople(ctx context.Context, actor provisioner.Actor, query string, limit int) (found []Found, more bool, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionFindPeople, provisioner.Object{}); refusal != nil {
		return nil, false, refusal
	}
	if len(query) > maxQuery {
		return nil, false, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Suche", "query").With("why", "sie ist zu lang", "it is too long")
	}
	if len(store.Words(query)) > store.MostWords {
		return nil, false, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Suche", "query").With("why", "sie hat zu viele Wörter", "it has too many words")
	}
	limit = within(limit, defaultPeople, maxPeople)
	scope := provisioner.ScopeOf(actor, provisioner.ActionFindPeople)
	found, err = store.Read(ctx, s.Store, func(tx *store.Reader) ([]Found, error) {
		return tx.FindPeople(scope, query, limit+1)
	})
	if err != nil {
		return nil, false, fmt.Errorf("finding people: %w", err)
	}
	if len(found) > limit {
		return found[:limit], true, nil
	}
	return found, false, nil
}

func within(n, standard, most int) int {
	if n <= 0 {
		return standard
	}
	return min(n, most)
}

// Person shows somebody in a tenant. The tenant may be empty if the caller
// sees the person in one only.
func (s *Service) Person(ctx context.Context, actor provisioner.Actor, tenant, id string) (p Person, err error) {
	err = s.Store.View(ctx, func(tx *store.Reader) (err error) {
		if p.Found, err = enrolment.FindPerson(tx, actor, provisioner.ActionReadPerson, id, tenant); err != nil {
			return err
		}
		return s.fill(tx, actor, &p)
	})
	if err != nil {
		return Person{}, err
	}
	return p, s.looked(ctx, actor, p.Tenant, provisioner.ActionReadPerson,
		audit.Object{Kind: "person", ID: p.Person.ID, Name: p.Person.DisplayName}, nil)
}

// looked records that somebody has looked at a person's data.
func (s *Service) looked(ctx context.Context, actor provisioner.Actor, tenant string, action provisioner.Action, at audit.Object, details map[string]string) error {
	if err := s.Store.Update(ctx, func(tx *store.Writer) error {
		return tx.Audit(store.Event{Actor: actor, Tenant: tenant, Action: string(action), Object: at, Details: details})
	}); err != nil {
		return fmt.Errorf("recording who looked: %w", err)
	}
	return nil
}

func (s *Service) fill(tx *store.Reader, actor provisioner.Actor, p *Person) (err error) {
	if p.Standing, err = tx.Standing(p.Person.ID, p.Tenant); err != nil {
		return fmt.Errorf("reading what the directory said: %w", err)
	}
	switch rests, err := tx.PersonSuspended(p.Person.ID, p.Tenant, time.Now()); {
	case err == nil:
		p.Rests = &rests
	case !errors.Is(err, store.ErrNone):
		return fmt.Errorf("reading whether her access rests: %w", err)
	}
	devices, err := tx.DevicesOf(p.Person.ID, p.Tenant)
	if err != nil {
		return fmt.Errorf("reading the person's devices: %w", err)
	}
	for _, d := range devices {
		shown, err := show(tx, d, p.Person.DisplayName)
		if err != nil {
			return err
		}
		p.Devices = append(p.Devices, shown)
	}
	refusals, err := tx.RefusalsOf(p.Person, p.Tenant, shownRefusals)
	if err != nil {
		return fmt.Errorf("reading the last refusals: %w", err)
	}
	for _, r := range refusals {
		p.Refusals = append(p.Refusals, Refusal{At: r.At, Code: r.Code, Cause: signin.Cause(r.Cause, actor.Language), Source: r.Source})
	}
	return nil
}

// Device shows a device by its id, or by enough of its beginning to be unique.
func (s *Service) Device(ctx context.Context, actor provisioner.Actor, id string) (d Device, err error) {
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		device, err := enrolment.FindDevice(tx, actor, provisioner.ActionReadDevice, id)
		if err != nil {
			return err
		}
		person, err := tx.Person(device.Person)
		if err != nil {
			return fmt.Errorf("reading whose device it is: %w", err)
		}
		d, err = show(tx, device, person.DisplayName)
		return err
	})
	if err != nil {
		return Device{}, err
	}
	return d, s.looked(ctx, actor, d.Tenant, provisioner.ActionReadDevice, access.Object(d.Device), map[string]string{"person": d.Person})
}

func show(tx *store.Reader, d provisioner.Device, person string) (Device, error) {
	shown := Device{Device: d, PersonName: person}
	if len(d.Conditions) > 0 {
		tenant, err := tx.Tenant(d.Tenant)
		if err != nil {
			return shown, fmt.Errorf("reading a device's tenant: %w", err)
		}
		shown.Conditions = conditionsOf(d, tenant.Policy.Conditions)
	}
	open, err := tx.OpenSessionOf(d.ID)
	if errors.Is(err, store.ErrNone) {
		return shown, nil
	}
	if err != nil {
		return shown, fmt.Errorf("reading a device's session: %w", err)
	}
	g, err := tx.Gateway(open.Gateway)
	if err != nil {
		return shown, fmt.Errorf("reading a session's gateway: %w", err)
	}
	shown.Session = showSession(open, g.Gateway, person, d.Name)
	return shown, nil
}

// conditionsOf leaves out what is asked no longer.
func conditionsOf(d provisioner.Device, p provisioner.ConditionPolicy) (list []Condition) {
	unmet := p.Unmet(d.Conditions, time.Now())
	for _, s := range d.Conditions {
		if p.Demand(s.Condition) == provisioner.DemandOff {
			continue
		}
		c := Condition{ConditionState: s}
		if i := slices.IndexFunc(unmet, func(u provisioner.Unmet) bool { return u.Condition == s.Condition }); i >= 0 {
			c.RefusedFrom = unmet[i].RefusedFrom
		}
		list = append(list, c)
	}
	return list
}

func showSession(v provisioner.Session, g provisioner.Gateway, person, device string) *Session {
	return &Session{Session: v, PersonName: person, DeviceName: device, Addresses: session.Addresses(v, g), Online: v.Online(time.Now())}
}

// SessionsRequest asks for open sessions.
type SessionsRequest struct {
	Tenant  string // empty: every tenant in scope
	Gateway string // empty: every gateway
	Limit   int    // 0: 100, at most 1,000
	After   string // the id that the former answer ended with
}

// Sessions lists open sessions by id; next is what to ask After for more,
// empty at the end.
func (s *Service) Sessions(ctx context.Context, actor provisioner.Actor, r SessionsRequest) (list []Session, next string, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionListSessions, provisioner.Object{Tenant: r.Tenant}); refusal != nil {
		return nil, "", refusal
	}
	limit := within(r.Limit, defaultSessions, maxSessions)
	scope := provisioner.ScopeOf(actor, provisioner.ActionListSessions).Narrow(r.Tenant)
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		open, err := tx.SessionsIn(scope, r.Gateway, r.After, limit+1)
		if err != nil {
			return fmt.Errorf("reading sessions: %w", err)
		}
		if len(open) > limit {
			open = open[:limit]
			next = open[limit-1].ID
		}
		gateways := make(map[string]provisioner.Gateway)
		for _, v := range open {
			shown, err := nameSession(tx, v, gateways)
			if err != nil {
				return err
			}
			list = append(list, *shown)
		}
		return nil
	})
	return list, next, err
}

func nameSession(tx *store.Reader, v provisioner.Session, gateways map[string]provisioner.Gateway) (*Session, error) {
	g, ok := gateways[v.Gateway]
	if !ok {
		read, err := tx.Gateway(v.Gateway)
		if err != nil {
			return nil, fmt.Errorf("reading a session's gateway: %w", err)
		}
		g = read.Gateway
		gateways[v.Gateway] = g
	}
	person, err := tx.Person(v.Person)
	if err != nil {
		return nil, fmt.Errorf("reading whose session it is: %w", err)
	}
	device, err := tx.Device(v.Device)
	if err != nil {
		return nil, fmt.Errorf("reading a session's device: %w", err)
	}
	return showSession(v, g, person.DisplayName, device.Name), nil
}
