// Command heimdrahtd is the control plane of Heimdraht.
//
//	heimdrahtd init            ask what is needed, write configuration and keys, show the first operator's token
//	heimdrahtd check           say of configuration, database, directories and certificates what is wrong
//	heimdrahtd run             serve until SIGTERM
//	heimdrahtd operator-token  make another one-time token for an operator
//	heimdrahtd backup          write a copy of the database, while it runs
//	heimdrahtd restore         put a backup in the place of the database
//	heimdrahtd rollover        replace the control plane's keys
//	heimdrahtd version
//
// Output rules: what was asked for goes to standard output, everything else to
// standard error; errors say what happened, why, what to do, and a code to look it up by. The exit
// status is 0 for done, 1 for failed, 2 for wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sync/errgroup"

	"github.com/heimdraht/heimdraht/cmd/internal/service"
	"github.com/heimdraht/heimdraht/provisioner/app"
	"github.com/heimdraht/heimdraht/provisioner/config"
)

// The exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it without waiting for calls under way
	status := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(status)
}

// streams are the standard ones.
type streams struct {
	in       *os.File
	out, err io.Writer
}

type commands struct {
	Init          initCommand     `cmd:"" help:"Ask what is needed, write configuration and keys, and show the first operator's one-time token."`
	Check         checkCommand    `cmd:"" help:"Say of configuration, keys, database, certificates and directories, a line each, ok or what is wrong."`
	Run           runCommand      `cmd:"" help:"Serve until SIGTERM or Ctrl-C."`
	OperatorToken tokenCommand    `cmd:"" help:"Make another one-time token for an operator. A former one that nobody has used dies."`
	Backup        backupCommand   `cmd:"" help:"Write one consistent copy of the database, while the control plane runs."`
	Restore       restoreCommand  `cmd:"" help:"Put a backup in the place of the database, with everything taken that was taken since."`
	Rollover      rolloverCommand `cmd:"" help:"Replace the CA, the root of session keys, or the master key."`
	Version       versionCommand  `cmd:"" help:"Show the version."`
	Config        string          `default:"${config}" placeholder:"FILE" help:"The configuration file. Default: ${config}"`
}

func run(ctx context.Context, args []string, s streams) int {
	var grammar commands
	ended := -1
	parser, err := kong.New(&grammar,
		called(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Writers(s.out, s.err), kong.Exit(func(status int) { ended = status }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(s),
	)
	if err != nil {
		return fail(s.err, fmt.Errorf("reading the command line: %w", err))
	}
	parsed, err := parser.Parse(args)
	if ended >= 0 {
		return ended
	}
	if err != nil {
		fmt.Fprintf(s.err, "heimdrahtd: %v\nHelp: heimdrahtd --help\n(wrong-usage)\n", err)
		return exitUsage
	}
	return fail(s.err, parsed.Run(&grammar))
}

// called names the program and fills in its help.
func called() kong.Option {
	return kong.OptionFunc(func(k *kong.Kong) error {
		return errors.Join(
			kong.Name("heimdrahtd").Apply(k), kong.Description("The control plane of Heimdraht: VPN access for people who work from home.").Apply(k),
			kong.Vars{"config": config.ControlPlaneFile}.Apply(k),
		)
	})
}

// errSaid says that the command has failed and has already said why.
var errSaid = errors.New("failed")

// fail prints an error and gives the exit status; nil is done.
func fail(w io.Writer, err error) int {
	var setup *app.SetupError
	var invalid config.Problems
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errSaid):
	case errors.As(err, &setup):
		fmt.Fprintf(w, "heimdrahtd: %v\n%s\n(%s)\n", err, setup.Next, setup.Code)
	case errors.As(err, &invalid):
		fmt.Fprintf(w, "heimdrahtd: %v\nCorrect the file.\n(file-invalid)\n", err)
	default:
		fmt.Fprintf(w, "heimdrahtd: %v\n(failed)\n", err)
	}
	return exitFailed
}

func (c *commands) load() (config.ControlPlane, error) {
	loaded, err := config.LoadControlPlane(c.Config)
	if errors.Is(err, os.ErrNotExist) {
		return loaded, &app.SetupError{Code: "file-missing", What: "there is no configuration " + c.Config, Next: "Make it with: heimdrahtd init, or name it with --config."}
	}
	return loaded, err
}

type runCommand struct{}

// Run implements the command.
func (runCommand) Run(ctx context.Context, grammar *commands, s streams) error {
	c, err := grammar.load()
	if err != nil {
		return err
	}
	var level slog.LevelVar
	if err := setLevel(&level, c); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: &level, ReplaceAttr: inUTC}))
	manager := service.New(os.Getenv, log)
	a, err := app.New(ctx, app.Options{Config: c, Logger: log})
	if err != nil {
		return err
	}
	return serve(ctx, a, manager, func() error { return reload(grammar, a, &level) })
}

// serve runs the control plane, and tells the service manager how it is.
func serve(ctx context.Context, a *app.App, manager *service.Manager, reload func() error) error {
	group, ctx := errgroup.WithContext(ctx)
	context.AfterFunc(ctx, manager.Stopping)
	beside, end := context.WithCancel(ctx)
	group.Go(func() error {
		defer end()
		return a.Run(ctx)
	})
	group.Go(func() error {
		if err := a.Alive(beside); err != nil {
			return nil //nolint:nilerr // it ends already, and Run says why
		}
		manager.Ready()
		return manager.Watch(beside, a.Alive)
	})
	group.Go(func() error { return manager.Reloads(beside, reload) })
	return group.Wait()
}

// reload reads the configuration anew, and takes up all of it or nothing.
func reload(grammar *commands, a *app.App, level *slog.LevelVar) error {
	c, err := grammar.load()
	if err == nil {
		err = a.Reload(c)
	}
	if err != nil {
		return err
	}
	return setLevel(level, c)
}

func setLevel(level *slog.LevelVar, c config.ControlPlane) error {
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return fmt.Errorf("reading log_level: %w", err)
	}
	return nil
}

// inUTC prints the time of log lines in UTC, so that those of several machines
// can be laid side by side.
func inUTC(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		a.Value = slog.TimeValue(a.Value.Time().UTC())
	}
	return a
}

type checkCommand struct{}

// Run implements the command.
func (checkCommand) Run(ctx context.Context, grammar *commands, s streams) error {
	failed := false
	say := func(f app.Finding) {
		word := "ok   "
		if !f.OK {
			word, failed = "WRONG", true
		}
		fmt.Fprintf(s.out, "%s  %-15s  %s\n", word, f.What, f.Detail)
		if f.Next != "" {
			fmt.Fprintf(s.out, "       %-15s  -> %s\n", "", f.Next)
		}
		if f.Code != "" {
			fmt.Fprintf(s.out, "       %-15s  (%s)\n", "", f.Code)
		}
	}
	c, err := grammar.load()
	if err != nil {
		f := app.Finding{What: "configuration", Code: "file-invalid", Detail: err.Error(), Next: "Correct the file."}
		var setup *app.SetupError
		if errors.As(err, &setup) {
			f.Code, f.Next = setup.Code, setup.Next
		}
		say(f)
		return errSaid
	}
	say(app.Finding{What: "configuration", OK: true, Detail: grammar.Config})
	app.Check(ctx, c, say)
	if failed {
		return errSaid
	}
	return nil
}

type tokenCommand struct {
	TokenFile string `placeholder:"FILE" help:"Write the token into this new file instead of showing it."`
}

// Run implements the command.
func (t tokenCommand) Run(ctx context.Context, grammar *commands, s streams) error {
	c, err := grammar.load()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(t.TokenFile); t.TokenFile != "" && err == nil {
		return tokenFileThere(t.TokenFile) // before the former token dies
	}
	token, expires, err := app.OperatorToken(ctx, c)
	if err != nil {
		return err
	}
	if t.TokenFile != "" {
		if err := writeToken(t.TokenFile, token); err != nil {
			return err
		}
	}
	showToken(s.out, t.TokenFile, token, expires)
	return nil
}

// showToken shows a token once, or says in which file it lies.
func showToken(w io.Writer, file, token string, expires time.Time) {
	until := expires.Local().Format("2006-01-02 15:04")
	if file == "" {
		fmt.Fprintf(w, "One-time token for the operator, until %s:\n\n    %s\n\n", until, token)
		return
	}
	fmt.Fprintf(w, "The one-time token for the operator lies in %s, until %s.\n", file, until)
}

// writeToken writes a token into a new file, where only its owner reads it.
func writeToken(file, token string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return tokenFileThere(file)
	}
	if err != nil {
		return &app.SetupError{Code: "file-unwritable", What: "cannot write the token", Next: "Name with --token-file a file in a directory that is there and that you may write into.", Err: err}
	}
	_, err = fmt.Fprintln(f, token)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing the token: %w", errors.Join(err, os.Remove(file)))
	}
	return nil
}

func tokenFileThere(file string) error {
	return &app.SetupError{Code: "file-there", What: file + " is there already, and a token never overwrites a file", Next: "Name another file with --token-file, or remove that one."}
}

type versionCommand struct{}

// Run implements the command.
func (versionCommand) Run(s streams) error {
	version := "(unknown)"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
	}
	_, err := fmt.Fprintln(s.out, "heimdrahtd", version)
	return err
}
