package tenancy

import (
	"context"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Applying is an Apply that tests take step by step.
type Applying struct{ a *applying }

// Begin does nothing yet.
func (s *Service) Begin(actor provisioner.Actor, d Declaration) (Applying, error) {
	a, err := s.begin(actor, d, "in slices")
	return Applying{a}, err
}

// Next writes one slice.
func (a Applying) Next(ctx context.Context) (finished bool, err error) { return a.a.next(ctx) }

// Late compares, has something else done, and writes a slice.
func (a Applying) Late(ctx context.Context, between func()) (finished bool, err error) {
	p, err := a.a.plan(ctx, a.a.actor, provisioner.ActionApply, a.a.left)
	if err != nil {
		return false, err
	}
	between()
	return a.a.slice(ctx, p)
}

// Finish writes what is left.
func (a Applying) Finish(ctx context.Context) error { return a.a.finish(ctx) }

// Written is how many objects were.
func (a Applying) Written() int { return len(a.a.done) }

// CloseAstray is what follows each slice that changes gateways.
func (s *Service) CloseAstray(ctx context.Context, gateways ...string) error {
	return s.closeAstray(ctx, gateways)
}

// Sound judges the addresses of what is stored.
func (s *Service) Sound(ctx context.Context) error {
	d, err := store.Read(ctx, s.Store, (*store.Reader).Declared)
	if err != nil {
		return err
	}
	return worldOf(d).checkAddresses()
}
