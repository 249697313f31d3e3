package e2e_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// intranet is what an administration has behind its gateway: a page, a name
// server, and a service that sends datagrams back and remembers them.
type intranet struct {
	*machine
	mu   sync.Mutex
	seen map[netip.Addr]time.Time // when the last datagram of an address arrived
}

const (
	intranetName = "intranet.stadt.example"
	intranetV4   = "10.1.0.53"
	intranetV6   = "fd00:1::53"
	intranetPage = "Willkommen im Intranet"
	echoPort     = "7007"
)

// serve starts the services. The addresses must be up.
func (i *intranet) serve(t testing.TB) {
	t.Helper()
	i.seen = map[netip.Addr]time.Time{}
	page := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s, %s\n", intranetPage, r.RemoteAddr)
	})}
	t.Cleanup(func() { page.Close() })
	for _, address := range []string{intranetV4, intranetV6} {
		l := i.listen(t, "tcp", net.JoinHostPort(address, "80"))
		names, echo := i.listenPacket(t, "udp", net.JoinHostPort(address, "53")), i.listenPacket(t, "udp", net.JoinHostPort(address, echoPort))
		go func() { _ = page.Serve(l) }() // ends when it is closed, and says so
		go answerNames(names)
		go i.echo(echo)
	}
}

// echo sends every datagram back until the socket is closed.
func (i *intranet) echo(conn net.PacketConn) {
	b := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		if a, ok := from.(*net.UDPAddr); ok {
			i.mu.Lock()
			i.seen[a.AddrPort().Addr().Unmap()] = time.Now()
			i.mu.Unlock()
		}
		_, _ = conn.WriteTo(b[:n], from) // a laptop that has gone takes no answer
	}
}

// lastFrom says when the last datagram of an address arrived; zero: never.
func (i *intranet) lastFrom(a netip.Addr) time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.seen[a]
}

// answerNames is a name server that knows one name.
func answerNames(conn net.PacketConn) {
	b := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		if answer, err := answerName(b[:n]); err == nil {
			_, _ = conn.WriteTo(answer, from) // who asked asks again
		}
	}
}

func answerName(query []byte) ([]byte, error) {
	var p dnsmessage.Parser
	header, err := p.Start(query)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired},
		Questions: []dnsmessage.Question{q},
	}
	head := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1}
	switch {
	case q.Name.String() != intranetName+".":
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AResource{A: netip.MustParseAddr(intranetV4).As4()}}}
	case q.Type == dnsmessage.TypeAAAA:
		m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(intranetV6).As16()}}}
	}
	return m.Pack()
}

// fetch gets a page as any program on the machine would, names and all.
func fetch(url string, out io.Writer) error {
	client := http.Client{Timeout: 10 * time.Second}
	r, err := client.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, r.Status)
	}
	_, err = io.Copy(out, io.LimitReader(r.Body, 1<<16))
	return err
}

// page fetches the intranet's page from a machine, by literal address and on a
// new connection.
func page(ctx context.Context, from *machine, address string) error {
	client := http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DialContext: from.dial, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(address, "80")+"/", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	if err != nil {
		return err
	}
	if got := string(text); len(got) < len(intranetPage) || got[:len(intranetPage)] != intranetPage {
		return fmt.Errorf("another page: %q", got)
	}
	return nil
}

// stream sends a numbered datagram each 10 ms to the intranet, whatever
// happens, and notes when which came back.
type stream struct {
	conn   net.Conn
	ended  chan struct{}
	halt   context.CancelFunc
	mu     sync.Mutex
	echoed []time.Time // in the order of arrival
}

const beat = 10 * time.Millisecond

// beginStream starts one and waits for its first answer.
func beginStream(t *testing.T, from *machine, address string) *stream {
	t.Helper()
	conn, err := from.dial(t.Context(), "udp", net.JoinHostPort(address, echoPort))
	if err != nil {
		t.Fatalf("opening a stream from %s: %v", from.name, err)
	}
	ctx, halt := context.WithCancel(t.Context())
	s := &stream{conn: conn, halt: halt, ended: make(chan struct{})}
	go s.send(ctx)
	go s.receive()
	t.Cleanup(s.end)
	eventually(t, 20*time.Second, "the stream's first answer", func() error {
		if s.last().IsZero() {
			return errors.New("nothing came back")
		}
		return nil
	})
	return s
}

func (s *stream) send(ctx context.Context) {
	defer close(s.ended)
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for n := uint64(0); ; n++ {
		_, _ = s.conn.Write(binary.BigEndian.AppendUint64(nil, n)) // where it fails nothing comes back: that is what counts
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *stream) receive() {
	b := make([]byte, 64)
	for {
		_, err := s.conn.Read(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			s.mu.Lock()
			s.echoed = append(s.echoed, time.Now())
			s.mu.Unlock()
		}
	}
}

// end is idempotent.
func (s *stream) end() {
	s.halt()
	<-s.ended
	s.conn.Close()
}

// last is when the last answer came; zero: none yet.
func (s *stream) last() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.echoed) == 0 {
		return time.Time{}
	}
	return s.echoed[len(s.echoed)-1]
}

// longestGap is the longest silence from a moment until now.
func (s *stream) longestGap(since time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var longest time.Duration
	before := since
	for _, at := range append(s.echoed, time.Now()) {
		if at.After(since) {
			longest, before = max(longest, at.Sub(before)), at
		}
	}
	return longest
}

// flowing is an error unless an answer came after the moment.
func (s *stream) flowing(after time.Time) error {
	if last := s.last(); !last.After(after) {
		return fmt.Errorf("the last answer came %v ago", time.Since(last).Round(time.Millisecond))
	}
	return nil
}
