package session

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// recallEvery is how often lent seats are called back for those that wait.
const recallEvery = 10 * time.Second

// idlePolicy says when nobody works in a session: as its tenant has it, and sooner where its
// seat is called back.
func idlePolicy(tenant provisioner.Tenant, s provisioner.Session) provisioner.IdlePolicy {
	p := tenant.Idle()
	if s.Recall > 0 && (p.After == 0 || s.Recall < p.After) {
		p.After = s.Recall
	}
	return p
}

// worksAgain reports whether somebody works in a session whose seat is called back.
func worksAgain(s provisioner.Session, now time.Time) bool {
	active := s.OpenedAt
	if s.Traffic.ActiveAt.After(active) {
		active = s.Traffic.ActiveAt
	}
	return now.Sub(active) < s.Recall/2
}

// recallLent calls back lent seats that tenants wait for to which they are guaranteed:
// those of the sessions that are idle longest, as many as wait. Their laptops are told
// as of any session that is idle, and whoever works goes on. Where nobody waits any more
// nothing is called back.
func recallLent(ctx context.Context, duty *store.Duty, db *store.Store) error {
	var recalls []recall
	err := db.View(ctx, func(tx *store.Reader) error {
		recalls = nil
		lent, err := tx.Lent()
		if err != nil {
			return err
		}
		for _, v := range lent {
			list, err := recallsOf(tx, v, time.Now())
			if err != nil {
				return fmt.Errorf("of %s: %w", v.Pool, err)
			}
			recalls = append(recalls, list...)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("looking for seats that are lent and waited for: %w", err)
	}
	for part := range slices.Chunk(recalls, closedAtOnce) {
		// Of what has been closed meanwhile nothing is changed.
		if err := duty.Update(ctx, func(tx *store.Writer) error {
			for _, r := range part {
				if err := tx.SetRecall(r.session, r.after); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return fmt.Errorf("calling back seats that are lent: %w", err)
		}
	}
	return nil
}

// recall is after which time without activity a session is to end; zero: it goes on.
type recall struct {
	session provisioner.Session
	after   time.Duration
}

// recallsOf has as many seats of a pool called back as are waited for, and no more.
func recallsOf(tx *store.Reader, v store.Lent, now time.Time) (list []recall, err error) {
	pool, err := tx.Pool(v.Pool)
	if err != nil {
		return nil, err
	}
	wanted := v.Waiting
	if pool.Recall == 0 {
		wanted = 0
	}
	if wanted < v.Recalled {
		recalled, err := tx.Recalled(pool.Name)
		if err != nil {
			return nil, err
		}
		for _, s := range recalled[min(wanted, int64(len(recalled))):] {
			list = append(list, recall{s, 0})
		}
		return list, nil
	}
	idle, err := tx.LongestIdle(pool.Name, now.Add(-pool.Recall), wanted-v.Recalled)
	if err != nil || len(idle) == 0 {
		return nil, err
	}
	borrowed, err := tx.Borrowed(pool.Name)
	if err != nil {
		return nil, err
	}
	for _, s := range idle {
		if borrowed[s.Tenant]--; borrowed[s.Tenant] >= 0 { // the rest are its own
			list = append(list, recall{s, pool.Recall})
		}
	}
	return list, nil
}
