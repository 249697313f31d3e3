package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/gateway"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/cmd/internal/service"
	"github.com/heimdraht/heimdraht/provisioner/config"
)

type runCommand struct {
	Userspace    bool `help:"${run_userspace}"`
	LeaveTunnels bool `help:"${run_leave}"`
	Verbose      bool `short:"v" help:"${run_verbose}"`
}

// Run is the service. It ends with the context, which is no error.
func (c *runCommand) Run(ctx context.Context, a *app) (err error) {
	settings, _, err := a.settings()
	if err != nil {
		return err
	}
	var level slog.LevelVar
	if err := c.setLevel(&level, settings); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: &level}))
	manager := service.New(a.env, log)
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
		LeaveTunnels: c.LeaveTunnels,
		Open:         gateway.Host{Interface: settings.Interface, Mode: c.mode(settings), Logger: log}.Open,
	})
	if err != nil {
		return err
	}
	log.Info("the gateway runs", "version", version(), "state", settings.StateDir)
	err = tellAndRun(ctx, g, manager, func() error { return c.reload(a, g, settings, &level) })
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		log.Info("the gateway has stopped")
		return nil
	}
	return err
}

// tellAndRun runs the gateway, and tells the service manager how it is.
func tellAndRun(ctx context.Context, g *gateway.Gateway, manager *service.Manager, reload func() error) error {
	group, ctx := errgroup.WithContext(ctx)
	context.AfterFunc(ctx, manager.Stopping)
	group.Go(func() error { return g.Run(ctx) })
	group.Go(func() error {
		if err := g.Alive(ctx); err != nil {
			return nil //nolint:nilerr // it ends already, and Run says why
		}
		manager.Ready()
		return manager.Watch(ctx, g.Alive)
	})
	group.Go(func() error { return manager.Reloads(ctx, reload) })
	return group.Wait()
}

// reload takes up what may change while tunnels stand, the servers and how much is logged, or nothing at all.
func (c *runCommand) reload(a *app, g *gateway.Gateway, before config.Gateway, level *slog.LevelVar) error {
	now, found, err := a.settings()
	if err != nil {
		return err
	}
	if !found {
		return unreadable(a.grammar.Config, fs.ErrNotExist)
	}
	if err := service.NeedsRestart(restartKeys(before, now)...); err != nil {
		return err
	}
	servers, err := control.ParseServers(now.Servers)
	if err == nil {
		err = g.SetServers(servers)
	}
	if err != nil {
		return err
	}
	return c.setLevel(level, now)
}

// restartKeys are the keys of gateway.yaml that differ and are read at the start only.
func restartKeys(before, after config.Gateway) (keys []string) {
	for _, k := range []struct {
		key  string
		same bool
	}{
		{"state_dir", before.StateDir == after.StateDir},
		{"interface", before.Interface == after.Interface},
		{"listen_port", before.ListenPort == after.ListenPort},
		{"mode", before.Mode == after.Mode},
	} {
		if !k.same {
			keys = append(keys, k.key)
		}
	}
	return keys
}

func (c *runCommand) setLevel(level *slog.LevelVar, settings config.Gateway) error {
	if c.Verbose {
		level.Set(slog.LevelDebug)
		return nil
	}
	if err := level.UnmarshalText([]byte(settings.LogLevel)); err != nil {
		return fmt.Errorf("reading log_level: %w", err)
	}
	return nil
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
