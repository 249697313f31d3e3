//go:build linux

package crash_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
)

// unavailable is the code by which everybody is told that nothing can be
// written down.
const unavailable = "database-unavailable"

// working is a trio with a laptop that is connected, and sessions of others.
type working struct {
	*trio

	laptop  *endpoint.Endpoint
	device  string
	session held
	conn    *grpc.ClientConn // from an address of its own: signing in is slowed down
	next    int              // person
}

func newWorking(t testing.TB, r *trio) *working {
	t.Helper()
	w := &working{trio: r, laptop: r.laptop(r.planes[0]), conn: r.clients[0].DialFrom("127.0.2.1", nil), next: 3000}
	enrolled, err := w.laptop.Enrol(t.Context(), endpoint.EnrolRequest{Login: provisionertest.Staff, Password: provisionertest.Password})
	must(t, "enrolling", err)
	w.device = enrolled.DeviceID
	r.ask(func() { r.known[w.device] = new(device) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, "connecting", w.laptop.Up(ctx))
	stop, _ := r.loads[0].work(r.clients[0], 3, 1, 1)
	r.loads[0].await(20)
	stop()
	w.session = r.books.held(w.device)
	return w
}

// enrols enrols somebody new, and keeps it if that was answered.
func (w *working) enrols() error {
	n := w.next
	w.next = 3000 + (w.next-2999)%1000
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	laptop, err := provisionertest.TryEnrol(ctx, w.conn, provisionertest.NewLaptop(w.t), provisionertest.Login(n), fmt.Sprint("OUT", n))
	if err == nil {
		w.ask(func() {
			d := &device{Laptop: laptop}
			w.devices, w.known[laptop.ID] = append(w.devices, d), d
		})
	}
	return control.FromStatus(err)
}

func isUnavailable(err error) error {
	if p, ok := control.AsProblem(err); ok && p.Code == unavailable && p.RetryAfter > 0 {
		return nil
	}
	return fmt.Errorf("told %w", err)
}

// outOfOrder holds that people are told what is the matter, and that tunnels
// stand.
func (w *working) outOfOrder() {
	w.t.Helper()
	must(w.t, "enrolling is refused as it should", isUnavailable(w.enrols()))
	var idle *device
	w.ask(func() {
		for _, d := range w.devices {
			if len(d.sessions) > 0 && !d.revokeAsked {
				idle = d
			}
		}
	})
	own := w.clients[0].Dial(&idle.Certificate)
	defer own.Close()
	stream, err := heimdrahtv1.NewSessionServiceClient(own).Attach(w.t.Context())
	must(w.t, "attaching", err)
	answer, err := provisionertest.Open(stream, "")
	if err == nil && answer.GetRefused() != nil {
		err = control.FromRefusal(answer.GetRefused())
	}
	must(w.t, "opening is refused as it should", isUnavailable(control.FromStatus(err)))
	must(w.t, "reaching the intranet meanwhile", greets(w.t.Context(), w.laptop))
	if s := w.laptop.Status("en"); s.State != endpoint.Connected {
		w.t.Errorf("the laptop says %+v", s)
	}
	select {
	case <-w.planes[0].process.Done():
		w.t.Fatalf("the control plane has ended:\n%s", w.planes[0].log())
	default:
	}
}

// inOrderAgain holds that all works without anybody's doing, and that nothing
// was closed.
func (w *working) inOrderAgain() {
	w.t.Helper()
	eventually(w.t, "enrolling works again", time.Minute, w.enrols)
	stop, _ := w.loads[0].work(w.clients[0], 3, 1, 2)
	w.loads[0].disturbed.Store(true) // the gateway may still be coming back
	w.loads[0].await(20)
	stop()
	w.books.connected("gw1", time.Time{})
	w.check(w.books, "after the outage")
	w.gateway.exact(w.books, "after the outage")
	if now := w.books.held(w.device); now.id != w.session.id {
		w.t.Errorf("the laptop's session was %s and is %s", w.session.id, now.id)
	}
	must(w.t, "reaching the intranet afterwards", greets(w.t.Context(), w.laptop))
	eventually(w.t, "the laptop is attached again", 2*time.Minute, func() error {
		if s := w.laptop.Status("en"); s.State != endpoint.Connected || !s.ControlPlane {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
}

// said holds what the operator is told: once that nothing can be written, and
// once that it can again.
func (w *working) said(outages int) {
	w.t.Helper()
	w.planes[0].kill()
	for _, line := range []string{"the database cannot be written", "the database can be written again"} {
		if n := strings.Count(w.planes[0].log(), line); n != outages {
			w.t.Errorf("the log says %d times that %s:\n%s", n, line, w.planes[0].log())
		}
	}
}

// TestDatabaseServerAwayForAMinute takes the database's server away for longer
// than a laptop waits to renew.
func TestDatabaseServerAwayForAMinute(t *testing.T) {
	t.Parallel()
	server := postgrestest.NewServer(t)
	w := newWorking(t, newTrioOn(t, 1, onPostgres(t, server.New(t))))
	server.Kill()
	began := time.Now()
	for _, at := range []time.Duration{0, 30 * time.Second, 65 * time.Second} {
		<-time.After(at - time.Since(began)) // real: a minute that passes is what is tested
		w.outOfOrder()
	}
	server.Restart(t)
	w.inOrderAgain()
	w.said(1)
}

// TestDatabaseReadOnly has the server take only reads for a while, as one that
// has become the standby of another.
func TestDatabaseReadOnly(t *testing.T) {
	t.Parallel()
	server := postgrestest.NewServer(t)
	w := newWorking(t, newTrioOn(t, 1, onPostgres(t, server.New(t))))
	readOnly := func(value string) {
		t.Helper()
		for _, statement := range []string{
			"alter system set default_transaction_read_only = " + value, "select pg_reload_conf()",
		} {
			_, err := w.books.db.ExecContext(t.Context(), statement)
			must(t, statement, err)
		}
	}
	readOnly("on")
	eventually(t, "it is read-only", time.Minute, func() error { return isUnavailable(w.enrols()) })
	w.outOfOrder()
	readOnly("off")
	w.inOrderAgain()
	w.said(1)
}

// TestDatabaseServerLost has the server's machine go without a word, and another
// one take its address: old connections are dead, and nobody says so.
func TestDatabaseServerLost(t *testing.T) {
	t.Parallel()
	server := postgrestest.NewServer(t)
	d := server.New(t)
	away := newBlackHole(t, server.Address())
	on := onPostgres(t, postgrestest.Database{DSN: strings.Replace(d.DSN, server.Address(), away.address, 1), Password: d.Password})
	on.beside = d.DSN
	w := newWorking(t, newTrioOn(t, 1, on))
	away.swallow()
	eventually(t, "somebody is told", time.Minute, func() error { return isUnavailable(w.enrols()) })
	must(t, "reaching the intranet meanwhile", greets(t.Context(), w.laptop))
	away.replace()
	w.inOrderAgain()
}

// blackHole stands between a control plane and its database.
type blackHole struct {
	t       testing.TB
	address string
	target  string

	mu    sync.Mutex
	dead  bool
	conns []*swallowed
}

// swallowed is a connection that may be cut off without a word.
type swallowed struct {
	net.Conn
	hole *blackHole
	mu   sync.Mutex
	gone bool
}

func newBlackHole(t testing.TB, target string) *blackHole {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", newHost()+":0")
	must(t, "listening", err)
	h := &blackHole{t: t, address: l.Addr().String(), target: target}
	t.Cleanup(func() {
		l.Close()
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, c := range h.conns {
			c.Conn.Close()
		}
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // the test is over
			}
			h.serve(c)
		}
	}()
	return h
}

func (h *blackHole) serve(c net.Conn) {
	to, err := new(net.Dialer).DialContext(context.Background(), "tcp", h.target)
	if err != nil {
		c.Close()
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	pair := []*swallowed{{Conn: c, hole: h, gone: h.dead}, {Conn: to, hole: h, gone: h.dead}}
	h.conns = append(h.conns, pair...)
	for i, from := range pair {
		go func() {
			_, _ = io.Copy(pair[1-i], from) // whatever ends it
			if !from.isGone() {
				_ = pair[1-i].Conn.Close()
			}
		}()
	}
}

func (c *swallowed) isGone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone
}

// Write loses what comes for one that has gone.
func (c *swallowed) Write(p []byte) (int, error) {
	if c.isGone() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// swallow cuts all connections off, and those that are made from now on.
func (h *blackHole) swallow() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dead = true
	for _, c := range h.conns {
		c.mu.Lock()
		c.gone = true
		c.mu.Unlock()
	}
}

// replace lets new connections through. Old ones stay dead.
func (h *blackHole) replace() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dead = false
}
