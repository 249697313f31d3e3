package rpc_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// deaf is a client of HTTP/2 that opens streams and lets nobody send on them.
type deaf struct {
	t      *testing.T
	conn   *tls.Conn
	frames *http2.Framer
	next   uint32
}

func newDeaf(t *testing.T, s *provisionertest.Server, c *tls.Certificate) *deaf {
	t.Helper()
	raw, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	config := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, NextProtos: []string{"h2"}}
	if c != nil {
		config.Certificates = []tls.Certificate{*c}
	}
	d := &deaf{t: t, conn: tls.Client(raw, config), next: 1}
	if _, err := io.WriteString(d.conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	d.frames = http2.NewFramer(d.conn, d.conn)
	if err := d.frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
		t.Fatal(err)
	}
	return d
}

// call opens a stream, and says whether the connection still takes it.
func (d *deaf) call(method string, messages ...[]byte) error {
	var block sink
	e := hpack.NewEncoder(&block)
	for _, h := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":path", method}, {":authority", "x"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		if err := e.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			return err
		}
	}
	id := d.next
	d.next += 2
	if err := d.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true}); err != nil {
		return err
	}
	for _, m := range messages {
		if err := d.frames.WriteData(id, false, m); err != nil {
			return err
		}
	}
	return nil
}

type sink []byte

func (s *sink) Write(b []byte) (int, error) { *s = append(*s, b...); return len(b), nil }

// readUntilEnd takes in frames, opens no window, and returns when the server
// has ended the connection.
func (d *deaf) readUntilEnd() error {
	for {
		f, err := d.frames.ReadFrame()
		if err != nil {
			return err
		}
		if p, ok := f.(*http2.PingFrame); ok && !p.IsAck() {
			if err := d.frames.WritePing(true, p.Data); err != nil {
				return err
			}
		}
	}
}

// othersGoOn opens a session on another laptop and revokes it: nothing of that
// may wait for whoever misbehaves meanwhile.
func othersGoOn(t *testing.T, s *provisionertest.Server, serial string) {
	t.Helper()
	laptop := s.Enrol(provisionertest.Second, serial)
	opens(t, s, laptop)
	if !revoke(t, s, laptop.ID, 10_000) {
		t.Error("a revocation was not confirmed")
	}
}

// opens opens a session as a laptop does: a gateway that the machine had no time
// for (it has 2 s) is asked again.
func opens(t *testing.T, s *provisionertest.Server, laptop provisionertest.Laptop) {
	t.Helper()
	const tries = 5
	for try := 1; ; try++ {
		answer, err := provisionertest.Open(s.Attach(t.Context(), laptop), "")
		if err == nil && answer.GetOpened() != nil {
			return
		}
		if code := answer.GetRefused().GetCode(); err != nil || code != "no-gateway" || try == tries {
			t.Fatalf("opening: %v, %v", answer, err)
		}
	}
}

// A client that opens streams without end has as many as one connection may
// have, waits with the rest, and nobody else waits with it.
func TestStreamsWithoutEnd(t *testing.T) {
	s := provisionertest.Start(t, nil)
	s.JoinGateway("gw1").Run()
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	before := runtime.NumGoroutine()
	d := newDeaf(t, s, &laptop.Certificate)
	ctx, stop := context.WithCancel(t.Context())
	flooding := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if err := d.call(heimdrahtv1.SessionService_Attach_FullMethodName); err != nil {
				flooding <- err
				return
			}
		}
		flooding <- nil
	}()
	go func() { _ = d.readUntilEnd() }() // it ends with the connection
	for i := range 3 {
		othersGoOn(t, s, "SN2"+string(rune('a'+i)))
		// Two a stream, at most 16 at once, and those of the tests' own clients.
		if n := runtime.NumGoroutine() - before; n > 200 {
			t.Errorf("%d goroutines more", n)
		}
	}
	stop()
	_ = d.conn.Close() // the server may have ended it
	if err := <-flooding; err != nil && !errors.Is(err, net.ErrClosed) && !isCut(err) {
		t.Error(err)
	}
}

func isCut(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
