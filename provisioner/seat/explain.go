package seat

import (
	"fmt"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Step is one thing that was looked at to say whether somebody gets a seat.
type Step struct {
	Pool string // empty: it is about no pool in particular
	// Against says that this keeps her from a seat.
	Against bool
	// Whole says that it speaks of seats of tenants that are not hers.
	Whole           bool
	German, English string
}

// Explain says step by step why somebody gets a seat now or does not, pool by pool as
// they are offered, and in the end which one she gets. It judges as Choose does.
func Explain(c Claim, offers []Offer) (pool string, steps []Step) {
	for _, o := range offers {
		steps = append(steps, o.explain(c)...)
	}
	pool, refusal := Choose(offers)
	switch {
	case len(offers) == 0:
		steps = append(steps, against("", "Für die Verwaltung %s ist kein Vorrat an Lizenzen hinterlegt.", "No licence pool is declared for the tenant %s.", c.Tenant))
	case refusal == nil:
		steps = append(steps, step("", "Sie bekommt einen Platz aus %s.", "She gets a seat of %s.", pool))
	case refusal.Code == provisioner.CodeNoLicence:
		steps = append(steps, against("", "Sie bekommt keinen Platz: Kein Vertrag läuft.", "She gets no seat: no contract runs."))
	default:
		steps = append(steps, against("", "Sie bekommt jetzt keinen Platz: In keinem Vorrat ist einer für sie frei.", "She gets no seat now: no pool has one free for her."))
	}
	return pool, steps
}

// Returned is what is offered once a seat of the pool is given back that she has, out of
// a class's reserve or not: it is hers again if she wants it.
func (o Offer) Returned(paid provisioner.PriorityClass) Offer {
	if o.Model == provisioner.PoolNamed {
		return o
	}
	o.Held--
	o.Own = true
	if paid.Rank() < provisioner.PriorityOrdinary.Rank() {
		if o.ClassHeld <= o.Reserve {
			o.UnusedReserve++
		}
		o.ClassHeld--
		return o
	}
	if o.TenantHeld <= o.Protected {
		o.UnusedGuarantee++
	}
	o.TenantHeld--
	return o
}

func step(pool, german, english string, args ...any) Step {
	return Step{Pool: pool, German: fmt.Sprintf(german, args...), English: fmt.Sprintf(english, args...)}
}

func against(pool, german, english string, args ...any) Step {
	s := step(pool, german, english, args...)
	s.Against = true
	return s
}

func whole(pool, german, english string, args ...any) Step {
	s := step(pool, german, english, args...)
	s.Whole = true
	return s
}

// explain goes through one pool.
func (o Offer) explain(c Claim) []Step {
	q := o.Quantity
	if q.Running == 0 {
		return []Step{against(o.Pool, "Kein Vertrag läuft.", "No contract runs.")}
	}
	steps := []Step{step(o.Pool, "Verträge, die laufen: %d, mit %d Plätzen und %d dazu vereinbarten.", "Contracts that run: %d, with %d seats and a burst of %d.", q.Running, q.Seats, q.Burst)}
	if o.Assigned {
		return append(steps, step(o.Pool, "Ein Platz ist ihr zugeteilt. Ihre Sitzungen zählen nicht noch einmal.", "A seat is assigned to her. Her sessions are not counted again."))
	}
	if o.Kept {
		return append(steps, step(o.Pool, "Ein Platz wurde ihr genommen und zählt noch mit; er wäre wieder ihrer, wenn sonst keiner da ist.",
			"A seat was taken back from her and is still counted; it would be hers again where there is no other."))
	}
	if o.Model == provisioner.PoolNamed {
		steps = append(steps, step(o.Pool, "Die Plätze werden Menschen zugeteilt. Ihr ist keiner zugeteilt; sie bekäme einen freien, wenn sonst keiner da ist.",
			"Seats are assigned to people. None is assigned to her; she would get a free one where there is no other."))
	}
	steps = append(steps, whole(o.Pool, "Belegt sind %d von %d.", "Held are %d of %d.", o.Held, q.Most()))
	if o.Held > q.Most() {
		steps = append(steps, whole(o.Pool, "Der Vorrat ist unter das Belegte geschrumpft: Wer drin ist, bleibt, bis es sich ausgleicht.", "The pool has shrunk below what is held: whoever is in stays, until it has drained."))
	}
	steps = append(steps, o.explainGuarantee()...)
	steps = append(steps, o.explainReserve(c)...)
	steps = append(steps, o.explainPromises()...)
	switch {
	case o.Grants():
		return append(steps, step(o.Pool, "Ein Platz ist frei für sie.", "A seat is free for her."))
	case o.Held >= q.Most():
		return append(steps, against(o.Pool, "Alle Plätze sind belegt.", "All seats are taken."))
	case o.Free() > 0:
		return append(steps, against(o.Pool, "Frei ist noch einer, aber andere warten schon.", "One is free, but others wait already."))
	default:
		return append(steps, against(o.Pool, "Was noch frei ist, ist anderen zugesagt oder für andere reserviert.", "What is free yet is guaranteed to others or reserved for others."))
	}
}

func (o Offer) explainGuarantee() []Step {
	switch {
	case o.Guarantee == 0:
		return []Step{step(o.Pool, "Ihrer Verwaltung ist nichts zugesagt; geliehen hat sie: %d.", "Nothing is guaranteed to her tenant; seats that it borrows: %d.", o.TenantHeld)}
	case o.Held >= o.Quantity.Most() && o.Within():
		return []Step{step(o.Pool, "Ihrer Verwaltung sind %d zugesagt, belegt hat sie %d.", "%d are guaranteed to her tenant, which holds %d.", o.Guarantee, o.TenantHeld)}
	case o.ownUnused() > 0 && o.TenantBefore:
		return []Step{step(o.Pool, "Ihrer Verwaltung sind %d zugesagt, belegt hat sie %d; es warten aber schon andere von ihr.", "%d are guaranteed to her tenant, which holds %d; but others of it wait already.", o.Guarantee, o.TenantHeld)}
	case o.ownUnused() > 0:
		return []Step{step(o.Pool, "Ihrer Verwaltung sind %d zugesagt, belegt hat sie %d: Sie kommt sofort dran.", "%d are guaranteed to her tenant, which holds %d: she need not wait.", o.Guarantee, o.TenantHeld)}
	case o.Within():
		return []Step{step(o.Pool, "Ihrer Verwaltung sind %d zugesagt, belegt hat sie %d; der Rest darf verliehen sein.", "%d are guaranteed to her tenant, which holds %d; the rest may be lent.", o.Guarantee, o.TenantHeld)}
	default:
		return []Step{step(o.Pool, "Ihrer Verwaltung sind %d zugesagt, und sie hat %d belegt: Die Zusage ist ausgeschöpft.", "%d are guaranteed to her tenant, which holds %d: the guarantee is used up.", o.Guarantee, o.TenantHeld)}
	}
}

// explainReserve says what her class has. How much of it is held counts all tenants.
func (o Offer) explainReserve(c Claim) []Step {
	german, english := "das Krisenteam", "the crisis team"
	switch {
	case o.Reserve == 0:
		return nil
	case c.Class == provisioner.PriorityControl:
		german, english = "die Leitstelle", "the control room"
	}
	steps := []Step{{
		Pool: o.Pool, German: fmt.Sprintf("Für %s, wozu sie gehört, sind %d reserviert.", german, o.Reserve),
		English: fmt.Sprintf("%d are reserved for %s, to which she belongs.", o.Reserve, english),
	}}
	switch {
	case o.ownReserve() > 0 && o.ClassBefore:
		return append(steps, whole(o.Pool, "Davon sind %d belegt; es warten aber schon andere.", "Of those %d are held; but others wait already.", o.ClassHeld))
	case o.ownReserve() > 0:
		return append(steps, whole(o.Pool, "Davon sind %d belegt: Sie kommt sofort dran.", "Of those %d are held: she need not wait.", o.ClassHeld))
	default:
		return append(steps, whole(o.Pool, "Davon sind alle belegt.", "Of those all are held."))
	}
}

// explainPromises says what is kept for others.
func (o Offer) explainPromises() (steps []Step) {
	if n := o.UnusedGuarantee - o.ownUnused(); n > 0 {
		steps = append(steps, whole(o.Pool, "Anderen Verwaltungen zugesagt, von ihnen nicht belegt und nicht verliehen: %d.", "Guaranteed to other tenants, not held by them and not lent: %d.", n))
	}
	if n := o.UnusedReserve - o.ownReserve(); n > 0 {
		steps = append(steps, whole(o.Pool, "Für andere Gruppen reserviert und nicht belegt: %d.", "Reserved for other classes and not held: %d.", n))
	}
	if o.Waiting > 0 {
		steps = append(steps, whole(o.Pool, "Es warten: %d.", "Waiting: %d.", o.Waiting))
	}
	return steps
}
