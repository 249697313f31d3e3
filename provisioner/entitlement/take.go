package entitlement

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// How much goes into one transaction: others wait for it.
const (
	lossesAtOnce  = 20
	changesAtOnce = 100
	freshAtOnce   = 64
	// freshTogether is how many of these wait at the same time, so that they share commits.
	freshTogether = 8
	readAtOnce    = 2000
)

// take settles what is new: first those who lose their right, past everything that waits.
func (f *follower) take(ctx context.Context, list []change, done *count) error {
	if len(list) == 0 {
		return nil
	}
	done.people += len(list)
	if err := f.holdSwept(ctx, list); err != nil {
		return err
	}
	slices.SortStableFunc(list, func(a, b change) int { return rank(a) - rank(b) })
	losing := 0
	for losing < len(list) && list[losing].loses {
		losing++
	}
	known := len(list)
	for known > losing && list[known-1].fresh {
		known--
	}
	duty := f.following.duty
	for part := range slices.Chunk(list[:losing], lossesAtOnce) {
		if err := f.write(ctx, duty.UpdateUrgent, part, done); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(list[losing:known], changesAtOnce) {
		if err := f.write(ctx, duty.Update, part, done); err != nil {
			return err
		}
	}
	added, err := f.writeFresh(ctx, list[known:])
	if err != nil {
		return err
	}
	done.regained += added
	return nil
}

// rank orders those who lose their right first, and of these the ones whose own entry changed; last come those of whom
// nobody has known.
func rank(c change) int {
	switch {
	case c.loses && c.word.Own:
		return 0
	case c.loses:
		return 1
	case c.fresh:
		return 3
	default:
		return 2
	}
}

// count is what came of words.
type count struct{ people, lost, regained int }

func (f *follower) write(ctx context.Context, update func(context.Context, func(*store.Writer) error) error, part []change, done *count) error {
	var now count
	var all []Settled
	err := update(ctx, func(tx *store.Writer) error {
		now, all = count{}, nil
		for _, c := range part {
			settled, err := Settle(tx, *c.tenant, c.word)
			if errors.Is(err, provisioner.Refuse(provisioner.CodeTenantMoved)) {
				continue // another follower's business from now on
			}
			if err != nil {
				return err
			}
			if settled.Lost {
				now.lost++
			}
			if settled.Regained {
				now.regained++
			}
			all = append(all, settled)
		}
		return nil
	})
	if err != nil {
		return err
	}
	done.lost, done.regained = done.lost+now.lost, done.regained+now.regained
	f.tellOf(all)
	return nil
}

// tellOf logs for which tenants somebody has to decide.
func (f *follower) tellOf(all []Settled) {
	for _, settled := range all {
		settled.Tell(f.log)
	}
}

// writeFresh makes people known of whom nobody has known, and tells how many of them have the right.
func (f *follower) writeFresh(ctx context.Context, list []change) (int, error) {
	var entitled atomic.Int64
	parts, ctx := errgroup.WithContext(ctx)
	parts.SetLimit(freshTogether)
	for part := range slices.Chunk(list, freshAtOnce) {
		parts.Go(func() error {
			n := 0
			var all []Settled
			err := f.following.duty.Update(ctx, func(tx *store.Writer) (err error) { n, all, err = addFresh(tx, part); return err })
			if err != nil {
				return err
			}
			entitled.Add(int64(n))
			f.tellOf(all)
			return nil
		})
	}
	err := parts.Wait()
	return int(entitled.Load()), err
}

// addFresh makes people known in one transaction. Of these nothing has to be read but that nobody has come to know them
// meanwhile: for those it gives what came of it.
func addFresh(tx *store.Writer, part []change) (entitled int, all []Settled, err error) {
	ids := make([]string, len(part))
	for i, c := range part {
		ids[i] = c.word.Person.StableID
	}
	known, err := tx.KnownAmong(part[0].word.Person.Directory, ids)
	if err != nil {
		return 0, nil, fmt.Errorf("reading who is known: %w", err)
	}
	var people []store.KnownPerson
	place := map[string]int{}
	moved := map[string]bool{}
	for _, c := range part {
		id := c.word.Person.StableID
		if _, asked := moved[c.tenant.Name]; !asked {
			if moved[c.tenant.Name], err = hasMoved(tx, *c.tenant); err != nil {
				return 0, nil, err
			}
		}
		if moved[c.tenant.Name] {
			continue
		}
		if _, meanwhile := known[id]; meanwhile {
			settled, err := Settle(tx, *c.tenant, c.word)
			if err != nil {
				return 0, nil, err
			}
			all = append(all, settled)
			continue
		}
		i, twice := place[id]
		if !twice {
			i = len(people)
			place[id] = i
			people = append(people, store.KnownPerson{Person: c.word.Person})
		}
		standing := c.word.standing(*c.tenant, provisioner.Standing{}, tx.Now)
		people[i].Standings = append(people[i].Standings, standing)
		if standing.Entitled {
			entitled++
		}
	}
	return entitled, all, tx.AddPeople(people)
}

// holdSwept has those who would lose their right by the change of a group, or because a full read did not find them, held
// all together where they are more than the brake allows: which of them would pass is chance. An empty answer takes nothing
// away, however few they are.
func (f *follower) holdSwept(ctx context.Context, list []change) error {
	swept, own := map[string]int{}, map[string]int{}
	for _, c := range list {
		switch {
		case !c.loses:
		case c.own():
			own[c.tenant.Name]++
		default:
			swept[c.tenant.Name]++
		}
	}
	if len(swept) == 0 {
		return nil
	}
	empty := f.emptyTenants()
	hold := map[string]bool{}
	err := f.following.service.Store.View(ctx, func(tx *store.Reader) error {
		for tenant, n := range swept {
			counts, err := tx.Losses(tenant, time.Now().Add(-provisioner.BrakeWindow))
			if err != nil {
				return fmt.Errorf("counting losses: %w", err)
			}
			had := counts.Entitled + counts.Lost
			pass := min(own[tenant], max(0, provisioner.Brake(had, true)-counts.Lost))
			everybody := n > 1 && n >= counts.Entitled
			hold[tenant] = everybody || empty[tenant] || counts.Lost+pass+n > provisioner.Brake(had, false)
		}
		return nil
	})
	for i := range list {
		if list[i].loses && !list[i].own() {
			list[i].word.Held = hold[list[i].tenant.Name]
		}
	}
	return err
}

// emptyTenants are those of whose people the directory shows nobody at all.
func (f *follower) emptyTenants() map[string]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	empty := map[string]bool{}
	for _, t := range f.plan.tenants {
		empty[t.Name] = true
	}
	for _, id := range f.mirror.People() {
		if len(empty) == 0 {
			break
		}
		for _, m := range f.plan.basesOf(f.mirror.FoldedDN(id)) {
			delete(empty, f.plan.tenants[m].Name)
		}
	}
	return empty
}
