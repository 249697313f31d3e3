package control_test

import (
	"bufio"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// A fleet is many laptops in a process of their own, so that what a control
// plane costs can be measured in its process. The test's own program plays it
// when the environment says so; what is to be done comes in on standard input.
const fleetEnv = "HEIMDRAHT_TEST_FLEET"

func TestMain(m *testing.M) {
	if os.Getenv(fleetEnv) == "" {
		m.Run()
		return
	}
	if err := runFleet(os.Stdin, os.Stdout); err != nil {
		panic(fmt.Sprint("the fleet: ", err)) // its parent finds that it has failed
	}
}

// fleetOrder is the first line to a fleet. The next one lets it connect.
type fleetOrder struct {
	Server  control.Server
	CA      string // fingerprint
	Laptops int
	// AtOnce: laptops that lose the control plane do not spread.
	AtOnce bool
}

// fleetWord is what a fleet says: when all are enrolled, and whenever all are
// connected.
type fleetWord struct {
	Connected int
	// Shaken are handshakes in which the server answered, Wasted those of them
	// after which the laptop was not connected.
	Shaken, Wasted int64
}

type fleet struct {
	fleetOrder

	up             atomic.Int64
	shaken, wasted atomic.Int64
	all            chan struct{}
}

func runFleet(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	first, err := lines.ReadBytes('\n')
	if err != nil {
		return err
	}
	f := &fleet{all: make(chan struct{}, 1)}
	if err := json.Unmarshal(first, &f.fleetOrder); err != nil {
		return err
	}
	laptops, err := f.enrol()
	if err != nil {
		return err
	}
	words := json.NewEncoder(out)
	if err := words.Encode(fleetWord{}); err != nil {
		return err
	}
	if _, err := lines.ReadBytes('\n'); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, l := range laptops {
		go l.stayConnected(ctx)
	}
	go func() {
		_, _ = io.Copy(io.Discard, lines) // its end is ours
		cancel()
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.all:
			if err := words.Encode(fleetWord{Connected: f.Laptops, Shaken: f.shaken.Load(), Wasted: f.wasted.Load()}); err != nil {
				return err
			}
		}
	}
}

// enrol enrols all, each from an address of its own.
func (f *fleet) enrol() ([]*fleetLaptop, error) {
	pin, err := control.ParseFingerprint(f.CA)
	if err != nil {
		return nil, err
	}
	list := make([]*fleetLaptop, f.Laptops)
	var group errgroup.Group
	group.SetLimit(16)
	for i := range list {
		group.Go(func() (err error) {
			list[i], err = f.enrolOne(i, control.Trust{Pin: pin})
			return err
		})
	}
	return list, group.Wait()
}

type fleetLaptop struct {
	*fleet
	o       control.Options
	backoff control.Backoff
	session string
	spread  time.Duration
	answers *atomic.Bool // the server has answered on the present connection
}

func (f *fleet) enrolOne(i int, trust control.Trust) (*fleetLaptop, error) {
	l := &fleetLaptop{fleet: f, answers: new(atomic.Bool)}
	l.o = control.Options{Servers: []control.Server{f.Server}, Trust: trust, Agent: "fleet"}
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 2, byte(i>>8), byte(i))}}
	l.o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := from.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &listening{Conn: c, answers: l.answers}, nil
	}
	request, err := control.NewKeyRequest()
	if err != nil {
		return nil, err
	}
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	conn, err := control.Connect(context.Background(), l.o)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	answer, err := heimdrahtv1.NewEnrolmentServiceClient(conn).Enrol(context.Background(), &heimdrahtv1.EnrolRequest{
		Tenant: provisionertest.Tenant, Login: provisionertest.Login(i), Password: provisionertest.Password,
		CertificateRequest: request.CSR, WireguardPublicKey: key.PublicKey().Bytes(),
		DeviceName: "fleet", SerialNumber: fmt.Sprint("FLEET", i), Platform: "linux", AgentVersion: "test",
	})
	if err != nil {
		return nil, err
	}
	l.o.Identity, err = control.SaveIdentity(&control.MemoryStore{}, request, answer.GetCertificate(), trust)
	return l, err
}

// listening notes that the server has answered.
type listening struct {
	net.Conn
	answers *atomic.Bool
}

func (l *listening) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if n > 0 {
		l.answers.Store(true)
	}
	return n, err
}

// stayConnected is what a laptop's agent does.
func (l *fleetLaptop) stayConnected(ctx context.Context) {
	for ctx.Err() == nil {
		err := l.attach(ctx)
		var retry time.Duration
		if p, ok := control.AsProblem(control.FromStatus(err)); ok {
			retry = p.RetryAfter
		}
		if l.backoff.Wait(ctx, retry) != nil {
			return
		}
	}
}

func (l *fleetLaptop) attach(ctx context.Context) error {
	l.answers.Store(false)
	conn, err := control.Connect(ctx, l.o)
	if l.answers.Load() {
		l.shaken.Add(1)
	}
	if err != nil {
		if l.answers.Load() {
			l.wasted.Add(1)
		}
		return err
	}
	defer conn.Close()
	stream, err := heimdrahtv1.NewSessionServiceClient(conn).Attach(ctx)
	if err != nil {
		return err
	}
	request := &heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Open{Open: &heimdrahtv1.OpenSession{Resume: l.session}}}
	if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for connected := false; ; {
		order, err := stream.Recv()
		if err != nil {
			if connected {
				l.up.Add(-1)
				if !l.AtOnce {
					l.backoff.Lost(l.spread)
				}
			}
			return err
		}
		if refused := order.GetRefused(); refused != nil {
			if err := l.backoff.Wait(ctx, control.FromRefusal(refused).RetryAfter); err != nil {
				return err
			}
			if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
		if opened := order.GetOpened(); opened != nil && !connected {
			connected, l.session, l.spread = true, opened.GetSessionId(), time.Duration(opened.GetReturnWithinMs())*time.Millisecond
			l.backoff.Succeeded()
			if l.up.Add(1) == int64(l.Laptops) {
				l.all <- struct{}{}
			}
		}
	}
}

// fleetProcess is a fleet seen from the test.
type fleetProcess struct {
	t     testing.TB
	in    io.WriteCloser
	words *json.Decoder
}

// startFleet starts a fleet and returns when all its laptops are enrolled.
func startFleet(t testing.TB, s *provisionertest.Server, o fleetOrder) *fleetProcess {
	t.Helper()
	server, err := control.ParseServer(s.Address())
	check(t, err)
	o.Server, o.CA = server, s.Fingerprint()
	self, err := os.Executable()
	check(t, err)
	c := exec.CommandContext(t.Context(), self)
	c.Env, c.Stderr = append(os.Environ(), fleetEnv+"=1"), os.Stderr
	in, err := c.StdinPipe()
	check(t, err)
	out, err := c.StdoutPipe()
	check(t, err)
	check(t, c.Start())
	f := &fleetProcess{t: t, in: in, words: json.NewDecoder(out)}
	t.Cleanup(sync.OnceFunc(func() {
		in.Close()
		if err := c.Wait(); err != nil && t.Context().Err() == nil {
			t.Error("the fleet: ", err)
		}
	}))
	f.say(o)
	f.hear()
	return f
}

func (f *fleetProcess) say(v any) {
	f.t.Helper()
	check(f.t, json.NewEncoder(f.in).Encode(v))
}

// hear waits until all are enrolled, or connected.
func (f *fleetProcess) hear() (w fleetWord) {
	f.t.Helper()
	check(f.t, f.words.Decode(&w))
	return w
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
