// Package privacy is what a data protection officer asks for: a person's history
// for a stated purpose, everything that is kept of her, forgetting her, what laptops
// were lost, and which access nobody uses.
//
// What always holds here:
//   - Nobody is told of another tenant's people, not even that they exist.
//   - A history is of one person a call, for a purpose from a short list and a reason, and
//     so many a day; whoever looks is recorded before he is answered.
//   - Who has access is not forgotten. Who is forgotten leaves nothing but what
//     Keepings says, the audit log still verifies, and a restored backup does not bring
//     her back.
//   - Each column of the schema is either among store.PersonalTables or
//     store.ImpersonalTables: a test holds the schema of both engines against them.
//
// Not its business: taking access as such (enrolment, helpdesk), and the deletion of
// what is old (app, signin).
package privacy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Found is somebody in a tenant.
type Found = store.FoundPerson

// LostDevice is a report of a lost or stolen laptop.
type LostDevice = store.LostDevice

// UnusedDevice is a laptop that has access and has not been used for long.
type UnusedDevice = store.UnusedDevice

// Options are what a Service needs.
type Options struct {
	Store         *store.Store
	Confirmations enrolment.Confirmations
	Journal       enrolment.Journal // nil: nobody keeps one
	// SecurityDays is how long security events are kept whole. Zero: 90.
	SecurityDays int64
}

// Service is the use cases of privacy.
type Service struct{ Options }

// New makes the service.
func New(o Options) *Service {
	if o.SecurityDays == 0 {
		o.SecurityDays = 90
	}
	return &Service{o}
}

func subjectOf(f store.FoundPerson) store.Subject {
	inTenant, ofPerson := signin.ThrottleKeys(f.Tenant, f.Person)
	return store.Subject{Person: f.Person, Tenant: f.Tenant, Counts: inTenant, PersonCounts: append(ofPerson, historyKey(f.Person.ID))}
}

// self is whom an actor means who names nobody.
func self(actor provisioner.Actor, id string) string {
	if id == "" {
		return actor.ID
	}
	return id
}

// find finds somebody. The role of staff reaches nobody but themselves: to it
// everybody else is unknown.
func find(tx *store.Reader, actor provisioner.Actor, action provisioner.Action, id, tenant string) (store.FoundPerson, error) {
	if id != actor.ID {
		actor.Grants = slices.DeleteFunc(slices.Clone(actor.Grants), func(g provisioner.Grant) bool { return g.Role == provisioner.RoleStaff })
		if len(actor.Grants) == 0 {
			return store.FoundPerson{}, unknown(id)
		}
	}
	return enrolment.FindPerson(tx, actor, action, id, tenant)
}

func unknown(id string) *provisioner.Refusal {
	return provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(id, 64)).With("what", "Diese Person", "person")
}

func object(f store.FoundPerson) audit.Object {
	return audit.Object{Kind: "person", ID: f.Person.ID, Name: f.Person.DisplayName}
}

// reasonOf is a reason as it is kept.
func reasonOf(typed string) (string, error) {
	reason := audit.CleanReason(typed)
	if reason == "" {
		return "", provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	return reason, nil
}

// kept waits until what was done is in the journal as well.
func (s *Service) kept(ctx context.Context, revision int64) {
	if s.Journal != nil {
		s.Journal.Await(context.WithoutCancel(ctx), revision)
	}
}

// securityBegins is from when on security events are kept whole.
func (s *Service) securityBegins(now time.Time) time.Time {
	return now.Add(-time.Duration(s.SecurityDays) * 24 * time.Hour)
}

// gatewayOf reads a gateway, each once.
func gatewayOf(tx *store.Reader, known map[string]provisioner.Gateway, name string) (provisioner.Gateway, error) {
	if g, ok := known[name]; ok {
		return g, nil
	}
	g, err := tx.Gateway(name)
	if err != nil && !errors.Is(err, store.ErrNone) {
		return provisioner.Gateway{}, fmt.Errorf("reading a session's gateway: %w", err)
	}
	known[name] = g.Gateway
	return g.Gateway, nil
}
