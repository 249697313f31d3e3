package usage

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

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
	Sessions capacity.Count
	Until    time.Time // zero: now; else the most at one time in the quarter of an hour that ended then
}

// PoolUse is how many seats of a pool the tenants in the caller's scope hold.
type PoolUse struct {
	Pool         string
	Seats, Burst int64
	Held         capacity.Count
	Until        time.Time // as of a tenant
}

// GatewayUse is how many sessions a gateway has open.
type GatewayUse struct {
	Gateway  string
	Capacity int64
	Sessions capacity.Count
}

// Concurrency counts sessions and seats. Now they are counted for those who may list the
// sessions anyway; others are told the newest quarter of an hour, as Usage tells it: from a
// number that may be asked for at any time it could be seen who comes and goes.
func (s *Service) Concurrency(ctx context.Context, actor provisioner.Actor, tenant string) (c Concurrency, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionReadConcurrency, provisioner.Object{Tenant: tenant}); refusal != nil {
		return c, refusal
	}
	scope := provisioner.ScopeOf(actor, provisioner.ActionReadConcurrency).Narrow(tenant)
	c.At = time.Now()
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		if err := tx.TenantNamed(tenant); err != nil {
			return err
		}
		n := counting{tx: tx, actor: actor, scope: scope}
		if err := n.read(); err != nil {
			return err
		}
		if c.Tenants, err = n.ofTenants(); err != nil {
			return err
		}
		if c.Pools, err = n.ofPools(c.At); err != nil {
			return err
		}
		if refused := provisioner.Allow(actor, provisioner.ActionReadGatewayLoad, provisioner.Object{}); refused == nil {
			c.Gateways, err = n.ofGateways()
		}
		return err
	})
	return c, err
}

// counting is what is held now, of tenants in a caller's scope.
type counting struct {
	tx    *store.Reader
	actor provisioner.Actor
	scope provisioner.Scope

	tenants      []string
	pools        []store.PoolState
	held         map[string]int64    // by pool
	sessions     map[string]int64    // by tenant
	mine, others map[string][]string // tenants that share a pool, in the caller's scope and not
}

// read counts. Every open session holds a seat of one pool, unless it is on the named seat
// of its person.
func (c *counting) read() error {
	tenants, err := c.tx.Tenants(c.scope)
	if err != nil {
		return fmt.Errorf("reading tenants: %w", err)
	}
	for _, t := range tenants {
		c.tenants = append(c.tenants, t.Name)
	}
	if c.pools, err = c.tx.Pools(); err != nil {
		return fmt.Errorf("reading pools: %w", err)
	}
	shares, err := c.tx.PoolShares()
	if err != nil {
		return fmt.Errorf("reading the shares of pools: %w", err)
	}
	onNamed, err := c.tx.OnNamedSeats(c.scope)
	if err != nil {
		return fmt.Errorf("reading sessions on named seats: %w", err)
	}
	named := make(map[string]bool)
	for _, p := range c.pools {
		named[p.Pool.Name] = p.Pool.Model == provisioner.PoolNamed
	}
	c.held, c.sessions = make(map[string]int64), make(map[string]int64)
	c.mine, c.others = make(map[string][]string), make(map[string][]string)
	for _, h := range onNamed {
		c.sessions[h.Tenant] += h.Seats
	}
	for _, s := range shares {
		if !c.scope.Includes(s.Tenant) {
			c.others[s.Pool] = append(c.others[s.Pool], s.Tenant)
			continue
		}
		c.mine[s.Pool] = append(c.mine[s.Pool], s.Tenant)
		c.held[s.Pool] += s.Held
		if !named[s.Pool] {
			c.sessions[s.Tenant] += s.Held
		}
	}
	return nil
}

// open reports whether the caller may list the sessions of all of them one by one.
func (c *counting) open(tenants ...string) bool {
	return !slices.ContainsFunc(tenants, func(t string) bool {
		return provisioner.Allow(c.actor, provisioner.ActionListSessions, provisioner.Object{Tenant: t}) != nil
	})
}

func (c *counting) ofTenants() (list []TenantUse, err error) {
	closed := slices.DeleteFunc(slices.Clone(c.tenants), func(t string) bool { return c.open(t) })
	newest, err := ReadNewest(c.tx, Tenants, closed)
	for _, t := range c.tenants {
		use := TenantUse{Tenant: t, Sessions: capacity.Count{Value: c.sessions[t]}}
		if !c.open(t) {
			use.Sessions, use.Until = newest.Sessions(t), newest.Until
		}
		list = append(list, use)
	}
	return list, err
}

func (c *counting) ofPools(at time.Time) (list []PoolUse, err error) {
	var closed []string
	for _, p := range c.pools {
		if name := p.Pool.Name; !c.open(c.mine[name]...) && len(c.others[name]) == 0 {
			closed = append(closed, name)
		}
	}
	newest, err := ReadNewest(c.tx, Pools, closed)
	for _, p := range c.pools {
		name := p.Pool.Name
		if len(c.mine[name]) == 0 {
			continue
		}
		q := p.Pool.At(at)
		use := PoolUse{Pool: name, Seats: q.Seats, Burst: q.Burst, Held: capacity.Count{Value: c.held[name]}}
		if !c.open(c.mine[name]...) {
			use.Held, use.Until = newest.Sessions(name), newest.Until
		}
		list = append(list, use)
	}
	return list, err
}

func (c *counting) ofGateways() (list []GatewayUse, err error) {
	gateways, err := c.tx.Gateways()
	if err != nil {
		return nil, fmt.Errorf("reading gateways: %w", err)
	}
	for _, g := range gateways {
		list = append(list, GatewayUse{g.Name, g.Sessions, capacity.Count{Value: g.Open}})
	}
	return list, nil
}
