package entitlement

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Directories lends declared directories.
type Directories interface {
	Use(d provisioner.Directory, use func(directory.Directory) error) error
}

// Journal keeps what was taken beside the backups.
type Journal interface {
	Await(ctx context.Context, revision int64) bool
}

// Options are what a Service needs.
type Options struct {
	Store       *store.Store
	Directories Directories
	Logger      *slog.Logger

	// ReconcileEvery is how long after a full read the next one comes, give or take a fifth. Zero: an hour.
	ReconcileEvery time.Duration
	// RestAtMost is how long a lost directory is left alone at the most before it is tried again. Zero: 30 s.
	RestAtMost time.Duration
}

// Service follows directories and does what follows from what they say.
type Service struct {
	Options
	declared chan struct{} // buffered by one

	mu        sync.Mutex
	followers map[string]*follower // of this replica, by directory
}

// New makes the service.
func New(o Options) *Service {
	if o.ReconcileEvery == 0 {
		o.ReconcileEvery = time.Hour
	}
	if o.RestAtMost == 0 {
		o.RestAtMost = 30 * time.Second
	}
	return &Service{Options: o, declared: make(chan struct{}, 1), followers: map[string]*follower{}}
}

// Reconcile begins a full read of a directory, beside those that come by themselves, if this replica follows it. It reports
// whether it does.
func (s *Service) Reconcile(directory string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.followers[directory]
	if f != nil {
		ring(f.now)
	}
	return f != nil
}

// Declared tells that what is declared may have changed. It never blocks.
func (s *Service) Declared() { ring(s.declared) }

func ring(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

const (
	// lookEvery is how often declarations are compared: another replica may have applied them.
	lookEvery = 5 * time.Second
	// clockEvery is how often dates are judged.
	clockEvery = time.Second
	// noteEvery is how often it is noted that directories are still heard.
	noteEvery = 15 * time.Second
)

// Run follows all declared directories until ctx ends: one replica at a time does.
func (s *Service) Run(ctx context.Context) error {
	return s.Store.Hold(ctx, "following directories", s.follow)
}

// following is one replica's holding of that duty.
type following struct {
	service *Service
	duty    *store.Duty
	running sync.WaitGroup
}

func (s *Service) follow(ctx context.Context, duty *store.Duty) error {
	ctx, cancel := context.WithCancel(ctx)
	f := &following{service: s, duty: duty}
	defer func() {
		cancel()
		f.running.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		clear(s.followers)
	}()
	f.running.Go(func() { f.runClock(ctx) })
	look, note := time.NewTicker(lookEvery), time.NewTicker(noteEvery)
	defer look.Stop()
	defer note.Stop()
	for {
		if err := f.look(ctx); err != nil && ctx.Err() == nil {
			s.Logger.Error("reading which directories are to be followed", "error", err)
		}
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return nil
			case <-note.C:
				f.note(ctx)
			case <-look.C:
				waiting = false
			case <-s.declared:
				waiting = false
			}
		}
	}
}

// look sees that every declared directory with tenants is followed as it is declared now. A tenant that is moving to another one is
// followed again when its people have been carried over.
func (f *following) look(ctx context.Context) error {
	var directories []provisioner.Directory
	var tenants []provisioner.Tenant
	former := map[string]store.Following{}
	err := f.service.Store.View(ctx, func(tx *store.Reader) (err error) {
		if directories, err = tx.Directories(); err != nil {
			return err
		}
		states, err := tx.Followings()
		if err != nil {
			return err
		}
		for _, state := range states {
			former[state.Directory] = state
		}
		if tenants, err = tx.Tenants(provisioner.Everywhere()); err != nil {
			return err
		}
		moves, err := tx.ConfirmedMoves()
		for _, m := range moves {
			tenants = slices.DeleteFunc(tenants, func(t provisioner.Tenant) bool { return t.Name == m.Declaration.Name })
		}
		return err
	})
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, d := range directories {
		var own []provisioner.Tenant
		for _, t := range tenants {
			if t.Directory == d.Name {
				own = append(own, t)
			}
		}
		if len(own) > 0 {
			seen[d.Name] = true
			f.see(ctx, d, own, former[d.Name])
		}
	}
	for name := range f.all() {
		if !seen[name] {
			f.replace(name, nil)
		}
	}
	return nil
}

// all are the followers of the moment.
func (f *following) all() map[string]*follower {
	f.service.mu.Lock()
	defer f.service.mu.Unlock()
	return maps.Clone(f.service.followers)
}

// replace ends the follower of a directory, and has another one in its place; nil: none.
func (f *following) replace(name string, next *follower) {
	f.service.mu.Lock()
	old := f.service.followers[name]
	if next == nil {
		delete(f.service.followers, name)
	} else {
		f.service.followers[name] = next
	}
	f.service.mu.Unlock()
	if old != nil {
		old.stop()
	}
}

// see starts a follower, or tells the one that there is of what has changed.
func (f *following) see(ctx context.Context, d provisioner.Directory, tenants []provisioner.Tenant, former store.Following) {
	plan := newPlan(d, tenants)
	if old := f.all()[d.Name]; old != nil {
		if reflect.DeepEqual(old.declaration, d) && reflect.DeepEqual(old.plan.interest(d), plan.interest(d)) {
			if !reflect.DeepEqual(old.tenants, tenants) {
				old.replan(plan, !slices.EqualFunc(old.tenants, tenants, judgesAlike))
				old.tenants = tenants
			}
			return
		}
	}
	next := newFollower(f, d, tenants, plan, former)
	f.replace(d.Name, next)
	ctx, next.cancel = context.WithCancel(ctx)
	f.running.Go(func() { defer close(next.stopped); next.run(ctx) })
}

// judgesAlike reports whether a tenant decides about its people's right as before: most changes of a declaration are about
// something else, and nobody has to be looked at again for them.
func judgesAlike(a, b provisioner.Tenant) bool {
	return a.Name == b.Name && a.Base == b.Base && a.StaffGroup == b.StaffGroup && slices.Equal(a.GroupsAsked(), b.GroupsAsked()) &&
		a.Policy.PasswordExpired == b.Policy.PasswordExpired
}

// note writes down that directories are still heard.
func (f *following) note(ctx context.Context) {
	var states []store.Following
	for _, one := range f.all() {
		if state, heard := one.stillHeard(); heard {
			states = append(states, state)
		}
	}
	for list := range slices.Chunk(states, noteAtOnce) {
		if err := f.duty.Update(ctx, func(tx *store.Writer) error {
			for _, state := range list {
				if err := putFollowing(tx, state); err != nil {
					return err
				}
			}
			return nil
		}); err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrDutyLost) {
			f.service.Logger.Warn("noting that directories are heard", "error", err)
		}
	}
}

// noteAtOnce is how many directories are noted in one transaction.
const noteAtOnce = 100

// putFollowing keeps a state, unless the directory is declared no more.
func putFollowing(tx *store.Writer, state store.Following) error {
	_, err := tx.Directory(state.Directory)
	if errors.Is(err, store.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.PutFollowing(state)
}

// runClock ends rights whose date has passed, also while their directory is away.
func (f *following) runClock(ctx context.Context) {
	ticker := time.NewTicker(clockEvery)
	defer ticker.Stop()
	for {
		err := errors.Join(f.judgeDates(ctx), f.service.finishConfirmed(ctx, f.duty.UpdateUrgent),
			f.service.finishIdentities(ctx, f.duty.Update), f.service.finishMoves(ctx, f.duty.Update))
		if err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrDutyLost) {
			f.service.Logger.Warn("doing what dates and confirmations ask for", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (f *following) judgeDates(ctx context.Context) error {
	due, err := store.Read(ctx, f.service.Store, func(tx *store.Reader) ([]provisioner.Standing, error) {
		return tx.StandingsDue(time.Now(), lossesAtOnce)
	})
	if err != nil || len(due) == 0 {
		return err
	}
	var list []Settled
	err = f.duty.UpdateUrgent(ctx, func(tx *store.Writer) error {
		list = nil
		for _, v := range due {
			settled, err := settleDue(tx, v)
			if err != nil && !errors.Is(err, provisioner.Refuse(provisioner.CodeTenantMoved)) {
				return err
			}
			list = append(list, settled)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, settled := range list {
		settled.Tell(f.service.Logger)
	}
	return nil
}

// settleDue judges somebody's dates by what the directory has said before.
func settleDue(tx *store.Writer, v provisioner.Standing) (Settled, error) {
	tenant, err := tx.Tenant(v.Tenant)
	if err != nil {
		return Settled{}, fmt.Errorf("reading tenant %s: %w", v.Tenant, err)
	}
	person, err := tx.Person(v.Person)
	if err != nil {
		return Settled{}, fmt.Errorf("reading a person whose date has passed: %w", err)
	}
	now, err := tx.Standing(v.Person, v.Tenant)
	if err != nil {
		return Settled{}, fmt.Errorf("reading how she stands: %w", err)
	}
	return Settle(tx, tenant, Word{
		Person: person, Groups: now.Groups, Ended: now.Ended, EndsAt: now.EndsAt,
		Password: now.Password, PasswordEndsAt: now.PasswordEndsAt, PasswordChangedAt: now.PasswordChangedAt, ReadAt: now.ReadAt, Own: true,
	})
}
