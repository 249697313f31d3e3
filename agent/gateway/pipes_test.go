package gateway

import (
	"context"
	"net"
	"sync"
)

// pipes is a listener without a network, for synctest.
type pipes struct {
	conns chan net.Conn

	mu     sync.Mutex
	closed chan struct{}
}

func newPipes() *pipes {
	p := &pipes{conns: make(chan net.Conn)}
	p.open()
	return p
}

// open lets a closed listener listen again.
func (p *pipes) open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = make(chan struct{})
}

func (p *pipes) done() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.done():
		return nil, net.ErrClosed
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done():
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }
