package auditing

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	// checkpointEvery is how much of a log nobody has signed at most.
	checkpointEvery = time.Hour
	// lastWords is how long the last checkpoints may take when the control plane stops.
	lastWords = 5 * time.Second
	// signedAtOnce is how many checkpoints go in one transaction.
	signedAtOnce = 100
)

// update is how something is written: Store.Update, or that of a duty.
type update func(context.Context, func(*store.Writer) error) error

// RunCheckpoints signs what has moved, each hour and at the end, until ctx ends: one
// replica at a time does.
func (s *Service) RunCheckpoints(ctx context.Context) error {
	return s.Store.Hold(ctx, "audit checkpoints", s.runCheckpoints)
}

func (s *Service) runCheckpoints(ctx context.Context, duty *store.Duty) error {
	for {
		timer := time.NewTimer(checkpointEvery*9/10 + rand.N(checkpointEvery/10))
		select {
		case <-ctx.Done():
			timer.Stop()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
			defer cancel()
			if err := s.checkpoint(last, duty.Update); err != nil && !errors.Is(err, store.ErrDutyLost) {
				s.Logger.Error("signing the end of the audit log before stopping", "error", err)
			}
			return nil
		case <-timer.C:
		}
		if err := s.checkpoint(ctx, duty.Update); err != nil && ctx.Err() == nil {
			s.Logger.Error("signing the end of the audit log", "error", err)
		}
	}
}

// checkpoint signs every chain that has moved since it was last signed.
func (s *Service) checkpoint(ctx context.Context, write update) error {
	moved, err := store.Read(ctx, s.Store, (*store.Reader).MovedChains)
	if err != nil {
		return fmt.Errorf("reading which chains have moved: %w", err)
	}
	return s.sign(ctx, moved, write)
}

// sign keeps a checkpoint of each of the heads whose records follow from the chain's last
// checkpoint.
func (s *Service) sign(ctx context.Context, heads []audit.ChainHead, write update) error {
	position, err := store.Read(ctx, s.Store, (*store.Reader).Position)
	if err != nil {
		return err
	}
	var signed []audit.Checkpoint
	for i, head := range heads {
		good, err := s.follows(ctx, head)
		if err != nil {
			return err
		}
		if good {
			signed = append(signed, audit.Sign(s.Keys.AuditKey(), audit.Checkpoint{
				Installation: position.Instance, At: time.Now(), Heads: []audit.ChainHead{head},
			}))
		}
		if len(signed) == 0 || len(signed) < signedAtOnce && i < len(heads)-1 {
			continue
		}
		if err := write(ctx, func(tx *store.Writer) error {
			for _, c := range signed {
				if err := tx.AddCheckpoint(c); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return fmt.Errorf("keeping checkpoints: %w", err)
		}
		signed = nil
	}
	return nil
}

// follows reports whether a chain's records go on from its last checkpoint to the head,
// and that nobody has forged that checkpoint. A chain that is not so is said once, and not looked
// at again by this process.
func (s *Service) follows(ctx context.Context, head audit.ChainHead) (bool, error) {
	if s.isBroken(head.Chain) {
		return false, nil
	}
	last, err := store.Read(ctx, s.Store, func(tx *store.Reader) (store.StoredCheckpoint, error) { return tx.LastCheckpoint(head.Chain) })
	var after audit.Head
	switch {
	case errors.Is(err, store.ErrNone):
	case err != nil:
		return false, fmt.Errorf("reading the last checkpoint: %w", err)
	default:
		after, _ = last.Of(head.Chain)
		if !s.isOurs(last.Checkpoint) {
			s.noteBroken(head.Chain, audit.ErrSignature)
			return false, nil
		}
	}
	_, err = audit.Verify(after, s.records(ctx, head.Chain, after.Seq, head.Seq), head.Head)
	var broken *audit.Broken
	if errors.As(err, &broken) {
		s.noteBroken(head.Chain, broken)
		return false, nil
	}
	return err == nil, err
}

func (s *Service) isOurs(c audit.Checkpoint) bool {
	for _, key := range s.Keys.AuditKeys() {
		if c.Check(key) == nil {
			return true
		}
	}
	return false
}

// records reads those of a chain after a number, up to another one, a page at a time.
func (s *Service) records(ctx context.Context, chain string, after, upto int64) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		for after < upto {
			list, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]audit.Record, error) {
				return tx.AuditRecords(chain, after, int(min(page, upto-after)))
			})
			if err != nil {
				yield(audit.Record{}, err)
				return
			}
			for _, r := range list {
				if r.Seq > upto {
					return
				}
				if after = r.Seq; !yield(r, nil) {
					return
				}
			}
			if len(list) == 0 {
				return
			}
		}
	}
}

func (s *Service) noteBroken(chain string, why error) {
	s.mu.Lock()
	said := s.broken[chain]
	s.broken[chain] = true
	s.mu.Unlock()
	if !said {
		s.Logger.Error("the audit log was changed in the database, and is not signed any more: export it, and look who could", "chain", chain, "error", why)
	}
}
