package admission

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math"
	"math/big"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// selfMade is a certificate for either side.
func selfMade(t testing.TB, name string) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	check(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// house is a Door with a listener, and with rooms that echo one byte.
type house struct {
	*Door

	t       testing.TB
	address string
}

func open(t testing.TB, l Limits) *house {
	t.Helper()
	h := &house{t: t, Door: NewDoor(Options{Limits: l, TLS: &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{selfMade(t, "server")}, ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2"},
	}})}
	raw, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	check(t, err)
	h.address = raw.Addr().String()
	listener := h.Listen(raw)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go h.serve(c)
		}
	}()
	t.Cleanup(func() {
		h.Close()
		raw.Close()
	})
	return h
}

func (h *house) serve(raw net.Conn) {
	conn, err := h.Handshake(raw, func(chain []*x509.Certificate) string { return chain[0].Subject.CommonName })
	if err != nil {
		return
	}
	_, _ = io.Copy(conn, conn) // until the client goes
	_ = conn.Close()
}

// tcp connects without a word.
func (h *house) tcp(from string) net.Conn {
	h.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(h.t.Context(), "tcp", h.address)
	check(h.t, err)
	h.t.Cleanup(func() { c.Close() })
	return c
}

func client(raw net.Conn, certificate *tls.Certificate, protocols ...string) *tls.Conn {
	c := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, NextProtos: append(protocols, "h2")}
	if certificate != nil {
		c.Certificates = []tls.Certificate{*certificate}
	}
	return tls.Client(raw, c)
}

// enter goes all the way in.
func (h *house) enter(from string, certificate *tls.Certificate) (*tls.Conn, error) {
	h.t.Helper()
	c := client(h.tcp(from), certificate)
	return c, echo(c)
}

// echo fails where the connection is not inside.
func echo(c net.Conn) error {
	if _, err := c.Write([]byte{7}); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

// hello is a client's first words.
func hello(t testing.TB, protocols ...string) []byte {
	t.Helper()
	var said bytes.Buffer
	err := client(mouth{&said}, nil, protocols...).HandshakeContext(t.Context())
	if said.Len() == 0 {
		t.Fatal("nothing was said: ", err)
	}
	return said.Bytes()
}

// mouth says, and hears nothing.
type mouth struct{ said *bytes.Buffer }

func (m mouth) Write(b []byte) (int, error)    { return m.said.Write(b) }
func (mouth) Read([]byte) (int, error)         { return 0, io.EOF }
func (mouth) Close() error                     { return nil }
func (mouth) LocalAddr() net.Addr              { return nil }
func (mouth) RemoteAddr() net.Addr             { return nil }
func (mouth) SetDeadline(time.Time) error      { return nil }
func (mouth) SetReadDeadline(time.Time) error  { return nil }
func (mouth) SetWriteDeadline(time.Time) error { return nil }

// eventually waits for what another goroutine brings about.
func (h *house) eventually(what string, so func(Stats) bool) {
	h.t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	late := time.After(20 * time.Second)
	for !so(h.Stats()) {
		select {
		case <-look.C:
		case <-late:
			h.t.Fatalf("not so: %s: %+v", what, h.Stats())
		}
	}
}

// takeTurns holds up everybody until it is called again.
func (h *house) takeTurns() (giveBack func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.turns
	h.turns = 0
	return func() {
		for range n {
			h.giveBack()
		}
	}
}

func small() Limits {
	l := DefaultLimits()
	l.Turns, l.Arriving, l.First, l.Line, l.Guests, l.Each = 1, 8, 2, 8, 8, 2
	l.Ready = math.MaxInt // whatever else the tests do
	// Nothing here is to end by itself.
	l.HelloWithin, l.AnswerWithin, l.TurnWithin = time.Hour, time.Hour, time.Hour
	return l
}

// Connections that say nothing, and such that stop in the middle, take places
// and no turns; they are bounded, and who comes after them comes in.
func TestSilenceHoldsNobodyUp(t *testing.T) {
	h := open(t, small())
	words := hello(t)
	for range 30 {
		h.tcp("127.0.0.2")
		_, err := h.tcp("127.0.0.3").Write(words)
		check(t, err)
	}
	h.eventually("those who say nothing, or stop, fill all places", func(s Stats) bool { return s.PutOut+s.TurnedAway >= 60-8 })
	for range 3 {
		c, err := h.enter("127.0.0.4", nil)
		if err != nil {
			t.Fatalf("kept out: %v, %+v", err, h.Stats())
		}
		check(t, c.Close())
	}
	if s := h.Stats(); s.Arriving > 8 || s.Waiting > 8 {
		t.Errorf("more than there are places for: %+v", s)
	}
}

// Who takes too long over its own words is ended.
func TestSilenceEnds(t *testing.T) {
	l := small()
	l.HelloWithin, l.AnswerWithin = time.Millisecond, time.Millisecond
	h := open(t, l)
	silent, stuck := h.tcp("127.0.0.1"), h.tcp("127.0.0.1")
	_, err := stuck.Write(hello(t))
	check(t, err)
	for _, c := range []net.Conn{silent, stuck} {
		if _, err := io.Copy(io.Discard, c); err != nil && !isReset(err) {
			t.Error(err)
		}
	}
	h.eventually("both are gone", func(s Stats) bool { return s.Late == 2 && s.Arriving == 0 })
}

func isReset(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

// Who left while it waited costs no handshake.
func TestWhoHasLeftCostsNoHandshake(t *testing.T) {
	h := open(t, small())
	giveBack := h.takeTurns()
	leaver := h.tcp("127.0.0.1")
	_, err := leaver.Write(hello(t))
	check(t, err)
	h.eventually("it waits", func(s Stats) bool { return s.Waiting == 1 })
	leaver.Close()
	stays := make(chan error, 1)
	go func() {
		_, err := h.enter("127.0.0.1", nil)
		stays <- err
	}()
	h.eventually("two wait", func(s Stats) bool { return s.Waiting == 2 })
	giveBack()
	check(t, <-stays)
	if s := h.Stats(); s.Gone != 1 || s.Begun != 1 || s.Done != 1 {
		t.Errorf("%+v", s)
	}
}

// Who waits too long, or finds no place, is closed without an alert: its client
// would take that for a fault of its own.
func TestNoPlaceIsNoFaultOfTheClient(t *testing.T) {
	l := small()
	l.Line, l.TurnWithin = 1, 50*time.Millisecond
	h := open(t, l)
	defer h.takeTurns()()
	for range 2 {
		_, err := h.enter("127.0.0.1", nil)
		if _, alert := errors.AsType[tls.AlertError](err); err == nil || alert {
			t.Errorf("got %v", err)
		}
		if remote, ok := errors.AsType[*net.OpError](err); ok && remote.Op == "remote error" {
			t.Errorf("an alert came: %v", err)
		}
	}
	h.eventually("nobody waits any more", func(s Stats) bool { return s.Late == 2 && s.Waiting == 0 })
}

// Who is inside goes on while everybody at the door stands still.
func TestInsideNobodyWaits(t *testing.T) {
	h := open(t, small())
	c, err := h.enter("127.0.0.1", nil)
	check(t, err)
	defer h.takeTurns()()
	_, err = h.tcp("127.0.0.1").Write(hello(t))
	check(t, err)
	h.eventually("somebody waits", func(s Stats) bool { return s.Waiting == 1 })
	for range 100 {
		check(t, echo(c))
	}
}

// Of one certificate's owner the newest connections stay, of guests those of
// the least crowded sources.
func TestPlacesInsideAreBounded(t *testing.T) {
	h := open(t, small())
	mine := selfMade(t, "device a")
	first, err := h.enter("127.0.0.1", &mine)
	check(t, err)
	other := selfMade(t, "device b")
	neighbour, err := h.enter("127.0.0.1", &other)
	check(t, err)
	var last *tls.Conn
	for range 5 {
		last, err = h.enter("127.0.0.1", &mine)
		check(t, err)
	}
	if err := echo(first); err == nil {
		t.Error("the oldest of too many connections stays")
	}
	check(t, echo(last))
	check(t, echo(neighbour))
	guest, err := h.enter("127.0.0.9", nil)
	check(t, err)
	for range 40 {
		_, err := h.enter("127.0.0.1", nil)
		check(t, err)
	}
	check(t, echo(guest))
	check(t, echo(neighbour))
	if s := h.Stats(); s.Guests > 8 || s.Inside > 8+3 {
		t.Errorf("%+v", s)
	}
	check(t, last.Close())
	h.eventually("who goes gives the place back", func(Stats) bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.owned["device a"]) == 1
	})
}

func TestGuestsDoNotStayForEver(t *testing.T) {
	l := small()
	l.GuestFor = time.Nanosecond
	h := open(t, l)
	guest, err := h.enter("127.0.0.1", nil)
	check(t, err)
	h.tcp("127.0.0.1")
	h.eventually("the guest has gone", func(s Stats) bool { return s.Guests == 0 })
	if echo(guest) == nil {
		t.Error("the guest is still there")
	}
}

// Close ends whoever waits, and leaves those inside.
func TestCloseEndsTheLine(t *testing.T) {
	h := open(t, small())
	inside, err := h.enter("127.0.0.1", nil)
	check(t, err)
	defer h.takeTurns()()
	waiting := h.tcp("127.0.0.1")
	_, err = waiting.Write(hello(t))
	check(t, err)
	h.eventually("it waits", func(s Stats) bool { return s.Waiting == 1 })
	h.Close()
	if _, err := io.Copy(io.Discard, waiting); err != nil && !isReset(err) {
		t.Error(err)
	}
	check(t, echo(inside))
	if _, err := h.enter("127.0.0.1", nil); err == nil {
		t.Error("somebody came in after the door was closed")
	}
}

// order asks a door, from which nobody gets a turn, who would be next.
func order(t *testing.T, d *Door) (got string) {
	t.Helper()
	for {
		c := d.nextInLine()
		if c == nil {
			return got
		}
		got += c.owner
	}
}

func TestTheLineGoesAroundBySource(t *testing.T) {
	d := NewDoor(Options{TLS: &tls.Config{MinVersion: tls.VersionTLS13}, Limits: small()})
	d.limits.Turns, d.turns = 0, 0
	d.lines = [2]*line{newLine(2), newLine(5)}
	wait := func(name, source string, first bool) error {
		_, err := d.standInLine(&Conn{Conn: mouth{}, door: d, source: netip.MustParseAddr(source), owner: name}, first)
		return err
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		check(t, wait(name, "192.0.2.1", false))
	}
	check(t, wait("x", "192.0.2.2", false))
	// The line is full: of the crowd the last one goes, not the one who is next.
	check(t, wait("y", "192.0.2.3", false))
	if err := wait("e", "192.0.2.1", false); !errors.Is(err, errFull) {
		t.Errorf("the crowd pushes out others: %v", err)
	}
	if got := order(t, d); got != "axybc" && got != "axybd" && got != "axycd" && got != "bxycd" {
		t.Errorf("the order is %q", got)
	}
	// The short line has every second turn, and what does not fit into it goes
	// to the other one.
	for _, name := range []string{"1", "2", "3"} {
		check(t, wait(name, "192.0.2.7", true))
	}
	check(t, wait("a", "192.0.2.1", false))
	d.justSet = 1
	if got := order(t, d); got != "132a" {
		t.Errorf("the order is %q", got)
	}
}

// While much is to be done few of the long line come in, but never nobody; the
// short line, and who has begun, do not wait for that.
func TestFewComeInWhileMuchIsToBeDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small()
		l.Turns, l.Ready = 100, 3
		d := NewDoor(Options{TLS: &tls.Config{MinVersion: tls.VersionTLS13}, Limits: l})
		defer d.Close()
		ready := 4
		d.ready = func() int { return ready }
		wait := func(first bool) (*Conn, <-chan struct{}) {
			c := &Conn{Conn: mouth{}, door: d, source: netip.MustParseAddr("192.0.2.1")}
			turn, err := d.standInLine(c, first)
			check(t, err)
			return c, turn
		}
		begun, turn := wait(false) // nobody came just before
		<-turn
		began := time.Now()
		after := func() time.Duration { return time.Since(began).Round(time.Millisecond) }
		_, second := wait(false)
		_, third := wait(false)
		_, fourth := wait(false)
		_, fifth := wait(false)
		_, helpdesk := wait(true)
		<-helpdesk
		check(t, d.goOn(begun))
		if after() != 0 {
			t.Errorf("who goes first, or on, waited for %v", after())
		}
		<-second
		if after() != atLeast {
			t.Errorf("the next one came in after %v", after())
		}
		<-third
		if after() != 2*atLeast {
			t.Errorf("the one after that came in after %v", after())
		}
		d.mu.Lock()
		ready = 3
		d.mu.Unlock()
		<-fourth
		<-fifth
		if after() != 2*atLeast+lookAgain {
			t.Errorf("when there was time again, those who waited came in after %v", after())
		}
	})
}

// The runtime's figure is what the door takes it for: many who want the
// processor at once are seen.
func TestReadyToRun(t *testing.T) {
	count := readyToRun()
	const crowd = 100
	var done sync.WaitGroup
	stop := make(chan struct{})
	for range crowd {
		done.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					runtime.Gosched()
				}
			}
		})
	}
	most := 0
	for range 1000 {
		most = max(most, count())
		runtime.Gosched()
	}
	close(stop)
	done.Wait()
	if most < crowd/2 {
		t.Errorf("of %d who want the processor %d are seen", crowd, most)
	}
}

func TestSourceOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7:1": "192.0.2.7", "[::ffff:192.0.2.7]:1": "192.0.2.7", "[2001:db8:1:2:3::4]:1": "2001:db8:1:2::",
	} {
		if got := sourceOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))); got.String() != want {
			t.Errorf("%s is of %s, not %s", address, got, want)
		}
	}
}

func BenchmarkHandshake(b *testing.B) {
	for _, resumed := range []bool{false, true} {
		name := "full"
		if resumed {
			name = "resumed"
		}
		b.Run(name, func(b *testing.B) {
			server := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{selfMade(b, "server")}, ClientAuth: tls.RequestClientCert}
			own := selfMade(b, "device")
			config := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, Certificates: []tls.Certificate{own}}
			if resumed {
				config.ClientSessionCache, config.ServerName = tls.NewLRUClientSessionCache(1), "server"
			}
			l, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
			check(b, err)
			defer l.Close()
			shake := func(measured bool) {
				far, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", l.Addr().String())
				check(b, err)
				defer far.Close()
				near, err := l.Accept()
				check(b, err)
				defer near.Close()
				done := make(chan error, 1)
				go func() { done <- echo(tls.Client(far, config)) }()
				c := tls.Server(near, server)
				check(b, c.HandshakeContext(b.Context()))
				one := make([]byte, 1)
				_, err = io.ReadFull(c, one)
				check(b, err)
				_, err = c.Write(one)
				check(b, err)
				check(b, <-done)
				if measured && c.ConnectionState().DidResume != resumed {
					b.Fatal("resumption is not as it was meant")
				}
			}
			shake(false)
			for b.Loop() {
				shake(true)
			}
		})
	}
}
