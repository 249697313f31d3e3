package session

import (
	"context"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	// leftGrace is how long after the end laptops are left to move by themselves, as
	// those do that have understood: they have the next session before the former ends.
	leftGrace = 10 * time.Second
	// leftAtOnce is how many of the others are moved with each look.
	leftAtOnce = 500
)

// endDrained ends what is left on gateways that were to be empty by now, some at a time:
// laptops open the next session at once, on another gateway. Static peers stay: there
// is nobody who would move.
func (s *Service) endDrained(ctx context.Context, duty *store.Duty, now time.Time) error {
	gateways, err := store.Read(ctx, s.Store, (*store.Reader).GatewayStates)
	if err != nil {
		return fmt.Errorf("reading the gateways: %w", err)
	}
	for _, g := range gateways {
		leaving, ok := g.Leaving(now)
		if !ok || now.Before(leaving.By.Add(leftGrace)) || g.Open == 0 {
			continue
		}
		if err := s.endOn(ctx, duty, g.Name, leaving.Why); err != nil {
			return fmt.Errorf("moving the sessions of gateway %s: %w", g.Name, err)
		}
	}
	return nil
}

// endLeftAlone ends sessions that are being left for none.
func (s *Service) endLeftAlone(ctx context.Context, duty *store.Duty) error {
	// Mostly there is none: then nothing is locked.
	list, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]provisioner.Session, error) { return tx.LeftAlone(1) })
	if err != nil || len(list) == 0 {
		return err
	}
	return duty.Update(ctx, func(tx *store.Writer) error {
		list, err := tx.LeftAlone(closedAtOnce)
		for _, v := range list {
			if err == nil {
				_, err = tx.CloseSession(v, provisioner.CodeSessionElsewhere)
			}
		}
		return err
	})
}

// everyRevision is above all there are.
const everyRevision = 1<<63 - 1

func (s *Service) endOn(ctx context.Context, duty *store.Duty, gateway string, why provisioner.Code) error {
	for done := 0; done < leftAtOnce; {
		var n int
		if err := duty.Update(ctx, func(tx *store.Writer) error {
			list, err := tx.SessionsOpenedBefore(gateway, everyRevision, closedAtOnce)
			if n = len(list); err != nil {
				return err
			}
			for _, v := range list {
				if _, err := tx.CloseSession(v, why); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		if done += n; n < closedAtOnce {
			return nil
		}
	}
	return nil
}
