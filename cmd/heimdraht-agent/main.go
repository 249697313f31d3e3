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
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

// The exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	if status, isService := runService(os.Args[1:]); isService {
		os.Exit(status)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], standardWorld())
	stop()
	os.Exit(status)
}

// world is what a process is given.
type world struct {
	in       *os.File
	out, err io.Writer
	env      func(string) string
	self     peer
	// handler of the log, as from a level. Nil: text to err.
	handler func(slog.Leveler) slog.Handler
	// resumed says that the machine was asleep, and logins that somebody has signed in or out. Nil: nobody says so.
	resumed, logins <-chan struct{}
}

// commands is the grammar. The help stands in help.go, in both languages.
type commands struct {
	Enrol     enrolCommand     `cmd:"" help:"${enrol}"`
	Up        upCommand        `cmd:"" help:"${up}"`
	Open      openCommand      `cmd:"" help:"${open}"`
	Down      downCommand      `cmd:"" help:"${down}"`
	Status    statusCommand    `cmd:"" help:"${status}"`
	SignIn    signInCommand    `cmd:"" help:"${sign_in}"`
	Factor    factorCommands   `cmd:"" help:"${factor}"`
	Rules     rulesCommand     `cmd:"" help:"${rules}"`
	Accounts  accountsCommands `cmd:"" help:"${accounts}"`
	Run       runCommand       `cmd:"" help:"${run}"`
	Configure configureCommand `cmd:"" help:"${configure}"`
	Clear     clearCommand     `cmd:"" help:"${clear}"`
	Version   versionCommand   `cmd:"" help:"${version}"`

	TellScreen tellScreenCommand `cmd:"" hidden:"" help:"${tell_screen}"`

	Socket  string `placeholder:"FILE" help:"${socket}"`
	Account string `placeholder:"NAME" help:"${account}"`
	Lang    string `enum:"de,en," default:"" placeholder:"de|en" help:"${lang}"`
}

// app is what a command works with.
type app struct {
	world
	language speech.Language
	socket   string // as the flag has it; empty: the usual place
	account  string // for whom an administrator asks, as the flag has it; empty: see forWhom
	command  string // which command it is, for its help
}

// run runs one command and returns the exit status.
func run(ctx context.Context, args []string, w world) int {
	l := speech.Of(args, w.env)
	a := &app{world: w, language: l}
	var grammar commands
	// Kong ends the process after --help; this one ends in main only.
	helped := false
	help := &strings.Builder{}
	parser, err := kong.New(&grammar,
		grammarIn(l),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Writers(help, io.Discard),
		kong.Exit(func(int) { helped = true }),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		return a.fail(fmt.Errorf("reading the command line: %w", err))
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if helped {
		show(w.out, speech.Help(help.String(), "heimdraht-agent", l))
		return exitDone
	}
	if err != nil {
		return a.fail(usageError{what: speech.Usage(err.Error(), l), command: commandOf(err)})
	}
	a.socket, a.account, a.command = grammar.Socket, grammar.Account, "heimdraht-agent "+parsed.Selected().Path()
	return a.fail(parsed.Run(a))
}

// commandOf names the command whose help tells more.
func commandOf(err error) string {
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context != nil && wrong.Context.Selected() != nil {
		return "heimdraht-agent " + wrong.Context.Selected().Path()
	}
	return "heimdraht-agent"
}

type versionCommand struct{}

// Run shows which program this is.
func (versionCommand) Run(a *app) error {
	_, err := fmt.Fprintln(a.out, "heimdraht-agent", version())
	return err
}

// version is what the Go toolchain recorded of the source.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
