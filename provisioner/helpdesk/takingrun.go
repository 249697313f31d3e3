package helpdesk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/access"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	// slice is how many devices a transaction takes: some 10 ms of it. With twice as many a
	// single revocation meanwhile waits twice as long, and all of them end hardly sooner.
	slice = 64
	// lookForTakings is how often the replica with the duty looks for what another
	// one was asked to take, and for suspensions whose time is over.
	lookForTakings = time.Second
	// externalsAtOnce is of how many people a transaction takes the access, of some devices each.
	externalsAtOnce = 32

	keepTakings   = 7 * 24 * time.Hour
	forgetTakings = time.Hour
)

// poke wakes the duty, if it is here.
func (s *Service) poke() {
	select {
	case s.begun <- struct{}{}:
	default:
	}
}

// RunTakings does what is to be taken, ends suspensions whose time is over, and takes
// the access of external people whose day is over, until ctx ends: one replica at a time.
func (s *Service) RunTakings(ctx context.Context) error {
	return s.Store.Hold(ctx, "taking", s.runTakings)
}

func (s *Service) runTakings(ctx context.Context, duty *store.Duty) error {
	look, forget := time.NewTicker(lookForTakings), time.NewTicker(forgetTakings)
	defer look.Stop()
	defer forget.Stop()
	for {
		if err := errors.Join(s.takeAll(ctx, duty), s.endSuspensions(ctx, duty), endExternals(ctx, s.Store, duty)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.begun:
		case <-look.C:
		case <-forget.C:
			if err := duty.Update(ctx, func(tx *store.Writer) error {
				return errors.Join(tx.ForgetTakings(tx.Now.Add(-keepTakings)), tx.ForgetTakenAlone(tx.Now.Add(-provisioner.AloneWithin)))
			}); err != nil {
				return fmt.Errorf("forgetting what was taken: %w", err)
			}
		}
	}
}

// takeAll finishes what is open, in turns, so that a small one is not behind a
// big one, and none behind one that cannot be done.
func (s *Service) takeAll(ctx context.Context, duty *store.Duty) error {
	for {
		const atOnce = 16
		open, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]store.Taking, error) { return tx.OpenTakings(atOnce) })
		if err != nil {
			return fmt.Errorf("looking for what is to be taken: %w", err)
		}
		if len(open) == 0 {
			return nil
		}
		var failed []error
		for _, t := range open {
			if err := duty.Update(ctx, func(tx *store.Writer) error { return takeSlice(tx, t.ID) }); err != nil {
				failed = append(failed, fmt.Errorf("taking the access of many (%s): %w", t.ID, err))
			}
		}
		if len(failed) == len(open) {
			return errors.Join(failed...)
		}
	}
}

// takeSlice takes the next devices.
func takeSlice(tx *store.Writer, id string) error {
	t, err := tx.Taking(id)
	if err != nil {
		return err
	}
	list, err := tx.NextOf(t, slice)
	if err != nil {
		return fmt.Errorf("reading the next devices: %w", err)
	}
	if err := tx.SessionsAhead(list); err != nil {
		return fmt.Errorf("reading the sessions of the next devices: %w", err)
	}
	for _, d := range list {
		switch t.Action {
		case provisioner.ActionRevokeDevice:
			_, err = access.Revoke(tx, t.Actor, d, t.Reason)
		case provisioner.ActionSuspendDevice:
			_, err = access.SuspendWith(tx, t.Actor, d, provisioner.Suspension{Source: t.Selection.Source(), Reason: t.Reason, EndsAt: t.EndsAt})
		case provisioner.ActionRestoreDevice:
			_, err = access.RestoreWith(tx, t.Actor, d, t.Selection.Source(), t.Reason)
		default:
			err = fmt.Errorf("a taking of the kind %q is unknown to this program", t.Action)
		}
		if err != nil {
			return err
		}
		t.Cursor = d.ID
		t.Done++
	}
	owed, err := tx.DebtsOfAll(list)
	if err != nil {
		return fmt.Errorf("finding the gateways that may still hold peers: %w", err)
	}
	if len(list) < slice {
		t.FinishedAt = tx.Now
	}
	return tx.MoveTaking(t, owed)
}

// endSuspensions gives back what was taken for a time that is over.
func (s *Service) endSuspensions(ctx context.Context, duty *store.Duty) error {
	for {
		over, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]string, error) { return tx.SuspensionsEnded(time.Now(), slice) })
		if err != nil {
			return fmt.Errorf("looking for suspensions that are over: %w", err)
		}
		if len(over) == 0 {
			return s.endSuspensionsOfPeople(ctx, duty)
		}
		if err := duty.Update(ctx, func(tx *store.Writer) error { return endThese(tx, over) }); err != nil {
			return fmt.Errorf("ending suspensions: %w", err)
		}
	}
}

// endExternals takes the access of external people whose day is over.
func endExternals(ctx context.Context, db *store.Store, duty *store.Duty) error {
	for {
		over, err := store.Read(ctx, db, func(tx *store.Reader) ([]provisioner.External, error) { return tx.ExternalsOver(time.Now(), 1) })
		if err != nil {
			return fmt.Errorf("looking for external people whose day is over: %w", err)
		}
		if len(over) == 0 {
			return nil
		}
		if err := duty.Update(ctx, func(tx *store.Writer) error { _, err := enrolment.EndExternals(tx, externalsAtOnce); return err }); err != nil {
			return fmt.Errorf("ending the access of external people: %w", err)
		}
	}
}

// endSuspensionsOfPeople has people's access rest no longer whose time is over.
func (s *Service) endSuspensionsOfPeople(ctx context.Context, duty *store.Duty) error {
	for {
		over, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]store.RestedPerson, error) {
			return tx.PeopleSuspendedUntil(time.Now(), slice)
		})
		if err != nil {
			return fmt.Errorf("looking for people whose suspension is over: %w", err)
		}
		if len(over) == 0 {
			return s.endSuspensionsOfTenants(ctx, duty)
		}
		err = duty.Update(ctx, func(tx *store.Writer) error {
			for _, v := range over {
				switch _, err := tx.PersonSuspended(v.Person, v.Tenant, tx.Now); {
				case err == nil:
					continue // prolonged meanwhile
				case !errors.Is(err, store.ErrNone):
					return err
				}
				if err := tx.RestorePerson(v.Tenant, v.Person); err != nil {
					return err
				}
				if err := tx.Audit(store.Event{
					Actor: provisioner.System("heimdrahtd"), Tenant: v.Tenant, Action: "restore person", Object: audit.Object{Kind: "person", ID: v.Person},
					Reason: timeIsOver,
				}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("ending suspensions of people: %w", err)
		}
	}
}

// endSuspensionsOfTenants is the same of whole tenants.
func (s *Service) endSuspensionsOfTenants(ctx context.Context, duty *store.Duty) error {
	over, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]string, error) { return tx.TenantsSuspendedUntil(time.Now(), slice) })
	if err != nil || len(over) == 0 {
		return err
	}
	err = duty.Update(ctx, func(tx *store.Writer) error {
		for _, tenant := range over {
			switch _, err := tx.TenantSuspended(tenant, tx.Now); {
			case err == nil:
				continue // prolonged meanwhile
			case !errors.Is(err, store.ErrNone):
				return err
			}
			if err := tx.RestoreTenant(tenant); err != nil {
				return err
			}
			if err := tx.Audit(store.Event{
				Actor: provisioner.System("heimdrahtd"), Tenant: tenant, Action: "restore tenant", Object: audit.Object{Kind: "tenant", ID: tenant, Name: tenant},
				Reason: timeIsOver,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ending suspensions of tenants: %w", err)
	}
	return nil
}

// timeIsOver is the reason why a suspension ends by itself.
const timeIsOver = "the time of the suspension is over"

// endThese ends suspensions that are still there and over.
func endThese(tx *store.Writer, devices []string) error {
	for _, id := range devices {
		d, err := tx.Device(id)
		if err != nil {
			return err
		}
		for _, v := range d.SuspendedBy {
			if !v.Source.ByHelpdesk() || v.EndsAt.IsZero() || v.EndsAt.After(tx.Now) {
				continue
			}
			if _, err := access.RestoreWith(tx, provisioner.System("heimdrahtd"), d, v.Source, timeIsOver); err != nil {
				return err
			}
		}
	}
	return nil
}

// Progress says how far a taking has come.
type Progress struct {
	Done, Total   int64
	Finished      bool
	Confirmations []provisioner.Confirmation // once it is finished
}

// Follow tells how far a taking has come: at once, and as often as that changes. At
// last it tells which gateways have confirmed, for whom it waits until patience is over.
func (s *Service) Follow(ctx context.Context, actor provisioner.Actor, id string, patience time.Duration, tell func(Progress) error) error {
	const look = 50 * time.Millisecond
	said := int64(-1)
	for {
		t, at, debts, err := s.taking(ctx, actor, id)
		if err != nil {
			return err
		}
		now := Progress{Done: t.Done, Total: t.Total}
		if now.Done != said {
			said = now.Done
			if err := tell(now); err != nil {
				return err
			}
		}
		if !t.FinishedAt.IsZero() {
			if s.Journal != nil { // what was answered must not come back with a restored backup
				s.Journal.Await(context.WithoutCancel(ctx), at.Revision)
			}
			now.Finished, now.Confirmations = true, s.confirmed(ctx, at.Epoch, debts, patience)
			return tell(now)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
	}
}

func (s *Service) confirmed(ctx context.Context, epoch string, debts []store.Debt, patience time.Duration) []provisioner.Confirmation {
	if len(debts) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, enrolment.Patience(patience))
	defer cancel()
	return s.Confirmations.Wait(ctx, epoch, debts)
}

// taking reads one that the actor may follow, and the position that the database
// has reached. One of another tenant does not exist for him.
func (s *Service) taking(ctx context.Context, actor provisioner.Actor, id string) (t store.Taking, at store.Position, debts []store.Debt, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionTake, provisioner.Object{}); refusal != nil {
		return t, at, nil, refusal
	}
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		if t, err = tx.Taking(id); errors.Is(err, store.ErrNone) || err == nil && !mayFollow(actor, t.Selection) {
			return provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(id, 64)).With("what", "Diesen Vorgang", "taking")
		}
		if err != nil {
			return err
		}
		if at, err = tx.Position(); err != nil {
			return err
		}
		debts, err = tx.DebtsOfTaking(id)
		return err
	})
	return t, at, debts, err
}

func mayFollow(actor provisioner.Actor, v Selection) bool {
	if v.Tenant == "" {
		return provisioner.Allow(actor, provisioner.ActionTakeEverywhere, provisioner.Object{}) == nil
	}
	return provisioner.Allow(actor, provisioner.ActionTake, provisioner.Object{Tenant: v.Tenant}) == nil
}
