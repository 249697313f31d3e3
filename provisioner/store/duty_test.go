package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/store"
)

// replicas opens the same database n times.
func replicas(t *testing.T, n int) []*store.Store {
	t.Helper()
	o := engines[1].make(t)
	list := make([]*store.Store, n)
	for i := range list {
		list[i] = open(t, o)
	}
	return list
}

// held is one replica's hold on a duty.
type held struct {
	duty  chan *store.Duty // when it begins
	lost  chan struct{}    // closed when the work was told to end
	stop  context.CancelFunc
	ended chan error
}

func hold(t *testing.T, s *store.Store) *held {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	h := &held{duty: make(chan *store.Duty, 1), lost: make(chan struct{}), stop: stop, ended: make(chan error, 1)}
	go func() {
		h.ended <- s.Hold(ctx, "expiry", func(ctx context.Context, d *store.Duty) error {
			h.duty <- d
			<-ctx.Done()
			close(h.lost)
			return nil
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-h.ended; err != nil {
			t.Error(err)
		}
	})
	return h
}

func TestADutyHasOneHolderAndIsHandedOn(t *testing.T) {
	list := replicas(t, 2)
	first := hold(t, list[0])
	mine := <-first.duty
	second := hold(t, list[1])
	if err := mine.Update(t.Context(), func(*store.Writer) error { return nil }); err != nil {
		t.Fatal("its holder cannot do it: ", err)
	}
	select {
	case <-second.duty:
		t.Fatal("two replicas have one duty")
	case <-time.After(2 * time.Second): // real: two looks of the second
	}
	// In order: at once.
	began := time.Now()
	first.stop()
	<-second.duty
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("handed on after %v", d)
	}
}

// A replica that was stopped and goes on finds that its duty is another's, and
// can do nothing in its name.
func TestADutyIsTakenFromWhoIsSilent(t *testing.T) {
	list := replicas(t, 2)
	first := hold(t, list[0])
	mine := <-first.duty
	if err := list[0].Close(); err != nil { // silent, but believes that it holds it
		t.Fatal(err)
	}
	second := hold(t, list[1])
	began := time.Now()
	theirs := <-second.duty
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("taken over after %v", d)
	}
	if err := theirs.Update(t.Context(), func(*store.Writer) error { return nil }); err != nil {
		t.Error("the new holder cannot do it: ", err)
	}
	if err := mine.Update(t.Context(), func(*store.Writer) error { return nil }); !errors.Is(err, store.ErrClosed) {
		t.Errorf("the silent one: %v", err)
	}
}
