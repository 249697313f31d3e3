package warning

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/capacity/warn"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/usage"
)

// declared is what there is to be warned of.
type declared struct {
	pools     []provisioner.LicencePool // that sessions take seats of
	tenants   []string
	gateways  []provisioner.Gateway
	addresses map[string]store.AddressUse // by gateway, now
}

func readDeclared(tx *store.Reader) (d declared, err error) {
	pools, err := tx.Pools()
	if err != nil {
		return d, fmt.Errorf("reading the licence pools: %w", err)
	}
	products, err := tx.ProductPools()
	if err != nil {
		return d, fmt.Errorf("reading the pools of products: %w", err)
	}
	for _, p := range pools {
		if p.Pool.Model == provisioner.PoolConcurrent && !slices.Contains(products, p.Pool.Name) {
			d.pools = append(d.pools, p.Pool)
		}
	}
	tenants, err := tx.Tenants(provisioner.Everywhere())
	if err != nil {
		return d, fmt.Errorf("reading tenants: %w", err)
	}
	for _, t := range tenants {
		d.tenants = append(d.tenants, t.Name)
	}
	gateways, err := tx.Gateways()
	if err != nil {
		return d, fmt.Errorf("reading gateways: %w", err)
	}
	d.addresses = make(map[string]store.AddressUse)
	for _, g := range gateways {
		d.gateways = append(d.gateways, g.Gateway)
		if d.addresses[g.Name], err = tx.AddressUse(g.Name); err != nil {
			return d, fmt.Errorf("reading how addresses are given out: %w", err)
		}
	}
	return d, nil
}

// told are points, by name.
type told map[string][]usage.Point

func (s *Service) told(ctx context.Context, by usage.Kind, from, to time.Time, step time.Duration) (told, error) {
	u, err := s.Usage.Told(ctx, usage.Query{From: from, To: to, By: by, Step: step})
	if err != nil {
		return nil, fmt.Errorf("reading how much was used by %s: %w", by, err)
	}
	points := make(told, len(u.Series))
	for _, v := range u.Series {
		points[v.Name] = v.Points
	}
	return points, nil
}

// hourly are the kinds that are judged by the hour.
func hourly() []Kind { return []Kind{Seats, Queue, Refused, Sessions, Addresses} }

// ofHours gives the rules with what was so in some hours. Addresses are known of the present
// only, so if the last hour is that they are its.
func (s *Service) ofHours(ctx context.Context, from, to time.Time, present bool) ([]rule, error) {
	d, err := store.Read(ctx, s.Store, readDeclared)
	if err != nil {
		return nil, err
	}
	var quarters, hours, tenants, gateways, all told
	for _, v := range []struct {
		into *told
		by   usage.Kind
		step time.Duration
	}{
		{&quarters, usage.Pools, usage.Quarter},
		{&hours, usage.Pools, usage.Hour},
		{&tenants, usage.Tenants, usage.Hour},
		{&gateways, usage.Gateways, usage.Quarter},
		{&all, usage.Provider, usage.Hour},
	} {
		if *v.into, err = s.told(ctx, v.by, from, to, v.step); err != nil {
			return nil, err
		}
	}
	var rules []rule
	for _, p := range d.pools {
		for _, percent := range p.Thresholds() {
			rules = append(rules, rule{key{Seats, Pool, p.Name, percent}, shares(quarters[p.Name], percent, func(at time.Time) int64 { return p.At(at).Seats })})
		}
		rules = append(rules, rule{key{Queue, Pool, p.Name, 0}, counts(hours[p.Name], func(p usage.Point) int64 { return p.Queue.Max })})
	}
	for _, t := range d.tenants {
		rules = append(rules, rule{key{Refused, Tenant, t, 0}, counts(tenants[t], refused)})
	}
	rules = append(rules, rule{key{Refused, Provider, "", 0}, counts(all[""], refusedToMany)})
	for _, g := range d.gateways {
		for _, percent := range g.Thresholds() {
			rules = append(rules, rule{key{Sessions, Gateway, g.Name, percent}, shares(gateways[g.Name], percent, func(time.Time) int64 { return g.Sessions })})
			of := rule{key: key{Addresses, Gateway, g.Name, percent}}
			if present {
				of.steps = []step{given(d.addresses[g.Name], g.AggregateV4, g.AggregateV6, percent, to.Add(-usage.Hour))}
			}
			rules = append(rules, of)
		}
	}
	return rules, nil
}

// shares are the steps of a share of what there is at a time.
func shares(points []usage.Point, percent int64, of func(time.Time) int64) (steps []step) {
	for _, p := range points {
		v := step{at: p.At, lasts: usage.Quarter, value: p.Sessions.Max, capacity: of(p.At)}
		if p.Minutes > 0 && !p.Sessions.Withheld {
			v.sign = enough(p, usage.Quarter, warn.Share(v.value, v.capacity, percent))
		}
		steps = append(steps, v)
	}
	return steps
}

// counts are the steps of a number that is withheld below five.
func counts(points []usage.Point, of func(usage.Point) int64) (steps []step) {
	for _, p := range points {
		v := step{at: p.At, lasts: usage.Hour, value: of(p)}
		if p.Minutes > 0 {
			v.sign = enough(p, usage.Hour, warn.Few(v.value))
		}
		steps = append(steps, v)
	}
	return steps
}

// enough has a step of which less than half is known be quiet for nobody.
func enough(p usage.Point, lasts time.Duration, s warn.Sign) warn.Sign {
	if s == warn.Quiet && time.Duration(p.Minutes)*time.Minute < lasts/2 {
		return warn.Unknown
	}
	return s
}

// refused are the openings that were, for want of a seat or a gateway, as far as they are told.
func refused(p usage.Point) (n int64) {
	for _, reason := range []capacity.Reason{capacity.NoSeat, capacity.NoGateway} {
		n += p.Refused[reason].Value
	}
	return n
}

// refusedToMany are those of all tenants together, which are told to operators whatever they are: a
// warning goes further, by metric and webhook.
func refusedToMany(p usage.Point) int64 {
	return p.ToMany[capacity.NoSeat] + p.ToMany[capacity.NoGateway]
}

// given is how many of a gateway's blocks of addresses tenants have. Blocks do not come back,
// so it is loud only if a tenant has nearly filled its own, and needs another one.
func given(u store.AddressUse, v4, v6 netip.Prefix, percent int64, hour time.Time) step {
	v := step{at: hour, lasts: usage.Hour, value: u.Blocks, capacity: int64(address.Aggregate{V4: v4, V6: v6}.Blocks())}
	v.sign = warn.Share(u.Blocks, v.capacity, percent)
	if v.sign == warn.Loud && warn.Share(u.Fullest, u.Of, percent) != warn.Loud {
		v.sign = warn.Between
	}
	return v
}
