package main

import (
	"errors"

	"github.com/heimdraht/heimdraht/agent/gateway"
)

type clearCommand struct{}

// Run takes away what `run --leave-tunnels` left. While the service runs it has the state directory, and this is refused.
func (clearCommand) Run(a *app) (err error) {
	settings, _, err := a.settings()
	if err != nil {
		return err
	}
	dir, err := openAsOwner(settings.StateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	return gateway.Host{Interface: settings.Interface}.Clear()
}
