package entitlement

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/mirror"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// follower follows one directory for all its tenants.
type follower struct {
	following   *following
	declaration provisioner.Directory
	tenants     []provisioner.Tenant // as they were declared when it was last looked; following's
	log         *slog.Logger
	cancel      context.CancelFunc
	stopped     chan struct{}
	wake        chan struct{} // buffered by one: there may be something to settle
	reconcile   chan struct{} // buffered by one: a full read is wanted soon
	now         chan struct{} // buffered by one: a full read is wanted now

	mu      sync.Mutex
	mirror  *mirror.Mirror
	plan    *plan
	compare bool // everybody is to be compared with the store
	// settling: something that was told is not in the store yet.
	settling bool
	state    store.Following
	told     bool   // the state is written as it is
	lost     string // the problem that was logged last
}

// newFollower makes one. former is how the directory was followed before, by whomever: what was heard then still holds for a
// while where the directory is away now.
func newFollower(f *following, d provisioner.Directory, tenants []provisioner.Tenant, plan *plan, former store.Following) *follower {
	return &follower{
		following: f, declaration: d, tenants: tenants, log: f.service.Logger.With("directory", d.Name),
		stopped: make(chan struct{}), wake: make(chan struct{}, 1), reconcile: make(chan struct{}, 1), now: make(chan struct{}, 1),
		mirror: mirror.New(), plan: plan,
		state: store.Following{
			Directory: d.Name, State: store.FollowingReads, Since: time.Now(),
			HeardAt: former.HeardAt, ChangedAt: former.ChangedAt, ReconciledAt: former.ReconciledAt,
		},
	}
}

// stop ends the follower and waits for it.
func (f *follower) stop() {
	f.cancel()
	<-f.stopped
}

// replan has the tenants' new declarations count, for everybody at once if they judge otherwise than before.
func (f *follower) replan(p *plan, otherwise bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = p
	if otherwise {
		f.compare = true
		ring(f.wake)
	}
}

// run follows until ctx ends.
func (f *follower) run(ctx context.Context) {
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { f.settleAll(ctx) })
	ring(f.wake) // to tell that it is being read
	for ctx.Err() == nil {
		err := f.following.service.Directories.Use(f.declaration, func(d directory.Directory) error {
			f.mu.Lock()
			interest := f.plan.interest(f.declaration)
			f.mu.Unlock()
			f.stay(ctx, d.Feed(interest))
			return nil
		})
		if err != nil && ctx.Err() == nil {
			f.down(err)
			rest(ctx, f.following.service.RestAtMost)
		}
	}
}

const (
	// restAtFirst is how long to rest between tries to follow: it doubles, up to Options.RestAtMost.
	restAtFirst = 500 * time.Millisecond
	// settled is how long following must have held for the next rest to be short again.
	settled = time.Minute
)

// stay keeps following one feed, which remembers where it was.
func (f *follower) stay(ctx context.Context, feed directory.Feed) {
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() { f.reconcileNowAndThen(ctx, feed) })
	pause := restAtFirst
	for {
		began := time.Now()
		o := &observer{follower: f}
		err := feed.Follow(ctx, o)
		o.ended()
		if ctx.Err() != nil {
			return
		}
		f.down(err)
		if time.Since(began) >= settled {
			pause = restAtFirst
		}
		if !rest(ctx, pause) {
			return
		}
		pause = min(2*pause, f.following.service.RestAtMost)
	}
}

// rest waits for half of d to d; false: ctx ended.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d/2 + rand.N(d/2+1))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// afterRenaming is how soon a full read follows when somebody was renamed: servers rewrite lists of members behind it
// without telling, and not at once.
const afterRenaming = 30 * time.Second

// reconcileNowAndThen reads everything once an hour, and soon after a renaming.
func (f *follower) reconcileNowAndThen(ctx context.Context, feed directory.Feed) {
	every := f.following.service.ReconcileEvery
	for {
		timer := time.NewTimer(every - every/5 + rand.N(2*every/5+1))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-f.now:
			timer.Stop()
		case <-f.reconcile:
			timer.Stop()
			if !rest(ctx, min(2*afterRenaming, every)) {
				return
			}
		}
		o := &observer{follower: f}
		err := feed.Reconcile(ctx, o)
		o.ended()
		if err != nil && ctx.Err() == nil {
			f.log.Warn("a full read of the directory broke off; nobody loses anything by it", "error", err)
		}
	}
}

// down notes that the directory is lost, and logs it once.
func (f *follower) down(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var e *directory.Error
	problem, advice := fmt.Sprint(err), ""
	if errors.As(err, &e) {
		advice = e.Advice
	}
	if f.state.State != store.FollowingDown || f.state.Problem != problem {
		f.told = false
	}
	if f.state.State != store.FollowingDown {
		f.state.State, f.state.Since = store.FollowingDown, time.Now()
	}
	f.state.Problem, f.state.Advice = problem, advice
	if f.lost == "" {
		f.log.Warn("the directory is lost; nobody loses a connection by it", "error", problem, "next", advice)
	}
	f.lost = problem
	ring(f.wake)
}

// Changed implements directory.Observer, as Gone, Live and Heard do; what is missing is in observer.
func (f *follower) Changed(e directory.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mirror.Changed(e)
	if f.mirror.Renamed() {
		ring(f.reconcile)
	}
	ring(f.wake)
}

func (f *follower) Gone(stableID string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mirror.Gone(stableID)
	ring(f.wake)
}

func (f *follower) Live(s directory.Source) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	f.state.State, f.state.Since, f.state.HeardAt = store.FollowingLive, now, now
	f.state.Server, f.state.Flavour, f.state.Way, f.state.Limited = s.Server, s.Flavour, string(s.Way), s.Limited
	f.state.Problem, f.state.Advice = "", ""
	f.told, f.lost = false, ""
	people, groups := f.mirror.Size()
	f.log.Info("the directory is followed", "server", s.Server, "flavour", s.Flavour, "way", s.Way, "resumed", s.Resumed,
		"people", people, "groups", groups, "limited", s.Limited)
	ring(f.wake)
}

func (f *follower) Heard() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.settling && !f.compare && !f.mirror.Waiting() {
		f.state.HeardAt = time.Now()
	}
}

// observer is who is told by one call of a feed. It knows the full read that this call has under way: one that breaks off is
// not ended by anybody.
type observer struct {
	*follower

	pass *mirror.Pass // nil: none
}

// Pass implements directory.Observer.
func (o *observer) Pass() directory.Pass {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.abandon()
	o.pass = o.mirror.Pass()
	return reading{o, o.pass}
}

// abandon forgets a full read that broke off; the lock is held.
func (o *observer) abandon() {
	if o.pass != nil {
		o.pass.Abandon()
		o.pass = nil
		ring(o.wake) // groups waited for its end
	}
}

// ended is called when the feed has returned.
func (o *observer) ended() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.abandon()
}

// reading is a full read under way.
type reading struct {
	observer *observer
	pass     *mirror.Pass
}

func (r reading) Read(e directory.Entry) {
	r.observer.mu.Lock()
	defer r.observer.mu.Unlock()
	r.pass.Read(e)
}

func (r reading) Unchanged(stableIDs ...string) {
	r.observer.mu.Lock()
	defer r.observer.mu.Unlock()
	r.pass.Unchanged(stableIDs...)
}

func (r reading) Whole() {
	o := r.observer
	o.mu.Lock()
	defer o.mu.Unlock()
	r.pass.Whole()
	o.pass = nil
	o.state.ReconciledAt, o.compare = time.Now(), true
	ring(o.wake)
}
