package helpdesk

import (
	"context"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Count is a number that may be withheld; then Value is zero.
type Count = capacity.Count

// Concurrency is how much is in use now.
type Concurrency struct {
	At       time.Time
	Tenants  []TenantUse
	Pools    []PoolUse
	Gateways []GatewayUse // for operators only
}

// TenantUse is how many sessions a tenant has open.
type TenantUse struct {
	Tenant   string
	Sessions Count
}

// PoolUse is how many seats of a pool the tenants in the caller's scope hold.
type PoolUse struct {
	Pool         string
	Seats, Burst int64
	Held         Count
}

// GatewayUse is how many sessions a gateway has open.
type GatewayUse struct {
	Gateway  string
	Capacity int64
	Sessions Count
}

// Concurrency counts sessions and seats now. Planners are not told numbers
// that speak of individuals; those who may list the sessions anyway are told
// all.
func (s *Service) Concurrency(ctx context.Context, actor provisioner.Actor, tenant string) (c Concurrency, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionReadConcurrency, provisioner.Object{Tenant: tenant}); refusal != nil {
		return c, refusal
	}
	scope := provisioner.ScopeOf(actor, provisioner.ActionReadConcurrency).Narrow(tenant)
	c.At = time.Now()
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		tenants, err := tx.Tenants(scope)
		if err != nil {
			return fmt.Errorf("reading tenants: %w", err)
		}
		held, err := tx.Held(scope)
		if err != nil {
			return fmt.Errorf("reading seats: %w", err)
		}
		pools, err := tx.Pools()
		if err != nil {
			return fmt.Errorf("reading pools: %w", err)
		}
		onNamed, err := tx.OnNamedSeats(scope)
		if err != nil {
			return fmt.Errorf("reading sessions on named seats: %w", err)
		}
		names := make([]string, len(tenants))
		for i, t := range tenants {
			names[i] = t.Name
		}
		c.count(names, held, pools, onNamed)
		c.withhold(actor, names, append(held, onNamed...))
		if refused := provisioner.Allow(actor, provisioner.ActionReadGatewayLoad, provisioner.Object{}); refused == nil {
			return c.addGateways(tx)
		}
		return nil
	})
	return c, err
}

// count adds up. Every open session holds a seat of one pool, unless it is on the named
// seat of its person.
func (c *Concurrency) count(tenants []string, held []capacity.Held, pools []store.PoolState, onNamed []capacity.Held) {
	ofTenant, ofPool := make(map[string]int64), make(map[string]int64)
	shared, named := make(map[string]bool), make(map[string]bool)
	for _, p := range pools {
		named[p.Pool.Name] = p.Pool.Model == provisioner.PoolNamed
	}
	for _, h := range onNamed {
		ofTenant[h.Tenant] += h.Seats
	}
	for _, h := range held {
		if !named[h.Pool] {
			ofTenant[h.Tenant] += h.Seats
		}
		ofPool[h.Pool] += h.Seats
		shared[h.Pool] = true
	}
	for _, t := range tenants {
		c.Tenants = append(c.Tenants, TenantUse{t, Count{Value: ofTenant[t]}})
	}
	for _, p := range pools {
		if shared[p.Pool.Name] {
			q := p.Pool.At(c.At)
			c.Pools = append(c.Pools, PoolUse{p.Pool.Name, q.Seats, q.Burst, Count{Value: ofPool[p.Pool.Name]}})
		}
	}
}

// withhold takes out what a planner must not be told. Of tenants whose sessions
// the actor may list one by one nothing is withheld.
func (c *Concurrency) withhold(actor provisioner.Actor, tenants []string, held []capacity.Held) {
	open := func(tenant string) bool {
		return provisioner.Allow(actor, provisioner.ActionListSessions, provisioner.Object{Tenant: tenant}) == nil
	}
	var judged []string
	var parts []capacity.Held
	for _, t := range tenants {
		if !open(t) {
			judged = append(judged, t)
		}
	}
	for _, h := range held {
		if !open(h.Tenant) {
			parts = append(parts, h)
		}
	}
	noTenants, noPools := capacity.Withheld(judged, parts)
	for i, t := range c.Tenants {
		if noTenants[t.Tenant] {
			c.Tenants[i].Sessions = Count{Withheld: true}
		}
	}
	for i, p := range c.Pools {
		if noPools[p.Pool] {
			c.Pools[i].Held = Count{Withheld: true}
		}
	}
}

func (c *Concurrency) addGateways(tx *store.Reader) error {
	gateways, err := tx.Gateways()
	if err != nil {
		return fmt.Errorf("reading gateways: %w", err)
	}
	for _, g := range gateways {
		c.Gateways = append(c.Gateways, GatewayUse{g.Name, g.Sessions, Count{Value: g.Open}})
	}
	return nil
}
