package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

// The exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], world{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv})
	stop()
	os.Exit(status)
}

// world is what a process is given.
type world struct {
	in       *os.File
	out, err *os.File
	env      func(string) string
}

// commands is the grammar. The help stands in help.go, in both languages.
type commands struct {
	Login       loginCommand       `cmd:"" help:"${login}"`
	Logout      logoutCommand      `cmd:"" help:"${logout}"`
	Whoami      whoamiCommand      `cmd:"" help:"${whoami}"`
	Factor      factorCommands     `cmd:"" help:"${factor}"`
	Approve     approveCommand     `cmd:"" help:"${approve}"`
	Find        findCommand        `cmd:"" help:"${find}"`
	Why         whyCommand         `cmd:"" help:"${why}"`
	Person      personCommands     `cmd:"" help:"${person}"`
	Device      deviceCommands     `cmd:"" help:"${device}"`
	Invite      inviteCommand      `cmd:"" help:"${invite}"`
	Sessions    sessionsCommand    `cmd:"" help:"${sessions}"`
	Concurrency concurrencyCommand `cmd:"" help:"${concurrency}"`
	Capacity    capacityCommands   `cmd:"" help:"${capacity}"`
	Products    productsCommand    `cmd:"" help:"${products}"`
	Seats       seatsCommands      `cmd:"" help:"${seats}"`
	Licences    licencesCommand    `cmd:"" help:"${licences}"`
	Access      accessCommands     `cmd:"" help:"${access}"`
	Unused      unusedCommand      `cmd:"" help:"${unused}"`
	Lost        lostCommand        `cmd:"" help:"${lost}"`
	Proposals   proposalCommands   `cmd:"" help:"${proposals}"`
	Apply       applyCommand       `cmd:"" help:"${apply}"`
	Crisis      crisisCommands     `cmd:"" help:"${crisis}"`
	Conditions  conditionsCommand  `cmd:"" help:"${conditions}"`
	Gateway     gatewayCommands    `cmd:"" help:"${gateway}"`
	Directory   directoryCommands  `cmd:"" help:"${directory}"`
	Audit       auditCommands      `cmd:"" help:"${audit}"`
	Version     versionCommand     `cmd:"" help:"${version}"`

	Output string `short:"o" enum:"table,json,csv" default:"table" placeholder:"table|json|csv" help:"${output}"`
	Lang   string `enum:"de,en," default:"" placeholder:"de|en" help:"${lang}"`
}

// app is what a command works with.
type app struct {
	*printer
	world world
	log   *slog.Logger
}

func run(ctx context.Context, args []string, w world) int {
	l := speech.Of(args, w.env)
	p := &printer{out: w.out, err: w.err, form: formTable, language: l, progress: term.IsTerminal(int(w.err.Fd()))}
	a := &app{printer: p, world: w, log: slog.New(slog.DiscardHandler)}

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
		return p.fail(fmt.Errorf("reading the command line: %w", err))
	}
	if bare(args) {
		return a.greet(parser, help)
	}
	parsed, err := parser.Parse(args)
	if helped {
		fmt.Fprint(w.out, speech.Help(help.String(), "heimdraht", l))
		return exitDone
	}
	if err != nil {
		command := "heimdraht"
		var wrong *kong.ParseError
		if errors.As(err, &wrong) {
			command = commandOf(wrong.Context)
		}
		return p.fail(usageError{speech.Usage(err.Error(), l), command})
	}
	p.form = grammar.Output
	return p.fail(parsed.Run(a))
}

// bare reports that nothing is asked for: at most the language is told.
func bare(args []string) bool {
	switch len(args) {
	case 0:
		return true
	case 1:
		return strings.HasPrefix(args[0], "--lang=")
	case 2:
		return args[0] == "--lang"
	}
	return false
}

// greet answers who typed the bare name: without a login the next step is to
// log in, else the commands help.
func (a *app) greet(parser *kong.Kong, help *strings.Builder) int {
	if _, err := a.credentials(); err != nil {
		if status := a.fail(err); status == exitFailed {
			fmt.Fprintln(a.printer.err)
		}
	}
	if parsed, err := kong.Trace(parser, nil); err == nil {
		if err := parsed.PrintUsage(false); err != nil {
			return a.fail(err)
		}
	}
	fmt.Fprint(a.printer.err, speech.Help(help.String(), "heimdraht", a.language))
	return exitUsage
}

func commandOf(c *kong.Context) string {
	if c == nil || c.Selected() == nil {
		return "heimdraht"
	}
	return "heimdraht " + c.Selected().Path()
}
