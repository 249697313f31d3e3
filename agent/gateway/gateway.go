package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

const (
	journalName = "peers"
	keyName     = "wireguard"
	statusName  = "status"
	joinedName  = "joined"
)

// Options say what a gateway works with.
type Options struct {
	// Servers are the control planes, tried in random order. None: the one that
	// the gateway joined.
	Servers []control.Server
	// State is where Join left the identity. It belongs to the gateway until
	// Run has returned.
	State *state.Dir
	// Open makes the device: Host.Open or Netstack.Open.
	Open func(context.Context, Setup) (Device, error)
	// LeaveTunnels has Run leave what the kernel carries when it ends, for the next one: somebody else takes it away if there
	// is none (Host.Clear).
	LeaveTunnels bool
	// ListenPort zero: as the control plane says.
	ListenPort uint16
	// Version stands in the control plane's list of gateways.
	Version string
	// Language in which refusals should come. Empty: the server's choice.
	Language string
	// Dial nil: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Logger nil: slog.Default.
	Logger *slog.Logger
}

// Gateway is one gateway.
type Gateway struct {
	o        Options
	log      *slog.Logger
	identity *control.Identity
	key      wireguard.PrivateKey
	journal  journal

	// wakeInstaller and wakeSender hold at most one call each.
	wakeInstaller, wakeSender chan struct{}

	// turned is offered each turn of the installing loop.
	turned chan struct{}

	mu sync.Mutex
	book
	outbox
	link

	installer // touched by the installing goroutine alone
}

// book is what is wanted, what is installed, and what lies between. Guarded by
// Gateway.mu.
type book struct {
	wanted    *wanted
	pending   *pending
	installed map[wireguard.Key]installed
	// traces are the sessions that the device may hold, also those on their
	// way there: who is told that a session is gone must not find it here.
	traces map[string]wireguard.Key

	configuration *configuration // nil: none yet
	rawConfig     *heimdrahtv1.GatewayConfiguration
	// clock is how far the control plane's clock is ahead of ours.
	clock time.Duration
	// clockAt is when that was found.
	clockAt time.Time

	cutOff cutOff
	// suspended: the grace time has run out, nothing may be installed until
	// the control plane has brought us up to date.
	suspended  bool
	nextExpiry time.Time // zero: no session has an end

	records     [][]byte // not yet in the journal
	recordBytes int
	noted       int64 // the number of the last change for the journal
	rewrite     bool  // the journal has to be written anew

	// movedEndpoints are sessions whose endpoint the journal does not know.
	movedEndpoints map[string]struct{}
}

// installed is a peer that the device holds, as far as we know.
type installed struct {
	session string // empty: none of ours
	access  string // the name of the list that holds it; empty: none
	peer    wireguard.Peer
}

// New reads what Join and earlier runs left. It connects to nothing and
// installs nothing yet. The error is a control.Problem if somebody can act
// upon it.
func New(o Options) (*Gateway, error) {
	g := &Gateway{
		o: o, log: o.Logger,
		wakeInstaller: make(chan struct{}, 1), wakeSender: make(chan struct{}, 1), turned: make(chan struct{}),
	}
	if g.log == nil {
		g.log = slog.Default()
	}
	var err error
	if g.identity, err = control.LoadIdentity(o.State); control.IsMissing(err) {
		return nil, notJoined()
	} else if err != nil {
		return nil, control.StateUnusable(o.State.Path(), err)
	}
	if g.key, err = loadKey(o.State); err != nil {
		return nil, control.StateUnusable(o.State.Path(), err)
	}
	joined, err := loadJoined(o.State)
	if err != nil {
		return nil, control.StateUnusable(o.State.Path(), err)
	}
	if g.o.Servers, err = g.serversOr(o.Servers); err != nil {
		return nil, err
	}
	if err := g.remember(joined.Gateway); err != nil {
		return nil, err
	}
	return g, nil
}

// remember replays the journal of the gateway of that name. One that cannot be
// read, or is another's, is set aside: without it the gateway carries nobody
// until the control plane has told it anew, which is safe.
func (g *Gateway) remember(name string) error {
	m := newMemory()
	replay := func(record []byte) error {
		if err := m.replay(record); err != nil {
			return err
		}
		if c := m.configuration; c != nil && c.GetName() != name {
			return fmt.Errorf("it is of the gateway %q, and this one is %q", c.GetName(), name)
		}
		return nil
	}
	journal, err := g.o.State.OpenJournal(journalName, replay)
	if err != nil {
		g.log.Error("the journal of peers cannot be used and is set aside; tunnels come back when the control plane answers", "error", err)
		if err := g.o.State.SetAside(journalName); err != nil {
			return control.StateUnusable(g.o.State.Path(), err)
		}
		m = newMemory()
		if journal, err = g.o.State.OpenJournal(journalName, replay); err != nil {
			return control.StateUnusable(g.o.State.Path(), err)
		}
	}
	m.wanted.collecting = nil
	g.journal = journal
	g.book = book{
		wanted: m.wanted, pending: newPending(), installed: make(map[wireguard.Key]installed),
		rawConfig: m.configuration, movedEndpoints: make(map[string]struct{}),
		traces: make(map[string]wireguard.Key), cutOff: resumeCutOff(m.contact, time.Now()),
	}
	g.compactedSize = journal.Size()
	g.confirmed = make(map[string]struct{})
	g.readings = make(map[string]reading)
	if m.configuration != nil {
		c, err := parseConfiguration(m.configuration)
		if err != nil {
			g.log.Error("the configuration in the journal is left out", "error", err)
		} else {
			g.configuration = &c
		}
	}
	g.findNextExpiry()
	if len(m.wanted.sessions) > 0 && g.cutOff.elapsed(time.Now()) >= g.grace() {
		g.suspended = true
		g.log.Warn("no contact for longer than the grace time: no peer is installed until the control plane answers",
			"last_contact", g.cutOff.last.UTC(), "grace", g.grace())
	}
	return nil
}

// Run works until the context ends, and then closes the device, so that no
// tunnel stands that nobody watches, unless it is to leave them to the next
// one. It returns the context's error.
func (g *Gateway) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.install(ctx) })
	group.Go(func() error { return g.stayConnected(ctx) })
	group.Go(func() error { return g.writeStatus(ctx) })
	group.Go(func() error { return g.identity.KeepRenewed(ctx, g.log, g.connect) })
	err := group.Wait()
	return errors.Join(err, g.journal.Close())
}

// Alive returns when the loop that installs peers has had a turn, which it has each second, and all along while there is
// much to install.
func (g *Gateway) Alive(ctx context.Context) error {
	select {
	case <-g.turned:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for a turn of the installer: %w", ctx.Err())
	}
}

// SetServers has the next connection made to one of these; one that stands stays. None: the one that the gateway joined.
func (g *Gateway) SetServers(servers []control.Server) error {
	servers, err := g.serversOr(servers)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.o.Servers = servers
	return nil
}

func (g *Gateway) serversOr(servers []control.Server) ([]control.Server, error) {
	if len(servers) > 0 {
		return servers, nil
	}
	joined, err := loadJoined(g.o.State)
	if err == nil {
		servers, err = control.ParseServers([]string{joined.Server})
	}
	if err != nil {
		return nil, control.StateUnusable(g.o.State.Path(), err)
	}
	return servers, nil
}

// Status is what is known now. Safe for concurrent use, also with Run.
func (g *Gateway) Status() Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.status(time.Now())
}

func (g *Gateway) grace() time.Duration {
	if g.configuration == nil {
		return defaultGrace
	}
	return g.configuration.grace
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// receive takes in one message of the control plane. An error ends the
// stream.
func (g *Gateway) receive(m *heimdrahtv1.SyncResponse) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := m.GetConfiguration(); c != nil {
		return g.receiveConfiguration(c)
	}
	touched, bad, err := g.wanted.receive(m)
	for _, b := range bad {
		g.log.Error("a peer is left out: the control plane sent what cannot be installed", "session", b.session, "reason", b.why)
	}
	switch {
	case errors.Is(err, errUnfit):
		g.wantSnapshot(err.Error())
		return nil
	case err != nil:
		return control.ConfigRefused(err)
	}
	return g.take(m, touched)
}

// take notes what a message changed: for the journal, and for the installer.
func (g *Gateway) take(m *heimdrahtv1.SyncResponse, touched []wireguard.Key) error {
	switch order := m.GetOrder().(type) {
	case *heimdrahtv1.SyncResponse_Delta:
		if len(order.Delta.GetRemovedSessions())+len(order.Delta.GetPeers()) > 0 {
			if err := g.note(m); err != nil {
				return err
			}
		}
		g.removed(order.Delta.GetRemovedSessions(), order.Delta.GetUpto() > order.Delta.GetAfter())
		g.pending.addDelta(g.wanted.at, g.noted, touched, g.loses)
		g.upToDate()
	case *heimdrahtv1.SyncResponse_Removal:
		if err := g.note(m); err != nil {
			return err
		}
		g.removed(order.Removal.GetSessions(), false)
	case *heimdrahtv1.SyncResponse_SnapshotBegin:
		g.collectingSince = time.Now()
	case *heimdrahtv1.SyncResponse_SnapshotEnd:
		g.noteAnew()
		var gone []string
		for id := range g.traces {
			if g.wanted.sessions[id] == nil {
				gone = append(gone, id)
			}
		}
		g.removed(gone, true)
		g.pending.addDelta(g.wanted.at, g.noted, touched, g.loses)
		g.askedAt = time.Time{}
		g.upToDate()
	}
	for _, key := range touched {
		if s := g.wanted.of(key); s != nil {
			g.expires(s)
		}
	}
	wake(g.wakeInstaller)
	return nil
}

// removed has sessions taken from the device, and acknowledged as soon as they are: what comes with them may take longer. said:
// the acknowledgement of our place says the same.
func (g *Gateway) removed(sessions []string, said bool) {
	if len(sessions) == 0 {
		return
	}
	var keys []wireguard.Key
	for _, id := range sessions {
		if key, ok := g.traces[id]; ok {
			keys = append(keys, key)
		}
	}
	var upto place
	if said {
		upto = g.wanted.at
	}
	g.pending.addRemoval(sessions, upto, g.noted, keys, g.loses)
}

// upToDate lifts a suspension: the control plane has said what holds now.
func (g *Gateway) upToDate() {
	g.needSnapshot = ""
	if !g.suspended {
		return
	}
	g.suspended = false
	g.touchAll()
}

// touchAll makes the installer look at every key, and forgets how far it was.
func (g *Gateway) touchAll() {
	keys := make([]wireguard.Key, 0, len(g.wanted.byKey))
	for key := range g.wanted.byKey {
		keys = append(keys, key)
	}
	for key := range g.installed {
		if g.wanted.byKey[key] == nil {
			keys = append(keys, key)
		}
	}
	g.forgetProgress()
	g.pending.addDelta(g.wanted.at, g.noted, keys, g.loses)
	wake(g.wakeInstaller)
}

// forgetProgress takes back how far we said we were.
func (g *Gateway) forgetProgress() {
	g.acked = place{}
	g.pending.forgetPlaces()
}

// loses says whether a key may lose its peer, or what it reaches, which goes
// before everything else.
func (g *Gateway) loses(key wireguard.Key) bool {
	s := g.desired(key)
	if s == nil {
		return true
	}
	have, ok := g.installed[key]
	return ok && (have.session != s.id || have.access != s.accessName())
}

// desired is the session that a key must carry now, or nil.
func (g *Gateway) desired(key wireguard.Key) *session {
	s := g.wanted.of(key)
	if s == nil || g.suspended || g.ended(s) {
		return nil
	}
	return s
}

// ended judges by the control plane's clock.
func (g *Gateway) ended(s *session) bool {
	return !s.notAfter.IsZero() && !time.Now().Add(g.clock).Before(s.notAfter)
}

// findNextExpiry looks at all sessions. One that ends later than found, or not
// at all any more, does no harm: the next look finds out.
func (g *Gateway) findNextExpiry() {
	g.nextExpiry = time.Time{}
	for _, s := range g.wanted.sessions {
		g.expires(s)
	}
}

// expires notes when a session ends, if it is the next one to end.
func (g *Gateway) expires(s *session) {
	if s.notAfter.IsZero() || g.ended(s) {
		return
	}
	if g.nextExpiry.IsZero() || s.notAfter.Before(g.nextExpiry) {
		g.nextExpiry = s.notAfter
	}
}

func (g *Gateway) receiveConfiguration(m *heimdrahtv1.GatewayConfiguration) error {
	c, err := parseConfiguration(m)
	if err != nil {
		return control.ConfigRefused(err)
	}
	if t := m.GetServerTime(); t.IsValid() {
		g.clock = time.Until(t.AsTime())
		g.clockAt = time.Now()
		if g.clock.Abs() > clockTolerance {
			g.log.Warn("this machine's clock is wrong", "error", control.ClockOff(-g.clock))
		}
	}
	changed := g.configuration == nil || !c.equal(*g.configuration)
	g.configuration, g.rawConfig = &c, m
	if changed {
		if err := g.note(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Configuration{Configuration: m}}); err != nil {
			return err
		}
	}
	if !g.connected {
		g.connected = true
		g.cutOff = cutOff{last: time.Now()}
		if err := g.noteContact(); err != nil {
			return err
		}
		g.log.Info("connected to the control plane", "server", g.server, "gateway", c.name)
		if !c.accessLists {
			g.log.Warn("the control plane is of a version that does not say what sessions may reach: whatever this gateway routes can be reached from laptops of all its tenants")
		}
	}
	switch {
	case g.suspended:
		g.wantSnapshot("the grace time had run out")
	case c.accessLists && g.wanted.unlisted():
		g.wantSnapshot("what sessions may reach was not said before")
	}
	g.findNextExpiry()
	wake(g.wakeInstaller)
	return nil
}

func (c configuration) equal(d configuration) bool {
	return c.name == d.name && c.listenPort == d.listenPort && c.mtu == d.mtu && c.grace == d.grace &&
		c.masquerade == d.masquerade && c.accessLists == d.accessLists && slices.Equal(c.inside, d.inside) && fmt.Sprint(c.addresses) == fmt.Sprint(d.addresses)
}

const (
	// maxRecordBytes is how much may wait for a slow disk; beyond it the
	// journal is written anew from the state, which is smaller.
	maxRecordBytes = 8 << 20
)

// note queues an order for the journal.
func (g *Gateway) note(m *heimdrahtv1.SyncResponse) error {
	record, err := encodeOrder(m)
	if err != nil {
		return err
	}
	g.noteRecord(record)
	return nil
}

func (g *Gateway) noteRecord(record []byte) {
	g.noted++
	if g.rewrite {
		return
	}
	g.records = append(g.records, record)
	if g.recordBytes += len(record); g.recordBytes > maxRecordBytes {
		g.noteAnew()
	}
}

// noteAnew has the journal written anew from the state.
func (g *Gateway) noteAnew() {
	g.noted++
	g.rewrite, g.records, g.recordBytes = true, nil, 0
}

func (g *Gateway) noteContact() error {
	record, err := encodeRecord(recordContact, g.contact(time.Now()))
	if err != nil {
		return err
	}
	g.noteRecord(record)
	g.contactNoted = time.Now()
	wake(g.wakeInstaller)
	return nil
}
