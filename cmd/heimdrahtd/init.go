package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"github.com/heimdraht/heimdraht/provisioner/app"
	"github.com/heimdraht/heimdraht/provisioner/config"
)

type initCommand struct {
	Name                 []string `placeholder:"NAME" help:"DNS names and addresses under which laptops and gateways reach this server. Asked for on a terminal."`
	Listen               string   `placeholder:"HOST:PORT" help:"Where to listen. Default: :8443"`
	StateDir             string   `placeholder:"DIR" help:"Where the database goes. Default: /var/lib/heimdraht"`
	Database             string   `placeholder:"DSN" help:"PostgreSQL instead of a file in the state directory: postgres://USER@HOST/NAME, without a password."`
	DatabasePasswordFile string   `placeholder:"FILE" help:"The file with the password for PostgreSQL."`
	MasterKey            string   `placeholder:"FILE" help:"Where the master key goes. Default: /etc/heimdraht/master.key"`
	Metrics              string   `placeholder:"HOST:PORT" help:"Where metrics and health are served. Default: 127.0.0.1:9443"`
	TokenFile            string   `placeholder:"FILE" help:"Write the operator's token into this new file instead of showing it."`
}

// Run implements the command. It never touches what is there already, but goes
// on from where an earlier one was interrupted.
func (i initCommand) Run(ctx context.Context, grammar *commands, s streams) error {
	c := config.DefaultControlPlane()
	for _, given := range []struct {
		value string
		to    *string
	}{{i.Listen, &c.Listen}, {i.StateDir, &c.StateDir}, {i.MasterKey, &c.MasterKeyFile}, {i.Metrics, &c.MetricsListen}} {
		if given.value != "" {
			*given.to = given.value
		}
	}
	c.Database = cmp.Or(i.Database, filepath.Join(c.StateDir, "heimdraht.db"))
	c.DatabasePasswordFile = i.DatabasePasswordFile
	if _, err := os.Stat(grammar.Config); err == nil {
		return &app.SetupError{Code: "file-there", What: grammar.Config + " is there already", Next: "To look whether all is well: heimdrahtd check. Another token for an operator: heimdrahtd operator-token. To begin anew, move the file away, and database and master key too."}
	}
	names, err := i.names(s)
	if err != nil {
		return err
	}
	c.Names = names
	// Before keys are made: what is half begun could not be begun again.
	if err := c.Validate(); err != nil {
		return &app.SetupError{Code: "values-invalid", What: "these values cannot be used", Next: "Correct them and begin again; nothing was made.", Err: err}
	}
	if err := placeFor(grammar.Config); err != nil {
		return &app.SetupError{Code: "file-unwritable", What: "cannot write the configuration", Next: "Run as root, or name another place with --config.", Err: err}
	}
	if _, err := os.Lstat(i.TokenFile); i.TokenFile != "" && err == nil {
		return tokenFileThere(i.TokenFile)
	}
	made, err := app.Init(ctx, c)
	if err != nil {
		return err
	}
	// The configuration is written last: while it is missing, init can be repeated.
	if i.TokenFile != "" {
		if err := writeToken(i.TokenFile, made.Token); err != nil {
			return err
		}
	}
	if err := config.WriteDefault(grammar.Config, c); err != nil {
		return &app.SetupError{Code: "file-unwritable", What: "cannot write the configuration", Next: "Run as root, or name another place with --config.", Err: err}
	}
	return i.report(s.out, grammar.Config, c, made)
}

// placeFor makes the directory of a file and sees that files can be made there.
func placeFor(file string) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// names asks for what init cannot know.
func (i initCommand) names(s streams) ([]string, error) {
	if len(i.Name) > 0 {
		return i.Name, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("reading this machine's name: %w", err)
	}
	if !term.IsTerminal(int(s.in.Fd())) {
		return nil, &app.SetupError{
			Code: "name-missing",
			What: "nobody is there to be asked under which name laptops and gateways reach this server",
			Next: "Say it: heimdrahtd init --name vpn.stadt.example",
		}
	}
	fmt.Fprintf(s.err, "Under which names or addresses do laptops and gateways reach this server?\nSeveral with spaces between them [%s]: ", host)
	line, err := bufio.NewReader(s.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if names := strings.Fields(line); len(names) > 0 {
		return names, nil
	}
	return []string{host}, nil
}

func (i initCommand) report(w io.Writer, file string, c config.ControlPlane, made app.Initial) error {
	fmt.Fprintf(w, "Configuration  %s\nMaster key     %s  (keep a copy in another place than the backups)\nDatabase       %s\nFingerprint    %s\n\n",
		file, c.MasterKeyFile, c.Database, made.Fingerprint)
	showToken(w, i.TokenFile, made.Token, made.Expires)
	_, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("reading the port to listen on: %w", err)
	}
	program, token := "heimdrahtd", "--token"
	if file != config.ControlPlaneFile {
		program += " --config " + file
	}
	if i.TokenFile != "" {
		token += "-file " + i.TokenFile
	}
	fmt.Fprintf(w, "Next:\n    %[1]s check && %[1]s run\n    heimdraht login %[2]s %[3]s#%[4]s\n",
		program, token, net.JoinHostPort(c.Names[0], port), made.Fingerprint)
	return nil
}
