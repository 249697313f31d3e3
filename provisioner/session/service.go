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

// write decides and opens in one transaction.
func (s *Service) write(ctx context.Context, actor provisioner.Actor, r OpenRequest, a store.Applicant,
	standing provisioner.Standing, met met, tried []string,
) (opened Opened, err error) {
	tenant := a.Tenant
	r.Wait = r.Wait && len(tried) == 0 // it has had a seat: that of the session whose gateway said nothing
	err = s.Store.UpdateAbout(ctx, actor.ID, func(tx *store.Writer) error {
		opened = Opened{epoch: tx.Epoch()}
		ends, refusal := tenant.AdmitsAt(standing, tx.Now)
		if refusal != nil {
			return refusal
		}
		device, err := tx.OwnDevice(actor)
		if err != nil {
			return err
		}
		claim := claimOf(a, standing)
		if met.refusal != nil {
			// Who is connected is not cut off: a session that moves is no new connection.
			if connected, err := wasConnected(tx, device); err != nil || !connected {
				return errors.Join(err, met.refusal.After(met.refusal.RetryAfter+spread(met.refusal)))
			}
		}
		if refusal := tenant.OpensInCrisis(standing.Groups); refusal != nil {
			if connected, err := wasConnected(tx, device); err != nil {
				return err
			} else if !connected {
				return opened.orWaits(tx, device, r, claim, refusal.After(refusal.RetryAfter+spread(refusal)))
			}
		}
		// Its own, and those of others on the same laptop: one is open at a time.
		// taken: something was, which a refusal undoes.
		own, taken, err := makeWay(tx, device, a, r, tried)
		if err != nil {
			return err
		}
		pool, back, err := takeTurn(tx, claim, device.ID, own)
		if err != nil && !taken && !back {
			return opened.orWaits(tx, device, r, claim, err)
		}
		if err != nil {
			return err
		}
		gateway, index, err := placeNext(tx, device, wanted{site: tenant.Site, tried: tried, lost: r.lost})
		if err != nil {
			return err
		}
		class, err := tx.HoldSeat(pool, claim)
		if err != nil {
			return fmt.Errorf("taking a seat of %s: %w", pool, err)
		}
		opened.Session = provisioner.Session{
			ID: provisioner.NewID(), Device: device.ID, Tenant: device.Tenant, Person: device.Person,
			Gateway: gateway.Name, Pool: pool, Class: class, AddressIndex: index, KeyVersion: s.Keys.Current(),
			PublicKey: device.PublicKey, Stream: r.Stream, Reported: provisioner.Usage{Clock: r.Clock},
			OpenedAt: tx.Now, RenewedAt: tx.Now, LeaseUntil: tx.Now.Add(provisioner.Lease), EndsAt: ends,
		}
		if !ends.IsZero() && ends.Before(opened.Session.LeaseUntil) {
			opened.Session.LeaseUntil = ends // so that the end is looked at when it comes
		}
		if opened.Session.Ending, err = ending(tx, tenant.Policy, device, tx.Now); err != nil {
			return err
		}
		opened.Session.LookAt = firstLook(tenant, opened.Session, tx.Now)
		if err := tx.OpenSession(&opened.Session); err != nil {
			return fmt.Errorf("writing the session: %w", err)
		}
		if err := tx.NoteAgent(device.ID, r.AgentVersion); err != nil {
			return fmt.Errorf("noting the agent's version: %w", err)
		}
		opened.Site = tenant.Site
		if opened.Leaving, err = leavingOf(tx, device.ID); err != nil {
			return err
		}
		opened.Tunnel, err = s.tunnel(opened.Session, gateway.Gateway, tenant, standing)
		return err
	})
	return opened, err
}

// orWaits has a device wait that is refused before anything was written for its opening,
// where it wants to and may.
func (o *Opened) orWaits(tx *store.Writer, device provisioner.Device, r OpenRequest, claim seat.Claim, refusal error) error {
	if !r.Wait || !waitsOn(refusal) {
		return refusal
	}
	waits, err := takePlace(tx, device, r, claim, refusal)
	o.Waits, o.Place, o.asked = waits.Waits, waits.Place, true
	return err
}

// leaveFor takes another device on the same laptop out of the queue; false: it is in none.
func leaveFor(tx *store.Writer, device string) (bool, error) {
	q, err := tx.InQueue(device)
	if errors.Is(err, store.ErrNone) {
		return false, nil
	}
	if err == nil {
		err = tx.Dequeue(q)
	}
	if err != nil {
		return false, fmt.Errorf("taking another one on the laptop out of the queue: %w", err)
	}
	return true, nil
}

// wasConnected reports whether a device has a session, or lost it a moment ago to an end
// after which its laptop opens the next one: that is no new connection.
func wasConnected(tx *store.Writer, device provisioner.Device) (bool, error) {
	if _, err := tx.OpenSessionOf(device.ID); !errors.Is(err, store.ErrNone) {
		return err == nil, err
	}
	last, err := tx.LastClosed(device.ID, 1)
	if err != nil || len(last) == 0 {
		return false, err
	}
	goesOn := last[0].WhyClosed().RetryAfter > 0 && last[0].ClosedWhy != provisioner.CodeOutsideHours
	return goesOn && tx.Now.Sub(last[0].ClosedAt) <= provisioner.Lease, nil
}

// installed waits for the gateway to say that it has the peer.
func (s *Service) installed(ctx context.Context, o Opened) bool {
	ctx, cancel := context.WithTimeout(ctx, provisioner.OpeningWait)
	defer cancel()
	answers := s.Confirmations.Wait(ctx, o.epoch, []store.Debt{{Gateway: o.Session.Gateway, Revision: o.Session.Revision}})
	return len(answers) == 1 && answers[0].Confirmed
}

// resume gives an open session to a newer stream of its device. It gives
// nothing, and no error, if the session is no longer open.
func (s *Service) resume(ctx context.Context, actor provisioner.Actor, r OpenRequest) (opened Opened, err error) {
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		opened = Opened{}
		device, err := tx.OwnDevice(actor)
		if err != nil {
			return err
		}
		ok, err := tx.ResumeSession(r.Resume, device.ID, r.Stream, tx.Now.Add(provisioner.Lease), r.Clock)
		if err != nil {
			return err
		}
		if !ok {
			if ok, err = resumeLeft(tx, device.ID, r.Resume); err == nil && ok {
				ok, err = tx.ResumeSession(r.Resume, device.ID, r.Stream, tx.Now.Add(provisioner.Lease), r.Clock)
			}
			if err != nil {
				return err
			}
		}
		if !ok {
			return endedIdle(tx, device, r.Resume)
		}
		if err := tx.NoteAgent(device.ID, r.AgentVersion); err != nil {
			return err
		}
		session, err := tx.OpenSessionOf(device.ID)
		if err != nil {
			return err
		}
		leaving, err := keepLeft(tx, device.ID, r.Leaving)
		if err != nil {
			return err
		}
		gateway, err := tx.Gateway(session.Gateway)
		if err != nil {
			return err
		}
		tenant, err := tx.Tenant(device.Tenant)
		if err != nil {
			return err
		}
		if session, err = withEnding(tx, tenant, device, session); err != nil {
			return err
		}
		standing, err := tx.Standing(device.Person, device.Tenant)
		if err != nil {
			return err
		}
		tunnel, err := s.tunnel(session, gateway.Gateway, tenant, standing)
		opened = Opened{Session: session, Tunnel: tunnel, Resumed: true, Site: tenant.Site, Leaving: leaving, Outdated: outdated(tenant.Policy.MinimumAgent, r.AgentVersion)}
		return err
	})
	return opened, err
}

// outdated is the minimum that a version falls short of; zero: it does not. One that goes on is not refused: it is told from
// when on there is no next session.
func outdated(minimum provisioner.MinimumAgent, version string) provisioner.MinimumAgent {
	if minimum.Outdated(version) {
		return minimum
	}
	return provisioner.MinimumAgent{}
}

// endedIdle refuses to go on where nobody worked: a laptop that has not heard of it
// would open another session by itself.
func endedIdle(tx *store.Writer, device provisioner.Device, id string) error {
	former, err := tx.Session(id)
	if errors.Is(err, store.ErrNone) || err == nil && (former.Device != device.ID || former.ClosedWhy != provisioner.CodeSessionIdle) {
		return nil
	}
	if err != nil {
		return err
	}
	return former.WhyClosed()
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
