package admission

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Conn is a connection that a Door's listener accepted.
type Conn struct {
	net.Conn
	door   *Door
	source netip.Addr

	computing bool // touched by the handshake's goroutine alone

	// Guarded by door.mu.
	place  *places       // the one it has; nil: none
	index  int           // in its place's list
	since  time.Time     // when it took it
	turn   chan struct{} // gets a value when its turn comes, is closed when it has gone; nil: waits for none
	owner  string        // of its certificate; empty: not known, or a guest
	inside bool
	gone   bool
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.door.mu.Lock()
	c.door.forget(c)
	c.door.mu.Unlock()
	return c.Conn.Close()
}

// Read implements net.Conn. In a handshake it is where we wait for the client,
// and so the turn is given back.
func (c *Conn) Read(b []byte) (int, error) {
	if !c.computing {
		return c.Conn.Read(b)
	}
	c.computing = false
	c.door.giveBack()
	n, err := c.Conn.Read(b)
	if err != nil {
		return n, err
	}
	return n, c.door.goOn(c)
}

// Handshake brings a connection in that this Door's listener accepted. owner
// names whose a client's certificate is; empty: none of ours, a guest's. The
// connection is closed where it fails.
func (d *Door) Handshake(raw net.Conn, owner func(chain []*x509.Certificate) string) (*tls.Conn, error) {
	c, ok := raw.(*Conn)
	if !ok || c.door != d {
		return nil, errors.Join(errors.New("a connection that did not come through this door"), raw.Close())
	}
	conn := tls.Server(c, d.tls)
	err := c.SetDeadline(time.Now().Add(d.limits.HelloWithin))
	if err == nil {
		err = conn.Handshake() //nolint:noctx // its deadlines are the connection's
	}
	if c.computing {
		c.computing = false
		d.giveBack()
	}
	if err == nil {
		err = d.settle(c, conn.ConnectionState().PeerCertificates, owner)
	}
	if err != nil {
		d.failed(err)
		return nil, errors.Join(err, c.Close())
	}
	return conn, nil
}

func (d *Door) failed(err error) {
	late, ok := errors.AsType[net.Error](err)
	if ok && late.Timeout() || errors.Is(err, errLate) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.stats.Late++
	}
}

// hello is called when the client has said hello, before anything is computed.
// Whoever is not let in is closed first: an alert would tell the client that
// something is wrong with it, and it is to come again.
func (d *Door) hello(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c, ok := hello.Conn.(*Conn)
	if !ok {
		return nil, errors.New("a hello that did not come through this door")
	}
	first := slices.Contains(hello.SupportedProtos, Precedence)
	if err := d.waitInLine(c, first); err != nil {
		return nil, err
	}
	c.computing = true
	if err := c.SetDeadline(time.Now().Add(d.limits.AnswerWithin)); err != nil {
		return nil, fmt.Errorf("limiting the time for a handshake: %w", err)
	}
	return nil, nil //nolint:nilnil // nil: the configuration stays
}

func (d *Door) waitInLine(c *Conn, first bool) error {
	turn, err := d.standInLine(c, first)
	if err != nil {
		return err
	}
	timer := time.NewTimer(d.limits.TurnWithin)
	defer timer.Stop()
	select {
	case _, ok := <-turn:
		if !ok {
			return errClosed
		}
		return nil
	case <-timer.C:
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case _, ok := <-turn:
		if ok {
			return nil // it came in this very moment
		}
	default:
	}
	d.end(c)
	return errLate
}

func (d *Door) standInLine(c *Conn, first bool) (<-chan struct{}, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.gone || d.closed {
		return nil, errClosed
	}
	l := d.lines[1]
	if first && len(d.lines[0].list) < d.lines[0].most {
		l = d.lines[0]
	}
	turn := make(chan struct{}, 1)
	if !d.takePlace(l.places, c) {
		d.end(c)
		return nil, errFull
	}
	c.turn = turn
	l.join(c)
	d.next()
	return turn, nil
}

// goOn waits for another turn of a handshake that has begun.
func (d *Door) goOn(c *Conn) error {
	d.mu.Lock()
	if c.gone {
		d.mu.Unlock()
		return errClosed
	}
	turn := make(chan struct{}, 1)
	c.turn = turn
	d.again = append(d.again, c)
	d.next()
	d.mu.Unlock()
	if _, ok := <-turn; !ok {
		return errClosed
	}
	c.computing = true
	return nil
}

func (d *Door) giveBack() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turns++
	d.next()
}

// next gives out the turns that are free. d.mu is held.
func (d *Door) next() {
	for d.turns > 0 {
		c := d.whoIsNext()
		if c == nil {
			return
		}
		d.turns--
		c.turn <- struct{}{}
		c.turn = nil
	}
}

// whoIsNext takes who is next out of its line. d.mu is held.
func (d *Door) whoIsNext() *Conn {
	for len(d.again) > 0 {
		c := d.again[0]
		d.again = d.again[1:]
		if !c.gone {
			return c
		}
	}
	for {
		c := d.nextInLine()
		if c == nil {
			return nil
		}
		if left(c.Conn) {
			d.stats.Gone++
			d.end(c)
			continue
		}
		d.stats.Begun++
		// Its word is what we wait for from here on. Its turn is not taken back
		// for want of a place: it would be work for nothing.
		if len(d.arriving.list) >= d.arriving.most {
			d.stats.PutOut++
			d.end(d.arriving.crowding())
		}
		d.arriving.add(c)
		return c
	}
}

// nextInLine lets both lines have every second turn, the long one if there is
// time for it. d.mu is held.
func (d *Door) nextInLine() *Conn {
	for range d.lines {
		d.justSet = 1 - d.justSet
		l := d.lines[d.justSet]
		if l == d.lines[1] && len(l.list) > 0 && !d.mayEnter() {
			continue
		}
		if c := l.next(); c != nil {
			return c
		}
	}
	return nil
}

// settle finds a place inside for a connection whose handshake is done.
func (d *Door) settle(c *Conn, chain []*x509.Certificate, ownerOf func([]*x509.Certificate) string) error {
	owner := ""
	if len(chain) > 0 {
		owner = ownerOf(chain)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.gone || d.closed {
		return errClosed
	}
	d.stats.Done++
	if owner == "" {
		if !d.takePlace(d.guests, c) {
			return errFull
		}
	} else {
		c.place.remove(c)
		d.own(c, owner)
	}
	c.inside = true
	d.inside++
	return nil
}

// own enters a connection under its owner, of whom the oldest one goes if there
// are too many. d.mu is held.
func (d *Door) own(c *Conn, owner string) {
	if have := d.owned[owner]; len(have) >= d.limits.Each {
		d.stats.PutOut++
		d.end(have[0])
	}
	c.owner = owner
	d.owned[owner] = append(d.owned[owner], c)
}

func (d *Door) disown(c *Conn) {
	rest := slices.DeleteFunc(d.owned[c.owner], func(o *Conn) bool { return o == c })
	if len(rest) == 0 {
		delete(d.owned, c.owner)
	} else {
		d.owned[c.owner] = rest
	}
	c.owner = ""
}
