package main

import (
	"context"
	"errors"

	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/hostnet"
	"github.com/heimdraht/heimdraht/agent/wireguard"
)

type clearCommand struct {
	Config string `placeholder:"FILE" help:"${run_config}"`
	State  string `placeholder:"DIR" help:"${run_state}"`
}

// Run puts back what a daemon that was killed has changed on this machine: name servers, routes, interface. The next start
// would do so; before the program is removed there is none. A daemon that runs has the state directory, and this is refused.
func (c *clearCommand) Run(ctx context.Context, a *app) (err error) {
	settings, err := (&runCommand{Config: c.Config}).settings()
	if err != nil {
		return err
	}
	dir, err := openState(a.statePath(c.State, settings))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	host, err := hostnet.Open(hostnet.Options{StateDir: dir.Path()})
	if err != nil {
		return endpoint.StateDamaged(dir.Path(), err)
	}
	last := host.Interface() // another one than is configured, after a move
	if err := errors.Join(host.Clear(ctx), wireguard.RemoveKernel(settings.Interface)); err != nil || last == "" {
		return err
	}
	return wireguard.RemoveKernel(last)
}
