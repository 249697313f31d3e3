package session

import (
	"context"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Each session has a time at which somebody looks whether it goes on: when policy ends
// it, or when it may have been idle for too long. An index leads to those alone, and
// the time moves only when it has come. So neither an opening nor an observation pays
// for it.

// closedAtOnce is how many sessions a transaction looks at that may all end in it.
const closedAtOnce = 64

// firstLook is when somebody looks at a session of which no gateway has said anything.
func firstLook(tenant provisioner.Tenant, s provisioner.Session, now time.Time) time.Time {
	return s.NextLook(s.Idleness(tenant.Idle(), provisioner.ExpiryEvidence{Now: now}).LookAt)
}

// lookAgain looks once at every session whose time for that has come, in slices.
func (s *Service) lookAgain(ctx context.Context, duty *store.Duty, now time.Time) error {
	for last := (provisioner.Session{}); ; {
		list, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]provisioner.Session, error) {
			return tx.SessionsToLook(now, last, closedAtOnce)
		})
		if err != nil || len(list) == 0 {
			return err
		}
		from := last
		if err := duty.Update(ctx, func(tx *store.Writer) error {
			// Once more, as it is now.
			list, err := tx.SessionsToLook(now, from, closedAtOnce)
			if err != nil {
				return err
			}
			return s.lookAt(tx, now, list)
		}); err != nil {
			return err
		}
		last = list[len(list)-1]
	}
}

// looker looks at some sessions within one transaction.
type looker struct {
	*Service
	tx       *store.Writer
	tenants  map[string]provisioner.Tenant
	silent   map[string]bool // directories
	gateways map[string]store.GatewayState
}

// lookAt decides about open sessions as they were read in this transaction.
func (s *Service) lookAt(tx *store.Writer, looked time.Time, list []provisioner.Session) error {
	if interrupted(between(looked, tx.Now)) {
		return nil // the writer stood still, or the clock was set: the next look judges
	}
	l := looker{Service: s, tx: tx, tenants: make(map[string]provisioner.Tenant), silent: make(map[string]bool), gateways: make(map[string]store.GatewayState)}
	for _, session := range list {
		if session.Leaving() {
			continue // it goes with the present one
		}
		tenant, err := known(l.tenants, session.Tenant, tx.Tenant)
		if err != nil {
			return fmt.Errorf("reading tenant %s: %w", session.Tenant, err)
		}
		if session, err = l.endAged(tenant, session); err != nil {
			return err
		}
		if session.ClosedRevision > 0 {
			continue
		}
		if err := l.endIdle(tenant, session); err != nil {
			return err
		}
	}
	return nil
}

// endAged closes a session whose time by policy is over. While the directory does not answer,
// nobody can sign in, and who loses her session gets no other: the end is put off.
func (l looker) endAged(tenant provisioner.Tenant, session provisioner.Session) (provisioner.Session, error) {
	if session.Ending.EndsAt.IsZero() || session.Ending.EndsAt.After(l.tx.Now) {
		return session, nil
	}
	silent, err := known(l.silent, tenant.Directory, func(name string) (bool, error) { return isSilent(&l.tx.Reader, name, l.tx.Now) })
	if err != nil {
		return session, err
	}
	if later := session.Ending.PutOff(l.tx.Now); silent && later.EndsAt.After(l.tx.Now) {
		session.Ending = later
		return session, l.tx.SetEnding(session, later)
	}
	session.ClosedRevision, err = l.tx.CloseSession(session, session.Ending.Why)
	return session, err
}

// endIdle closes a session in which nobody works, or says when it will be.
func (l looker) endIdle(tenant provisioner.Tenant, session provisioner.Session) error {
	gateway, err := known(l.gateways, session.Gateway, l.tx.Gateway)
	if err != nil {
		return fmt.Errorf("reading gateway %s: %w", session.Gateway, err)
	}
	leaving, err := leavingOf(l.tx, session.Device)
	if err != nil {
		return err
	}
	if leaving.Traffic.ActiveAt.After(session.Traffic.ActiveAt) {
		session.Traffic.ActiveAt = leaving.Traffic.ActiveAt // she works there still
	}
	evidence := provisioner.ExpiryEvidence{Now: l.tx.Now, ServingSince: l.servingSince, ClockSet: l.clockSet, GatewayConnected: gateway.Reachable(l.tx.Now)}
	idle := session.Idleness(idlePolicy(tenant, session), evidence)
	if session.Recall > 0 && worksAgain(session, l.tx.Now) {
		// Somebody works in it again: it is called back no longer.
		if err := l.tx.SetRecall(session, 0); err != nil {
			return err
		}
		session.LookAt = l.tx.Now
		idle = session.Idleness(tenant.Idle(), evidence)
	}
	if idle.Over {
		_, err := l.tx.CloseSession(session, provisioner.CodeSessionIdle)
		return err
	}
	look := session.NextLook(idle.LookAt)
	if idle.EndsAt.Equal(session.IdleAt) && look.Equal(session.LookAt) {
		return nil
	}
	return l.tx.SetLook(session, idle.EndsAt, look)
}

// known reads what is not known yet.
func known[T any](list map[string]T, key string, read func(string) (T, error)) (T, error) {
	if v, ok := list[key]; ok {
		return v, nil
	}
	v, err := read(key)
	if err == nil {
		list[key] = v
	}
	return v, err
}

// idleTimes is after how long without activity sessions of each tenant end, as they were
// last looked at; zero: never.
type idleTimes struct{ known map[string]time.Duration }

// followIdle looks at all sessions of tenants whose sessions end sooner than before, as
// when a crisis mode begins: their own time to be looked at may be an hour away. What
// it was before is not known to who has just taken the duty over; then he looks where
// a crisis mode is on.
func (s *Service) followIdle(ctx context.Context, duty *store.Duty, times *idleTimes) error {
	list, err := store.Read(ctx, s.Store, (*store.Reader).IdleTimes)
	if err != nil {
		return err
	}
	for _, v := range list {
		was, ok := times.known[v.Tenant]
		if v.After > 0 && (ok && (was == 0 || v.After < was) || !ok && v.InCrisis) {
			if err := s.lookAtAll(ctx, duty, v.Tenant); err != nil {
				return fmt.Errorf("looking at the sessions of %s: %w", v.Tenant, err)
			}
		}
		times.known[v.Tenant] = v.After
	}
	return nil
}

// lookAtAll looks at every open session of a tenant, in slices.
func (s *Service) lookAtAll(ctx context.Context, duty *store.Duty, tenant string) error {
	scope := provisioner.Within(tenant)
	for after, done := "", false; !done; {
		if err := duty.Update(ctx, func(tx *store.Writer) error {
			list, err := tx.SessionsIn(scope, "", after, closedAtOnce)
			if err != nil {
				return err
			}
			if done = len(list) < closedAtOnce; len(list) > 0 {
				after = list[len(list)-1].ID
			}
			return s.lookAt(tx, tx.Now, list)
		}); err != nil {
			return err
		}
	}
	return nil
}
