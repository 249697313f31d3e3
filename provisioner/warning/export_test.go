package warning

import (
	"context"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/store"
)

// JudgeAll judges what is over; write is a duty's.
func (s *Service) JudgeAll(ctx context.Context, write func(context.Context, func(*store.Writer) error) error) error {
	return s.judgeAll(ctx, write)
}

// Deliver tries the message that is due at a time.
func (s *Service) Deliver(ctx context.Context, now time.Time) (more bool, err error) {
	return s.deliver(ctx, s.Store.Update, now)
}

// PauseAfter is how long a message waits that failed so often before.
func PauseAfter(attempts int64) time.Duration { return pauseAfter(attempts) }
