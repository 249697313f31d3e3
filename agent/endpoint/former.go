package endpoint

import (
	"context"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// A laptop that goes to another gateway keeps the former session beside the next one until the connections in it have ended.
// That is so when this machine has no TCP connection with the former address, and next to nothing has been transferred for a
// while: the one tells a login that is silent for hours, the other what knows no connections (calls, video), or what
// containers do with an address of this machine.

const (
	// formerEvery is how often it is looked at.
	formerEvery = time.Second
	// noise is what may be transferred from one look to the next without anybody being there: keepalives and handshakes.
	noise = 300
	// restFor is how long that must have been so: a program that reconnects is still at it.
	restFor = 10 * time.Second
	// tryAgain is when another gateway is asked for again that had no room.
	tryAgain = 30 * time.Second
)

// leaving is a session that is held beside the present one.
type leaving struct {
	id string
	by time.Time // the control plane ends it
}

// leavingOf is what the control plane says of it; nil: there is none.
func leavingOf(m *heimdrahtv1.LeavingSession) *leaving {
	if m == nil || !validID(m.GetSessionId()) {
		return nil
	}
	within := min(max(m.GetWithinMs(), 0), maxEndWithin.Milliseconds())
	return &leaving{id: m.GetSessionId(), by: time.Now().Add(time.Duration(within) * time.Millisecond)}
}

// rest watches for the end of the connections in a former tunnel. The zero value has seen nothing yet.
type rest struct {
	moved uint64
	since time.Time
}

// look reports that there are none any more.
func (q *rest) look(now time.Time, r formerReading) bool {
	if q.since.IsZero() || r.connections > 0 || r.moved-q.moved > noise {
		q.since = now
	}
	q.moved = r.moved
	return now.Sub(q.since) >= restFor
}

// keepFormer lets go of a former session when it is spent, whether there is a stream or not.
func (e *Endpoint) keepFormer(ctx context.Context) error {
	var watched string
	var q rest
	for {
		e.mu.Lock()
		former, changed := e.former, e.changed
		e.mu.Unlock()
		if former == nil {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if former.id != watched {
			watched, q = former.id, rest{}
		}
		now, r := time.Now(), e.tunnel.former()
		if !r.there || !now.Before(former.by) || q.look(now, r) {
			e.part(ctx, former.id)
			select {
			case e.parted <- former.id:
			default: // the next stream does not name it, which says the same
			}
			continue
		}
		if err := control.Sleep(ctx, formerEvery); err != nil {
			return err
		}
	}
}

// part lets go of the former session, if it is that one.
func (e *Endpoint) part(ctx context.Context, id string) {
	if e.formerSession() != id || id == "" {
		return
	}
	if err := e.tunnel.letGo(ctx, id); err != nil {
		e.log.Error("could not take the former tunnel away entirely", "error", err)
	}
	e.leaveBeside(nil, id)
}

// leaveBeside takes note of what is held beside the present session, in place of one that was; nil: nothing.
func (e *Endpoint) leaveBeside(next *leaving, was string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if next == nil && (e.former == nil || e.former.id != was) {
		return
	}
	e.former = next
	e.touch()
}

// formerSession names the session that is held beside the present one; empty: none is.
func (e *Endpoint) formerSession() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.former == nil {
		return ""
	}
	return e.former.id
}

// install makes the tunnel that of a session that was opened. What the control plane leaves beside it stays, as far as this
// machine can; else it says that it does not.
func (a *attachment) install(ctx context.Context, m *heimdrahtv1.SessionOpened, held *session, next *settings) error {
	e := a.endpoint
	left, fresh := leavingOf(m.GetLeaving()), held == nil || held.id != m.GetSessionId()
	if !fresh {
		if was := e.formerSession(); was != "" && (left == nil || left.id != was) {
			e.part(ctx, was)
		}
		if held.settings.equal(next) {
			return nil
		}
		return e.tunnel.install(ctx, next, false)
	}
	if left != nil && held != nil && left.id == held.id {
		err := e.tunnel.installBeside(ctx, next, left.id)
		if err == nil {
			e.leaveBeside(left, "")
			return nil
		}
		e.log.Warn("the former tunnel does not go on beside the next one", "error", err)
	}
	if left != nil {
		a.sendClose(left.id)
	}
	if err := e.tunnel.install(ctx, next, true); err != nil {
		return err
	}
	e.leaveBeside(nil, e.formerSession())
	return nil
}

// movesBeside says whether the session can move to another gateway at once, because nothing breaks by that.
func (a *attachment) movesBeside(m *heimdrahtv1.SessionEnding) bool {
	return m.GetBeside() && a.endpoint.tunnel.holdsTwo()
}
