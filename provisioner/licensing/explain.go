package licensing

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	if tenant.ClosedTo(claim.Class) {
		e.Steps = append(e.Steps, seat.Step{Against: true,
			German:  "Ihre Verwaltung ist im Krisenbetrieb: Neue Verbindungen bekommen nur Krisenstab und Leitstelle, zu denen sie nicht gehört.",
			English: "Her tenant is in crisis mode: only the crisis team and the control room, to which she does not belong, get new connections."})
	}
	offers, err := tx.Offers(claim, now)
	if err != nil {
		return fmt.Errorf("reading the licence pools: %w", err)
	}
	if err := e.addHeld(tx, found, offers); err != nil {
		return err
	}
	if err := e.addProducts(tx, tenant, found.Person.ID); err != nil {
		return err
	}
	pool, steps := seat.Explain(claim, offers)
	if e.Pool == "" {
		e.Pool = pool
	}
	for _, v := range steps {
		if everywhere || !v.Whole {
			e.Steps = append(e.Steps, v)
		}
	}
	return nil
}

// addHeld says what her laptops hold already, or wait for, and takes that out of what is
// offered: it is hers.
func (e *Explained) addHeld(tx *store.Reader, found store.FoundPerson, offers []seat.Offer) error {
	devices, err := tx.DevicesOf(found.Person.ID, found.Tenant)
	if err != nil {
		return fmt.Errorf("reading the person's devices: %w", err)
	}
	returned := func(pool string, paid provisioner.PriorityClass) {
		if i := slices.IndexFunc(offers, func(o seat.Offer) bool { return o.Pool == pool }); i >= 0 {
			offers[i] = offers[i].Returned(paid)
		}
	}
	say := func(pool, german, english, name string) {
		e.Steps = append(e.Steps, seat.Step{Pool: pool, German: fmt.Sprintf(german, name), English: fmt.Sprintf(english, name)})
	}
	for _, d := range devices {
		session, err := tx.OpenSessionOf(d.ID)
		if err != nil && !errors.Is(err, store.ErrNone) {
			return fmt.Errorf("reading the device's session: %w", err)
		}
		if err == nil {
			e.Pool = session.Pool
			returned(session.Pool, session.Class)
			say(session.Pool, "%s ist verbunden und hat einen Platz.", "%s is connected and has a seat.", d.Name)
			continue
		}
		place, err := tx.InQueue(d.ID)
		switch {
		case errors.Is(err, store.ErrNone):
		case err != nil:
			return fmt.Errorf("reading the device's place in the queue: %w", err)
		case place.Pool != "":
			e.Pool = place.Pool
			returned(place.Pool, place.Paid)
			say(place.Pool, "Für %s ist ein Platz bereitgehalten.", "A seat is held for %s.", d.Name)
		case place.LostAt.IsZero() && place.Rests:
			say("", "%s wartet auf einen Platz; die Stelle ruht, bis der Krisenbetrieb endet, und bleibt ihr.", "%s waits for a seat; its place rests until the crisis mode ends, and stays hers.", d.Name)
		case place.LostAt.IsZero():
			for i := range offers {
				offers[i].Waiting--
			}
			say("", "%s wartet auf einen Platz.", "%s waits for a seat.", d.Name)
		default:
			say("", "%s hat gewartet und die Verbindung verloren; die Stelle bleibt drei Minuten erhalten.", "%s waited and has lost the connection; its place is kept for three minutes.", d.Name)
		}
	}
	return nil
}

// addProducts says of products' pools of names whether a seat is hers: sessions get none of
// them, and whether she uses it nobody knows.
func (e *Explained) addProducts(tx *store.Reader, tenant provisioner.Tenant, person string) error {
	said := make(map[string]bool)
	for _, v := range tenant.Products {
		if v.LicencePool == "" || said[v.LicencePool] {
			continue
		}
		said[v.LicencePool] = true
		pool, err := tx.Pool(v.LicencePool)
		if errors.Is(err, store.ErrNone) || err == nil && pool.Model != provisioner.PoolNamed {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading a product's licence pool: %w", err)
		}
		german, english := "Plätze eines Produkts, nicht für Verbindungen. Ihr ist einer zugeteilt.", "Seats of a product, not for sessions. One is assigned to her."
		switch n, err := tx.NamedSeat(v.LicencePool, person); {
		case errors.Is(err, store.ErrNone) || err == nil && n.Returned():
			german, english = "Plätze eines Produkts, nicht für Verbindungen. Ihr ist keiner zugeteilt; das tut die Verwaltung (heimdraht seats assign).",
				"Seats of a product, not for sessions. None is assigned to her; an administrator does that (heimdraht seats assign)."
		case err != nil:
			return fmt.Errorf("reading her seat: %w", err)
		}
		e.Steps = append(e.Steps, seat.Step{Pool: v.LicencePool, German: german, English: english})
	}
	return nil
}
