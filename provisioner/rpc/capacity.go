package rpc

import (
	"context"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/helpdesk"
)

type capacityHandler struct {
	heimdrahtv1.UnimplementedCapacityServiceServer
	helpdesk *helpdesk.Service
}

func (h *capacityHandler) GetConcurrency(ctx context.Context, r *heimdrahtv1.GetConcurrencyRequest) (*heimdrahtv1.GetConcurrencyResponse, error) {
	c, err := h.helpdesk.Concurrency(ctx, actorOf(ctx), r.GetTenant())
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.GetConcurrencyResponse{At: stamp(c.At)}
	for _, t := range c.Tenants {
		answer.Tenants = append(answer.Tenants, &heimdrahtv1.TenantConcurrency{Tenant: t.Tenant, Sessions: fromCount(t.Sessions)})
	}
	for _, p := range c.Pools {
		answer.Pools = append(answer.Pools, &heimdrahtv1.PoolUsage{Pool: p.Pool, Seats: p.Seats, Burst: p.Burst, Held: fromCount(p.Held)})
	}
	for _, g := range c.Gateways {
		answer.Gateways = append(answer.Gateways, &heimdrahtv1.GatewayConcurrency{Gateway: g.Gateway, Capacity: g.Capacity, Sessions: fromCount(g.Sessions)})
	}
	return answer, nil
}

func fromCount(c helpdesk.Count) *heimdrahtv1.Count {
	return &heimdrahtv1.Count{Value: c.Value, Withheld: c.Withheld}
}
