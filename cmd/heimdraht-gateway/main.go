package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv})
	stop()
	os.Exit(status)
}

// commands is the grammar. The help stands in help.go, in both languages.
type commands struct {
	Join    joinCommand    `cmd:"" help:"${join}"`
	Run     runCommand     `cmd:"" help:"${run}"`
	Status  statusCommand  `cmd:"" help:"${status}"`
	Clear   clearCommand   `cmd:"" help:"${clear}"`
	Version versionCommand `cmd:"" help:"${version}"`

	Config string `placeholder:"FILE" default:"/etc/heimdraht/gateway.yaml" help:"${config}"`
	State  string `placeholder:"DIR" help:"${state}"`
	Lang   string `enum:"de,en," default:"" placeholder:"de|en" help:"${lang}"`
}

// app is what a command works with.
type app struct {
	in       *os.File
	out, err io.Writer
	env      func(string) string
	language speech.Language
	grammar  commands
}

func run(ctx context.Context, args []string, a *app) int {
	a.language = speech.Of(args, a.env)
	// Kong ends the process after --help; this one ends in main only.
	helped := false
	help := &strings.Builder{}
	parser, err := kong.New(&a.grammar,
		grammarIn(a.language),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Writers(help, io.Discard),
		kong.Exit(func(int) { helped = true }),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		return a.fail(fmt.Errorf("reading the command line: %w", err))
	}
	parsed, err := parser.Parse(args)
	if helped {
		a.print(a.out, speech.Help(help.String(), "heimdraht-gateway", a.language))
		return exitDone
	}
	if err != nil {
		command := "heimdraht-gateway"
		var wrong *kong.ParseError
		if errors.As(err, &wrong) && wrong.Context != nil && wrong.Context.Selected() != nil {
			command += " " + wrong.Context.Selected().Path()
		}
		return a.fail(usageError{speech.Usage(err.Error(), a.language), command})
	}
	return a.fail(parsed.Run(a))
}

// print writes for people; when nobody reads any more, nobody is to be told.
func (a *app) print(w io.Writer, text string) { _, _ = io.WriteString(w, text) }
