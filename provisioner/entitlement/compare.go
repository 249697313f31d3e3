package entitlement

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory/mirror"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// settleAll settles whatever the mirror has that is new, until ctx ends.
func (f *follower) settleAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}
		err := f.settle(ctx)
		if err == nil || ctx.Err() != nil || errors.Is(err, store.ErrDutyLost) {
			continue
		}
		f.log.Error("what the directory says is not settled; it is tried again", "error", err)
		f.mu.Lock()
		f.compare, f.told = true, false
		f.mu.Unlock()
		rest(ctx, 2*restAtFirst)
		ring(f.wake)
	}
}

func (f *follower) settle(ctx context.Context) error {
	f.mu.Lock()
	dirty := f.mirror.Take()
	all := f.compare && f.mirror.Whole()
	if all {
		f.compare = false // when that was is noted with the next sign of life: a full read with nothing new writes nothing
	}
	f.settling = all || len(dirty) > 0
	f.mu.Unlock()
	var err error
	switch {
	case all:
		err = f.settleEverybody(ctx, dirty)
	case len(dirty) > 0:
		err = f.settleSome(ctx, dirty)
	}
	if err != nil {
		return err // what is not settled must not be told as what the directory says
	}
	f.mu.Lock()
	f.settling = false
	f.mu.Unlock()
	return f.tell(ctx)
}

// tell writes the state down if it has changed.
func (f *follower) tell(ctx context.Context) error {
	f.mu.Lock()
	missing := f.state.MissingGroups
	state := f.stateNow()
	told := f.told && slices.Equal(missing, state.MissingGroups)
	f.told = true
	f.mu.Unlock()
	if told {
		return nil
	}
	return f.following.duty.Update(ctx, func(tx *store.Writer) error { return putFollowing(tx, state) })
}

// stateNow completes the state; f.mu is held.
func (f *follower) stateNow() store.Following {
	people, groups := f.mirror.Size()
	f.state.People, f.state.Groups = int64(people), int64(groups)
	f.state.MissingGroups = nil
	if f.mirror.Whole() {
		for _, list := range f.plan.missing(f.mirror) {
			f.state.MissingGroups = append(f.state.MissingGroups, list...)
		}
		slices.Sort(f.state.MissingGroups)
		f.state.MissingGroups = slices.Compact(f.state.MissingGroups)
	}
	return f.state
}

// stillHeard gives the state, and whether it is one of which it should be known that it lasts.
func (f *follower) stillHeard() (store.Following, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stateNow(), f.state.State == store.FollowingLive && f.told
}

// settleSome looks at those of whom something was told.
func (f *follower) settleSome(ctx context.Context, dirty map[string]mirror.Cause) error {
	known := make(map[string]store.KnownPerson, len(dirty))
	held := map[string]store.HeldLoss{}
	err := f.following.service.Store.View(ctx, func(tx *store.Reader) error {
		for id := range dirty {
			k, err := tx.KnownAs(f.declaration.Name, id)
			if errors.Is(err, store.ErrNone) {
				continue
			}
			if err != nil {
				return fmt.Errorf("reading how somebody stands: %w", err)
			}
			known[id] = k
			for _, v := range k.Standings {
				if !v.Held {
					continue
				}
				h, err := tx.HeldLoss(v.Person, v.Tenant)
				if err != nil {
					return fmt.Errorf("reading what is held back: %w", err)
				}
				held[heldKey(v.Person, v.Tenant)] = h
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var list []change
	f.mu.Lock()
	r := f.reader(held)
	for id, cause := range dirty {
		list = append(list, r.changes(f.declaration.Name, id, known[id], cause == mirror.Own)...)
	}
	f.mu.Unlock()
	var done count
	if err := f.take(ctx, list, &done); err != nil {
		return err
	}
	f.took(done)
	return nil
}

// reader looks at the mirror as it is now; f.mu is held.
func (f *follower) reader(held map[string]store.HeldLoss) *reader {
	return &reader{mirror: f.mirror, plan: f.plan, missing: f.plan.missing(f.mirror), now: time.Now(), held: held}
}

// settleEverybody compares all people of the directory with what is known of them. dirty are those of whom something was told
// meanwhile: whose own entry changed is judged by that.
func (f *follower) settleEverybody(ctx context.Context, dirty map[string]mirror.Cause) error {
	known, elsewhere, held, err := f.readKnown(ctx)
	if err != nil {
		return err
	}
	var list []change
	var unknown []string
	f.mu.Lock()
	r := f.reader(held)
	for _, id := range f.mirror.People() {
		k, isKnown := known[id]
		if !isKnown {
			unknown = append(unknown, id)
			continue
		}
		list = append(list, r.changes(f.declaration.Name, id, k, dirty[id] == mirror.Own)...)
		delete(known, id)
	}
	for id, k := range known { // who is no longer there
		list = append(list, r.changes(f.declaration.Name, id, k, dirty[id] == mirror.Own)...)
	}
	for _, k := range elsewhere {
		list = append(list, r.changes(f.declaration.Name, "", k, false)...)
	}
	f.mu.Unlock()
	var done count
	if err := f.take(ctx, list, &done); err != nil {
		return err
	}
	slices.Sort(unknown) // neighbours in the database's index go together
	for part := range slices.Chunk(unknown, readAtOnce) {
		if err := f.takeUnknown(ctx, part, &done); err != nil {
			return err
		}
	}
	f.took(done)
	f.log.Debug("a full read was compared with what is known", "new", done.people)
	return f.mend(ctx)
}

// takeUnknown settles people of whom nobody has known.
func (f *follower) takeUnknown(ctx context.Context, ids []string, done *count) error {
	var list []change
	f.mu.Lock()
	r := f.reader(nil)
	for _, id := range ids {
		list = append(list, r.changes(f.declaration.Name, id, store.KnownPerson{}, false)...)
	}
	f.mu.Unlock()
	return f.take(ctx, list, done)
}

// took notes what was taken in, if it was anything.
func (f *follower) took(done count) {
	if done.people == 0 {
		return
	}
	f.mu.Lock()
	f.state.ChangedAt = time.Now()
	f.mu.Unlock()
	f.log.Info("what the directory says was taken in", "people", done.people, "lost", done.lost, "regained", done.regained)
}

// readKnown reads who is known in this directory, by stable id; who stands in one of its tenants and is of another directory, because
// the tenant has changed directories; and whom the brake holds.
func (f *follower) readKnown(ctx context.Context) (known map[string]store.KnownPerson, elsewhere []store.KnownPerson, held map[string]store.HeldLoss, err error) {
	known, held = map[string]store.KnownPerson{}, map[string]store.HeldLoss{}
	err = f.following.service.Store.View(ctx, func(tx *store.Reader) (err error) {
		if err := everybodyOf(tx, f.declaration.Name, func(k store.KnownPerson) { known[k.Person.StableID] = k }); err != nil {
			return err
		}
		if elsewhere, err = tx.KnownElsewhere(f.declaration.Name); err != nil {
			return fmt.Errorf("reading people of former directories: %w", err)
		}
		list, err := tx.HeldLosses(provisioner.Everywhere())
		for _, h := range list {
			held[heldKey(h.Person.ID, h.Tenant)] = h
		}
		return err
	})
	return known, elsewhere, held, err
}

// mend has devices follow where something left them behind.
func (f *follower) mend(ctx context.Context) error {
	people, err := store.Read(ctx, f.following.service.Store, func(tx *store.Reader) ([]store.KnownPerson, error) {
		return tx.Unsettled(f.declaration.Name, changesAtOnce)
	})
	if err != nil || len(people) == 0 {
		return err
	}
	f.log.Warn("devices did not follow what the directory has said of their people; they do now", "people", len(people))
	return f.following.duty.Update(ctx, func(tx *store.Writer) error {
		for _, k := range people {
			for _, v := range k.Standings {
				if err := again(tx, k.Person, v); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// again applies a standing once more.
func again(tx *store.Writer, person provisioner.Person, v provisioner.Standing) error {
	tenant, err := tx.Tenant(v.Tenant)
	if err != nil {
		return fmt.Errorf("reading tenant %s: %w", v.Tenant, err)
	}
	return follow(tx, tenant, person, v)
}
