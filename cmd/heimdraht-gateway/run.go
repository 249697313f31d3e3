package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/gateway"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/provisioner/config"
)

type runCommand struct {
	Userspace bool `help:"${run_userspace}"`
	Verbose   bool `short:"v" help:"${run_verbose}"`
}

// Run is the service. It ends with the context, which is no error.
func (c *runCommand) Run(ctx context.Context, a *app) (err error) {
	settings, _, err := a.settings()
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if c.Verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
	servers, err := control.ParseServers(settings.Servers)
	if err != nil {
		return fileUnusable(a.grammar.Config, words{err.Error(), err.Error()})
	}
	dir, err := openState(settings.StateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	g, err := gateway.New(gateway.Options{
		Servers: servers, State: dir, ListenPort: settings.ListenPort, Version: version(), Language: string(a.language), Logger: log,
		Open: gateway.Host{Interface: settings.Interface, Mode: c.mode(settings), Logger: log}.Open,
	})
	if err != nil {
		return err
	}
	log.Info("the gateway runs", "version", version(), "state", settings.StateDir)
	err = g.Run(ctx)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		log.Info("the gateway has stopped")
		return nil
	}
	return err
}

func (c *runCommand) mode(settings config.Gateway) wireguard.Mode {
	switch {
	case c.Userspace, settings.Mode == config.ModeUserspace:
		return wireguard.Userspace
	case settings.Mode == config.ModeKernel:
		return wireguard.Kernel
	}
	return wireguard.Auto
}
