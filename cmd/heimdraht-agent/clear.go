package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/hostnet"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/provisioner/config"
)

type clearCommand struct {
	Config     string `placeholder:"FILE" help:"${run_config}"`
	State      string `placeholder:"DIR" help:"${run_state}"`
	Everything bool   `help:"${clear_everything}"`
}

// Run puts back what a daemon that was killed has changed on this machine: name servers, routes, interface. The next start
// would do so; before the program is removed there is none. A daemon that runs has the state directory, and this is refused.
// Settings that have been spoilt since are told of, and stand in the way of nothing.
//
// With Everything it also takes away settings, keys and certificate, as the uninstaller of a system does that knows no purge.
// Nothing is revoked by that.
func (c *clearCommand) Run(ctx context.Context, a *app) error {
	settings, unreadable := (&runCommand{Config: c.Config}).settings()
	switch {
	case unreadable == nil:
	case c.Everything: // whatever is wrong with the file, it goes
		settings, unreadable = config.DefaultAgent(), nil
	case c.Config == "": // the usual file has been spoilt since: what was changed is in the usual place, or in one that nobody knows
		settings = config.DefaultAgent()
	default:
		return unreadable
	}
	path := a.statePath(c.State, settings)
	file := c.Config
	if file == "" {
		file = systemPlaces().config
	}
	err := clearHost(ctx, path, settings)
	// A folder that is not the daemon's alone may be anything that somebody has named; the usual place is ours whatever was done to it.
	inUse := errors.Is(err, &control.Problem{Code: control.CodeStateInUse})
	foreign := errors.Is(err, &control.Problem{Code: control.CodeStateUnusable}) && path != systemPlaces().state
	if c.Everything && !inUse && !foreign {
		err = errors.Join(err, removeEverything(path, file))
	}
	if err == nil {
		err = unreadable
	}
	return err
}

func clearHost(ctx context.Context, path string, settings config.Agent) (err error) {
	dir, err := openState(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	host, err := hostnet.Open(hostnet.Options{StateDir: dir.Path()})
	if err != nil {
		return endpoint.StateDamaged(dir.Path(), err)
	}
	return clearNetwork(ctx, host, settings.Interface)
}

// clearNetwork puts back what stands in the journal of a host's network.
func clearNetwork(ctx context.Context, host *hostnet.Host, configured string) error {
	last := host.Interface() // another one than is configured, after a move
	if err := errors.Join(host.Clear(ctx), wireguard.RemoveKernel(configured)); err != nil || last == "" {
		return err
	}
	return wireguard.RemoveKernel(last)
}

// removeEverything removes the state directory, which is the daemon's alone (else it could not have been opened), the settings,
// and the folders around them that are empty then.
func removeEverything(stateDir, settings string) error {
	err := os.RemoveAll(stateDir)
	if gone := os.Remove(settings); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	if err != nil {
		return fmt.Errorf("removing settings, keys and certificate: %w", err)
	}
	_ = os.Remove(filepath.Dir(settings)) // unless it has something of somebody else
	return nil
}
