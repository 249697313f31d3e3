//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/provisioner/app"
	"github.com/heimdraht/heimdraht/provisioner/config"
)

// plane is the control plane under test. If it is ours, it is a process of its own.
type plane struct {
	address control.Address
	pid     int // 0: not known

	// Of ours.
	ours    bool
	program string
	file    string // its configuration
	log     string
	metrics string // host and port
	process *os.Process
	ended   <-chan error
}

// programName is what is built if no program is named.
const programName = "github.com/heimdraht/heimdraht/cmd/heimdrahtd"

// makePlane makes configuration, keys and an empty database, and gives the operator's one-time token.
func (r *runner) makePlane(ctx context.Context) (token string, err error) {
	p := &r.plane
	p.ours, p.program = true, r.flags.Heimdrahtd
	if p.program == "" {
		p.program = filepath.Join(r.dir, "heimdrahtd")
		ph := r.say.phase("building heimdrahtd", 0)
		build := exec.CommandContext(ctx, "go", "build", "-o", p.program, programName) //nolint:gosec // a path of ours
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		said, err := build.CombinedOutput()
		ph.end()
		if err != nil {
			return "", fmt.Errorf("building heimdrahtd, which needs Go and the source (or name a built one with --heimdrahtd): %w\n%s", err, said)
		}
	}
	c := config.DefaultControlPlane()
	host := ownHost()
	c.Names, c.LogLevel, c.Profiling = []string{host}, "warn", r.flags.Profile != ""
	c.StateDir, c.MasterKeyFile = filepath.Join(r.dir, "state"), filepath.Join(r.dir, "master.key")
	c.Database = filepath.Join(c.StateDir, "heimdraht.db")
	if r.flags.Database != "" {
		c.Database, c.DatabasePasswordFile = r.flags.Database, r.flags.DatabasePasswordFile
		if r.postgres.url != "" {
			c.Database = r.postgres.url
		}
	}
	// Laptops come back to the same port after a restart, so that it has to be known before.
	for _, listen := range []*string{&c.Listen, &c.MetricsListen} {
		if *listen, err = freePort(ctx, host); err != nil {
			return "", err
		}
	}
	made, err := app.Init(ctx, c)
	if err != nil {
		return "", setupError(err)
	}
	p.file, p.log, p.metrics = filepath.Join(r.dir, "heimdrahtd.yaml"), filepath.Join(r.dir, "heimdrahtd.log"), c.MetricsListen
	if err := config.WriteDefault(p.file, c); err != nil {
		return "", err
	}
	p.address, err = control.ParseAddress(c.Listen + "#" + made.Fingerprint)
	return made.Token, err
}

// setupError adds what to do.
func setupError(err error) error {
	var setup *app.SetupError
	if errors.As(err, &setup) && setup.Next != "" {
		return fmt.Errorf("making the control plane: %w\n%s", err, setup.Next)
	}
	return fmt.Errorf("making the control plane: %w", err)
}

// ownHost is an address of this machine that nobody else has: of 127.0.0.1 the system might give the control plane's port
// to somebody's connection while the control plane is down.
func ownHost() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.1", 128+pid>>8&63, pid&255)
}

// freePort finds a TCP port that was free a moment ago.
func freePort(ctx context.Context, host string) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// start starts the process; serving waits until it answers.
func (p *plane) start(ctx context.Context) error {
	log, err := os.OpenFile(p.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// Not with the context: it is ended in order, by stop.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), p.program, "--config", p.file, "run") //nolint:gosec // the program that was asked for
	cmd.Stdout, cmd.Stderr = log, log
	if p.ended, err = startTied(cmd); err != nil {
		return fmt.Errorf("starting %s: %w", p.program, err)
	}
	p.process, p.pid = cmd.Process, cmd.Process.Pid
	return nil
}

// errInOrder is how a process ended that nobody asked to.
var errInOrder = errors.New("in order")

// serving waits for the first call that succeeds. The connection is the caller's.
func (p *plane) serving(ctx context.Context, o control.Options) (*control.Conn, error) {
	const look = time.Millisecond
	for {
		conn, err := p.tryServing(ctx, o)
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case why := <-p.ended:
			p.process = nil
			return nil, fmt.Errorf("heimdrahtd has ended (%w), and said:\n%s", cmp.Or(why, errInOrder), p.lastWords())
		case <-time.After(look):
		}
	}
}

func (p *plane) tryServing(ctx context.Context, o control.Options) (*control.Conn, error) {
	conn, err := control.Connect(ctx, o)
	if err != nil {
		return nil, err
	}
	if _, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}); err != nil {
		return nil, errors.Join(control.FromStatus(err), conn.Close())
	}
	return conn, nil
}

// stopPatience is longer than a control plane takes to drain.
const stopPatience = 20 * time.Second

// stop ends the process in order, or by force if it takes too long. Idempotent.
func (p *plane) stop() error {
	if p.process == nil {
		return nil
	}
	if err := interrupt(p.process, syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-p.ended:
		p.process = nil
		if err != nil {
			return fmt.Errorf("heimdrahtd did not end in order (%w), and said:\n%s", err, p.lastWords())
		}
		return nil
	case <-time.After(stopPatience):
		return errors.Join(fmt.Errorf("heimdrahtd did not end within %v of SIGTERM", stopPatience), p.kill())
	}
}

// kill ends the process at once, as a power cut would.
func (p *plane) kill() error {
	if p.process == nil {
		return nil
	}
	if err := interrupt(p.process, syscall.SIGKILL); err != nil {
		return err
	}
	<-p.ended //nolint:errcheck // it says that it was killed
	p.process = nil
	return nil
}

// lastWords are the end of its log.
func (p *plane) lastWords() string {
	const most = 4 << 10
	content, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	if len(content) > most {
		content = content[len(content)-most:]
		if _, whole, ok := bytes.Cut(content, []byte("\n")); ok {
			content = whole
		}
	}
	return string(content)
}

// fetchProfile writes one of the process's profiles into a file.
func (p *plane) fetchProfile(ctx context.Context, what, file string) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.metrics+"/debug/pprof/"+what, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("fetching a profile: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("fetching a profile: %s", answer.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, answer.Body)
	return errors.Join(err, f.Close())
}
