package rpc

import (
	"context"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity/plan"
	"github.com/heimdraht/heimdraht/provisioner/planning"
)

func (h *capacityHandler) Plan(ctx context.Context, r *heimdrahtv1.PlanRequest) (*heimdrahtv1.PlanResponse, error) {
	asked, err := toPlan(r)
	if err != nil {
		return nil, err
	}
	a, err := h.planning.Plan(ctx, actorOf(ctx), asked)
	if err != nil {
		return nil, err
	}
	return fromPlan(a, r.GetExplain()), nil
}

func toPlan(r *heimdrahtv1.PlanRequest) (planning.Request, error) {
	asked := planning.Request{Tenants: r.GetTenant(), People: make(map[string]int64), Plan: plan.Request{
		Years: int(min(r.GetYears(), plan.MostYears+1)), HomeShare: r.GetHomeShare(), HomeShareThen: r.GetHomeShareThen(), OnlineAtPeak: r.GetOnlineAtPeak(),
		Growth: r.GetGrowth(), Refused: r.GetRefused(), Throughput: r.GetKbitsAPerson(), GatewayKilobits: r.GetKbitsAGateway(),
	}}
	for _, p := range r.GetPeople() {
		asked.People[p.GetTenant()] = p.GetPeople()
	}
	var err error
	if asked.Plan.From, err = toDay(r.GetFrom(), 0); err != nil {
		return asked, dayInvalid("from")
	}
	for _, m := range r.GetOffers() {
		o := plan.Offer{
			Name: m.GetName(), Kind: plan.Kind(m.GetKind()), Price: toPrice(m.GetPrice()), Maintenance: toPrice(m.GetMaintenance()), Overage: toPrice(m.GetOverage()),
			Included: m.GetIncluded(), Pack: m.GetPack(), UsedShare: m.GetUsedShare(), DeliveryDays: m.GetDeliveryDays(), Sessions: m.GetSessions(), Kilobits: m.GetKbits(),
		}
		if o.From, err = toDay(m.GetFrom(), 0); err != nil {
			return asked, dayInvalid("offers.from")
		}
		if o.Until, err = toDay(m.GetUntil(), 1); err != nil {
			return asked, dayInvalid("offers.until")
		}
		asked.Plan.Offers = append(asked.Plan.Offers, o)
	}
	return asked, nil
}

func dayInvalid(field string) *provisioner.Refusal {
	return provisioner.Refuse(provisioner.CodeInvalid, "field", field).With("why", "ein Tag wie 2027-01-11 gehört hierher", "it must be a day such as 2027-01-11")
}

func toPrice(p *heimdrahtv1.PlanPrice) provisioner.Price {
	return provisioner.Price{NetCents: p.GetNetCents(), GrossCents: p.GetGrossCents(), Period: provisioner.PricePeriod(p.GetPeriod())}
}

func fromPlan(a planning.Answer, explain bool) *heimdrahtv1.PlanResponse {
	answer := &heimdrahtv1.PlanResponse{
		At: stamp(a.At), Reason: string(a.Reason), DecisiveYear: int64(a.Decisive),
		LeftOut: a.LeftOut, PeopleKnown: a.PeopleKnown, LaptopsWithheld: a.LaptopsWithheld,
	}
	places := make(map[*plan.Figure]uint32, len(a.Figures))
	for i, f := range a.Figures {
		places[f] = uint32(i)
		m := &heimdrahtv1.PlanFigure{
			Name: string(f.Name), Tenant: f.Tenant, Of: f.Of, Year: int64(f.Year), Step: f.Step, Value: f.Value, Unit: string(f.Unit),
		}
		if explain {
			m.Formula = string(f.Formula)
			for _, in := range f.Inputs {
				m.Inputs = append(m.Inputs, places[in])
			}
		}
		answer.Figures = append(answer.Figures, m)
	}
	for _, w := range a.Warnings {
		m := &heimdrahtv1.PlanWarning{Code: string(w.Code), Of: w.Of}
		if w.Figure != nil {
			m.Figure = places[w.Figure] + 1
		}
		answer.Warnings = append(answer.Warnings, m)
	}
	return answer
}
