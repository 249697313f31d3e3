package session

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// place finds a gateway for the device and takes an address there: gateways
// that can be reached and have room, the device's former one first (its
// address may still be free), then the least loaded. only names the one that it
// must be; empty: any.
func place(tx *store.Writer, device provisioner.Device, tried []string, only string) (store.GatewayState, int64, error) {
	gateways, err := tx.GatewaysOf(device.Tenant)
	if err != nil {
		return store.GatewayState{}, 0, fmt.Errorf("reading the gateways: %w", err)
	}
	if only != "" {
		gateways = slices.DeleteFunc(gateways, func(g store.GatewayState) bool { return g.Name != only })
		if len(gateways) == 0 {
			return store.GatewayState{}, 0, provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(only, 64)).With("what", "Diesen Zugangsserver", "gateway")
		}
	}
	former, err := tx.FormerGateway(device.ID)
	if err != nil && !errors.Is(err, store.ErrNone) {
		return store.GatewayState{}, 0, fmt.Errorf("reading the former gateway: %w", err)
	}
	candidates, full := rank(gateways, former, tried, tx.Now)
	for _, g := range candidates {
		index, err := tx.TakeAddress(g.Name, device.Tenant, device.ID, aggregateOf(g.Gateway))
		if errors.Is(err, store.ErrNoAddress) {
			full = true
			continue
		}
		if err != nil {
			return g, 0, fmt.Errorf("taking an address of %s: %w", g.Name, err)
		}
		return g, index, nil
	}
	switch {
	case len(tried) > 0:
		return store.GatewayState{}, 0, provisioner.Refuse(provisioner.CodeGatewayNotReady).After(2 * time.Second)
	case full:
		return store.GatewayState{}, 0, provisioner.Refuse(provisioner.CodeGatewayFull).After(30 * time.Second)
	default:
		return store.GatewayState{}, 0, provisioner.Refuse(provisioner.CodeNoGateway).After(10 * time.Second)
	}
}

// rank orders the gateways that may take a session; full tells whether one
// that can be reached has no room.
func rank(gateways []store.GatewayState, former string, tried []string, now time.Time) (usable []store.GatewayState, full bool) {
	for _, g := range gateways {
		switch {
		case g.PublicKey.IsZero() || !g.Reachable(now) || slices.Contains(tried, g.Name):
		case g.Open >= g.Sessions:
			full = true
		default:
			usable = append(usable, g)
		}
	}
	slices.SortStableFunc(usable, func(a, b store.GatewayState) int {
		if fa, fb := a.Name == former, b.Name == former; fa != fb {
			if fa {
				return -1
			}
			return 1
		}
		// a.Open/a.Sessions against b.Open/b.Sessions, without dividing
		return int(min(1, max(-1, a.Open*b.Sessions-b.Open*a.Sessions)))
	})
	return usable, full
}

func aggregateOf(g provisioner.Gateway) address.Aggregate {
	return address.Aggregate{V4: g.AggregateV4, V6: g.AggregateV6}
}
