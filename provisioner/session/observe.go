package session

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	// slice is how many sessions one transaction touches, so that nothing
	// waits long behind statistics.
	slice = 200
	// expireEvery is how often leases that ran out are looked at.
	expireEvery = 5 * time.Second
)

// Seen is what a gateway saw of one session since the last time.
type Seen = store.Observed

// Observe keeps what the calling gateway saw.
func (s *Service) Observe(ctx context.Context, actor provisioner.Actor, seen []Seen) error {
	if refusal := provisioner.Allow(actor, provisioner.ActionSyncGateway, provisioner.Object{Gateway: actor.ID}); refusal != nil {
		return refusal
	}
	for len(seen) > 0 {
		n := min(slice, len(seen))
		part := seen[:n]
		seen = seen[n:]
		if err := s.Store.Update(ctx, func(tx *store.Writer) error {
			if err := observeSome(tx, actor.ID, part); err != nil {
				return fmt.Errorf("keeping what gateway %s saw: %w", actor.ID, err)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// observeSome adds differences to what was counted, and judges whether somebody works.
func observeSome(tx *store.Writer, gateway string, seen []Seen) error {
	ids := make([]string, len(seen))
	for i, o := range seen {
		ids[i] = o.Session
	}
	known, err := tx.Watched(gateway, ids)
	if err != nil {
		return err
	}
	for _, o := range seen {
		was, ok := known[o.Session]
		if !ok {
			continue // closed, or none of this gateway's
		}
		was.Bytes = o.Total(was.Bytes)
		was.Traffic = provisioner.IdlePolicy{Below: was.Below}.Counted(was.Traffic, tx.Now, was.Bytes)
		known[o.Session] = was
		if err := tx.Observe(gateway, o, was.Traffic); err != nil {
			return err
		}
	}
	return nil
}

// RunExpiry ends sessions whose time is over, until ctx ends: one replica at a
// time does.
func (s *Service) RunExpiry(ctx context.Context) error {
	return s.Store.Hold(ctx, "expiry", s.runExpiry)
}

func (s *Service) runExpiry(ctx context.Context, duty *store.Duty) error {
	idle := &idleTimes{known: make(map[string]time.Duration)}
	var swept time.Time
	for last := time.Now(); ; {
		now := time.Now()
		if gap, step := between(last, now); interrupted(gap, step) {
			s.sayInterrupted(gap, step)
			s.servingSince = now
			if step.Abs() > clockStep {
				s.clockSet = now
			}
		}
		last = now
		// While nothing can be written, laptops cannot renew either.
		if since := duty.WritingSince(); since.After(s.servingSince) {
			s.servingSince = since
		}
		if err := advancePools(ctx, duty, s.Store, now); err != nil && ctx.Err() == nil {
			s.Logger.Error("counting the seats of contracts that have begun or ended", "error", err)
		}
		if err := notePeaks(ctx, duty, s.Store, now); err != nil && ctx.Err() == nil {
			s.Logger.Error("keeping how many seats are held", "error", err)
		}
		if now.Sub(swept).Abs() >= sweepEvery {
			swept = now
			if err := takeSeatsBack(ctx, duty, s.Store, now); err != nil && ctx.Err() == nil {
				s.Logger.Error("taking back named seats", "error", err)
			}
		}
		if err := s.endStatics(ctx, duty, now); err != nil && ctx.Err() == nil {
			s.Logger.Error("ending static peers whose time is over", "error", err)
		}
		if err := s.expire(ctx, duty, now); err != nil && ctx.Err() == nil {
			s.Logger.Error("ending sessions whose lease has run out", "error", err)
		}
		if err := s.lookAgain(ctx, duty, now); err != nil && ctx.Err() == nil {
			s.Logger.Error("ending sessions as policy says", "error", err)
		}
		if err := s.endDrained(ctx, duty, now); err != nil && ctx.Err() == nil {
			s.Logger.Error("moving sessions off gateways that are to be empty", "error", err)
		}
		if err := s.endLeftAlone(ctx, duty); err != nil && ctx.Err() == nil {
			s.Logger.Error("ending sessions that were left for none", "error", err)
		}
		if err := s.followIdle(ctx, duty, idle); err != nil && ctx.Err() == nil {
			s.Logger.Error("looking at sessions after a policy became stricter", "error", err)
		}
		timer := time.NewTimer(expireEvery + rand.N(expireEvery)/4)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// advancePools has pools give what their contracts say from now on. Openings look
// themselves until it has.
func advancePools(ctx context.Context, duty *store.Duty, db *store.Store, now time.Time) error {
	over, err := store.Read(ctx, db, func(tx *store.Reader) (bool, error) { return tx.PoolsOver(now) })
	if err != nil || !over {
		return err
	}
	return duty.Update(ctx, func(tx *store.Writer) error { _, err := tx.AdvancePools(); return err })
}

const (
	// longestPass is how long it may take from one look to the next before that
	// counts as an interruption: laptops renew each minute.
	longestPass = 30 * time.Second
	// clockStep is how far the clock may be set between two looks. More would
	// make leases look older than they are.
	clockStep = 5 * time.Second
)

// sayInterrupted tells the operator what it was.
func (s *Service) sayInterrupted(gap, step time.Duration) {
	if step.Abs() > clockStep {
		s.Logger.Warn("this machine's clock was set, or the machine slept: no lease ends before it has served for the time of one", "by", step.Round(time.Second))
		return
	}
	s.Logger.Warn("this process stood still: no lease ends before it has served for the time of one", "gap", gap)
}

// between gives the time from one look to the next as the steady clock counted
// it, and by how much the wall clock was set meanwhile.
func between(last, now time.Time) (gap, step time.Duration) {
	gap = now.Sub(last)
	return gap, now.Round(0).Sub(last.Round(0)) - gap
}

// interrupted judges from one look to the next whether renewals may have been
// missed meanwhile, or only seem to have been, so that their absence proves
// nothing.
func interrupted(gap, step time.Duration) bool {
	return gap > longestPass || step.Abs() > clockStep
}

// expire looks once at every lease that has run out, in slices.
func (s *Service) expire(ctx context.Context, duty *store.Duty, over time.Time) error {
	for last := (provisioner.Session{}); ; {
		list, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]provisioner.Session, error) { return tx.LeasesOver(over, last, slice) })
		if err != nil || len(list) == 0 {
			return err
		}
		if err := duty.Update(ctx, func(tx *store.Writer) error { return s.expireSome(tx, over, list) }); err != nil {
			return err
		}
		last = list[len(list)-1]
	}
}

// expireSome decides again on what is true now, and closes.
func (s *Service) expireSome(tx *store.Writer, looked time.Time, list []provisioner.Session) error {
	if interrupted(between(looked, tx.Now)) {
		return nil // the writer stood still, and renewals with it, or the clock was set: the next look judges
	}
	for _, old := range list {
		session, err := tx.Session(old.ID)
		if err != nil {
			return err
		}
		if !session.ClosedAt.IsZero() || session.LeaseUntil.After(tx.Now) {
			continue
		}
		gateway, err := tx.Gateway(session.Gateway)
		if err != nil {
			return err
		}
		evidence := provisioner.ExpiryEvidence{Now: tx.Now, ServingSince: s.servingSince, GatewayConnected: gateway.Reachable(tx.Now)}
		if !session.Expired(evidence) {
			continue
		}
		why := provisioner.CodeSessionExpired
		switch {
		case session.Leaving():
			why = provisioner.CodeSessionElsewhere
		case session.Over(tx.Now):
			why = provisioner.CodeOutsideHours
		}
		if _, err := tx.CloseSession(session, why); err != nil {
			return err
		}
	}
	return nil
}
