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

// Explained is why somebody gets a seat or does not.
type Explained struct {
	Whose

	Pool  string // whose seat she has, or would get now; empty: none
	Steps []seat.Step
}

// Explain says step by step why somebody gets a seat or does not, and records the look.
// What other tenants hold is told to operators alone.
func (s *Service) Explain(ctx context.Context, actor provisioner.Actor, person, tenant string) (e Explained, err error) {
	const action = provisioner.ActionExplainSeat
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return e, refusal
	}
	_, everywhere := provisioner.ScopeOf(actor, action).Tenants()
	var found store.FoundPerson
	err = s.store.View(ctx, func(tx *store.Reader) error {
		e = Explained{}
		if found, err = enrolment.FindNamed(tx, actor, action, person, strings.TrimSpace(tenant)); err != nil {
			return err
		}
		e.Whose = Whose{found.Person.DisplayName, found.Tenant}
		return e.explain(tx, found, everywhere)
	})
	if err != nil {
		return Explained{}, fmt.Errorf("%s: %w", action, err)
	}
	return e, s.store.Update(ctx, func(tx *store.Writer) error {
		return tx.Audit(store.Event{
			Actor: actor, Tenant: e.Tenant, Action: string(action), Object: audit.Object{Kind: "person", ID: found.Person.ID, Name: e.Name},
		})
	})
}

// explain gathers what there is.
func (e *Explained) explain(tx *store.Reader, found store.FoundPerson, everywhere bool) error {
	tenant, err := tx.Tenant(found.Tenant)
	if err != nil {
		return fmt.Errorf("reading the tenant: %w", err)
	}
	standing, err := tx.Standing(found.Person.ID, found.Tenant)
	if err != nil && !errors.Is(err, store.ErrNone) {
		return fmt.Errorf("reading what the directory said: %w", err)
	}
	now := time.Now()
	if refusal := tenant.Admits(standing, now); refusal != nil || err != nil {
		e.Steps = append(e.Steps, seat.Step{Against: true, German: "Sie hat zurzeit keinen Zugang; heimdraht why sagt, warum.", English: "She has no access at present; heimdraht why says why."})
	}
	claim := seat.Claim{Tenant: found.Tenant, Person: found.Person.ID, Class: tenant.ClassOf(standing.Groups)}
	offers, err := tx.Offers(claim, now)
	if err != nil {
		return fmt.Errorf("reading the licence pools: %w", err)
	}
	pool, steps := seat.Explain(claim, offers)
	e.Pool = pool
	for _, v := range steps {
		if everywhere || !v.Whole {
			e.Steps = append(e.Steps, v)
		}
	}
	return e.addHeld(tx, found)
}

// addHeld says what her laptops hold already.
func (e *Explained) addHeld(tx *store.Reader, found store.FoundPerson) error {
	devices, err := tx.DevicesOf(found.Person.ID, found.Tenant)
	if err != nil {
		return fmt.Errorf("reading the person's devices: %w", err)
	}
	for _, d := range devices {
		session, err := tx.OpenSessionOf(d.ID)
		if errors.Is(err, store.ErrNone) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading the device's session: %w", err)
		}
		e.Pool = session.Pool
		e.Steps = append(e.Steps, seat.Step{
			Pool: session.Pool, German: fmt.Sprintf("%s ist verbunden und hat einen Platz.", d.Name), English: fmt.Sprintf("%s is connected and has a seat.", d.Name),
		})
	}
	return nil
}
