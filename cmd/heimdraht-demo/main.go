// Command heimdraht-demo runs the whole of Heimdraht on one machine, in one
// process, without root, packages or network: a directory, the control plane,
// a gateway with an intranet page behind it, and a laptop.
//
// It walks through the main job, prints a line for each step with its time,
// and stops with status 1 at the first that does not truly hold. With --exit
// it ends after the last one; otherwise everything stays up until Ctrl-C, with
// commands to try.
//
// Everything listens on 127.0.0.1 and is kept in a temporary directory, which
// is removed at the end.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

type flags struct {
	Exit    bool `help:"End after the last step instead of staying up until Ctrl-C."`
	Verbose bool `short:"v" help:"Show the log of all parts on standard error."`
}

// The exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// start reads the command line and gives the exit status.
func start(ctx context.Context, args []string, out, errOut io.Writer) int {
	var f flags
	helped := false
	parser, err := kong.New(&f, kong.Name("heimdraht-demo"),
		kong.Description("The whole of Heimdraht on one machine, in one process, without root."),
		kong.Writers(out, errOut), kong.Exit(func(int) { helped = true }))
	if err == nil {
		_, err = parser.Parse(args)
	}
	switch {
	case helped:
		return exitDone
	case err != nil:
		fmt.Fprintf(errOut, "heimdraht-demo: %v\nHelp: heimdraht-demo --help\n", err)
		return exitUsage
	case run(ctx, f, out, errOut) != nil:
		return exitFailed
	}
	return exitDone
}

// timeLimit is for all steps together; they take a few seconds.
const timeLimit = 2 * time.Minute

func run(ctx context.Context, f flags, out, errOut io.Writer) (err error) {
	log := slog.New(slog.DiscardHandler)
	if f.Verbose {
		log = slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	d, err := newDemo(log)
	if err != nil {
		fmt.Fprintln(errOut, "heimdraht-demo:", err)
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	limited, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	began := time.Now()
	for _, s := range d.steps() {
		from := time.Now()
		said, err := s.do(limited)
		took := time.Since(from).Round(time.Millisecond)
		if err != nil {
			fmt.Fprintf(out, "FAILED %8s  %s: %v\n", took, s.name, err)
			return err
		}
		fmt.Fprintf(out, "ok     %8s  %s: %s\n", took, s.name, said)
	}
	fmt.Fprintf(out, "\nAll of it held, in %s.\n", time.Since(began).Round(time.Millisecond))
	if f.Exit {
		return nil
	}
	d.invite(out)
	select {
	case <-ctx.Done():
		fmt.Fprintln(out, "\nEnding.")
		return nil
	case err := <-d.broken:
		return err
	}
}
