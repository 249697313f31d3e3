package main

import (
	"os"
	"path/filepath"

	"github.com/heimdraht/heimdraht/provisioner/config"
)

// places are where the system's daemon has its things.
type places struct{ config, state, socket string }

// socketPath is where a command looks for the daemon: where it was told, where agent.yaml says, where the
// person's own daemon listens, where the system's does.
func (a *app) socketPath() string {
	if a.socket != "" {
		return a.socket
	}
	// A file that cannot be read or is wrong is the daemon's to complain about.
	if c, err := config.LoadAgent(systemPlaces().config); err == nil && c.Socket != "" {
		return c.Socket
	}
	if own := a.ownSocket(); own != "" {
		if _, err := os.Lstat(own); err == nil {
			return own
		}
	}
	return systemPlaces().socket
}

// ownSocket is where a daemon without root's rights listens. Empty: there is no such place.
func (a *app) ownSocket() string {
	if dir := a.env("XDG_RUNTIME_DIR"); !a.self.admin && filepath.IsAbs(dir) {
		return filepath.Join(dir, "heimdraht", "agent.sock")
	}
	return ""
}

// listenPath is where this daemon listens.
func (a *app) listenPath(c config.Agent) string {
	switch {
	case a.socket != "":
		return a.socket
	case c.Socket != "":
		return c.Socket
	}
	if own := a.ownSocket(); own != "" {
		return own
	}
	return systemPlaces().socket
}

// statePath is where this daemon keeps keys and certificate (XDG Base Directory Specification, without root).
func (a *app) statePath(flag string, c config.Agent) string {
	switch {
	case flag != "":
		return flag
	case c.StateDir != "":
		return c.StateDir
	case a.self.admin:
		return systemPlaces().state
	}
	if dir := a.env("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "heimdraht-agent")
	}
	if home := a.env("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "heimdraht-agent")
	}
	return systemPlaces().state
}
