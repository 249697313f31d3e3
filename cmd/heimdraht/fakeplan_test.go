package main

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity/plan"
)

// Plan is the real arithmetic for a town of 1,200 people and a village, on the day of the other answers.
func (f *fake) Plan(ctx context.Context, r *heimdrahtv1.PlanRequest) (*heimdrahtv1.PlanResponse, error) {
	from, err := time.Parse(time.DateOnly, r.GetFrom())
	if err != nil {
		return nil, err
	}
	asked := plan.Request{
		At: at("2026-11-22T09:30:00Z").AsTime(), From: provisioner.DayBegins(from.Year(), from.Month(), from.Day()), Years: int(r.GetYears()),
		HomeShare: r.GetHomeShare(), HomeShareThen: r.GetHomeShareThen(), OnlineAtPeak: r.GetOnlineAtPeak(), Growth: r.GetGrowth(), Refused: r.GetRefused(),
		Throughput: r.GetKbitsAPerson(), GatewayKilobits: r.GetKbitsAGateway(),
		Tenants: []plan.Tenant{{Name: "dorf", People: 21, Laptops: 10}, {Name: "stadt", People: 1200, Laptops: 500}},
		Pools: []plan.Pool{{Name: "vpn", Tenants: []string{"dorf", "stadt"}, Peak: 190, Contracts: []provisioner.Contract{
			{Reference: "R-4711", Seats: 450, Burst: 50, Until: provisioner.DayBegins(2029, 1, 1), NoticeBy: provisioner.DayBegins(2028, 10, 1)},
		}}},
		Gateways: []plan.Gateway{{Name: "gw1", Sessions: 500, Addresses: 1 << 16, Tenants: []string{"dorf", "stadt"}}, {Name: "gw2", Sessions: 500, Addresses: 1 << 16, Tenants: []string{"dorf", "stadt"}}},
	}
	for _, p := range r.GetPeople() {
		for i := range asked.Tenants {
			if asked.Tenants[i].Name == p.GetTenant() {
				asked.Tenants[i].People = p.GetPeople()
			}
		}
	}
	answer := &heimdrahtv1.PlanResponse{At: at("2026-11-22T09:30:00Z"), PeopleKnown: []string{"stadt"}}
	if len(r.GetTenant()) == 1 && r.GetTenant()[0] == "evil" {
		name := "<script>alert(1)</script>\x1b[31m\u202e"
		asked.Tenants, asked.Pools, asked.Gateways = []plan.Tenant{{Name: name, People: 50}}, nil, nil
		answer.LeftOut = []string{name}
	}
	for _, o := range r.GetOffers() {
		price := func(p *heimdrahtv1.PlanPrice) provisioner.Price {
			return provisioner.Price{NetCents: p.GetNetCents(), GrossCents: p.GetGrossCents(), Period: provisioner.PricePeriod(p.GetPeriod())}
		}
		asked.Offers = append(asked.Offers, plan.Offer{
			Name: o.GetName(), Kind: plan.Kind(o.GetKind()), Price: price(o.GetPrice()), Maintenance: price(o.GetMaintenance()), Overage: price(o.GetOverage()),
			Included: o.GetIncluded(), Pack: o.GetPack(), UsedShare: o.GetUsedShare(), DeliveryDays: o.GetDeliveryDays(), Sessions: o.GetSessions(), Kilobits: o.GetKbits(),
		})
	}
	p, err := plan.Make(asked)
	if err != nil {
		return nil, refuse(ctx, codes.InvalidArgument, "invalid", "Die Angabe Plan ist nicht gültig.", "Berichtigen Sie die Angabe.", "The value of plan is not valid.", "Correct it.")
	}
	answer.Reason, answer.DecisiveYear = string(p.Reason), int64(p.Decisive)
	places := make(map[*plan.Figure]uint32)
	for i, f := range p.Figures {
		places[f] = uint32(i)
		m := &heimdrahtv1.PlanFigure{Name: string(f.Name), Tenant: f.Tenant, Of: f.Of, Year: int64(f.Year), Step: f.Step, Value: f.Value, Unit: string(f.Unit)}
		for _, in := range f.Inputs {
			if r.GetExplain() {
				m.Formula, m.Inputs = string(f.Formula), append(m.Inputs, places[in])
			}
		}
		answer.Figures = append(answer.Figures, m)
	}
	for _, w := range p.Warnings {
		m := &heimdrahtv1.PlanWarning{Code: string(w.Code), Of: w.Of}
		if w.Figure != nil {
			m.Figure = places[w.Figure] + 1
		}
		answer.Warnings = append(answer.Warnings, m)
	}
	return answer, nil
}
