package admission

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// Precedence is the protocol (ALPN) that gateways and staff offer beside the one
// they speak, to stand in the short line.
const Precedence = "heimdraht-first"

// Limits say how many there may be of whom.
type Limits struct {
	// Turns is how many handshakes are computed at a time.
	Turns int
	// Ready is how many goroutines may wait for a processor; while there are
	// more, few come in from the long line.
	Ready int
	// Arriving is how many connections there are whose next word of the
	// handshake we wait for.
	Arriving int
	// First and Line are how many wait for their turn, in the short line of
	// gateways and staff and in the other one.
	First, Line int
	// Guests is how many connections are inside without a certificate of ours.
	Guests int
	// Each is how many connections the owner of one certificate has inside. An
	// old one may hang while the next one comes, and certificates are renewed
	// over one of their own.
	Each int
	// HelloWithin and AnswerWithin are how long a client may take to say hello,
	// and to go on when we have answered. TurnWithin is how long it stands in
	// line: a little less than our own clients wait.
	HelloWithin, AnswerWithin, TurnWithin time.Duration
	// GuestFor is how long a guest may stay.
	GuestFor time.Duration
}

// DefaultLimits are those of a control plane on this machine. What waits at the
// door takes at the most 12,544 file descriptors and 300 MB.
func DefaultLimits() Limits {
	return Limits{
		Turns: max(2, runtime.GOMAXPROCS(0)), Ready: 4 * runtime.GOMAXPROCS(0),
		Arriving: 6144, First: 256, Line: 6144, Guests: 2048, Each: 4,
		HelloWithin: 10 * time.Second, AnswerWithin: time.Minute, TurnWithin: time.Minute,
		GuestFor: time.Hour,
	}
}

// Options are what a Door needs.
type Options struct {
	TLS    *tls.Config // with the server's certificate; cloned
	Limits Limits
}

// Stats counts what happened since the Door was made.
type Stats struct {
	// Begun handshakes had their turn; Done were also finished. What lies
	// between was work for nothing, or is under way.
	Begun, Done uint64
	// TurnedAway found no place. PutOut lost theirs to others. Late took too
	// long, or waited too long. Gone left while they waited for their turn.
	TurnedAway, PutOut, Late, Gone uint64
	// Arriving, Waiting, Guests and Inside are how many there are now; guests
	// are inside.
	Arriving, Waiting, Guests, Inside int
}

// Door lets connections in. Safe for concurrent use.
type Door struct {
	tls    *tls.Config
	limits Limits

	mu       sync.Mutex
	closed   bool
	turns    int     // free
	again    []*Conn // have had a turn and go on: before everybody else
	arriving *places
	lines    [2]*line // first, and the other one
	justSet  int      // the line that had the last turn
	guests   *places
	owned    map[string][]*Conn // oldest first
	inside   int
	stats    Stats

	ready      func() int // how many goroutines wait for a processor
	lastOfLine time.Time  // when the long line last had a turn
	looking    bool       // look is on its way
}

var (
	errClosed = errors.New("the door is closed")
	errFull   = errors.New("no place is left")
	errLate   = errors.New("waited too long for its turn")
)

// NewDoor makes a Door. Close ends it.
func NewDoor(o Options) *Door {
	d := &Door{
		limits: o.Limits, turns: o.Limits.Turns,
		arriving: &places{most: o.Limits.Arriving}, guests: &places{most: o.Limits.Guests},
		lines: [2]*line{newLine(o.Limits.First), newLine(o.Limits.Line)},
		owned: make(map[string][]*Conn), ready: readyToRun(),
	}
	d.tls = o.TLS.Clone()
	d.tls.SessionTicketsDisabled = true
	d.tls.GetConfigForClient = d.hello
	return d
}

// Close ends what has not come in yet, and lets nobody in any more. Who is
// inside stays. Idempotent.
func (d *Door) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, set := range []*places{d.arriving, d.lines[0].places, d.lines[1].places} {
		for len(set.list) > 0 {
			d.end(set.list[len(set.list)-1])
		}
	}
}

// Stats gives the counts.
func (d *Door) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Arriving, s.Guests, s.Inside = len(d.arriving.list), len(d.guests.list), d.inside
	s.Waiting = len(d.lines[0].list) + len(d.lines[1].list)
	return s
}

// Listen gives a listener whose connections have a place at the door; Handshake
// brings them in.
func (d *Door) Listen(l net.Listener) net.Listener { return &listener{Listener: l, door: d} }

type listener struct {
	net.Listener
	door *Door
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.door.arrive(raw); c != nil {
			return c, nil
		}
		_ = raw.Close() // nobody to tell
	}
}

// arrive gives a connection its place; nil: there is none.
func (d *Door) arrive(raw net.Conn) *Conn {
	endSilence(raw)
	c := &Conn{Conn: raw, door: d, source: sourceOf(raw.RemoteAddr())}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	if len(d.guests.list) > 0 {
		d.endOldGuests()
	}
	if !d.takePlace(d.arriving, c) {
		return nil
	}
	return c
}

// takePlace gives c one of the places, if need be that of another one. d.mu is
// held.
func (d *Door) takePlace(set *places, c *Conn) bool {
	if len(set.list) >= set.most {
		victim := set.crowding()
		if !set.yields(victim, c) {
			d.stats.TurnedAway++
			return false
		}
		d.stats.PutOut++
		d.end(victim)
	}
	set.add(c)
	return true
}

// endOldGuests ends guests who have stayed for too long. One look for each
// newcomer is enough: it is newcomers who need the places.
func (d *Door) endOldGuests() {
	if g := d.guests.any(); time.Since(g.since) > d.limits.GuestFor {
		d.stats.PutOut++
		d.end(g)
	}
}

// end closes a connection and forgets it. d.mu is held.
func (d *Door) end(c *Conn) {
	d.forget(c)
	_ = c.Conn.Close() // whoever reads or writes finds out
}

// forget takes a connection out of the books. Idempotent. d.mu is held.
func (d *Door) forget(c *Conn) {
	if c.place != nil {
		c.place.remove(c)
	}
	if c.turn != nil {
		close(c.turn)
		c.turn = nil
	}
	if c.inside {
		c.inside = false
		d.inside--
	}
	if c.owner != "" {
		d.disown(c)
	}
	c.gone = true
}

// sourceOf is the address, or its network, by which connections are told apart.
func sourceOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	if addr.Is4() {
		return addr
	}
	network, err := addr.Prefix(64)
	if err != nil {
		return addr
	}
	return network.Addr()
}
