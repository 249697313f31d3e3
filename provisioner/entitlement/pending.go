package entitlement

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Pending is whose loss of the right is held back in one tenant, by name.
type Pending struct {
	Tenant string
	// Hash names exactly this list of those on whom nobody has decided; empty if there are none.
	Hash string
	// Since is when the first of them was held back.
	Since time.Time
	// People are those on whom nobody has decided, Dismissed those who are kept by a person's word.
	People, Dismissed []Held
}

// Held is somebody whose loss of the right is held back.
type Held = store.HeldLoss

// Reason counts people with the same reason.
type Reason struct {
	Why    provisioner.WhyNot
	Own    bool
	People int
}

// Reasons counts those on whom nobody has decided by why each would lose the right, the most first.
func (p Pending) Reasons() []Reason {
	var list []Reason
	for _, h := range p.People {
		i := slices.IndexFunc(list, func(r Reason) bool { return r.Why == h.Why && r.Own == h.Own })
		if i < 0 {
			i, list = len(list), append(list, Reason{Why: h.Why, Own: h.Own})
		}
		list[i].People++
	}
	slices.SortStableFunc(list, func(a, b Reason) int { return b.People - a.People })
	return list
}

// Pending lists what is held back in the tenants that the caller may see, or in the one named. Tenants without any are
// left out.
func (s *Service) Pending(ctx context.Context, actor provisioner.Actor, tenant string) ([]Pending, error) {
	const action = provisioner.ActionReadPending
	if refusal := provisioner.Allow(actor, action, provisioner.Object{Tenant: tenant}); refusal != nil {
		return nil, refusal
	}
	scope := provisioner.ScopeOf(actor, action).Narrow(tenant)
	list, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]store.HeldLoss, error) {
		if tenant != "" {
			if err := known(tx, tenant); err != nil {
				return nil, err
			}
		}
		return tx.HeldLosses(scope)
	})
	if err != nil {
		return nil, fmt.Errorf("reading what is held back: %w", err)
	}
	return byTenant(list, time.Now()), nil
}

func byTenant(list []store.HeldLoss, now time.Time) []Pending {
	var all []Pending
	for _, h := range list {
		if len(all) == 0 || all[len(all)-1].Tenant != h.Tenant {
			all = append(all, Pending{Tenant: h.Tenant})
		}
		p := &all[len(all)-1]
		if now.Before(h.DismissedUntil) {
			p.Dismissed = append(p.Dismissed, h)
			continue
		}
		p.People = append(p.People, h)
		if p.Since.IsZero() || h.Since.Before(p.Since) {
			p.Since = h.Since
		}
	}
	for i := range all {
		all[i].Hash = hashOf(all[i].People)
	}
	return all
}

// hashOf names a list: who, and why each.
func hashOf(people []store.HeldLoss) string {
	if len(people) == 0 {
		return ""
	}
	lines := make([]string, len(people))
	for i, h := range people {
		lines[i] = h.Tenant + " " + h.Person.ID + " " + string(h.Why)
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:hashBytes])
}

// hashBytes are few: nobody is to find another list with the same hash, only not to mistake one for another.
const hashBytes = 6

// Decision is a person's word on a list.
type Decision struct {
	Tenant string
	Hash   string // of the list, as Pending gave it
	Reason string // recorded
}

// Confirm takes the right from everybody on a list, and returns how many people it was. If it is no longer that list, the
// refusal is pending-changed, or tells that somebody has decided already, and nothing has changed. Once it is decided it
// is done, whatever happens: who comes next goes on with it.
func (s *Service) Confirm(ctx context.Context, actor provisioner.Actor, d Decision) (int, error) {
	// Marked, so that whoever ends this half-way leaves nobody held who has been confirmed: the list is done below.
	n, err := s.decide(ctx, actor, provisioner.ActionConfirmPending, d, func(tx *store.Writer) error { return tx.ConfirmWaiting(d.Tenant) })
	if err != nil {
		return 0, err
	}
	return n, s.finishConfirmed(ctx, s.Store.UpdateUrgent)
}

// finishConfirmed takes the right from those of whom a person has said so.
func (s *Service) finishConfirmed(ctx context.Context, update func(context.Context, func(*store.Writer) error) error) error {
	ctx = context.WithoutCancel(ctx)
	for {
		list, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]store.HeldLoss, error) { return tx.ConfirmedLosses(lossesAtOnce) })
		if err != nil || len(list) == 0 {
			return err
		}
		if err := update(ctx, func(tx *store.Writer) error {
			for _, h := range list {
				if err := lose(tx, h); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return fmt.Errorf("taking the right from those of whom it was confirmed: %w", err)
		}
	}
}

// lose ends somebody's right by a person's word, which the brake does not count.
func lose(tx *store.Writer, h store.HeldLoss) error {
	now, err := tx.HeldLoss(h.Person.ID, h.Tenant)
	if errors.Is(err, store.ErrNone) || err == nil && !now.Confirmed {
		return nil // the directory has given it back meanwhile
	}
	if err != nil {
		return err
	}
	tenant, err := tx.Tenant(h.Tenant)
	if err != nil {
		return fmt.Errorf("reading tenant %s: %w", h.Tenant, err)
	}
	former, err := tx.Standing(h.Person.ID, h.Tenant)
	if err != nil {
		return fmt.Errorf("reading how she stands: %w", err)
	}
	r := Settled{Person: now.Person, Standing: former}
	r.Standing.Held, r.Standing.Entitled, r.Standing.LostAt = false, false, time.Time{}
	switch now.Why {
	case provisioner.WhyGroup:
		r.Standing.Groups = slices.DeleteFunc(slices.Clone(former.Groups), func(g string) bool { return strings.EqualFold(g, tenant.StaffGroup) })
	case provisioner.WhyPassword:
		r.Standing.Password = provisioner.PasswordHasExpired
	default:
		r.Standing.Ended = now.Why
	}
	return apply(tx, tenant, former, &r)
}

// Dismiss keeps everybody on a list: the directory is mistaken. Whoever is kept so is held back again when the directory
// says something new of her, or after a week. The refusals are as with Confirm.
func (s *Service) Dismiss(ctx context.Context, actor provisioner.Actor, d Decision) (int, error) {
	return s.decide(ctx, actor, provisioner.ActionDismissPending, d, func(tx *store.Writer) error {
		return tx.DismissWaiting(d.Tenant, tx.Now.Add(provisioner.DismissedFor))
	})
}

// listKind is what an audit record calls the list that was decided about; its id is the hash.
const listKind = "directory list"

// decide does something to exactly this list, in one transaction, and records it. It returns how many people it was.
func (s *Service) decide(ctx context.Context, actor provisioner.Actor, action provisioner.Action, d Decision, do func(*store.Writer) error) (n int, err error) {
	if refusal := provisioner.Allow(actor, action, provisioner.Object{Tenant: d.Tenant}); refusal != nil {
		return 0, refusal
	}
	reason := audit.CleanReason(d.Reason)
	if reason == "" {
		return 0, provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	hash := strings.ToLower(strings.TrimSpace(d.Hash))
	same := false
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		people, err := tx.Waiting(d.Tenant, tx.Now)
		if err != nil {
			return fmt.Errorf("reading what is held back: %w", err)
		}
		n = len(people)
		if same = n > 0 && hashOf(people) == hash; !same {
			return nil
		}
		if err := do(tx); err != nil {
			return fmt.Errorf("deciding about a list: %w", err)
		}
		return tx.Audit(store.Event{
			Actor: actor, Tenant: d.Tenant, Action: string(action), Reason: reason,
			Object:  audit.Object{Kind: listKind, ID: hash},
			Details: map[string]string{"people": fmt.Sprint(n)},
		})
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", action, err)
	}
	if !same {
		return 0, s.anotherList(ctx, d.Tenant, hash)
	}
	return n, nil
}

// anotherList says why a list is not there: somebody has decided about it, perhaps whoever asks, who did not hear the answer.
func (s *Service) anotherList(ctx context.Context, tenant, hash string) error {
	var last audit.Event
	err := s.Store.View(ctx, func(tx *store.Reader) (err error) {
		if err := known(tx, tenant); err != nil {
			return err
		}
		if len(hash) != 2*hashBytes {
			return store.ErrNone
		}
		last, err = tx.LastEvent(tenant, audit.Object{Kind: listKind, ID: hash})
		return err
	})
	switch {
	case errors.Is(err, store.ErrNone):
		return provisioner.Refuse(provisioner.CodePendingChanged)
	case err != nil:
		return fmt.Errorf("reading who has decided about a list: %w", err)
	case last.Action == string(provisioner.ActionConfirmPending):
		return provisioner.Refuse(provisioner.CodePendingConfirmed, "who", last.Actor.Name)
	default:
		return provisioner.Refuse(provisioner.CodePendingDismissed, "who", last.Actor.Name)
	}
}

// known refuses a tenant that there is not.
func known(tx *store.Reader, tenant string) error {
	_, err := tx.Tenant(tenant)
	if errors.Is(err, store.ErrNone) {
		return provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(tenant, 64)).With("what", "Eine solche Verwaltung", "tenant")
	}
	return err
}
