// Package session opens, renews, closes and expires sessions: the authorised
// presence of one device on one gateway.
//
// What always holds here:
//   - An opening decides and writes in one transaction, after the allocation
//     row is locked, so that it and a revocation can never both win, no seat
//     is granted twice and no address either.
//   - The directory is asked before that, outside of any transaction.
//   - A device has one session that holds a seat, and besides one at the most that it is
//     leaving, on another gateway. Nothing is left of it when the other one is closed.
//   - Of the devices on one laptop, as their serial number tells it, one has a
//     session: the one that opened last.
//   - A session is answered as open only when its gateway has said that the
//     peer is installed.
//   - Nothing here logs or audits who was connected when: it would be a record
//     of working hours.
//
// Not its business: who may enrol (enrolment), which pool (seat), how gateways
// are told (rpc, from the changes the store records).
package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Standings says what the directory knows of a person now, or what it last
// said where that is recent enough; else it refuses.
type Standings interface {
	Lookup(ctx context.Context, tenant provisioner.Tenant, person provisioner.Person) (provisioner.Standing, error)
}

// Confirmations waits for gateways.
type Confirmations interface {
	Wait(ctx context.Context, epoch string, debts []store.Debt) []provisioner.Confirmation
}

// PresharedKeys derives the key of a session; it is stored nowhere.
type PresharedKeys interface {
	Current() (version int64)
	PresharedKey(version int64, sessionID string) ([32]byte, error)
}

// Journal keeps what was taken beside the backups. Await waits a moment until
// everything up to a revision is in it, and says itself if it is not.
type Journal interface {
	Await(ctx context.Context, revision int64) bool
}

// Options are what a Service needs.
type Options struct {
	Store         *store.Store
	Standings     Standings
	Confirmations Confirmations
	Keys          PresharedKeys
	Journal       Journal // nil: nobody keeps one
	// Freed says that sessions were closed, here or by another replica; nil: nobody
	// does, and who waits for a seat is looked at each second.
	Freed <-chan struct{}
	// Refused counts an opening that was refused to somebody; nil: nobody counts.
	Refused func(tenant, person string, code provisioner.Code)
	Logger  *slog.Logger
}

// Service is the use cases of sessions.
type Service struct {
	Options
	servingSince time.Time // RunExpiry moves it on after an interruption
	clockSet     time.Time // when it last saw that
	line         line      // those who wait for a seat at this replica

	refused atomic.Uint64 // openings, for want of a seat
	fleet   *fleet
}

// New makes the service; the time it is made is when serving resumed.
func New(o Options) *Service {
	return &Service{Options: o, servingSince: time.Now(), line: newLine(), fleet: newFleet(o.Logger)}
}

// RefusedForSeats counts the openings that were refused for want of a seat.
func (s *Service) RefusedForSeats() uint64 { return s.refused.Load() }

// gatewaysTried is how many gateways an opening asks before it gives up.
const gatewaysTried = 3

// OpenRequest asks for a session of the calling device.
type OpenRequest struct {
	Stream       string // names the laptop's stream: of two the newer wins
	Resume       string // a session that the laptop still holds; may be empty
	AgentVersion string
	Clock        time.Time // what the laptop's shows; zero: it did not say
	Wait         bool      // for a seat, if there is none
	// GatewaySilent: the gateway of the session to resume answers no probe.
	GatewaySilent bool
	// Beside: the laptop can hold the present session beside the next one. Leaving is the
	// one that it still holds so beside the one to resume; empty: none.
	Beside  bool
	Leaving string
	// Conditions are what the laptop says of what its tenant asks of laptops; nil: it knows nothing of that.
	Conditions *ConditionReport

	lost string // the gateway that is silent here as well; empty: none
}

// Opened is a session with what the laptop must install.
type Opened struct {
	Session provisioner.Session
	Tunnel  Tunnel
	Resumed bool
	Site    string // the tenant's
	// Leaving is the session that the device has besides and is leaving; the zero Session: none.
	Leaving provisioner.Session
	// Outdated: the agent is older than the tenant's minimum, which still lets it in.
	Outdated provisioner.MinimumAgent
	// Waits: there is no session yet; the device has a place in the queue for a seat.
	Waits bool
	// Place is that one as far as is known at once: without a position.
	Place Place
	// Asks is what the laptop has to say before it is decided about; nil: it has said it.
	Asks *provisioner.ConditionPolicy
	// Warning is what the laptop does not meet, and until when it may go on so; nil: nothing.
	Warning *provisioner.Refusal

	epoch string // in which the session was opened
	asked bool   // whether it may wait was decided with the opening
}

// Open opens a session for the calling device, or gives the one named in
// Resume to this stream if it is still open.
func (s *Service) Open(ctx context.Context, actor provisioner.Actor, r OpenRequest) (Opened, error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionAttach, provisioner.Object{Device: actor.ID}); refusal != nil {
		return Opened{}, refusal
	}
	var err error
	if r.lost, err = s.lost(ctx, actor, r); err != nil {
		return Opened{}, err
	}
	if r.Resume != "" && r.lost == "" {
		opened, err := s.resume(ctx, actor, r)
		if err != nil || opened.Session.ID != "" {
			return opened, err
		}
	}
	opened, err := s.open(ctx, actor, r)
	// When a laptop was switched on outside of its hours is nobody's business.
	if refusal, ok := provisioner.AsRefusal(err); ok && refusal.Code != provisioner.CodeOutsideHours {
		s.remember(ctx, actor, refusal)
		if refusal.Code == provisioner.CodeNoSeat {
			s.refused.Add(1)
		}
		if refusal.Code == provisioner.CodeSignInNeeded {
			// A laptop that asks for another session at a quiet moment has the former one still.
			err = errors.Join(err, s.endOf(ctx, actor, refusal.Code))
		}
	}
	return opened, err
}

func (s *Service) open(ctx context.Context, actor provisioner.Actor, r OpenRequest) (Opened, error) {
	applicant, err := s.applicant(ctx, actor, r.Wait)
	if err != nil {
		return Opened{}, err
	}
	if policy := applicant.Tenant.Policy.Conditions; r.Conditions.asksAgain(policy) {
		return Opened{Asks: &policy}, nil
	}
	standing, err := s.admit(ctx, applicant)
	if err != nil {
		return Opened{}, err
	}
	met, err := s.judge(ctx, applicant, r.Conditions)
	if err != nil {
		return Opened{}, err
	}
	minimum := applicant.Tenant.Policy.MinimumAgent
	if refusal := minimum.Refuse(r.AgentVersion, time.Now()); refusal != nil {
		return Opened{}, refusal
	}
	var tried []string
	var failed provisioner.Session // on the last one of them; it keeps its seat for the next
	for {
		opened, err := s.write(ctx, actor, r, applicant, standing, met, tried)
		switch {
		case err != nil && len(tried) > 0:
			return Opened{}, errors.Join(err, s.end(ctx, failed, provisioner.CodeGatewayNotReady))
		case err == nil && opened.Waits:
			return opened, nil
		case r.Wait && waitsOn(err) && !opened.asked:
			return s.enqueue(ctx, actor, r, claimOf(applicant, standing), err)
		case err != nil:
			return Opened{}, err
		}
		opened.Warning = met.warning
		if s.installed(ctx, opened) {
			opened.Outdated = outdated(minimum, r.AgentVersion)
			return opened, nil
		}
		failed = opened.Session
		tried = append(tried, failed.Gateway)
		if ctx.Err() == nil && len(tried) < gatewaysTried {
			continue
		}
		if err := s.end(ctx, failed, provisioner.CodeGatewayNotReady); err != nil {
			return Opened{}, err
		}
		if ctx.Err() != nil {
			return Opened{}, fmt.Errorf("waiting for gateway %s: %w", failed.Gateway, ctx.Err())
		}
		return Opened{}, provisioner.Refuse(provisioner.CodeGatewayNotReady).After(2 * time.Second)
	}
}

// claimOf is with what somebody claims a seat.
func claimOf(a store.Applicant, standing provisioner.Standing) seat.Claim {
	return seat.Claim{Tenant: a.Tenant.Name, Person: a.Person.ID, Class: a.Tenant.ClassOf(standing.Groups)}
}

// applicant reads who wants a session, and has her wait who comes too often: before the
// directory is asked.
func (s *Service) applicant(ctx context.Context, actor provisioner.Actor, waits bool) (store.Applicant, error) {
	a, err := store.Read(ctx, s.Store, func(tx *store.Reader) (store.Applicant, error) { return tx.Applicant(actor, closingsAllowed) })
	if err != nil {
		return a, err
	}
	if wait := closingsWithin - time.Since(a.Closed); wait > 0 {
		return a, provisioner.Refuse(provisioner.CodeTryLater).After(min(wait, closingsWithin))
	}
	if refusal := refuseAgain(a.Taken, time.Now()); refusal != nil && waits {
		return a, refusal // nothing is written down for it
	}
	return a, nil
}

// admit asks the directory, outside of any transaction, and decides whether
// the person may connect at all.
func (s *Service) admit(ctx context.Context, a store.Applicant) (provisioner.Standing, error) {
	standing, err := s.Standings.Lookup(ctx, a.Tenant, a.Person)
	if err != nil {
		return standing, err
	}
	if refusal := a.Tenant.Admits(standing, time.Now()); refusal != nil {
		return standing, refusal
	}
	if _, refusal := a.Tenant.AdmitsAt(standing, time.Now()); refusal != nil {
		// Whoever waits comes back spread over a minute.
		return standing, refusal.After(refusal.RetryAfter + spread(refusal))
	}
	if present := a.Tenant.HouseRules.Version; present != a.Acknowledged && present != "" {
		return standing, s.untilRead(ctx, a.Tenant)
	}
	return standing, s.signedIn(ctx, a, standing)
}

// untilRead refuses who has not acknowledged the present house rules.
func (s *Service) untilRead(ctx context.Context, tenant provisioner.Tenant) error {
	rules, err := store.Read(ctx, s.Store, func(tx *store.Reader) (provisioner.HouseRules, error) { return tx.HouseRules(tenant) })
	if err != nil {
		return fmt.Errorf("reading house rules: %w", err)
	}
	return rules.UntilRead()
}

// spread is by how much somebody comes later than when access begins; one who is to come
// by no date is not to come by himself.
func spread(r *provisioner.Refusal) time.Duration {
	if r.RetryAfter == 0 {
		return 0
	}
	return rand.N(time.Minute)
}

// How many sessions of one device may be closed within a time before it has to
// wait for the next: each costs a revision that gateways have to be told, and
// is kept for a week. A laptop that wanders between networks stays far below.
const (
	closingsAllowed = 30
	closingsWithin  = time.Minute
)

// installed waits for the gateway to say that it has the peer.
func (s *Service) installed(ctx context.Context, o Opened) bool {
	ctx, cancel := context.WithTimeout(ctx, provisioner.OpeningWait)
	defer cancel()
	answers := s.Confirmations.Wait(ctx, o.epoch, []store.Debt{{Gateway: o.Session.Gateway, Revision: o.Session.Revision}})
	return len(answers) == 1 && answers[0].Confirmed
}

// endOf closes the open session of the calling device, if it has one.
func (s *Service) endOf(ctx context.Context, actor provisioner.Actor, why provisioner.Code) error {
	return s.Store.UpdateUrgent(context.WithoutCancel(ctx), func(tx *store.Writer) error {
		if _, err := tx.OwnDevice(actor); err != nil {
			return err
		}
		if _, err := tx.CloseSessionOf(actor.ID, why); err != nil && !errors.Is(err, store.ErrNone) {
			return err
		}
		return nil
	})
}

// end closes a session that is still open, which its gateway has not installed. The one that
// the device was leaving for it goes on in its place.
func (s *Service) end(ctx context.Context, session provisioner.Session, why provisioner.Code) error {
	return s.Store.UpdateUrgent(context.WithoutCancel(ctx), func(tx *store.Writer) error {
		now, err := tx.Session(session.ID)
		if errors.Is(err, store.ErrNone) || err == nil && !now.ClosedAt.IsZero() {
			return nil
		}
		if err != nil {
			return err
		}
		leaving, err := leavingOf(tx, session.Device)
		switch {
		case err != nil:
		case leaving.ID != "" && !now.Leaving():
			err = tx.ReturnTo(leaving, now, why)
		default:
			_, err = tx.CloseSession(now, why)
		}
		return err
	})
}

// remember keeps the refusal of an opening for the helpdesk: the last one of
// each kind.
func (s *Service) remember(ctx context.Context, actor provisioner.Actor, refusal *provisioner.Refusal) {
	cause := ""
	if refusal.Cause != nil {
		cause = refusal.Cause.Error()
	}
	var device provisioner.Device
	err := s.Store.Update(context.WithoutCancel(ctx), func(tx *store.Writer) (err error) {
		device, err = tx.Device(actor.ID)
		if errors.Is(err, store.ErrNone) {
			return nil
		}
		if err != nil {
			return err
		}
		return tx.NoteDeviceRefusal(store.RecentRefusal{
			Tenant: device.Tenant, Person: device.Person, Device: device.ID, Code: refusal.Code, Cause: cause, Source: actor.Source,
		})
	})
	if err != nil {
		s.Logger.Error("keeping a refusal for the helpdesk", "error", err)
	}
	if s.Refused != nil && device.Tenant != "" {
		s.Refused(device.Tenant, device.Person, refusal.Code)
	}
}
