package endpoint

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

const (
	// lookEvery is how often the laptop looks whether anything comes back through the tunnel.
	lookEvery = time.Second
	// unanswered is what must have gone out for an answer to be missed: more than the keepalives of a minute, less than a
	// handshake.
	unanswered = 100
	// nothingFor is how long nothing may come back before the gateway is probed, and probes how often it is, probeEach
	// apart.
	nothingFor = time.Second
	probes     = 3
	probeEach  = time.Second
	// askLeast and askMost bound how often the control plane is asked about a gateway that stays silent.
	askLeast, askMost = 3 * time.Second, time.Minute
	// mostSpread bounds over how long a control plane can have its laptops wait.
	mostSpread = 30 * time.Second
	// ownSpread is over how long laptops spread that have noticed by themselves.
	ownSpread = 500 * time.Millisecond
)

// errNoProbe says that there is nothing that would answer a probe.
var errNoProbe = errors.New("the gateway has no address that answers probes")

// silence watches whether anything comes back through the tunnel. The zero value has seen nothing yet.
type silence struct {
	received, sent uint64    // when something came back last
	since          time.Time // much has gone out without an answer; zero: it has not
}

// look reports that nothing has come back for nothingFor, although there was something to answer.
func (s *silence) look(now time.Time, r reading) bool {
	switch {
	case r.received != s.received || r.sent < s.sent:
		*s = silence{received: r.received, sent: r.sent}
	case r.sent-s.sent < unanswered:
	case s.since.IsZero():
		s.since = now
	}
	return !s.since.IsZero() && now.Sub(s.since) >= nothingFor
}

// unheard is the control plane's word that it hears nothing from a gateway.
type unheard struct {
	session string
	spread  time.Duration
}

// hearUnheard takes note that the control plane hears nothing from the gateway.
func (a *attachment) hearUnheard(m *heimdrahtv1.GatewayUnheard) {
	e := a.endpoint
	spread := time.Duration(min(max(m.GetSpreadMs(), 0), mostSpread.Milliseconds())) * time.Millisecond
	select {
	case <-e.unheard:
	default:
	}
	select {
	case e.unheard <- unheard{m.GetSessionId(), spread}:
	default: // another one is there already
	}
}

// keepProbed looks after the gateway: where nothing comes back, or nobody hears from it, it is probed; of one that
// answers no probe the control plane is asked, which may know that it is dead. What answers is left alone, whatever
// the control plane hears.
func (e *Endpoint) keepProbed(ctx context.Context) error {
	if e.options.Carrier != nil { // thousands of simulated laptops, and no packets
		return nil
	}
	var s silence
	pause := control.Backoff{Max: askMost}
	for notBefore := (time.Time{}); ; {
		told, err := e.awaitLook(ctx)
		if err != nil {
			return err
		}
		held := e.heldSession()
		if held == nil {
			s, notBefore = silence{}, time.Time{}
			pause.Reset()
			continue
		}
		now, r := time.Now(), e.tunnel.reading()
		said := told.session == held.id
		if silent := s.look(now, r); !said && (!silent || now.Before(notBefore)) {
			if !silent {
				e.setSilent("")
			}
			continue
		}
		// What was found silent a moment ago, and has not spoken since, is not probed again when the control plane
		// says the same.
		if !said || e.silentSession() != held.id || r.received != s.received {
			if e.answers(ctx, r.received) {
				e.setSilent("")
				e.tunnel.refit()
				after := e.tunnel.reading()
				s = silence{received: after.received, sent: after.sent}
				pause.Reset()
				notBefore = time.Now().Add(askLeast)
				continue
			}
		}
		spread := ownSpread
		if said {
			spread = told.spread
		}
		if err := control.Sleep(ctx, rand.N(spread+1)); err != nil {
			return err
		}
		if now := e.heldSession(); now == nil || now.id != held.id {
			continue
		}
		e.setSilent(held.id)
		select {
		case e.lost <- struct{}{}:
		default: // it is being asked
		}
		notBefore = time.Now().Add(pause.Next(askLeast))
	}
}

// awaitLook waits until it is time to look again, or the control plane has said something.
func (e *Endpoint) awaitLook(ctx context.Context) (unheard, error) {
	t := time.NewTimer(lookEvery)
	defer t.Stop()
	select {
	case told := <-e.unheard:
		return told, nil
	case <-t.C:
		return unheard{}, nil
	case <-ctx.Done():
		return unheard{}, ctx.Err()
	}
}

// answers probes the gateway and reports whether anything came back. Where it cannot be probed it counts as there:
// nobody loses a tunnel for what could not be found out.
func (e *Endpoint) answers(ctx context.Context, received uint64) bool {
	for range probes {
		if err := e.tunnel.probe(ctx); err != nil {
			e.log.Debug("could not probe the gateway", "error", err)
			return true
		}
		for range 5 { // an answer is there in milliseconds; a slow line has the whole time
			if control.Sleep(ctx, probeEach/5) != nil || e.tunnel.reading().received != received {
				return true
			}
		}
	}
	return false
}

func (e *Endpoint) setSilent(session string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.silent = session
}

// silentSession names the session whose gateway answers no probe; empty: none.
func (e *Endpoint) silentSession() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.silent
}

// askForAnother tells the control plane that the gateway answers no probe: it gives another session if it hears nothing
// from there either, else the present one.
func (a *attachment) askForAnother() {
	held := a.endpoint.heldSession()
	if held == nil || a.endpoint.silentSession() != held.id {
		return
	}
	a.moving = true
	_ = a.openAs(held.id) // a failure to send shows on receiving, with its cause
}
