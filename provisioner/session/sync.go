package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// deltaSize is how many changes one delta covers, so that a removal that comes
// meanwhile waits for little.
const deltaSize = 500

// mostSessions is more than a gateway holds.
const mostSessions = 1 << 17

// Delta is what a gateway must do to get from one revision to another.
type Delta struct {
	Epoch       string
	After, Upto int64
	Removed     []string // sessions; they go before the additions
	Peers       []Peer
	Concerns    bool // some of the changes are the gateway's
	Declaration bool // its own declaration is among them, or a tenant's networks
	// Unknown: the gateway's place cannot be reached by deltas, because it is
	// of another epoch, ahead of us, or trimmed away. It needs a snapshot.
	Unknown bool
}

// Snapshot is everything a gateway must hold at a revision.
type Snapshot struct {
	Epoch    string
	Revision int64
	Peers    []Peer
}

// AdmitGateway decides whether the calling gateway, which says that key is its
// own, may sync, and gives what is declared of it.
func (s *Service) AdmitGateway(ctx context.Context, actor provisioner.Actor, key provisioner.Key, version string) (provisioner.Gateway, error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionSyncGateway, provisioner.Object{Gateway: actor.ID}); refusal != nil {
		return provisioner.Gateway{}, refusal
	}
	g, err := s.Gateway(ctx, actor)
	if err != nil {
		return g, err
	}
	if g.PublicKey != key {
		return g, provisioner.Refuse(provisioner.CodeGatewayKeyChanged)
	}
	if g.AgentVersion != version {
		err = s.Store.Update(ctx, func(tx *store.Writer) error { return tx.NoteGatewayAgent(g.Name, version) })
	}
	return g, err
}

// Gateway gives what is declared of the calling gateway, if it is still the
// one that joined last.
func (s *Service) Gateway(ctx context.Context, actor provisioner.Actor) (provisioner.Gateway, error) {
	g, err := store.Read(ctx, s.Store, func(tx *store.Reader) (store.GatewayState, error) { return tx.Gateway(actor.ID) })
	if errors.Is(err, store.ErrNone) {
		return g.Gateway, provisioner.Refuse(provisioner.CodeGatewayReplaced)
	}
	if err != nil {
		return g.Gateway, fmt.Errorf("reading gateway %s: %w", actor.ID, err)
	}
	if g.Generation != actor.Generation {
		return g.Gateway, provisioner.Refuse(provisioner.CodeGatewayReplaced)
	}
	return g.Gateway, nil
}

// Knows reports whether a gateway's place is one of ours, from which deltas
// lead on.
func (s *Service) Knows(ctx context.Context, epoch string, revision int64) (bool, error) {
	position, err := store.Read(ctx, s.Store, (*store.Reader).Position)
	if err != nil {
		return false, fmt.Errorf("reading where the changes stand: %w", err)
	}
	return reaches(position, epoch, revision), nil
}

func reaches(p store.Position, epoch string, revision int64) bool {
	return epoch == p.Epoch && revision <= p.Revision && revision >= p.Horizon
}

// Delta gives what comes after a gateway's place. Of sessions that changed
// more than once only the last state counts.
func (s *Service) Delta(ctx context.Context, gateway, epoch string, after int64) (Delta, error) {
	d := Delta{Epoch: epoch, After: after}
	err := s.Store.View(ctx, func(tx *store.Reader) error {
		position, err := tx.Position()
		if err != nil {
			return err
		}
		if !reaches(position, epoch, after) {
			d.Unknown = true
			return nil
		}
		changes, err := tx.GatewayChanges(gateway, after, deltaSize)
		if err != nil {
			return err
		}
		d.Upto, d.Concerns = position.Revision, len(changes) > 0
		if len(changes) == deltaSize {
			d.Upto = changes[deltaSize-1].Revision
		}
		return s.fill(tx, gateway, changes, &d)
	})
	if err != nil {
		return d, fmt.Errorf("reading what changed for gateway %s: %w", gateway, err)
	}
	return d, nil
}

func (s *Service) fill(tx *store.Reader, gateway string, changes []provisioner.Change, d *Delta) error {
	if len(changes) == 0 {
		return nil
	}
	g, err := tx.Gateway(gateway)
	if err != nil {
		return err
	}
	changed, err := tx.SessionsChanged(gateway, d.After, d.Upto)
	if err != nil {
		return err
	}
	done := make(map[string]bool)
	var open []provisioner.Session
	add := func(list []provisioner.Session) {
		for _, session := range list {
			if session.ClosedAt.IsZero() && !done[session.ID] {
				done[session.ID] = true
				open = append(open, session)
			}
		}
	}
	add(changed)
	retold := make(map[string]bool)
	for _, c := range changes {
		if c.Kind != provisioner.ChangeGateway {
			continue
		}
		d.Declaration = true
		if c.Tenant == "" || retold[c.Tenant] {
			continue
		}
		retold[c.Tenant] = true
		list, err := tx.SessionsIn(provisioner.Within(c.Tenant), gateway, "", mostSessions)
		if err != nil {
			return err
		}
		add(list)
	}
	if d.Peers, err = s.peers(tx, g.Gateway, open, newReach()); err != nil {
		return err
	}
	for _, c := range changes {
		if c.Session != "" && !done[c.Session] {
			done[c.Session] = true
			d.Removed = append(d.Removed, c.Session)
		}
	}
	return nil
}

// Snapshot gives everything a gateway must hold, of one consistent state.
func (s *Service) Snapshot(ctx context.Context, gateway string) (Snapshot, error) {
	const atOnce = 1000
	var snap Snapshot
	err := s.Store.View(ctx, func(tx *store.Reader) error {
		position, err := tx.Position()
		if err != nil {
			return err
		}
		snap = Snapshot{Epoch: position.Epoch, Revision: position.Revision}
		g, err := tx.Gateway(gateway)
		if err != nil {
			return err
		}
		r := newReach()
		for last := ""; ; {
			list, err := tx.SessionsOnGateway(gateway, last, atOnce)
			if err != nil {
				return err
			}
			peers, err := s.peers(tx, g.Gateway, list, r)
			if err != nil {
				return err
			}
			snap.Peers = append(snap.Peers, peers...)
			if len(list) > 0 {
				last = list[len(list)-1].ID
			}
			if len(list) < atOnce {
				return nil
			}
		}
	})
	if err != nil {
		return snap, fmt.Errorf("reading the state of gateway %s: %w", gateway, err)
	}
	return snap, nil
}

// Closings gives the sessions closed on a gateway after a revision, and up to
// which revision that is: for removals that go past everything that waits.
func (s *Service) Closings(ctx context.Context, gateway string, after int64) (sessions []string, upto int64, err error) {
	upto = after
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		for {
			changes, err := tx.GatewayChanges(gateway, upto, deltaSize)
			if err != nil {
				return err
			}
			for _, c := range changes {
				upto = c.Revision
				if c.Kind == provisioner.ChangeClosed {
					sessions = append(sessions, c.Session)
				}
			}
			if len(changes) < deltaSize {
				return nil
			}
		}
	})
	if err != nil {
		return nil, after, fmt.Errorf("reading what was closed on gateway %s: %w", gateway, err)
	}
	return sessions, upto, nil
}
