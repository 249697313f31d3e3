package auditing

import "context"

// Checkpoint signs what has moved, now.
func (s *Service) Checkpoint(ctx context.Context) error { return s.checkpoint(ctx, s.Store.Update) }
