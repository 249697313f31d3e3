package session

import (
	"context"
	"fmt"
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
	lent, err := store.Read(ctx, db, (*store.Reader).Lent)
	if err != nil {
		return fmt.Errorf("looking for seats that are lent and waited for: %w", err)
	}
	for _, v := range lent {
		pool, err := store.Read(ctx, db, func(tx *store.Reader) (provisioner.LicencePool, error) { return tx.Pool(v.Pool) })
		if err != nil {
			return fmt.Errorf("reading pool %s: %w", v.Pool, err)
		}
		wanted := v.Waiting
		if pool.Recall == 0 {
			wanted = 0
		}
		if wanted == v.Recalled {
			continue
		}
		if err := duty.Update(ctx, func(tx *store.Writer) error { return recallSome(tx, pool, wanted) }); err != nil {
			return fmt.Errorf("calling back seats of %s: %w", v.Pool, err)
		}
	}
	return nil
}

// recallSome calls back as many seats of a pool as are wanted, and no more.
func recallSome(tx *store.Writer, pool provisioner.LicencePool, wanted int64) error {
	list, err := tx.Recalled(pool.Name)
	if err != nil {
		return err
	}
	for _, s := range list[min(wanted, int64(len(list))):] {
		if err := tx.SetRecall(s, 0); err != nil {
			return err
		}
	}
	more := min(wanted-int64(len(list)), slice)
	if more <= 0 {
		return nil
	}
	if list, err = tx.LongestIdle(pool.Name, tx.Now.Add(-pool.Recall), more); err != nil {
		return err
	}
	borrowed, err := tx.Borrowed(pool.Name)
	if err != nil {
		return err
	}
	for _, s := range list {
		if borrowed[s.Tenant]--; borrowed[s.Tenant] < 0 {
			continue // the rest are its own
		}
		if err := tx.SetRecall(s, pool.Recall); err != nil {
			return err
		}
	}
	return nil
}
