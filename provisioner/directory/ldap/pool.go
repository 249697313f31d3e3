package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

const (
	// maxConnections bounds each of the two pools: beyond it calls wait their turn. A directory's password hash
	// is the limit long before (ARGON2: about 80 binds a second on one core).
	maxConnections = 16
	// maxIdle is shorter than the idle limits of servers and stateful firewalls.
	maxIdle = time.Minute
	// restFor is how long a server that failed is asked last; half of it at least, jittered.
	restFor = 30 * time.Second
	// refusalKept is how long a refused password of the service account is not tried again.
	refusalKept = time.Minute
)

// slots bounds how many connections of a kind are in use.
type slots chan struct{}

// kind is what a connection is for.
type kind int

const (
	forSearch kind = iota // bound as the service account
	forBind               // users' passwords are tried on it
)

// server is one of the directory's servers with its connections that rest.
type server struct {
	url      string
	address  string
	startTLS bool
	tls      *tls.Config // nil: plain

	mu      sync.Mutex
	idle    [2][]*conn
	restsTo time.Time // failed lately: asked last until then
	closed  bool
}

// do runs one exchange on a connection of a kind, over the servers in order, and returns an *Error.
func (d *Directory) do(ctx context.Context, k kind, exchange func(context.Context, *conn) error) error {
	free := d.search
	if k == forBind {
		free = d.bind
	}
	select {
	case free <- struct{}{}:
		defer func() { <-free }()
	case <-ctx.Done():
		return d.fault(directory.Unavailable, "all connections to the directory are in use", "the directory is slow, or too many people sign in at once", context.Cause(ctx))
	}

	return d.overServers(ctx, func(ctx context.Context, s *server, left int) error {
		return d.onServer(ctx, s, k, left, exchange)
	})
}

// overServers tries the servers in order until one does it, and returns an *Error. try is told how many are left.
func (d *Directory) overServers(ctx context.Context, try func(ctx context.Context, s *server, left int) error) error {
	var failures []error
	misconfigured := true
	order := d.order()
	for i, s := range order {
		err := try(ctx, s, len(order)-i)
		if err == nil {
			s.rest(false)
			return nil
		}
		e := d.translate(s, err)
		if !passesOn(err, e) {
			return e
		}
		s.rest(true)
		failures = append(failures, e)
		misconfigured = misconfigured && e.Cause == directory.Misconfigured
		if ctx.Err() != nil {
			break
		}
		if i+1 < len(order) {
			d.log.WarnContext(ctx, "a directory server failed; asking the next", "server", s.url, "error", e.Error())
		}
	}
	if len(failures) == 1 {
		return failures[0]
	}
	cause := directory.Unavailable
	if misconfigured {
		cause = directory.Misconfigured
	}
	return d.fault(cause, "no server answered as it should", "", errors.Join(failures...))
}

// final is an error after which no other server is asked, though no server answered.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// passesOn decides whether the next server is asked: when there was no connection, no answer, or a server says
// it cannot serve at the moment. Never after an answer about somebody, nor after the service account was
// refused: it is the same account everywhere, and each try counts against its lockout.
func passesOn(err error, e *directory.Error) bool {
	var f final
	switch {
	case !e.Fault(), errors.As(err, &f):
		return false
	case errors.Is(err, errStartTLSRefused):
		return true
	}
	return e.Cause == directory.Unavailable || !isAnswer(err)
}

// onServer runs an exchange on one server with its fair part of the time that is left: servers still to be
// asked must get their chance within the same call.
func (d *Directory) onServer(ctx context.Context, s *server, k kind, left int, exchange func(context.Context, *conn) error) error {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	for {
		c, err := d.connect(ctx, s, k)
		if err != nil {
			return err
		}
		stale := c.served
		err = exchange(ctx, c)
		if err == nil || isAnswer(err) {
			c.served = true
			s.put(k, c)
			return err
		}
		c.close()
		// The server may have closed a connection that rested. That costs another one, and no more.
		if !stale || ctx.Err() != nil {
			return err
		}
		s.dropIdle(k)
	}
}

// connect takes a resting connection or makes a new one, ready for its kind.
func (d *Directory) connect(ctx context.Context, s *server, k kind) (*conn, error) {
	if c := s.take(k); c != nil {
		return c, nil
	}
	if d.isClosed() {
		return nil, d.closedFault()
	}
	if k == forBind {
		return s.dial(ctx)
	}
	return d.dialService(ctx, s)
}

// dialService makes a connection that is bound as the service account.
func (d *Directory) dialService(ctx context.Context, s *server) (*conn, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.bindService(ctx, c); err != nil {
		c.close()
		return nil, err
	}
	if err := d.learn(ctx, c); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (d *Directory) closedFault() error {
	return final{d.fault(directory.Unavailable, "the directory is closed", "", nil)}
}

// order is the configured order, but servers that failed lately come last.
func (d *Directory) order() []*server {
	now := time.Now()
	list := slices.Clone(d.servers)
	slices.SortStableFunc(list, func(a, b *server) int { return a.rests(now) - b.rests(now) })
	return list
}

func (s *server) rests(now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.restsTo) {
		return 1
	}
	return 0
}

// rest marks a server as failed, or as working again.
func (s *server) rest(failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restsTo = time.Time{}
	if failed {
		s.restsTo = time.Now().Add(restFor/2 + rand.N(restFor/2))
	}
}

// take returns the connection that rested least, or nil.
func (s *server) take(k kind) *conn {
	for {
		s.mu.Lock()
		n := len(s.idle[k])
		if n == 0 {
			s.mu.Unlock()
			return nil
		}
		c := s.idle[k][n-1]
		s.idle[k] = s.idle[k][:n-1]
		s.mu.Unlock()
		if time.Since(c.used) < maxIdle && !c.ldap.IsClosing() {
			return c
		}
		c.close()
	}
}

// put lets a connection rest.
func (s *server) put(k kind, c *conn) {
	if !c.reusable() {
		c.close()
		return
	}
	c.used = time.Now()
	s.mu.Lock()
	closed := s.closed
	var old []*conn
	if !closed {
		s.idle[k] = append(s.idle[k], c)
		// Those at the front rested longest: after a rush they are let go without a goroutine that watches.
		for len(s.idle[k]) > 1 && time.Since(s.idle[k][0].used) >= maxIdle {
			old = append(old, s.idle[k][0])
			s.idle[k] = s.idle[k][1:]
		}
	}
	s.mu.Unlock()
	if closed {
		c.close()
	}
	for _, c := range old {
		c.close()
	}
}

// dropIdle closes all connections of a kind that rest.
func (s *server) dropIdle(k kind) {
	s.mu.Lock()
	old := s.idle[k]
	s.idle[k] = nil
	s.mu.Unlock()
	for _, c := range old {
		c.close()
	}
}

func (s *server) closeIdle() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.dropIdle(forSearch)
	s.dropIdle(forBind)
}

// isAnswer reports whether the server itself answered, so that the connection is in order.
func isAnswer(err error) bool {
	var e *goldap.Error
	if !errors.As(err, &e) {
		var known *directory.Error
		return errors.As(err, &known) && known.Err == nil
	}
	// Codes from 200 on are go-ldap's own: network, decoding.
	return e.ResultCode < goldap.ErrorNetwork && e.ResultCode != goldap.LDAPResultUnavailable
}
