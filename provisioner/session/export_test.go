package session

import (
	"context"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/store"
)

// LookOften looks at sessions whose time for that has come far more often than RunExpiry
// does, until ctx ends.
func LookOften(ctx context.Context, s *Service) error {
	return s.Store.Hold(ctx, "expiry", func(ctx context.Context, duty *store.Duty) error {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			if err := s.lookAgain(ctx, duty, time.Now()); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	})
}

// Recall calls lent seats back once.
func Recall(ctx context.Context, s *Service) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	return s.Store.Hold(ctx, "queue", func(ctx context.Context, duty *store.Duty) error {
		defer stop()
		return recallLent(ctx, duty, s.Store)
	})
}

// DispatchSome is one step of the duty that gives seats to who waits.
func DispatchSome(tx *store.Writer) error { return dispatchSome(tx) }
