package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/placement"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	// lookEvery is how often each replica reads what the gateways said last.
	lookEvery = 500 * time.Millisecond
	// membersEvery is how often it reads which tenants they serve.
	membersEvery = 30 * time.Second
	// settled is how long a gateway must have been heard without a break for sessions
	// to go back to it, and homeShare the part of those on others that is asked to with
	// each renewal: a gateway that comes and goes must not have laptops do so.
	settled   = 10 * time.Minute
	homeShare = 0.02
	// spreadEach is by how much longer the laptops of a dead gateway spread for each of
	// them: some 800 openings a second are what two cores do beside everything else.
	spreadEach              = 1200 * time.Microsecond
	shortSpread, mostSpread = 300 * time.Millisecond, 10 * time.Second
)

// fleet is what one replica knows of the gateways, for the laptops that are attached
// here. It is read again and again, and decides nothing that a transaction decides.
type fleet struct {
	log *slog.Logger

	mu       sync.Mutex
	gateways map[string]*watched
	states   []store.GatewayState
	serves   map[string][]string // gateways, by tenant
}

// watched is a gateway as this replica sees it.
type watched struct {
	contact time.Time // its last sign of life, by whatever clock that was written
	seen    time.Time // when that was first seen here: clocks of replicas may differ
	since   time.Time // from when on it was heard without a break
	unheard bool
	leaving provisioner.Leaving // zero: it is not
	open    int64
	changed chan struct{} // closed and replaced when any of the two above has
}

func newFleet(log *slog.Logger) *fleet {
	return &fleet{log: log, gateways: make(map[string]*watched)}
}

// RunFleet follows the gateways until ctx ends.
func (s *Service) RunFleet(ctx context.Context) error {
	var members time.Time
	for {
		now := time.Now()
		whole := now.Sub(members) >= membersEvery
		list, err := s.readFleet(ctx, whole)
		switch {
		case err == nil:
			s.fleet.look(list, now, whole)
			if whole {
				members = now
			}
		case ctx.Err() == nil:
			s.Logger.Debug("reading what gateways said", "error", err)
			s.fleet.blind()
		}
		timer := time.NewTimer(lookEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

func (s *Service) readFleet(ctx context.Context, whole bool) ([]store.GatewayState, error) {
	list, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]store.GatewayState, error) {
		if whole {
			return tx.Gateways()
		}
		return tx.GatewayStates()
	})
	if err != nil {
		return nil, fmt.Errorf("reading the gateways: %w", err)
	}
	return list, nil
}

// look takes in what was read.
func (f *fleet) look(list []store.GatewayState, now time.Time, whole bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.states = list
	if whole {
		f.serves = make(map[string][]string)
	}
	late := make(map[string]bool)
	anyHeard := false
	for _, g := range list {
		for _, tenant := range g.Tenants {
			f.serves[tenant] = append(f.serves[tenant], g.Name)
		}
		w := f.of(g.Name)
		if w.seen.IsZero() || !g.ContactAt.Equal(w.contact) {
			if now.Sub(w.seen) >= store.LateAfter {
				w.since = now
			}
			w.contact, w.seen = g.ContactAt, now
		}
		w.open = g.Open
		late[g.Name] = !g.PublicKey.IsZero() && now.Sub(w.seen) >= store.LateAfter
		anyHeard = anyHeard || !g.PublicKey.IsZero() && !late[g.Name] && g.Connected
	}
	for _, g := range list {
		leaving, _ := g.Leaving(now)
		// Where none is heard it is us whom nobody reaches, and there is nowhere to go.
		f.gateways[g.Name].set(late[g.Name] && anyHeard, leaving)
	}
}

// blind forgets since when nobody was heard: what could not be read proves nothing.
func (f *fleet) blind() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.gateways {
		w.seen = time.Time{}
		w.set(false, w.leaving)
	}
}

// of gives what is known of a gateway; f.mu is held.
func (f *fleet) of(gateway string) *watched {
	w, ok := f.gateways[gateway]
	if !ok {
		w = &watched{changed: make(chan struct{})}
		f.gateways[gateway] = w
	}
	return w
}

func (w *watched) set(unheard bool, leaving provisioner.Leaving) {
	if w.unheard == unheard && w.leaving == leaving {
		return
	}
	w.unheard, w.leaving = unheard, leaving
	close(w.changed)
	w.changed = make(chan struct{})
}

// GatewayNews is what is to be told to the laptops of a gateway.
type GatewayNews struct {
	// Unheard: its signs of life stay out, while others' come.
	Unheard bool
	// Spread is over how long its laptops spread what they do about it.
	Spread time.Duration
	// Leaving, the zero value: it is not being left.
	Leaving provisioner.Leaving
	// Changed is closed when there is other news.
	Changed <-chan struct{}
}

// News tells what is known of a gateway.
func (s *Service) News(gateway string) GatewayNews {
	f := s.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.of(gateway)
	return GatewayNews{
		Unheard: w.unheard, Leaving: w.leaving, Changed: w.changed,
		Spread: spreadOf(w.open),
	}
}

// spreadOf is over how long so many laptops spread.
func spreadOf(open int64) time.Duration {
	return min(max(time.Duration(open)*spreadEach, shortSpread), mostSpread)
}

// Away reports whether a session would be much better off on another gateway, which has
// been there for a while. told: its laptop was asked to go there already; of the others
// only a few are with each look.
func (s *Service) Away(session provisioner.Session, site string, told bool) bool {
	if !told && rand.Float64() >= homeShare {
		return false
	}
	f := s.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	serving := f.serves[session.Tenant]
	var list []store.GatewayState
	for _, g := range f.states {
		w := f.gateways[g.Name]
		if slices.Contains(serving, g.Name) && (g.Name == session.Gateway || !w.since.IsZero() && now.Sub(w.since) >= settled) {
			list = append(list, g)
		}
	}
	return placement.Away(candidates(list, now), placement.Asker{Site: site, Former: session.Gateway})
}

// lost reports whether a laptop whose gateway answers no probe has lost it: nothing
// comes from there to us either, so that it is not the laptop alone. It names the gateway.
func (s *Service) lost(ctx context.Context, actor provisioner.Actor, r OpenRequest) (string, error) {
	if !r.GatewaySilent {
		return "", nil
	}
	session, err := store.Read(ctx, s.Store, func(tx *store.Reader) (provisioner.Session, error) { return tx.OpenSessionOf(actor.ID) })
	switch {
	case errors.Is(err, store.ErrNone) || err == nil && session.ID != r.Resume:
		return "", nil
	case err != nil:
		return "", fmt.Errorf("reading a session whose gateway is silent: %w", err)
	case !s.News(session.Gateway).Unheard:
		return "", nil
	}
	return session.Gateway, nil
}
