package signin

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/heimdraht/heimdraht/provisioner/auditing"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Options are what a Service needs.
type Options struct {
	Store       *store.Store
	Directories *Registry
	Factors     FactorSealer
	Logger      *slog.Logger
}

// Service is the use cases of signing in.
type Service struct {
	Options

	// uncounted bounds the records of refusals that no count bounds, so that
	// nobody can fill the database by knocking.
	uncounted *rate.Limiter
	// refusals takes note of refused sign-ins of staff, for the audit log.
	refusals *auditing.Refusals

	mu     sync.Mutex
	silent map[string]time.Time // by directory: not asked for staff before then
}

// New makes the service.
func New(o Options) *Service {
	return &Service{Options: o, uncounted: rate.NewLimiter(1, 60), refusals: auditing.NewRefusals(o.Store, o.Logger), silent: make(map[string]time.Time)}
}

// How long what signing in leaves behind is kept.
const (
	keepRefusals        = 90 * 24 * time.Hour // security events
	keepInvitations     = 90 * 24 * time.Hour // after their expiry
	keepAcknowledgement = 365 * 24 * time.Hour
	forgetEvery         = time.Hour
)

// RunForgetting deletes counts, tokens and refusals whose time is over, until
// ctx ends: one replica at a time does.
func (s *Service) RunForgetting(ctx context.Context) error {
	return s.Store.Hold(ctx, "forgetting", s.runForgetting)
}

func (s *Service) runForgetting(ctx context.Context, duty *store.Duty) error {
	for {
		timer := time.NewTimer(forgetEvery/2 + rand.N(forgetEvery))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		if err := s.forget(ctx, duty); err != nil && ctx.Err() == nil {
			s.Logger.Error("deleting what is too old", "error", err)
		}
	}
}

func (s *Service) forget(ctx context.Context, duty *store.Duty) error {
	return duty.Update(ctx, func(tx *store.Writer) error {
		if err := tx.ForgetFailures(tx.Now.Add(-max(loginWindow, sourceWindow, factorDay))); err != nil {
			return fmt.Errorf("counts of wrong tries: %w", err)
		}
		if err := tx.ForgetStaffTokens(tx.Now); err != nil {
			return fmt.Errorf("staff tokens: %w", err)
		}
		if err := tx.ForgetWaitingLaptops(tx.Now); err != nil {
			return fmt.Errorf("laptops that wait: %w", err)
		}
		if err := tx.ForgetProposals(tx.Now); err != nil {
			return fmt.Errorf("proposals: %w", err)
		}
		if err := tx.ForgetInvitations(tx.Now.Add(-keepInvitations)); err != nil {
			return fmt.Errorf("invitations: %w", err)
		}
		if err := tx.ForgetAcknowledgements(tx.Now.Add(-keepAcknowledgement)); err != nil {
			return fmt.Errorf("acknowledgements of house rules: %w", err)
		}
		if err := tx.ForgetRefusals(tx.Now.Add(-keepRefusals)); err != nil {
			return fmt.Errorf("refusals: %w", err)
		}
		return nil
	})
}
