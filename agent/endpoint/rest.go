package endpoint

import (
	"context"
	"errors"
	"fmt"

	"github.com/heimdraht/heimdraht/agent/control"
)

// On a laptop that several people share each of them has an Endpoint, of which one at a time runs: Run owns the host's network.
// The others rest.

// Rest keeps the certificate of a laptop alive that does not run, until the context ends; it touches nothing else of the
// machine. It may be called once at a time, and not beside Run.
func (e *Endpoint) Rest(ctx context.Context) error {
	if err := e.keepRenewed(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("keeping a resting laptop's certificate: %w", err)
	}
	return nil
}

// Wanted says whether a connection is wanted, there or not.
func (e *Endpoint) Wanted() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.wanted
}

// Enrolled says whether somebody has enrolled it.
func (e *Endpoint) Enrolled() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.identity != nil
}

// Waits says whether its store keeps a code with which it waits for an approval, good or not.
func (e *Endpoint) Waits() bool {
	saved, err := e.loadWaiting()
	return err != nil || saved.DeviceCode != ""
}

// NotConnected says that there is no tunnel to go through.
func NotConnected() *control.Problem { return notConnected() }

// Forget removes from a store what makes a laptop somebody's: device, keys and certificate. Nothing is revoked by that.
func Forget(store control.Store) error {
	return errors.Join(store.Remove(deviceFile), control.ForgetIdentity(store), store.Remove(waitingFile))
}
