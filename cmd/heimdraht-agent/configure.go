package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/provisioner/config"
)

// configureCommand is how an installer or device management writes agent.yaml without knowing its form. None of the flags
// is a secret. What is empty stays as it is: an installer passes on properties that nobody has set.
type configureCommand struct {
	Config   string `placeholder:"FILE" help:"${run_config}"`
	Server   string `placeholder:"HOST:PORT,…" help:"${configure_server}"`
	CASHA256 string `name:"ca-sha256" placeholder:"HEX" help:"${configure_ca}"`
	Tenant   string `placeholder:"NAME" help:"${configure_tenant}"`
	Start    string `enum:"boot,login,manual," default:"" placeholder:"boot|login|manual" help:"${configure_start}"`
	Shared   string `enum:"true,false," default:"" placeholder:"true|false" help:"${configure_shared}"`
}

// Run writes what differs. A service that runs reads it when it is started the next time.
func (c *configureCommand) Run(_ context.Context, a *app) error {
	file := c.Config
	if file == "" {
		file = systemPlaces().config
	}
	before, err := config.LoadAgent(file)
	if !errors.Is(err, fs.ErrNotExist) && state.Trusted(file) != nil {
		err = fs.ErrNotExist // whoever laid it there is no administrator, and is not to say anything
	}
	var invalid config.Problems
	switch {
	case errors.Is(err, fs.ErrNotExist):
		before = config.DefaultAgent()
	case c.nothing(): // also where it is wrong: that is not ours to mend
		return nil
	case errors.As(err, &invalid):
		return err
	case err != nil:
		return fileUnusable(file, plain(err)).Because(err)
	}
	after := c.over(before)
	if err == nil && reflect.DeepEqual(before, after) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fileUnusable(file, plain(err)).Because(err)
	}
	if err := config.ReplaceAgent(file, after); err != nil {
		if errors.As(err, &invalid) { // nothing was written: what is wrong is what was stated
			return usageError{what: stated(invalid), command: "heimdraht-agent configure"}
		}
		return fileUnusable(file, plain(err)).Because(err)
	}
	a.say(words{"Eingerichtet: " + file, "Configured: " + file}.in(a.language))
	return nil
}

// stated are mistakes of settings that are in no file.
func stated(mistakes config.Problems) string {
	var list []string
	for _, p := range mistakes {
		list = append(list, p.Message)
	}
	return strings.Join(list, "\n")
}

func (c *configureCommand) nothing() bool {
	return strings.TrimSpace(c.Server+c.CASHA256+c.Tenant+c.Start+c.Shared) == ""
}

// over lays what was stated over settings.
func (c *configureCommand) over(a config.Agent) config.Agent {
	if servers := strings.FieldsFunc(c.Server, func(r rune) bool { return r == ',' || r == ';' || r == ' ' }); len(servers) > 0 {
		a.Servers = servers
	}
	if s := strings.TrimSpace(c.CASHA256); s != "" {
		a.CASHA256 = s
	}
	if s := strings.TrimSpace(c.Tenant); s != "" {
		a.Tenant = s
	}
	if c.Start != "" {
		a.Start = config.Start(c.Start)
	}
	if c.Shared != "" {
		a.Shared = c.Shared == "true"
	}
	return a
}
