package warning

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	// lookForMessages is how soon a message goes out.
	lookForMessages = 5 * time.Second
	// firstPause and longestPause are those after failures of a message; each is at least half
	// as long, by chance.
	firstPause, longestPause = 10 * time.Second, time.Hour
	// GiveUpAfter is how long it is tried.
	GiveUpAfter = 3 * 24 * time.Hour
)

// RunDelivering sends messages to the receiver until ctx ends: one replica at a time does.
// Without a receiver it returns at once.
func (s *Service) RunDelivering(ctx context.Context) error {
	if s.Webhook == nil {
		return nil
	}
	return s.Store.Hold(ctx, "warning webhook", func(ctx context.Context, duty *store.Duty) error {
		// Another replica, or this one before it was stopped, has told the log already.
		receiving, err := store.Read(ctx, s.Store, (*store.Reader).Receiving)
		if err != nil {
			return fmt.Errorf("reading which messages wait: %w", err)
		}
		s.setFailing(!receiving.FailingSince.IsZero())
		for {
			more, err := s.deliver(ctx, duty.Update, time.Now())
			if err != nil && ctx.Err() == nil {
				s.Logger.Error("telling of warnings", "error", err)
			}
			pause := lookForMessages/2 + rand.N(lookForMessages/2)
			if more {
				pause = time.Millisecond
			}
			timer := time.NewTimer(pause)
			select {
			case <-ctx.Done():
				timer.Stop()
				return nil
			case <-timer.C:
			}
		}
	})
}

// deliver tries a message that is due, if one is, and notes what came of it; more tells that
// another one may be.
func (s *Service) deliver(ctx context.Context, write update, now time.Time) (more bool, err error) {
	m, err := store.Read(ctx, s.Store, func(tx *store.Reader) (store.WarningMessage, error) { return tx.DueWarningMessage(now) })
	if errors.Is(err, store.ErrNone) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading which message is due: %w", err)
	}
	failed := s.Webhook.Deliver(ctx, m.ID, []byte(m.Body))
	if failed == nil {
		if s.setFailing(false) {
			s.Logger.Info("the receiver gets warnings again")
		}
		return true, write(ctx, func(tx *store.Writer) error { return tx.WarningMessageTaken(m.Number) })
	}
	if err := ctx.Err(); err != nil {
		return false, err // it is not the receiver's fault
	}
	if !s.setFailing(true) {
		s.Logger.Warn("the receiver does not get warnings; they are tried again for three days", "message", m.ID, "error", failed)
	}
	if now.Sub(m.MadeAt) >= GiveUpAfter {
		s.Logger.Error("a warning did not reach its receiver, and is not tried again", "message", m.ID, "warning", m.Warning, "error", failed)
		return true, write(ctx, func(tx *store.Writer) error { return tx.GiveUpWarningMessage(m.Number) })
	}
	return true, write(ctx, func(tx *store.Writer) error {
		return tx.WarningMessageFailed(m.Number, now.Add(pauseAfter(m.Attempts)))
	})
}

// pauseAfter is how long a message waits that failed so often before.
func pauseAfter(attempts int64) time.Duration {
	pause := longestPause
	if attempts < 10 {
		pause = min(firstPause<<attempts, longestPause)
	}
	return pause/2 + rand.N(pause/2)
}

// setFailing notes whether deliveries fail, and tells what was noted before.
func (s *Service) setFailing(failing bool) (before bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, s.failing = s.failing, failing
	return before
}

// Test sends a message to the receiver and tells its id when the receiver has taken it.
func (s *Service) Test(ctx context.Context, actor provisioner.Actor) (id string, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionTestWarnings, provisioner.Object{}); refusal != nil {
		return "", refusal
	}
	if s.Webhook == nil {
		return "", provisioner.Refuse(provisioner.CodeWebhookMissing)
	}
	position, err := store.Read(ctx, s.Store, (*store.Reader).Position)
	if err != nil {
		return "", err
	}
	m, err := message{Type: typeTest, Timestamp: time.Now().UTC().Truncate(time.Millisecond), Data: data{
		Installation: position.Instance,
		Sentence:     sentence{"Dies ist ein Test: So kommen Warnungen an.", "This is a test: so warnings arrive."},
	}}.pack("")
	if err != nil {
		return "", err
	}
	if err := s.Webhook.Deliver(ctx, m.ID, []byte(m.Body)); err != nil {
		return "", provisioner.Refuse(provisioner.CodeWebhookFailed, "why", err.Error()).Because(err)
	}
	return m.ID, nil
}
