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
	"github.com/heimdraht/heimdraht/provisioner/directory/mirror"
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
		err = f.settleEverybody(ctx)
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

// settleEverybody compares all people of the directory with what is known of them.
func (f *follower) settleEverybody(ctx context.Context) error {
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
		list = append(list, r.changes(f.declaration.Name, id, k, false)...)
		delete(known, id)
	}
	for id, k := range known { // who is no longer there
		list = append(list, r.changes(f.declaration.Name, id, k, false)...)
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
	err = f.following.service.Store.View(ctx, func(tx *store.Reader) error {
		for after := ""; ; {
			page, err := tx.KnownPeople(f.declaration.Name, after, readAtOnce)
			if err != nil {
				return fmt.Errorf("reading how people stand: %w", err)
			}
			for _, k := range page {
				known[k.Person.StableID] = k
				after = k.Person.StableID
			}
			if len(page) < readAtOnce {
				break
			}
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
	var raised map[string]int64
	err := update(ctx, func(tx *store.Writer) error {
		now = count{}
		before, err := tx.HeldCounts()
		if err != nil {
			return err
		}
		for _, c := range part {
			settled, err := Settle(tx, *c.tenant, c.word)
			if err != nil {
				return err
			}
			if settled.Lost {
				now.lost++
			}
			if settled.Regained {
				now.regained++
			}
		}
		raised, err = tx.HeldCounts()
		for tenant := range before {
			delete(raised, tenant)
		}
		return err
	})
	if err != nil {
		return err
	}
	done.lost, done.regained = done.lost+now.lost, done.regained+now.regained
	for tenant := range raised {
		f.log.Warn("too many people would lose their access at once by what the directory says; theirs stays until somebody decides",
			"tenant", tenant, "next", "heimdraht directory pending --tenant "+tenant)
	}
	return nil
}

// writeFresh makes people known of whom nobody has known, and tells how many of them have the right.
func (f *follower) writeFresh(ctx context.Context, list []change) (int, error) {
	var entitled atomic.Int64
	parts, ctx := errgroup.WithContext(ctx)
	parts.SetLimit(freshTogether)
	for part := range slices.Chunk(list, freshAtOnce) {
		parts.Go(func() error {
			n := 0
			err := f.following.duty.Update(ctx, func(tx *store.Writer) (err error) { n, err = addFresh(tx, part); return err })
			entitled.Add(int64(n))
			return err
		})
	}
	err := parts.Wait()
	return int(entitled.Load()), err
}

// addFresh makes people known in one transaction. Of these nothing has to be read but that nobody has come to know them
// meanwhile.
func addFresh(tx *store.Writer, part []change) (entitled int, err error) {
	ids := make([]string, len(part))
	for i, c := range part {
		ids[i] = c.word.Person.StableID
	}
	known, err := tx.KnownAmong(part[0].word.Person.Directory, ids)
	if err != nil {
		return 0, fmt.Errorf("reading who is known: %w", err)
	}
	var people []store.KnownPerson
	place := map[string]int{}
	for _, c := range part {
		id := c.word.Person.StableID
		if _, meanwhile := known[id]; meanwhile {
			if _, err := Settle(tx, *c.tenant, c.word); err != nil {
				return 0, err
			}
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
	return entitled, tx.AddPeople(people)
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
