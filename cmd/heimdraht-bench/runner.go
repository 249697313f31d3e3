//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/gateway"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// runner is one invocation: everything that runs, and what benchmarks leave to those after them.
type runner struct {
	flags   flags
	say     *progress
	results *results
	log     *slog.Logger
	dir     string

	always context.Context // of everything that runs in this process; ends with the run
	end    context.CancelFunc
	runs   sync.WaitGroup
	broken chan error // the first part that ended by itself

	town      town
	directory directory
	postgres  postgres
	plane     plane
	operator  operator
	fleet     fleet
	crowd     crowd
	gateways  []*gateway.Gateway

	openFiles int
	laptops   []*laptop // enrolled, in order
	held      int       // of these the first so many hold a stream
	next      int       // the first one that was not used up by a benchmark
	rssBefore int64     // of the control plane, when no laptop was connected
}

// operator is who declares and revokes.
type operator struct {
	conn  *control.Conn
	token string
}

func (o *operator) as(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+o.token)
}

// run makes everything, runs the benchmarks in their order, and ends what it started.
func run(ctx context.Context, f flags, chosen []bench, out, errOut io.Writer) (err error) {
	r, err := newRunner(f, out, errOut)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.limited(ctx, "preparing", r.prepare); err != nil {
		return err
	}
	for _, b := range chosen {
		r.say.printf("== %s: %s", b.name, b.what)
		if err := r.limited(ctx, b.name, func(ctx context.Context) error { return r.profiled(ctx, b) }); err != nil {
			return err
		}
	}
	return r.heapProfile(ctx)
}

func newRunner(f flags, out, errOut io.Writer) (*runner, error) {
	r := &runner{
		flags: f, say: newProgress(errOut), results: &results{w: out, db: "sqlite"}, log: slog.New(slog.DiscardHandler),
		town:   town{people: min(f.Devices, maxDevices/2), tenants: min(f.Tenants, f.Devices), gateways: f.Gateways, seed: f.Seed},
		broken: make(chan error, 1),
	}
	switch {
	case f.Server != "":
		r.results.db = "given"
	case f.Database != "":
		r.results.db = "postgres"
	}
	if f.Verbose {
		r.log = slog.New(slog.NewTextHandler(r.say, nil))
	}
	var err error
	if r.openFiles, err = raiseOpenFiles(); err != nil {
		return nil, err
	}
	if f.Profile != "" {
		if err := os.MkdirAll(f.Profile, 0o755); err != nil {
			return nil, fmt.Errorf("making the directory for profiles: %w", err)
		}
	}
	if r.dir, err = os.MkdirTemp("", "heimdraht-bench-"); err != nil {
		return nil, fmt.Errorf("making a temporary directory: %w", err)
	}
	r.always, r.end = context.WithCancel(context.Background())
	return r, nil
}

// limited does something within the limit, and gives up when a part that must run has ended.
func (r *runner) limited(ctx context.Context, what string, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := time.AfterFunc(r.flags.Limit, func() {
		cancel(fmt.Errorf("took longer than %v (--limit)", r.flags.Limit))
	})
	defer limit.Stop()
	watched := make(chan struct{})
	defer close(watched)
	go func() {
		select {
		case err := <-r.broken:
			cancel(err)
		case <-watched:
		}
	}()
	err := do(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return fmt.Errorf("%s: %w%s", what, err, r.planeSays())
	}
	return nil
}

// planeSays is what our control plane logged last, if anything.
func (r *runner) planeSays() string {
	if !r.plane.ours || r.plane.log == "" {
		return ""
	}
	if said := strings.TrimSpace(r.plane.lastWords()); said != "" {
		return "\nThe control plane's log ends with:\n" + said
	}
	return ""
}

// background runs a part until the run ends.
func (r *runner) background(name string, part func(context.Context) error) {
	r.runs.Go(func() {
		err := part(r.always)
		if r.always.Err() != nil {
			return
		}
		select {
		case r.broken <- fmt.Errorf("the %s has ended: %w", name, err):
		default:
		}
	})
}

// close ends everything that was started. The control plane goes first: laptops that say goodbye one by one would
// keep it busy for minutes.
func (r *runner) close() error {
	p := r.say.phase("ending what was started", 0)
	defer p.end()
	var errs []error
	if r.operator.conn != nil {
		errs = append(errs, r.operator.conn.Close())
	}
	if r.plane.ours {
		errs = append(errs, r.plane.kill())
	}
	r.end()
	errs = append(errs, r.crowd.close())
	r.runs.Wait()
	errs = append(errs, r.postgres.stop(), os.RemoveAll(r.dir))
	return errors.Join(errs...)
}

// prepare makes directory, control plane and gateways.
func (r *runner) prepare(ctx context.Context) error {
	if r.flags.Database == ownPostgres {
		if err := r.startPostgres(ctx); err != nil {
			return err
		}
	}
	if err := r.startDirectory(ctx); err != nil {
		return err
	}
	token, err := r.startPlane(ctx)
	if err != nil {
		return err
	}
	if err := r.signIn(ctx, token); err != nil {
		return err
	}
	endpoints, err := r.chooseEndpoints(ctx)
	if err != nil {
		return err
	}
	if err := r.apply(ctx, r.town.declaration(r.directory.url, r.directory.ca, r.directory.passwordFile, endpoints)); err != nil {
		return err
	}
	if err := r.awaitDirectory(ctx); err != nil {
		return err
	}
	return r.startGateways(ctx, endpoints)
}

// startPlane starts ours, or takes the one named, and gives an operator's one-time token.
func (r *runner) startPlane(ctx context.Context) (token string, err error) {
	if r.flags.Server != "" {
		content, err := os.ReadFile(r.flags.TokenFile)
		if err != nil {
			return "", fmt.Errorf("reading the operator's token: %w", err)
		}
		r.plane.pid = r.flags.PID
		if r.plane.address, err = control.ParseAddress(r.flags.Server); err != nil {
			return "", errUsage{err.Error()}
		}
		return strings.TrimSpace(string(content)), nil
	}
	if token, err = r.makePlane(ctx); err != nil {
		return "", err
	}
	return token, r.plane.start(ctx)
}

// operatorSource is where the operator calls from.
func operatorSource() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

func (r *runner) signIn(ctx context.Context, token string) error {
	if err := r.reachOperator(ctx); err != nil {
		return err
	}
	answer, err := heimdrahtv1.NewAuthServiceClient(r.operator.conn).RedeemToken(ctx, &heimdrahtv1.RedeemTokenRequest{Token: token})
	if err != nil {
		return fmt.Errorf("signing in the operator: %w", control.FromStatus(err))
	}
	r.operator.token = answer.GetToken().GetToken()
	return nil
}

// reachOperator connects the operator, as soon as the control plane answers.
func (r *runner) reachOperator(ctx context.Context) (err error) {
	if r.operator.conn != nil {
		_ = r.operator.conn.Close() // it is broken, or about to be
		r.operator.conn = nil
	}
	r.operator.conn, err = r.plane.serving(ctx, r.connectOptions(operatorSource()))
	return err
}

func (r *runner) apply(ctx context.Context, d *heimdrahtv1.Declaration) error {
	_, err := heimdrahtv1.NewAdminServiceClient(r.operator.conn).Apply(r.operator.as(ctx), &heimdrahtv1.ApplyRequest{Reason: "bench", Declaration: d})
	if err != nil {
		return fmt.Errorf("applying a declaration: %w", control.FromStatus(err))
	}
	return nil
}

// used is what control plane and database have used so far; nothing of a process that is not known.
func (r *runner) used() (plane, database usage, err error) {
	if r.plane.pid == 0 {
		return plane, database, nil
	}
	if plane, err = usageOf(r.plane.pid); err != nil {
		return plane, database, err
	}
	database, err = r.databaseUsed()
	return plane, database, err
}

// databaseUsed is what a PostgreSQL server of ours has used; nothing where there is none.
func (r *runner) databaseUsed() (usage, error) {
	if r.postgres.pid == 0 {
		return usage{}, nil
	}
	return usageOfTree(r.postgres.pid)
}

// spent is what was used of the processor in a time: by the control plane, the database, and the load: this process
// and the laptops'.
type spent struct{ plane, database, load time.Duration }

// processor measures what is used of the processor from now on.
func (r *runner) processor() (since func() (spent, error), err error) {
	plane, database, err := r.used()
	if err != nil {
		return nil, err
	}
	load, err := r.loadUsed()
	return func() (spent, error) {
		p, d, err := r.used()
		if err != nil {
			return spent{}, err
		}
		l, err := r.loadUsed()
		return spent{p.cpu - plane.cpu, d.cpu - database.cpu, l.cpu - load.cpu}, err
	}, err
}

// loadUsed is what this process and that of the laptops have used.
func (r *runner) loadUsed() (usage, error) {
	u, err := usageOf(os.Getpid())
	if err != nil || r.crowd.pid == 0 {
		return u, err
	}
	c, err := usageOf(r.crowd.pid)
	u.cpu += c.cpu
	return u, err
}

// perOperation is what was spent on each of n operations.
func (r *runner) perOperation(n int, s spent) []metric {
	each := func(d time.Duration, unit string) metric { return ms(d/time.Duration(max(n, 1)), unit) }
	var list []metric
	if r.plane.pid != 0 {
		list = append(list, each(s.plane, "plane-cpu-ms/op"))
	}
	if r.postgres.pid != 0 {
		list = append(list, each(s.database, "postgres-cpu-ms/op"))
	}
	return append(list, each(s.load, "load-cpu-ms/op"))
}

// profiled runs a benchmark and, if asked, writes a profile of the control plane meanwhile.
func (r *runner) profiled(ctx context.Context, b bench) error {
	if r.flags.Profile == "" {
		return b.run(r, ctx)
	}
	profiling, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.profile(profiling, b.name) }()
	err := b.run(r, ctx)
	stop()
	return errors.Join(err, <-ended)
}

// profile writes one profile after the other, of some seconds each: the server's answers have to end within its
// limits, and phases of a benchmark can be told apart by their numbers.
func (r *runner) profile(ctx context.Context, name string) error {
	const seconds = 10
	for n := 0; ctx.Err() == nil; n++ {
		file := filepath.Join(r.flags.Profile, fmt.Sprintf("%s-%02d.cpu", name, n))
		err := r.plane.fetchProfile(ctx, fmt.Sprintf("profile?seconds=%d", seconds), file)
		if err == nil {
			continue
		}
		// A benchmark that has ended, or restarts the control plane, cuts a profile off.
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		_ = control.Sleep(ctx, time.Second) // the loop looks whether it ended
	}
	return nil
}

func (r *runner) heapProfile(ctx context.Context) error {
	if r.flags.Profile == "" {
		return nil
	}
	return r.plane.fetchProfile(ctx, "heap", filepath.Join(r.flags.Profile, "end.heap"))
}
