package rpc

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Longest texts that are accepted where nothing else bounds them, in bytes.
const (
	maxID   = 64
	maxText = 256
)

// streams knows the open streams of this process: a newer one of the same
// caller ends the older, and a shutdown ends them all.
type streams struct {
	mu     sync.Mutex
	open   map[string]*held
	closed bool
}

type held struct{ cancel context.CancelCauseFunc }

func newStreams() *streams { return &streams{open: make(map[string]*held)} }

// errProofOver ends a stream whose certificate's time is over. It is no
// refusal: who has a newer certificate connects with it and goes on.
var errProofOver = status.Error(codes.Unavailable, "the certificate that this connection began with has expired")

// hold enters a stream; its context ends when a newer one comes, the server
// stops, or the caller's proof ends (zero: it does not), with the reason as its
// cause. release leaves again.
func (s *streams) hold(ctx context.Context, who string, until time.Time) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var expiry *time.Timer
	if !until.IsZero() {
		expiry = time.AfterFunc(time.Until(until), func() { cancel(errProofOver) })
	}
	mine := &held{cancel}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		cancel(shuttingDown())
	}
	if older := s.open[who]; older != nil {
		older.cancel(provisioner.Refuse(provisioner.CodeStreamReplaced))
	}
	s.open[who] = mine
	return ctx, func() {
		if expiry != nil {
			expiry.Stop()
		}
		cancel(nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open[who] == mine {
			delete(s.open, who)
		}
	}
}

// because gives the reason why ctx ended, where it has: what then goes wrong in
// serving a stream is its consequence.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// How fast laptops should come back when they have lost us, and the bounds of
// the time over which they spread. A core lets in about 500 a second, with all
// that a laptop asks for next. Half of that leaves it time for everybody else, or
// for being slower: whoever loses the control plane loses no tunnel, and is in
// no hurry.
const (
	returnRate        = 250
	returnSoon        = time.Second
	returnAtTheLatest = 2 * time.Minute
)

// returnWithin is over which time the laptops that hold streams now would come
// back.
func (s *streams) returnWithin() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(max(time.Duration(len(s.open))*time.Second/returnRate, returnSoon), returnAtTheLatest)
}

func shuttingDown() *provisioner.Refusal {
	return provisioner.Refuse(provisioner.CodeShuttingDown).After(time.Second)
}

// end ends all streams and those that still come.
func (s *streams) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, h := range s.open {
		h.cancel(shuttingDown())
	}
}
