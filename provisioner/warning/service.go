package warning

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/usage"
	"github.com/heimdraht/heimdraht/provisioner/webhook"
)

const (
	// Keep is how long a warning is kept after it ended: as long as the numbers that it went by.
	Keep = usage.KeepHours
	// KeepGivenUp is how long a message is counted that was given up.
	KeepGivenUp = 90 * usage.Day
)

// Options are what a Service needs.
type Options struct {
	Store   *store.Store
	Usage   *usage.Service
	Webhook *webhook.Receiver // nil: there is none
	Logger  *slog.Logger
}

// Service is the use cases of warnings.
type Service struct {
	Options

	mu      sync.Mutex
	failing bool // as the log was told last
}

// New makes the service.
func New(o Options) *Service { return &Service{Options: o} }

const (
	// lookEvery is how often is looked if an hour or a day is over.
	lookEvery = time.Minute
	// oldest is how far back is judged after nobody did: five minutes are kept as long.
	oldest = usage.KeepFiveMinutes - usage.Day
	// atOnce is how much is judged together, where nobody did for a while: more points would be
	// too many for an answer of usage.
	atOnce = 6 * usage.Hour
	// slice is how many warnings are written in one transaction.
	slice = 50
)

// RunJudging raises and ends warnings, until ctx ends: one replica at a time does.
func (s *Service) RunJudging(ctx context.Context) error {
	return s.Store.Hold(ctx, "warnings", func(ctx context.Context, duty *store.Duty) error {
		for {
			if err := s.judgeAll(ctx, duty.Update); err != nil && ctx.Err() == nil {
				s.Logger.Error("judging what is to be warned of", "error", err)
			}
			timer := time.NewTimer(lookEvery/2 + rand.N(lookEvery/2))
			select {
			case <-ctx.Done():
				timer.Stop()
				return nil
			case <-timer.C:
			}
		}
	})
}

// update is how something is written: that of a duty.
type update func(context.Context, func(*store.Writer) error) error
