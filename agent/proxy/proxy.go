package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// helloTime is how long a client has for its greeting and its request.
	helloTime = 10 * time.Second
	// dialTime is how long the other side has to be reached.
	dialTime = 30 * time.Second
	// maxConnections at a time. Further ones wait in the listener. A browser has some tens.
	maxConnections = 1024
)

// Server passes connections on. Its fields do not change once it serves.
type Server struct {
	// Dial makes a TCP connection to host:port, where the host may be a name. Required.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// May says whether a user's programs may use the proxy; others are hung up on, before anything is read. Only Linux
	// tells whose a program is. Nil: every program on this machine may.
	May func(uid int) bool
	// Logger zero: slog.Default. Where people go is not logged.
	Logger *slog.Logger
}

// ErrNotLoopback says that the proxy was to listen where others than this machine's programs can reach it.
var ErrNotLoopback = errors.New("the proxy listens on loopback addresses only, for example 127.0.0.1:1080")

// Listen listens on an address and port. Port 0 is any free one. Names are not accepted, not even localhost, since
// they can mean anything.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	parsed, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("listening for proxy clients on %q: %w", address, ErrNotLoopback)
	}
	if !parsed.Addr().Unmap().IsLoopback() {
		return nil, fmt.Errorf("listening for proxy clients on %v: %w", parsed, ErrNotLoopback)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", parsed.String())
	if err != nil {
		return nil, fmt.Errorf("listening for proxy clients: %w", err)
	}
	return listener, nil
}

// Serve answers clients until the context ends; then it closes the listener and all connections, waits for them, and
// returns nil. It returns an error only if the listener fails for good.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	closing := context.AfterFunc(ctx, func() { _ = listener.Close() }) // Accept tells
	defer closing()
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel() // before the waiting
	free := make(chan struct{}, maxConnections)
	for {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		client, err := listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = client.Close() // nothing was promised to it
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accepting proxy clients: %w", err)
		case err != nil:
			// Out of file descriptors, for example, which passes.
			s.logger().Warn("a proxy client could not be accepted", "error", err)
			<-free
			if !pause(ctx) {
				return nil
			}
			continue
		}
		clients.Go(func() {
			defer func() { <-free }()
			if err := s.serve(ctx, client); err != nil && ctx.Err() == nil {
				s.logger().Debug("a proxy connection failed", "error", err)
			}
		})
	}
}

func (s *Server) logger() *slog.Logger {
	if s.Logger != nil {
		return s.Logger
	}
	return slog.Default()
}

// pause waits a moment and says whether to go on.
func pause(ctx context.Context) bool {
	timer := time.NewTimer(50*time.Millisecond + rand.N(100*time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// serve talks to one client until either side is done.
func (s *Server) serve(ctx context.Context, client net.Conn) error {
	defer closeWith(ctx, client)()
	if s.May != nil {
		uid, err := ownerOf(client)
		if err != nil {
			return err
		}
		if !s.May(uid) {
			return fmt.Errorf("user %d may not use the proxy", uid)
		}
	}
	address, err := hello(client)
	if err != nil {
		return err
	}
	dialling, cancel := context.WithTimeout(ctx, dialTime)
	target, err := s.Dial(dialling, "tcp", address)
	cancel()
	if err != nil {
		_, answering := client.Write(encodeReply(replyFor(err), nil))
		return errors.Join(withoutAddress(err), answering)
	}
	defer closeWith(ctx, target)()
	if _, err := client.Write(encodeReply(replyDone, target.LocalAddr())); err != nil {
		return fmt.Errorf("answering a request: %w", err)
	}
	return relay(client, target)
}

// closeWith closes the connection when the context ends, or else when the returned function is called.
func closeWith(ctx context.Context, conn net.Conn) func() {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return func() {
		stop()
		_ = conn.Close() // a second time, perhaps; nothing is lost by it
	}
}

// hello is the talk before the connection: it returns where the client wants to go.
func hello(client net.Conn) (string, error) {
	if err := client.SetDeadline(time.Now().Add(helloTime)); err != nil {
		return "", fmt.Errorf("setting a deadline: %w", err)
	}
	none, err := readGreeting(client)
	if err != nil {
		return "", err
	}
	if !none {
		_, err := client.Write([]byte{version, methodUnacceptable})
		return "", errors.Join(errors.New("the client wants to prove who it is"), err)
	}
	if _, err := client.Write([]byte{version, methodNone}); err != nil {
		return "", fmt.Errorf("answering a greeting: %w", err)
	}
	address, err := readRequest(client)
	var bad *badRequest
	if errors.As(err, &bad) {
		_, answering := client.Write(encodeReply(bad.reply, nil))
		err = errors.Join(err, answering)
	}
	if err != nil {
		return "", err
	}
	if err := client.SetDeadline(time.Time{}); err != nil {
		return "", fmt.Errorf("ending a deadline: %w", err)
	}
	return address, nil
}

// withoutAddress reduces a dial error to its kind: where somebody wanted to go is nobody's business, not even in a log.
func withoutAddress(err error) error {
	return fmt.Errorf("the connection was answered with code %d", replyFor(err))
}

// relay copies both ways until both are done, or one fails. An end of sending is passed on, since many protocols go on
// in the other direction after it.
func relay(client, target net.Conn) error {
	done := make(chan error, 2)
	one := func(to, from net.Conn) {
		_, err := io.Copy(to, from)
		if err == nil {
			err = closeWrite(to)
		}
		if err != nil {
			_ = to.Close()
			_ = from.Close() // so that the other direction ends too
		}
		done <- err
	}
	go one(target, client)
	one(client, target)
	return errors.Join(<-done, <-done)
}

// closeWrite tells the other side that nothing more comes.
func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return conn.Close()
}
