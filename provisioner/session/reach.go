package session

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// standingsAtOnce is of how many sessions one query reads how their people stand.
const standingsAtOnce = 500

// peers are what a gateway must hold for sessions, with what each may reach by how its
// person stands now.
func (s *Service) peers(tx *store.Reader, gateway provisioner.Gateway, sessions []provisioner.Session, r *reach) ([]Peer, error) {
	list := make([]Peer, 0, len(sessions))
	for part := range slices.Chunk(sessions, standingsAtOnce) {
		standings, err := tx.StandingsOf(part)
		if err != nil {
			return nil, fmt.Errorf("reading how people stand: %w", err)
		}
		for _, session := range part {
			peer, err := s.Peer(session, gateway)
			if err != nil {
				return nil, err
			}
			if peer.Access, err = r.of(tx, session.Tenant, standings[session.ID]); err != nil {
				return nil, err
			}
			list = append(list, peer)
		}
	}
	return list, nil
}

// reach reckons what sessions may reach, each that differs once.
type reach struct {
	tenants map[string]provisioner.Tenant
	lists   map[string]*provisioner.AccessList
}

func newReach() *reach {
	return &reach{make(map[string]provisioner.Tenant), make(map[string]*provisioner.AccessList)}
}

func (r *reach) of(tx *store.Reader, name string, standing provisioner.Standing) (*provisioner.AccessList, error) {
	key := strings.Join(append([]string{name, string(standing.Password)}, standing.Groups...), "\x00")
	if l := r.lists[key]; l != nil {
		return l, nil
	}
	tenant, known := r.tenants[name]
	if !known {
		var err error
		if tenant, err = tx.Tenant(name); err != nil {
			return nil, fmt.Errorf("reading tenant %s: %w", name, err)
		}
		r.tenants[name] = tenant
	}
	l := tenant.Access(standing)
	r.lists[key] = &l
	return &l, nil
}

// Inside lists what sessions with a full tunnel do not reach on a gateway, beside what
// nobody reaches as the world: what the tenants there have inside, and laptops. Nothing,
// where no tenant has one.
func (s *Service) Inside(ctx context.Context, gateway string) (list []netip.Prefix, err error) {
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		list = nil
		served, err := tx.ServedBy([]string{gateway})
		if err != nil {
			return err
		}
		tenants, err := tx.Tenants(provisioner.Everywhere())
		if err != nil {
			return err
		}
		tenants = slices.DeleteFunc(tenants, func(t provisioner.Tenant) bool { return !slices.Contains(served, t.Name) })
		if !slices.ContainsFunc(tenants, func(t provisioner.Tenant) bool { return t.Policy.Tunnel == provisioner.TunnelFull }) {
			return nil
		}
		for _, t := range tenants {
			for _, d := range t.AllDestinations() {
				list = append(list, d.Prefix.Masked())
			}
		}
		gateways, err := tx.Gateways()
		for _, g := range gateways {
			list = append(list, g.AggregateV4, g.AggregateV6)
		}
		list = slices.DeleteFunc(list, func(p netip.Prefix) bool { return !p.IsValid() })
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading what is inside at gateway %s: %w", gateway, err)
	}
	return list, nil
}
