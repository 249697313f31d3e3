package licensing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// SeatRequest is about one person's named seat of a pool.
type SeatRequest struct {
	Person string // her id, login or mail address
	Tenant string // may be empty where only one is possible
	Pool   string
	Reason string // recorded
}

// Whose says whose a seat is, or was.
type Whose struct{ Name, Tenant string }

// TakenBack says what became of a seat that was taken back.
type TakenBack struct {
	Whose

	// Free says that it is at once. Else it is counted until her session on it has ended,
	// and not before BoundUntil.
	Free       bool
	BoundUntil time.Time // zero: the contract does not bind it any more
}

// meant is the person and the pool of a request.
type meant struct {
	store.FoundPerson

	pool  provisioner.LicencePool
	offer seat.Offer // zero: her tenant may not use the pool any more
}

func (r *SeatRequest) check(actor provisioner.Actor, action provisioner.Action) error {
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return refusal
	}
	if r.Reason = audit.CleanReason(r.Reason); r.Reason == "" {
		return provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	return nil
}

// find looks for the person, and for a pool of names that her tenant may use, or of which
// she still has a seat.
func (r *SeatRequest) find(tx *store.Writer, actor provisioner.Actor, action provisioner.Action) (m meant, err error) {
	if m.FoundPerson, err = enrolment.FindNamed(&tx.Reader, actor, action, r.Person, strings.TrimSpace(r.Tenant)); err != nil {
		return m, err
	}
	name := strings.TrimSpace(r.Pool)
	m.offer, err = tx.PoolOffer(name, seat.Claim{Tenant: m.Tenant, Person: m.Person.ID}, tx.Now)
	switch {
	case errors.Is(err, store.ErrNone):
		n, err := tx.NamedSeat(name, m.Person.ID)
		if errors.Is(err, store.ErrNone) || err == nil && n.Tenant != m.Tenant {
			return m, noPool(r.Pool)
		}
		if err != nil {
			return m, fmt.Errorf("reading her seat: %w", err)
		}
	case err != nil:
		return m, fmt.Errorf("reading the licence pool: %w", err)
	case m.offer.Model != provisioner.PoolNamed:
		return m, provisioner.Refuse(provisioner.CodePoolNotNamed, "pool", name)
	}
	m.pool, err = tx.Pool(name)
	return m, err
}

func noPool(name string) *provisioner.Refusal {
	return provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(name, 64)).With("what", "Diesen Vorrat an Lizenzen", "licence pool")
}

// Assign makes a named seat of a pool somebody's who has access. Refusals: reason-missing,
// not-found, tenant-missing, pool-not-named, invalid (she has no access), seat-assigned,
// no-licence, no-seat-to-assign.
func (s *Service) Assign(ctx context.Context, actor provisioner.Actor, r SeatRequest) (w Whose, err error) {
	const action = provisioner.ActionAssignSeat
	if err := r.check(actor, action); err != nil {
		return w, err
	}
	err = s.store.Update(ctx, func(tx *store.Writer) error {
		m, err := r.find(tx, actor, action)
		if err != nil {
			return err
		}
		standing, err := tx.Standing(m.Person.ID, m.Tenant)
		if err != nil {
			return fmt.Errorf("reading what the directory said: %w", err)
		}
		switch {
		case m.offer.Pool == "":
			return noPool(r.Pool)
		case !standing.Entitled:
			return provisioner.Refuse(provisioner.CodeInvalid).With("field", "Mensch", "person").With("why", "er hat keinen Zugang", "that person has no access")
		case m.offer.Assigned:
			return provisioner.Refuse(provisioner.CodeSeatAssigned, "name", m.Person.DisplayName, "pool", m.pool.Name)
		case m.offer.Quantity.Running == 0:
			return provisioner.Refuse(provisioner.CodeNoLicence)
		case !m.offer.Grants():
			return provisioner.Refuse(provisioner.CodeNoSeatToAssign, "pool", m.pool.Name)
		}
		w = Whose{m.Person.DisplayName, m.Tenant}
		return errors.Join(
			tx.AssignSeat(store.NamedSeat{Pool: m.pool.Name, Person: m.Person.ID, Tenant: m.Tenant, AssignedAt: tx.Now, AssignedBy: actor.ID}),
			m.record(tx, actor, action, r.Reason),
		)
	})
	if err != nil {
		return Whose{}, fmt.Errorf("%s: %w", action, err)
	}
	return w, nil
}

// TakeBack takes somebody's named seat back. Her sessions go on. Refusals: reason-missing,
// not-found, tenant-missing, pool-not-named, seat-not-assigned.
func (s *Service) TakeBack(ctx context.Context, actor provisioner.Actor, r SeatRequest) (t TakenBack, err error) {
	const action = provisioner.ActionTakeBackSeat
	if err := r.check(actor, action); err != nil {
		return t, err
	}
	err = s.store.Update(ctx, func(tx *store.Writer) error {
		m, err := r.find(tx, actor, action)
		if err != nil {
			return err
		}
		t = TakenBack{Whose: Whose{m.Person.DisplayName, m.Tenant}}
		n, err := tx.NamedSeat(m.pool.Name, m.Person.ID)
		switch {
		case errors.Is(err, store.ErrNone) || err == nil && (n.Returned() || n.Tenant != m.Tenant):
			return provisioner.Refuse(provisioner.CodeSeatNotAssigned, "name", m.Person.DisplayName, "pool", m.pool.Name)
		case err != nil:
			return fmt.Errorf("reading her seat: %w", err)
		}
		if t.Free, err = tx.ReturnSeat(m.pool, n); err != nil {
			return err
		}
		if bound := n.AssignedAt.Add(m.pool.HoldAtLeast); !t.Free && bound.After(tx.Now) {
			t.BoundUntil = bound
		}
		return m.record(tx, actor, action, r.Reason)
	})
	if err != nil {
		return TakenBack{}, fmt.Errorf("%s: %w", action, err)
	}
	return t, nil
}

func (m meant) record(tx *store.Writer, actor provisioner.Actor, action provisioner.Action, reason string) error {
	return tx.Audit(store.Event{
		Actor: actor, Tenant: m.Tenant, Action: string(action), Reason: reason, Details: map[string]string{"pool": m.pool.Name},
		Object: audit.Object{Kind: "person", ID: m.Person.ID, Name: m.Person.DisplayName},
	})
}
