package rpc

import (
	"context"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// tokenLooked is how often it is looked whether a token still stands for what a
// stream began with. A call is looked at when it begins; a stream may last.
const tokenLooked = 3 * time.Second

// whileSignedIn ends a stream of somebody who is signed in by a token when that
// ends, or any of the roles goes that it stood for: with what remains, she asks
// again. stop ends the looking.
func (g gate) whileSignedIn(ctx context.Context) (_ context.Context, stop func()) {
	token := tokenOf(ctx)
	if token == "" {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		look := time.NewTicker(tokenLooked)
		defer look.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
			}
			if refusal := g.lost(ctx, token); refusal != nil {
				cancel(refusal)
				return
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-ended
	}
}

// lost is the refusal for whom a token does not stand any more as it did. Where that
// cannot be looked up, nothing is said.
func (g gate) lost(ctx context.Context, token string) *provisioner.Refusal {
	now, err := g.tokens.Authenticate(ctx, token)
	if refusal, ok := provisioner.AsRefusal(err); ok && refusal.Kind() != provisioner.KindUnavailable {
		return refusal
	}
	gone := func(g provisioner.Grant) bool { return !slices.Contains(now.Grants, g) }
	if err == nil && slices.ContainsFunc(actorOf(ctx).Grants, gone) {
		return provisioner.Refuse(provisioner.CodeNotAllowed)
	}
	return nil
}
