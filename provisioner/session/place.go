package session

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/placement"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// wanted is which gateway somebody may go to.
type wanted struct {
	site  string
	tried []string // gateways that have just failed
	lost  string   // the one that has died with the present session; empty: none
	only  string   // the one that it must be; empty: any
	// besides is the one where the session is that it is leaving; empty: none.
	besides string
}

// place finds the best gateway for the device, and takes an address there: its
// former one if that is free.
func place(tx *store.Writer, device provisioner.Device, w wanted) (store.GatewayState, int64, error) {
	gateways, err := tx.GatewaysOf(device.Tenant)
	if err != nil {
		return store.GatewayState{}, 0, fmt.Errorf("reading the gateways: %w", err)
	}
	if w.only != "" {
		gateways = slices.DeleteFunc(gateways, func(g store.GatewayState) bool { return g.Name != w.only })
		if len(gateways) == 0 {
			return store.GatewayState{}, 0, provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(w.only, 64)).With("what", "Diesen Zugangsserver", "gateway")
		}
	}
	former, err := tx.FormerGateway(device.ID)
	if err != nil && !errors.Is(err, store.ErrNone) {
		return store.GatewayState{}, 0, fmt.Errorf("reading the former gateway: %w", err)
	}
	verdict := placement.Choose(candidates(gateways, tx.Now), placement.Asker{Site: w.site, Former: former, Avoid: append(slices.Clone(w.tried), w.lost, w.besides)})
	for _, name := range verdict.Order {
		g := gateways[slices.IndexFunc(gateways, func(g store.GatewayState) bool { return g.Name == name })]
		index, err := tx.TakeAddress(g.Name, device.Tenant, device.ID, aggregateOf(g.Gateway))
		if errors.Is(err, store.ErrNoAddress) {
			verdict.Full = true
			continue
		}
		if err != nil {
			return g, 0, fmt.Errorf("taking an address of %s: %w", g.Name, err)
		}
		return g, index, nil
	}
	return store.GatewayState{}, 0, nowhere(verdict, gateways, w, tx.Now)
}

// nowhere says why there is no gateway.
func nowhere(v placement.Verdict, gateways []store.GatewayState, w wanted, now time.Time) *provisioner.Refusal {
	switch {
	case len(w.tried) > 0:
		return provisioner.Refuse(provisioner.CodeGatewayNotReady).After(2 * time.Second)
	case v.Full:
		return provisioner.Refuse(provisioner.CodeGatewayFull).After(30 * time.Second)
	case v.Leaving:
		return resting(gateways, now)
	default:
		return provisioner.Refuse(provisioner.CodeNoGateway).After(10 * time.Second)
	}
}

// mostRest is how long a laptop stays away at the most whose gateways are all being left.
const mostRest = 5 * time.Minute

// resting says until when all gateways are being left: until the first takes sessions
// again, as far as is known.
func resting(gateways []store.GatewayState, now time.Time) *provisioner.Refusal {
	var first time.Time
	for _, g := range gateways {
		if l, ok := g.Leaving(now); ok && !l.Until.IsZero() && (first.IsZero() || l.Until.Before(first)) {
			first = l.Until
		}
	}
	german, english, wait := "wie lange, steht noch nicht fest", "for how long is not known yet", time.Minute
	if !first.IsZero() {
		german, english = provisioner.ClockText(first)
		german, english = "voraussichtlich bis "+german, "until "+english+" as far as is known"
		wait = min(max(first.Sub(now), time.Second), mostRest)
	}
	return provisioner.Refuse(provisioner.CodeGatewaysResting).With("until", german, english).After(wait)
}

func candidates(gateways []store.GatewayState, now time.Time) []placement.Candidate {
	list := make([]placement.Candidate, len(gateways))
	for i, g := range gateways {
		_, leaving := g.Leaving(now)
		list[i] = placement.Candidate{
			Name: g.Name, Site: g.Site, Weight: g.Weight, Open: g.Open, Sessions: min(g.Sessions, provisioner.MostPeers),
			Rate: g.Load.Rate, Throughput: g.Throughput, CPU: g.Load.CPU,
			Joined: !g.PublicKey.IsZero(), Reachable: g.Reachable(now), Heard: g.Heard(now), Leaving: leaving,
		}
	}
	return list
}

func aggregateOf(g provisioner.Gateway) address.Aggregate {
	return address.Aggregate{V4: g.AggregateV4, V6: g.AggregateV6}
}
