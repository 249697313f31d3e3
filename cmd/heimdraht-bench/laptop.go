//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// version is what agents call themselves.
const version = "bench"

// laptop is one of the fleet: the real agent, without a device.
type laptop struct {
	n        int
	tenant   string
	login    string
	serial   string
	source   netip.Addr
	store    *control.MemoryStore
	endpoint *endpoint.Endpoint
	deviceID string
	revoked  atomic.Bool
}

// laptopAddress is where the n-th laptop calls from: its own address, as behind a router of its own.
func laptopAddress(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(16 + n>>16), byte(n >> 8), byte(n)})
}

// enrolAddress is where one of the kept connections for enrolments comes from: one source alone is slowed down.
func enrolAddress(n int) netip.Addr { return netip.AddrFrom4([4]byte{127, 1, byte(n >> 8), byte(n)}) }

// fleet makes laptops and counts their connections.
type fleet struct {
	answered atomic.Int64 // connections on which the server said something: it has done its part of a handshake
}

// dialer calls from a source address.
func (f *fleet) dialer(source netip.Addr) func(context.Context, string, string) (net.Conn, error) {
	d := &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0)), KeepAlive: -1}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &heard{Conn: conn, fleet: f}, nil
	}
}

// heard notes that the server has answered on a connection.
type heard struct {
	net.Conn

	fleet *fleet
	once  sync.Once
}

// Read implements net.Conn.
func (h *heard) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	if n > 0 {
		h.once.Do(func() { h.fleet.answered.Add(1) })
	}
	return n, err
}

// carrier takes the place of a laptop's device: it counts what somebody at work would move.
type carrier struct {
	mu        sync.Mutex
	installed time.Time
	gateway   wireguard.Peer
}

// Install implements endpoint.Carrier.
func (c *carrier) Install(gateway wireguard.Peer, _ []netip.Addr, fresh bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gateway = gateway; fresh {
		c.installed = time.Now()
	}
	return nil
}

// Count implements endpoint.Carrier: 100 kbit/s down, a tenth of it up, and a handshake each two minutes.
func (c *carrier) Count() endpoint.Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := time.Since(c.installed)
	bytes := uint64(since.Seconds() * 12_500)
	return endpoint.Count{Received: bytes, Sent: bytes / 10, LastHandshake: time.Now().Add(-since % (2 * time.Minute))}
}

// Remove implements endpoint.Carrier.
func (c *carrier) Remove() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gateway = wireguard.Peer{}
}

// newLaptop makes one that is not enrolled.
func (r *runner) newLaptop(n int) (*laptop, error) {
	tenant, login, serial := r.town.device(n)
	l, err := r.fleet.laptop(n, tenant, serial, new(control.MemoryStore))
	if err == nil {
		l.login = login
	}
	return l, err
}

// laptop makes the n-th from what it keeps.
func (f *fleet) laptop(n int, tenant, serial string, store *control.MemoryStore) (*laptop, error) {
	l := &laptop{n: n, tenant: tenant, serial: serial, source: laptopAddress(n), store: store}
	var err error
	l.endpoint, err = endpoint.New(endpoint.Options{
		Store: l.store, Tenant: l.tenant, Carrier: new(carrier), Dial: f.dialer(l.source),
		DeviceName: "bench-laptop", SerialNumber: serial, Platform: "linux", Version: version, Language: "en",
		Logger: slog.New(slog.DiscardHandler),
	})
	return l, err
}

// enrol makes the laptop known, over a kept connection or, if that is nil, one of its own.
func (r *runner) enrol(ctx context.Context, l *laptop, over *control.Conn) error {
	request := endpoint.EnrolRequest{Address: r.plane.address.String(), Tenant: l.tenant, Login: l.login, Password: r.directory.password}
	if over != nil {
		request.Over = over
	}
	enrolled, err := l.endpoint.Enrol(ctx, request)
	if err != nil {
		return fmt.Errorf("enrolling laptop %d of %s: %w", l.n, l.login, err)
	}
	l.deviceID = enrolled.DeviceID
	return nil
}

// anonymous opens a connection without a certificate.
func (r *runner) anonymous(ctx context.Context, source netip.Addr) (*control.Conn, error) {
	return control.Connect(ctx, r.connectOptions(source))
}

func (r *runner) connectOptions(source netip.Addr) control.Options {
	return control.Options{
		Servers: []control.Server{r.plane.address.Server}, Trust: control.Trust{Pin: r.plane.address.Pin},
		Agent: "heimdraht-bench/" + version, Language: "en", Dial: r.fleet.dialer(source), Logger: slog.New(slog.DiscardHandler),
	}
}

// connect opens a connection with the laptop's certificate, for those who attach by themselves.
func (r *runner) connect(ctx context.Context, l *laptop) (*control.Conn, error) {
	identity, err := control.LoadIdentity(l.store)
	if err != nil {
		return nil, err
	}
	o := r.connectOptions(l.source)
	o.Identity, o.Trust = identity, control.Trust{}
	return control.Connect(ctx, o)
}

// open opens a session on a new stream of a connection and breaks the stream off, which closes no session.
func open(ctx context.Context, conn *control.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := heimdrahtv1.NewSessionServiceClient(conn).Attach(ctx)
	if err != nil {
		return control.FromStatus(err)
	}
	err = stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Open{Open: &heimdrahtv1.OpenSession{AgentVersion: version, Waits: true}}})
	answer, broken := stream.Recv()
	switch {
	case broken != nil: // says better why than Send does
		return control.FromStatus(broken)
	case err != nil:
		return err
	case answer.GetRefused() != nil:
		return control.FromRefusal(answer.GetRefused())
	case answer.GetWaiting() != nil:
		return errors.New("all seats are taken: the laptop would have to wait")
	case answer.GetOpened() == nil:
		return fmt.Errorf("an opening was answered with %v", answer)
	}
	return nil
}

// openOnce connects, opens a session and hangs up; the session stays.
func (r *runner) openOnce(ctx context.Context, l *laptop) (opening time.Duration, err error) {
	conn, err := r.connect(ctx, l)
	if err != nil {
		return 0, fmt.Errorf("connecting laptop %d: %w", l.n, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	began := time.Now()
	if err := open(ctx, conn); err != nil {
		return 0, fmt.Errorf("opening a session of laptop %d: %w", l.n, err)
	}
	return time.Since(began), nil
}
