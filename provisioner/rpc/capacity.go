package rpc

import (
	"context"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/metering"
	"github.com/heimdraht/heimdraht/provisioner/planning"
	"github.com/heimdraht/heimdraht/provisioner/usage"
	"github.com/heimdraht/heimdraht/provisioner/warning"
)

type capacityHandler struct {
	heimdrahtv1.UnimplementedCapacityServiceServer
	metering *metering.Service
	planning *planning.Service
	usage    *usage.Service
	warning  *warning.Service
}

func (h *capacityHandler) GetConcurrency(ctx context.Context, r *heimdrahtv1.GetConcurrencyRequest) (*heimdrahtv1.GetConcurrencyResponse, error) {
	c, err := h.usage.Concurrency(ctx, actorOf(ctx), r.GetTenant())
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.GetConcurrencyResponse{At: stamp(c.At)}
	for _, t := range c.Tenants {
		answer.Tenants = append(answer.Tenants, &heimdrahtv1.TenantConcurrency{Tenant: t.Tenant, Sessions: fromCount(t.Sessions), Until: stamp(t.Until)})
	}
	for _, p := range c.Pools {
		answer.Pools = append(answer.Pools, &heimdrahtv1.PoolUsage{Pool: p.Pool, Seats: p.Seats, Burst: p.Burst, Held: fromCount(p.Held), Until: stamp(p.Until)})
	}
	for _, g := range c.Gateways {
		answer.Gateways = append(answer.Gateways, &heimdrahtv1.GatewayConcurrency{Gateway: g.Gateway, Capacity: g.Capacity, Sessions: fromCount(g.Sessions)})
	}
	return answer, nil
}

func (h *capacityHandler) ListProducts(ctx context.Context, r *heimdrahtv1.ListProductsRequest) (*heimdrahtv1.ListProductsResponse, error) {
	at, list, err := h.metering.Products(ctx, actorOf(ctx), r.GetTenant())
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.ListProductsResponse{At: stamp(at)}
	for _, p := range list {
		m := &heimdrahtv1.ProductUse{
			Tenant: p.Tenant, Product: p.Product.Name, LicencePool: p.Product.LicencePool, Seats: p.Seats,
			Sessions: fromCount(p.Now), HighestToday: fromCount(p.HighestToday), Highest_30Days: fromCount(p.HighestInMonth),
			AgreementReference: p.Agreement.Reference, AgreementDate: fromDay(p.Agreement.Date), Until: stamp(p.Until),
		}
		for _, v := range p.Versions {
			m.Versions = append(m.Versions, &heimdrahtv1.ProductVersionUse{
				Version: v.Version, Sessions: fromCount(v.Now), Highest_30Days: fromCount(v.HighestInMonth),
			})
		}
		answer.Products = append(answer.Products, m)
	}
	return answer, nil
}

func fromCount(c capacity.Count) *heimdrahtv1.Count {
	return &heimdrahtv1.Count{Value: c.Value, Withheld: c.Withheld}
}
