package endpoint

import (
	"context"
	"time"
)

const (
	// sleepLook is how often the laptop looks whether it was asleep.
	sleepLook = time.Second
	// sleepLeast is the shortest sleep that matters: for less, home routers and gateways forget nothing.
	sleepLeast = 5 * time.Second
	// doubtedFor is how long a tunnel may take after a sleep.
	doubtedFor = 2 * time.Minute
)

// WatchSleep tells, by each value, that the machine was asleep and has woken up, within a second. It ends with the context.
func WatchSleep(ctx context.Context) <-chan struct{} { return watchSleep(ctx, asleep()) }

// watchSleep is told how long the machine was asleep altogether. Time does not pass for a timer meanwhile.
func watchSleep(ctx context.Context, asleep func() time.Duration) <-chan struct{} {
	woke := make(chan struct{}, 1)
	go func() {
		look := time.NewTicker(sleepLook)
		defer look.Stop()
		for before := asleep(); ; {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
			}
			now := asleep()
			if now-before >= sleepLeast {
				select {
				case woke <- struct{}{}:
				default: // it is known already
				}
			}
			before = now
		}
	}()
	return woke
}

// followSleep puts right what sleep has spoilt. The gateway has forgotten the keys, of which wireguard-go knows nothing,
// because its clock stands still in sleep; and the stream to the control plane is dead, without anybody having said so.
func (e *Endpoint) followSleep(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-e.options.Woke:
			if !ok {
				return nil
			}
		}
		e.roamed()
		e.tunnel.wake(ctx)
		for _, hint := range []chan struct{}{e.woken, e.stirred} {
			select {
			case hint <- struct{}{}:
			default: // it is known already
			}
		}
		e.nudge()
	}
}

// roamed ends a halt that another network ends.
func (e *Endpoint) roamed() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.halted != nil && e.halted.roam {
		e.halted, e.problem = nil, nil
		e.touch()
	}
}

// wake sets up the peer anew, whose next handshake comes at once then.
func (t *hostTunnel) wake(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil || t.device == nil {
		return
	}
	_ = t.observe(ctx) // what cannot be read stays uncounted; tend puts a missing interface back
	t.wokeAt = time.Now()
	t.greet(ctx)
}

// greet sets up the peer anew if nothing was heard of the gateway since the machine woke up. The caller holds the lock.
func (t *hostTunnel) greet(ctx context.Context) {
	if !t.doubted() || t.sum.setBack(time.Now()) {
		return
	}
	if err := t.connect(ctx, nil); err != nil && ctx.Err() == nil {
		t.log.Warn("could not set up the tunnel anew after a sleep", "error", err)
	}
}

// doubted says whether nothing was heard of the gateway since the machine woke up. After a while there is another sign for
// that, and a clock that was put right meanwhile does no harm. The caller holds the lock.
func (t *hostTunnel) doubted() bool {
	return t.sum.handshake.Before(t.wokeAt) && time.Since(t.wokeAt) < doubtedFor
}
