package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
)

var killSeed = flag.Uint64("kill-seed", 20270101, "decides when the program is killed and what it is doing then")

// TestKilledUnderLoad holds that what was answered is durable: the program is
// killed at random moments under load, and started again.
func TestKilledUnderLoad(t *testing.T) {
	const (
		rounds  = 10
		workers = 8
	)
	seed := *killSeed
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	l := newLoad(t, 4000)
	for round := range rounds {
		l.start()
		l.gateway.Run()
		l.probe()
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for w := range workers {
			group.Go(func() { l.work(ctx, rand.New(rand.NewPCG(seed, uint64(1+round*workers+w)))) })
		}
		// A moment counted in answers, so that it lies in the midst of the load on
		// slow machines too, and then some microseconds.
		l.answered(15 + random.IntN(75))
		<-time.After(time.Duration(random.IntN(5000)) * time.Microsecond)
		l.kill()
		cancel()
		group.Wait()
		l.gateway.Stop()
		l.audit(fmt.Sprintf("after kill %d", round+1))
	}
	l.start()
	l.gateway.Run()
	l.probe()
	l.alive()
	l.gateway.Stop()
	if err := l.process.terminate(); err != nil {
		t.Error(err)
	}
	l.process = nil
	l.audit("after an orderly end")
	t.Logf("%d devices enrolled, %d sessions opened, %d closed, %d devices revoked", len(l.devices), l.opened, l.closed, l.revoked)
}

// load is a control plane in a process of its own and what it has answered.
type load struct {
	*provisionertest.Client

	t        *testing.T
	config   string
	database store.Options
	process  *process
	gateway  *provisionertest.Gateway

	mu      sync.Mutex
	killed  bool // from now on errors are to be expected
	people  int  // next one
	answers int
	enough  int // answers that somebody waits for
	reached chan struct{}
	devices []*device

	opened, closed, revoked int
}

// device is what was answered of one device, and what was asked without an
// answer yet.
type device struct {
	provisionertest.Laptop

	sessions      []*session // in the order of opening
	revokeAsked   bool
	revokeAnswer  bool
	opensInFlight bool // an opening was asked and not answered: it may have closed the former session
}

type session struct {
	id          string
	closeAsked  bool // by its owner, or by an opening after it
	closeAnswer bool
}

func newLoad(t *testing.T, people int) *load { return newLoadOn(t, people, nil) }

// newLoadOn puts it on PostgreSQL; nil: on SQLite.
func newLoadOn(t *testing.T, people int, server *postgrestest.Database) *load {
	dir := t.TempDir()
	directory := provisionertest.ServeDirectory(t, people)
	l := &load{t: t, config: filepath.Join(dir, "heimdrahtd.yaml")}
	args := []string{
		"init", "--config", l.config, "--state-dir", filepath.Join(dir, "state"), "--master-key", filepath.Join(dir, "master.key"),
		"--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--name", "127.0.0.1", "--token-file", filepath.Join(dir, "token"),
	}
	l.database.Database = filepath.Join(dir, "state", "heimdraht.db")
	if server != nil {
		l.database.Database, l.database.Password = server.DSN, server.Password
		password := filepath.Join(dir, "database.password")
		if err := os.WriteFile(password, []byte(server.Password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--database", server.DSN, "--database-password-file", password)
	}
	made, err := startProcess(childEnvironment(), args...)
	if err != nil {
		t.Fatal(err)
	}
	<-made.log.done
	if err := made.cmd.Wait(); err != nil {
		t.Fatal(err, made.log)
	}
	t.Cleanup(func() {
		if l.process != nil {
			l.process.kill()
		}
	})
	l.start()
	token, err := os.ReadFile(filepath.Join(dir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	password := filepath.Join(dir, "directory.password")
	if err := os.WriteFile(password, []byte(provisionertest.ServicePassword), 0o600); err != nil {
		t.Fatal(err)
	}
	l.Redeem(strings.TrimSpace(string(token)))
	d := provisionertest.DeclarationOver(directory.Address, string(directory.CA), password)
	d.LicencePools[0].Seats, d.Gateways[0].Sessions = 100_000, 10_000
	l.Apply(d)
	l.gateway = l.JoinGateway("gw1")
	l.kill()
	return l
}

// childEnvironment is that of the program: without the race detector's wait at
// its end.
func childEnvironment() []string { return append(os.Environ(), "GORACE=atexit_sleep_ms=0") }

// start runs the program and points the client at it.
func (l *load) start() {
	l.t.Helper()
	p, err := startProcess(childEnvironment(), "run", "--config", l.config)
	if err != nil {
		l.t.Fatal(err)
	}
	l.process = p
	if err := p.serving(); err != nil {
		l.t.Fatal(err, p.log)
	}
	if l.Client == nil {
		l.Client = provisionertest.Connect(l.t, p.address, p.fingerprint)
	}
	l.Moved(p.address)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.killed, l.answers, l.enough, l.reached = false, 0, -1, make(chan struct{})
}

func (l *load) kill() {
	l.mu.Lock()
	l.killed = true
	l.mu.Unlock()
	l.process.kill()
	l.process = nil
}

// answered waits for n answers since the start.
func (l *load) answered(n int) {
	l.t.Helper()
	l.mu.Lock()
	l.enough = n
	l.tell()
	l.mu.Unlock()
	select {
	case <-l.reached:
	case <-time.After(time.Minute):
		l.t.Fatalf("%d answers in a minute, waiting for %d", l.answers, n)
	}
}

// tell wakes who waits for answers; l.mu is held.
func (l *load) tell() {
	if l.enough >= 0 && l.answers >= l.enough {
		l.enough = -1
		close(l.reached)
	}
}

// note keeps an answer, or reports an error that has no excuse; it tells
// whether to go on.
func (l *load) note(what string, err error, keep func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if !l.killed {
			l.t.Errorf("%s: %v", what, err)
		}
		return false
	}
	keep()
	l.answers++
	l.tell()
	return true
}

// before keeps what is asked before it is.
func (l *load) before(keep func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	keep()
}

// work enrols laptops, opens and closes sessions and revokes, until the control
// plane is gone.
func (l *load) work(ctx context.Context, random *rand.Rand) {
	// Signing in is slowed for one address if tries are not answered.
	conn := l.DialFrom(fmt.Sprintf("127.0.1.%d", 1+random.IntN(250)), nil)
	defer conn.Close()
	for ctx.Err() == nil {
		d, ok := l.enrol(ctx, conn)
		if !ok || !l.use(ctx, conn, d, random) {
			return
		}
	}
}

func (l *load) enrol(ctx context.Context, conn *grpc.ClientConn) (*device, bool) {
	var n int
	l.before(func() { n = l.people; l.people++ })
	laptop, err := provisionertest.TryEnrol(ctx, conn, provisionertest.NewLaptop(l.t), provisionertest.Login(n), fmt.Sprint("SN", n))
	d := &device{Laptop: laptop}
	return d, l.note("enrolling", err, func() { l.devices = append(l.devices, d) })
}

// use opens a session and does one of the things that people do.
func (l *load) use(ctx context.Context, conn *grpc.ClientConn, d *device, random *rand.Rand) bool {
	own := l.Dial(&d.Certificate)
	defer own.Close()
	stream, err := heimdrahtv1.NewSessionServiceClient(own).Attach(ctx)
	if err != nil {
		return l.note("attaching", err, nil)
	}
	s, ok := l.open(stream, d)
	if !ok {
		return false
	}
	switch random.IntN(4) {
	case 0: // closes it
		l.before(func() { s.closeAsked = true })
		err := stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Close{Close: &heimdrahtv1.CloseSession{SessionId: s.id}}})
		answer, broken := stream.Recv()
		if err = errors.Join(err, broken); err == nil && answer.GetClosed().GetSessionId() != s.id {
			err = fmt.Errorf("told %v", answer)
		}
		return l.note("closing", err, func() { s.closeAnswer = true; l.closed++ })
	case 1: // loses it
		l.before(func() { d.revokeAsked = true })
		answer, err := heimdrahtv1.NewHelpdeskServiceClient(conn).RevokeDevice(provisionertest.As(ctx, l.Operator),
			&heimdrahtv1.RevokeDeviceRequest{DeviceId: d.ID, Reason: "test"})
		if c := answer.GetConfirmations(); err == nil && (len(c) != 1 || !c[0].GetConfirmed()) {
			err = fmt.Errorf("confirmations %v", c)
		}
		return l.note("revoking", err, func() { d.revokeAnswer = true; l.revoked++ })
	case 2: // opens another
		_, ok := l.open(stream, d)
		return ok
	default: // stays
		return true
	}
}

func (l *load) open(stream heimdrahtv1.SessionService_AttachClient, d *device) (*session, bool) {
	l.before(func() {
		d.opensInFlight = true
		for _, s := range d.sessions {
			s.closeAsked = true
		}
	})
	answer, err := provisionertest.Open(stream, "")
	if err == nil && answer.GetOpened() == nil {
		err = fmt.Errorf("told %v", answer)
	}
	s := &session{id: answer.GetOpened().GetSessionId()}
	return s, l.note("opening", err, func() {
		d.opensInFlight = false
		for _, s := range d.sessions {
			s.closeAnswer = true
		}
		d.sessions = append(d.sessions, s)
		l.opened++
	})
}

// probe opens a session, whose answer proves that the gateway is up to date, and
// holds the gateway against the database.
func (l *load) probe() {
	l.t.Helper()
	l.mu.Lock()
	n := l.people
	l.people++
	l.mu.Unlock()
	laptop := l.Enrol(provisionertest.Login(n), fmt.Sprint("SN", n))
	if _, ok := l.open(l.Attach(l.t.Context(), laptop), l.keep(laptop)); !ok {
		l.t.FailNow()
	}
	want := l.openSessions()
	if got := l.gateway.Sessions(); !slices.Equal(got, want) {
		l.t.Errorf("the gateway holds %d peers, %d sessions are open; missing %v, too many %v", len(got), len(want), without(want, got), without(got, want))
	}
}

func (l *load) keep(laptop provisionertest.Laptop) *device {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := &device{Laptop: laptop}
	l.devices = append(l.devices, d)
	return d
}

func without(list, other []string) (left []string) {
	for _, v := range list {
		if !slices.Contains(other, v) {
			left = append(left, v)
		}
	}
	return left
}

// alive holds over the protocol that revoked devices are dead, and that others
// get on with their sessions.
func (l *load) alive() {
	l.t.Helper()
	dead, resumed := 0, 0
	for _, d := range l.devices {
		if dead+resumed == 40 {
			break
		}
		var session string
		if n := len(d.sessions); n > 0 && !d.opensInFlight && !d.sessions[n-1].closeAsked {
			session = d.sessions[n-1].id
		}
		answer, err := l.attempt(d.Certificate, session)
		switch {
		case d.revokeAnswer:
			dead++
			if err == nil {
				l.t.Errorf("a revoked device is told %v", answer)
			}
		case session != "" && !d.revokeAsked:
			resumed++
			if err != nil || !answer.GetOpened().GetResumed() {
				l.t.Errorf("resuming: %v, %v", answer, err)
			}
		}
	}
	if dead == 0 || resumed == 0 {
		l.t.Errorf("%d revoked and %d open devices were tried: the load was too small", dead, resumed)
	}
}

func (l *load) attempt(certificate tls.Certificate, resume string) (*heimdrahtv1.AttachResponse, error) {
	conn := l.Dial(&certificate)
	defer conn.Close()
	stream, err := heimdrahtv1.NewSessionServiceClient(conn).Attach(l.t.Context())
	if err != nil {
		return nil, err
	}
	return provisionertest.Open(stream, resume)
}
