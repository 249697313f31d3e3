//go:build linux

// Command heimdraht-bench is the load generator: thousands of simulated laptops
// and some gateways against a real control plane in a process of its own, on
// SQLite or PostgreSQL. It prints Go benchmark lines, which benchstat reads, on
// standard output and what it is doing on standard error.
//
// What is real: heimdrahtd, its TLS with a certificate for each laptop, the
// laptops' connections, timeouts, pauses and renewals (agent/endpoint, without a
// device), the gateways (agent/gateway, with their journal on disk) and, unless
// asked otherwise, their WireGuard devices, which hold as many peers as there are
// sessions. What is made up: the directory's people, the bytes that devices
// count, and the network: everything is on loopback addresses, and each laptop
// calls from one of its own, as a fleet behind many homes does.
//
// Load generator and control plane share the machine, so that rates are those of
// both together; the processor's time of the control plane alone stands beside
// them. Linux only: it reads /proc.
//
// Output rules: benchmark lines go to standard output, everything else to
// standard error. The exit status is 0 for done, 1 for failed, 2 for wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/provisioner/config"
)

// The exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

type flags struct {
	Bench string `default:"." placeholder:"REGEXP" help:"Run the benchmarks whose name matches. Default: all that the other flags allow."`
	List  bool   `help:"List the benchmarks, what each measures, and end."`

	Heimdrahtd           string `type:"path" placeholder:"FILE" help:"The control plane's program. Default: built from the source in this directory."`
	Database             string `placeholder:"DATABASE" help:"Where the control plane keeps its data. Empty: a SQLite file. \"postgres\": a PostgreSQL server of its own, made from this machine's programs. postgres://...: an empty database there."`
	DatabasePasswordFile string `type:"path" placeholder:"FILE" help:"The file of the database's password, if it wants one."`
	Profile              string `type:"path" placeholder:"DIR" help:"Write the control plane's CPU profile of each benchmark, and its heap at the end, into this directory."`

	Server    string `placeholder:"ADDRESS" help:"Measure a control plane that runs already on this machine: HOST:PORT#FINGERPRINT. Nothing must be declared there. What takes restarting it is left out."`
	TokenFile string `type:"path" placeholder:"FILE" help:"With --server: the file of an operator's one-time token (heimdrahtd operator-token --token-file FILE)."`
	PID       int    `name:"pid" placeholder:"PID" help:"With --server: its process, to read processor time and memory of."`

	Devices     int           `default:"29000" help:"How many devices the fleet has. Default: ${default}"`
	Laptops     int           `default:"0" help:"How many of them hold a connection where that is measured. 0: as many as there may be open files, at most the fleet."`
	Gateways    int           `default:"16" help:"How many gateways share the sessions. Default: ${default}"`
	GatewayMode string        `default:"device" enum:"device,memory" help:"device: WireGuard devices, 28 KB a peer; memory: peers are only noted, for very big runs. Default: ${default}"`
	Tenants     int           `default:"500" help:"How many tenants share the fleet; one of them has two fifths of the people. Default: ${default}"`
	Window      time.Duration `default:"60s" help:"How long load is kept up where a time is measured. Default: ${default}"`
	Limit       time.Duration `default:"10m" help:"How long one benchmark may take with its preparation. Default: ${default}"`
	Seed        uint64        `default:"1" help:"Of all that is drawn: names, who opens, what is counted. Default: ${default}"`
	Verbose     bool          `short:"v" help:"Show the log of gateways on standard error. The control plane's is shown when something fails."`
}

func main() {
	collectSeldom()
	if slices.Contains(os.Args[1:], crowdCommand) {
		os.Exit(playCrowd(os.Stdin, os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it without clearing up
	status := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// collectSeldom lets garbage lie while there is memory: looking through the
// laptops and peers that this process plays takes a processor from what is
// measured for seconds. GOGC and GOMEMLIMIT go before.
func collectSeldom() {
	var machine unix.Sysinfo_t
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" || unix.Sysinfo(&machine) != nil {
		return
	}
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(int64(machine.Totalram) * int64(machine.Unit) / 3)
}

// errUsage is what is wrong with the command line.
type errUsage struct{ why string }

func (e errUsage) Error() string { return e.why }

// start reads the command line and gives the exit status.
func start(ctx context.Context, args []string, out, errOut io.Writer) int {
	var f flags
	helped := false
	parser, err := kong.New(&f, kong.Name("heimdraht-bench"),
		kong.Description("The load generator of Heimdraht: thousands of simulated laptops and some gateways against a real control plane. Prints Go benchmark lines."),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 110}),
		kong.Writers(out, errOut), kong.Exit(func(int) { helped = true }))
	if err == nil {
		_, err = parser.Parse(args)
	}
	if helped {
		return exitDone
	}
	var chosen []bench
	if err == nil {
		chosen, err = f.check()
	}
	if err != nil {
		fmt.Fprintf(errOut, "heimdraht-bench: %v\nHelp: heimdraht-bench --help\n", err)
		return exitUsage
	}
	if f.List {
		for _, b := range chosen {
			fmt.Fprintf(out, "%-12s %s\n", b.name, b.what)
		}
		return exitDone
	}
	err = run(ctx, f, chosen, out, errOut)
	var usage errUsage
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintf(errOut, "heimdraht-bench: %v\n", err)
		return exitUsage
	case ctx.Err() != nil:
		fmt.Fprintln(errOut, "heimdraht-bench: interrupted; what was started has ended")
	default:
		fmt.Fprintf(errOut, "heimdraht-bench: %v\n", err)
	}
	return exitFailed
}

// check says what is wrong with the flags, and gives the benchmarks to run.
func (f *flags) check() ([]bench, error) {
	pattern, err := regexp.Compile(f.Bench)
	switch {
	case err != nil:
		return nil, errUsage{fmt.Sprintf("--bench is no regular expression: %v", err)}
	case f.Devices < 1 || f.Devices > maxDevices:
		return nil, errUsage{fmt.Sprintf("--devices is 1 to %d", maxDevices)}
	case f.Laptops < 0 || f.Laptops > f.Devices:
		return nil, errUsage{"--laptops is 0 to the number of devices"}
	case f.Gateways < 1 || f.Gateways > maxGateways:
		return nil, errUsage{fmt.Sprintf("--gateways is 1 to %d", maxGateways)}
	case f.Tenants < 1 || f.Tenants > maxTenants:
		return nil, errUsage{fmt.Sprintf("--tenants is 1 to %d", maxTenants)}
	case f.Window < time.Second || f.Limit < time.Second:
		return nil, errUsage{"--window and --limit are at least 1s"}
	case f.Server != "" && (f.TokenFile == "" || f.Database != "" || f.Heimdrahtd != "" || f.Profile != ""):
		return nil, errUsage{"--server wants --token-file, and neither --database, --heimdrahtd nor --profile"}
	case f.DatabasePasswordFile != "" && (f.Database == "" || f.Database == ownPostgres):
		return nil, errUsage{"--database-password-file is for --database postgres://..."}
	case f.Database != "" && f.Database != ownPostgres && !(config.ControlPlane{Database: f.Database}).OnPostgres():
		return nil, errUsage{"--database is \"postgres\" or postgres://USER@HOST/NAME; without it the data go into a SQLite file"}
	case f.Server == "" && (f.TokenFile != "" || f.PID != 0):
		return nil, errUsage{"--token-file and --pid are for --server"}
	}
	var chosen []bench
	for _, b := range benches() {
		if pattern.MatchString(b.name) && (f.Server == "" || !b.restarts) {
			chosen = append(chosen, b)
		}
	}
	if len(chosen) == 0 {
		return nil, errUsage{fmt.Sprintf("no benchmark matches %q; heimdraht-bench --list names them", f.Bench)}
	}
	return chosen, nil
}
