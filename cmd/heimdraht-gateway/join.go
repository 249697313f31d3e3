package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/gateway"
	"github.com/heimdraht/heimdraht/provisioner/config"
)

type joinCommand struct {
	Address   string `arg:"" name:"SERVER#FINGERPRINT" help:"${join_address}"`
	TokenFile string `placeholder:"FILE" help:"${join_token_file}"`
	Again     bool   `help:"${join_again}"`
}

// Run trades the token for a certificate and lays down the settings.
func (c *joinCommand) Run(ctx context.Context, a *app) (err error) {
	address, err := control.ParseAddress(c.Address)
	if err != nil {
		return usageError{words{
			"die Adresse hat die Form SERVER#FINGERABDRUCK oder SERVER:PORT#FINGERABDRUCK; der Fingerabdruck hat 64 Zeichen",
			err.Error()}.in(a.language), "heimdraht-gateway join"}
	}
	settings, found, err := a.settings()
	if err != nil {
		return err
	}
	if !found {
		// Before the token is used up: could the settings be kept?
		if err := writable(a.grammar.Config); err != nil {
			return err
		}
	}
	dir, err := openAsOwner(settings.StateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	token, err := a.token(ctx, c.TokenFile)
	if err != nil {
		return err
	}
	var joined gateway.Joined
	err = asOwner(settings.StateDir, func() (err error) {
		joined, err = gateway.Join(ctx, gateway.JoinOptions{
			Address: address, Token: token, State: dir, Again: c.Again, Version: version(), Language: string(a.language),
		})
		return err
	})
	if err != nil {
		return err
	}
	a.print(a.out, fmt.Sprintf(words{"Zugangsserver %s ist %s beigetreten.\n", "Gateway %s has joined %s.\n"}.in(a.language), joined.Gateway, joined.Server))
	if found {
		if !slices.Contains(settings.Servers, joined.Server) {
			a.print(a.err, fmt.Sprintf(words{"In %s steht ein anderer Server; nach ihr geht es: berichtigen Sie sie.\n", "%s names another server, and it is followed: correct it.\n"}.in(a.language), a.grammar.Config))
		}
	} else if err := a.writeSettings(settings, address); err != nil {
		return err
	}
	a.print(a.out, words{"Starten Sie den Dienst: systemctl enable --now heimdraht-gateway\n", "Start the service: systemctl enable --now heimdraht-gateway\n"}.in(a.language))
	return nil
}

// writable makes the folder of a file, and sees that files can be made there.
func writable(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return unreadable(file, err)
	}
	probe, err := os.CreateTemp(filepath.Dir(file), ".probe-*")
	if err != nil {
		return unreadable(file, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

func (a *app) writeSettings(settings config.Gateway, address control.Address) error {
	settings.Servers = []string{address.Server.String()}
	settings.ListenPort = 0 // the one that laptops are told
	if !address.Pin.IsZero() {
		settings.CASHA256 = address.Pin.String()
	}
	if err := config.WriteGateway(a.grammar.Config, settings); err != nil {
		return unreadable(a.grammar.Config, err)
	}
	a.print(a.out, fmt.Sprintf(words{"Einstellungen: %s\n", "Settings: %s\n"}.in(a.language), a.grammar.Config))
	return nil
}

// settings reads gateway.yaml. Before joining there need be none.
func (a *app) settings() (settings config.Gateway, found bool, err error) {
	file := a.grammar.Config
	settings, err = config.LoadGateway(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		settings = config.DefaultGateway()
	case err != nil:
		var invalid config.Problems
		if !errors.As(err, &invalid) {
			err = unreadable(file, err)
		}
		return config.Gateway{}, false, err
	default:
		found = true
	}
	if a.grammar.State != "" {
		path, err := filepath.Abs(a.grammar.State)
		if err != nil {
			return config.Gateway{}, false, fmt.Errorf("finding the state directory: %w", err)
		}
		settings.StateDir = path
	}
	return settings, found, nil
}
