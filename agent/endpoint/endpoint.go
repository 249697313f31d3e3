package endpoint

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/hostnet"
	"github.com/heimdraht/heimdraht/agent/posture"
	"github.com/heimdraht/heimdraht/agent/usage"
	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// DefaultInterface is the name of the tunnel's interface.
const DefaultInterface = "hd0"

// Options say what kind of laptop this is.
type Options struct {
	// Store keeps the keys and the certificate. Required.
	Store control.Store
	// Servers are the control plane's addresses as this machine was configured, in any order. Empty: Enrol is told
	// one, and remembers it.
	Servers []control.Server
	// Pin is the fingerprint by which to know those servers at the first contact. Zero: their certificate must
	// be publicly trusted.
	Pin control.Fingerprint
	// Tenant to enrol with. Empty: it follows from the mail domain of the login.
	Tenant string
	// Connect says that the person wants to be connected from the start, without calling Up.
	Connect bool

	// Device is the WireGuard device to open. PrivateKey, Addresses, NameServers, MTU and Logger are filled in
	// here, and so are Name if it is empty and the firewall mark. Mode zero: the kernel, else a TUN device.
	Device wireguard.Options
	// Network sets addresses, routes and DNS of the host. Required, except in mode Netstack or with a Carrier.
	Network *hostnet.Host
	// Carrier nil: Device and Network carry the tunnel, as they do on every laptop but simulated ones.
	Carrier Carrier

	// Look says which of the products run that the control plane meters. Nil: nothing is told of them.
	Look func([]usage.Product) []usage.Use

	// Posture answers what the administration asks of laptops before they connect. Nil: nothing is known of it.
	Posture func(context.Context, []posture.Question) map[string]posture.Answer
	// Posed says, by each value, that Posture may answer otherwise now. Nil: nobody says so.
	Posed <-chan struct{}

	// DeviceName is what the person calls the laptop. SerialNumber may be empty. Platform is "linux",
	// "windows" or "darwin".
	DeviceName, SerialNumber, Platform string
	// Version of the program, for the control plane's eyes.
	Version string
	// Language of the control plane's sentences at first, "de" or "en". Empty: "de".
	Language string

	// Dial opens the control connection, which goes around the tunnel, not through it. Nil: as the host does, past
	// the tunnel.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Resolve nil: the host's resolver. It finds the gateway's addresses.
	Resolve Resolver
	// Online nil: the host's interfaces say whether the laptop is in any network.
	Online func() bool
	// NetworkChanged says, by each value, that the laptop is in another network now. Nil: nobody says so.
	NetworkChanged <-chan struct{}
	// Woke says, by each value, that the laptop was asleep and is awake now. Nil: nobody says so.
	Woke <-chan struct{}
	// Logger nil: slog.Default. Names of people are not logged, nor that a session was opened or closed.
	Logger *slog.Logger
}

// Endpoint is one laptop. All methods are safe for concurrent use.
type Endpoint struct {
	options Options
	log     *slog.Logger
	tunnel  tunnel
	plane   plane
	// nudged holds at most one hint that trying now may help.
	nudged chan struct{}
	// unheard holds at most one word of the control plane that it hears nothing from a gateway, and lost at most one
	// hint that the gateway answers no probe.
	unheard chan unheard
	lost    chan struct{}
	// woken and stirred hold at most one hint that the machine was asleep: for the stream, and for the tunnel's keeper.
	woken, stirred chan struct{}
	// parted holds at most one former session that was let go of here, and here at most one word of the person that she is there.
	parted chan string
	here   chan struct{}
	// backoff and returnWithin are used by the loop alone, and by serve, which it calls. returnWithin is over
	// which time all laptops come back when the control plane is lost, as it said last.
	backoff      control.Backoff
	returnWithin time.Duration
	// portalAsked is when the network was last asked whether it wants a sign-in first; used by the loop alone.
	portalAsked time.Time
	// question is what is asked of this laptop before it connects; used by the loop alone.
	question question

	enrolling sync.Mutex // one enrolment at a time

	mu       sync.Mutex
	root     context.Context // ends with Run; nil: Run was not called yet, or has returned
	identity *control.Identity
	device   savedDevice
	key      wireguard.PrivateKey
	// endIdentity ends what runs in the name of the present identity.
	endIdentity context.CancelFunc
	wanted      bool
	// wish is alive while the person wants to be connected with the present identity. A session belongs to
	// one wish.
	wish     context.Context
	endWish  context.CancelFunc
	halted   *outcome
	problem  *control.Problem
	held     *session
	former   *leaving // held beside it; nil: none is
	end      *ending  // of the session that is held, if the control plane has said so
	place    *place   // in the queue for a seat, as last told; nil: it does not wait
	idle     *ending  // the same, because nothing is transferred
	attached bool
	silent   string    // the session whose gateway answers no probe; empty: none
	reported *Reported // nil: nothing yet
	// conditions are what was told last of what the administration asks of laptops; nil: nothing.
	conditions   json.RawMessage
	conditionsAt time.Time
	clockOff     time.Duration
	language     string
	changed      chan struct{} // closed and replaced whenever something above changed
	turned       chan struct{} // is offered each turn of the loop that looks after the tunnel
}

// New makes a laptop and reads who it is from the store. The error is a *control.Problem if a person can do
// something about it.
func New(o Options) (*Endpoint, error) {
	if o.Store == nil {
		return nil, errors.New("making an endpoint: it needs a store")
	}
	if o.Network == nil && o.Device.Mode != wireguard.Netstack && o.Carrier == nil {
		return nil, errors.New("making an endpoint: it needs the host's network, except in mode netstack or with a carrier")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Language == "" {
		o.Language = "de"
	}
	if o.Resolve == nil {
		o.Resolve = net.DefaultResolver.LookupNetIP
	}
	if o.Dial == nil {
		o.Dial = newDialer(o).dial
	}
	if o.Online == nil {
		o.Online = isOnline(cmp.Or(o.Device.Name, DefaultInterface))
	}
	e := &Endpoint{
		options: o, log: o.Logger, language: o.Language, wanted: o.Connect,
		nudged: make(chan struct{}, 1), changed: make(chan struct{}), turned: make(chan struct{}),
		unheard: make(chan unheard, 1), lost: make(chan struct{}, 1), parted: make(chan string, 1),
		woken: make(chan struct{}, 1), stirred: make(chan struct{}, 1), here: make(chan struct{}, 1),
	}
	if err := e.load(); err != nil {
		return nil, err
	}
	if o.Carrier != nil {
		e.tunnel = &carried{carrier: o.Carrier}
	} else {
		e.tunnel = newHostTunnel(o)
	}
	e.plane = (*grpcPlane)(e)
	return e, nil
}

// Run keeps the laptop connected while that is wanted, until the context ends; it then closes the session,
// takes the tunnel away and returns nil. It may be called once at a time.
func (e *Endpoint) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if err := e.start(ctx); err != nil {
		return err
	}
	defer e.stop()
	g.Go(func() error { return e.keepConnected(ctx) })
	g.Go(func() error { return e.keepTended(ctx) })
	g.Go(func() error { return e.keepProbed(ctx) })
	g.Go(func() error { return e.tunnel.keepFitting(ctx) })
	g.Go(func() error { return e.keepFormer(ctx) })
	g.Go(func() error { return e.keepRenewed(ctx) })
	if e.options.NetworkChanged != nil {
		g.Go(func() error { return e.followNetwork(ctx) })
	}
	if e.options.Woke != nil {
		g.Go(func() error { return e.followSleep(ctx) })
	}
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("running the laptop's agent: %w", err)
	}
	return nil
}

// Alive returns when the loop that looks after the tunnel has had a turn, which it has each half minute.
func (e *Endpoint) Alive(ctx context.Context) error {
	select {
	case <-e.turned:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for a turn of the tunnel's keeper: %w", ctx.Err())
	}
}

func (e *Endpoint) start(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.root != nil {
		return errors.New("running the laptop's agent: it runs already")
	}
	e.root = ctx
	e.renewWish()
	e.touch()
	return nil
}

func (e *Endpoint) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.endWish != nil {
		e.endWish()
	}
	e.root, e.wish, e.endWish = nil, nil, nil
	e.touch()
}

// Up says that the person wants to be connected, and waits until she is: until the gateway has answered.
// The error is a *control.Problem: the first refusal, or what stands in the way when the context ends. The
// wish stays, whatever is returned, until Down.
func (e *Endpoint) Up(ctx context.Context) error {
	e.mu.Lock()
	if e.identity == nil {
		e.mu.Unlock()
		return notEnrolled()
	}
	e.mu.Unlock()
	e.Want()
	return e.Await(ctx)
}

// Want says that a connection is wanted, and does not wait for it. It may be said before the laptop is enrolled: it
// connects then as soon as it is.
func (e *Endpoint) Want() {
	e.mu.Lock()
	e.wanted, e.halted, e.problem = true, nil, nil
	if e.wish == nil {
		e.renewWish()
	}
	e.touch()
	e.nudge() // under the lock: no session can be open yet that this hint would probe
	e.mu.Unlock()
}

// Down says that the person does not want to be connected, and waits until the tunnel is gone or the context
// ends. Being down already is no error.
func (e *Endpoint) Down(ctx context.Context) error {
	e.mu.Lock()
	e.wanted, e.halted, e.problem = false, nil, nil
	if e.endWish != nil {
		e.endWish()
	}
	e.wish, e.endWish = nil, nil
	e.touch()
	e.mu.Unlock()
	for {
		e.mu.Lock()
		gone, left, changed := e.held == nil || e.root == nil || e.wanted, e.problem, e.changed
		e.mu.Unlock()
		if gone {
			if left != nil && left.Code == CodeTunnelLeft {
				return left
			}
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("taking the tunnel down: %w", ctx.Err())
		}
	}
}

// DialContext connects through the tunnel of a laptop in mode Netstack; names are asked of the tunnel's name
// servers. Without a tunnel the error is a *control.Problem.
func (e *Endpoint) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return e.tunnel.dial(ctx, network, address)
}

// Attached says whether a session is held on a stream that stands. It is Status for those who ask often.
func (e *Endpoint) Attached() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.held != nil && e.attached
}

// SetLanguage chooses the language in which the control plane is asked to speak from the next connection on.
func (e *Endpoint) SetLanguage(language string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.language = language
}

// Await waits as Up does, for a connection that is wanted already.
func (e *Endpoint) Await(ctx context.Context) error {
	// The device does not tell of its first handshake; it has to be asked.
	const look = 50 * time.Millisecond
	var aliveSince time.Time
	for {
		e.mu.Lock()
		held, halted, problem, wanted, changed := e.held != nil && e.held.wish == e.wish, e.halted != nil, e.problem, e.wanted, e.changed
		e.mu.Unlock()
		switch {
		case !wanted:
			return notConnected()
		case held && answersAlready(e.tunnel.reading(), &aliveSince):
			return nil
		case halted || problem != nil && (problem.Refused || problem.RetryAfter == 0):
			return problem
		}
		var poll <-chan time.Time
		if held {
			poll = time.After(look)
		}
		select {
		case <-changed:
		case <-poll:
		case <-ctx.Done():
			return e.inTheWay(ctx.Err())
		}
	}
}

// answersAlready says whether the gateway is there, and what fits on the way to it is known as far as it soon will be.
func answersAlready(r reading, since *time.Time) bool {
	now := time.Now()
	if !r.alive(now) {
		return false
	}
	if since.IsZero() {
		*since = now
	}
	return !r.unfit || now.Sub(*since) >= fitAwaited
}

// inTheWay says why there is no connection yet.
func (e *Endpoint) inTheWay(cause error) error {
	if p := e.Status("de"); p.problem != nil {
		return p.problem
	}
	return serverSilent().Because(cause)
}

// renewWish makes the person's wish, if there is one, a living one. The caller holds the lock.
func (e *Endpoint) renewWish() {
	if e.endWish != nil {
		e.endWish()
	}
	e.wish, e.endWish = nil, nil
	if e.wanted && e.root != nil && e.identity != nil {
		e.wish, e.endWish = context.WithCancel(e.root)
	}
}

// touch tells those who wait that something changed. The caller holds the lock.
func (e *Endpoint) touch() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// nudge hints that trying now may help.
func (e *Endpoint) nudge() {
	select {
	case e.nudged <- struct{}{}:
	default: // one hint is enough
	}
}

func (e *Endpoint) ownKey() wireguard.Key {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.key.PublicKey()
}

func (e *Endpoint) heldSession() *session {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.held
}

// hold takes note of a session that is open and installed.
func (e *Endpoint) hold(s *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held, e.end, e.idle, e.place, e.problem, e.attached = s, nil, nil, nil, nil, true
	e.touch()
}

// extend takes note of a renewal. off is how far this machine's clock is ahead.
func (e *Endpoint) extend(id string, lease time.Time, off time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.clockOff
	e.clockOff = 0
	if off.Abs() > clockAllowed {
		e.clockOff = off
		if before == 0 {
			e.log.Warn("this machine's clock is not the control plane's", "ahead", off.Round(time.Second))
		}
	}
	if e.held != nil && e.held.id == id {
		next := *e.held
		next.leaseUntil = lease
		e.held, e.attached = &next, true
	}
	e.touch()
}

// tell takes note of what stands in the way. Nil: nothing does.
func (e *Endpoint) tell(p *control.Problem) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.problem, e.place = p, nil
	e.touch()
}

// dropSession takes the tunnel away and lets go of the session, even if the context has ended.
func (e *Endpoint) dropSession(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), installWithin)
	defer cancel()
	err := e.tunnel.remove(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held, e.former, e.end, e.idle = nil, nil, nil, nil
	if err != nil {
		e.log.Error("could not take the tunnel away entirely", "error", err)
		e.problem = tunnelLeft(err)
	}
	e.touch()
}
