package rpc

import (
	"context"
	"sync"

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

// hold enters a stream; its context ends when a newer one comes or the server
// stops, with the refusal as its cause. release leaves again and reports
// whether the stream was still the newest.
func (s *streams) hold(ctx context.Context, who string) (_ context.Context, release func() (newest bool)) {
	ctx, cancel := context.WithCancelCause(ctx)
	mine := &held{cancel}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		cancel(provisioner.Refuse(provisioner.CodeShuttingDown))
	}
	if older := s.open[who]; older != nil {
		older.cancel(provisioner.Refuse(provisioner.CodeStreamReplaced))
	}
	s.open[who] = mine
	return ctx, func() bool {
		cancel(nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open[who] != mine {
			return false
		}
		delete(s.open, who)
		return true
	}
}

// end ends all streams and those that still come.
func (s *streams) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, h := range s.open {
		h.cancel(provisioner.Refuse(provisioner.CodeShuttingDown))
	}
}
