package entitlement

import (
	"context"

	"github.com/heimdraht/heimdraht/provisioner"
)

// BeginMove confirms a move, and then whoever confirmed it dies.
func BeginMove(ctx context.Context, s *Service, actor provisioner.Actor, hash, reason string) error {
	_, err := s.confirmMove(ctx, actor, hash, reason)
	return err
}
