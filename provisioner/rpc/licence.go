package rpc

import (
	"context"
	"fmt"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/licensing"
)

type licenceHandler struct {
	heimdrahtv1.UnimplementedLicenceServiceServer
	licensing *licensing.Service
}

func (h *licenceHandler) ListSeats(ctx context.Context, r *heimdrahtv1.ListSeatsRequest) (*heimdrahtv1.ListSeatsResponse, error) {
	pools, now, err := h.licensing.Seats(ctx, actorOf(ctx), r.GetTenant())
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.ListSeatsResponse{At: stamp(now)}
	for _, p := range pools {
		answer.Pools = append(answer.Pools, fromSeatPool(p))
	}
	return answer, nil
}

func fromSeatPool(p licensing.Pool) *heimdrahtv1.SeatPool {
	m := &heimdrahtv1.SeatPool{
		Pool: p.Name, Model: string(p.Model), Seats: p.Seats, Burst: p.Burst, NextEnd: stamp(p.NextEnd), OfProduct: p.Product, Until: stamp(p.Until),
		InUse: fromSeats(p.InUse), GuaranteedUnused: fromSeats(p.GuaranteedUnused), Borrowed: fromSeats(p.Borrowed), Waiting: fromSeats(p.Waiting),
		Lent: fromSeats(p.Lent), HighestToday: fromSeats(p.Highest), HighestAt: stamp(p.HighestAt), Warning: p.Warning.Value, WarningWithheld: p.Warning.Withheld, WarnAt: p.Thresholds,
		WarnForecast: p.Probable,
	}
	for _, s := range p.Tenants {
		m.Tenants = append(m.Tenants, &heimdrahtv1.SeatShare{Tenant: s.Tenant, Guarantee: s.Guarantee, InUse: s.InUse, Borrowed: s.Borrowed, Waiting: s.Waiting})
	}
	for _, r := range p.Reserved {
		m.Reserved = append(m.Reserved, &heimdrahtv1.SeatReserve{Class: string(r.Class), Seats: r.Seats, Unused: fromSeats(r.Unused)})
	}
	return m
}

func fromSeats(c licensing.Count) *heimdrahtv1.Count {
	return &heimdrahtv1.Count{Value: c.Value, Withheld: c.Withheld}
}

func (h *licenceHandler) ListLicences(ctx context.Context, r *heimdrahtv1.ListLicencesRequest) (*heimdrahtv1.ListLicencesResponse, error) {
	actor := actorOf(ctx)
	l, err := h.licensing.Licences(ctx, actor, r.GetTenant())
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.ListLicencesResponse{At: stamp(l.At)}
	for _, c := range l.Contracts {
		answer.Licences = append(answer.Licences, &heimdrahtv1.Licence{
			Pool: c.Pool, Model: string(c.Model), Reference: c.Reference, Seats: c.Seats, Burst: c.Burst,
			NetCents: c.Price.NetCents, GrossCents: c.Price.GrossCents, Period: string(c.Price.Period),
			NetCentsAYear: c.NetCentsAYear(), GrossCentsAYear: c.GrossCentsAYear(),
			From: stamp(c.From), Until: stamp(c.Until), NoticeBy: stamp(c.NoticeBy),
		})
	}
	for _, w := range l.Warnings {
		answer.Warnings = append(answer.Warnings, &heimdrahtv1.LicenceWarning{
			Pool: w.Pool, Code: string(w.Code), At: stamp(w.At), Sentence: sentenceOf(w, l.At, actor.Language == "en"),
		})
	}
	for _, u := range l.Unused {
		m := &heimdrahtv1.UnusedSeats{Pool: u.Pool, Seats: fromSeats(u.Seats)}
		if u.Product != nil {
			m.OfProduct, m.Owned, m.Highest = true, u.Product.Owned, fromSeats(u.Product.Highest)
		}
		answer.Unused = append(answer.Unused, m)
	}
	return answer, nil
}

// sentenceOf says what is to be done. The times are ends of days, so the day before counts.
func sentenceOf(w licensing.Warning, now time.Time, english bool) string {
	reference := ""
	if w.Reference != "" {
		reference = " " + w.Reference
	}
	when := [2]string{"in %d Tagen", "in %d days"}
	left := [2]string{"noch %d Tage lang kündbar", "can be given for %d more days"}
	days := int(w.At.Sub(now).Hours() / 24)
	switch days {
	case 0:
		when, left = [2]string{"heute", "today"}, [2]string{"nur noch heute kündbar", "can be given today for the last time"}
	case 1:
		when, left = [2]string{"morgen", "tomorrow"}, [2]string{"noch bis morgen kündbar", "can be given until tomorrow"}
	default:
		when = [2]string{fmt.Sprintf(when[0], days), fmt.Sprintf(when[1], days)}
		left = [2]string{fmt.Sprintf(left[0], days), fmt.Sprintf(left[1], days)}
	}
	var german, text string
	switch w.Code {
	case licensing.WarnNotice:
		german = fmt.Sprintf("%s: Der Vertrag%s über %d Plätze ist %s.", w.Pool, reference, w.Seats, left[0])
		text = fmt.Sprintf("%s: notice of the contract%s over %d seats %s.", w.Pool, reference, w.Seats, left[1])
	case licensing.WarnGuarantees:
		if !w.At.After(now) {
			when = [2]string{"jetzt", "now"}
		}
		german = fmt.Sprintf("%s: Zugesagt und reserviert sind %d Plätze, %s gibt es nur %d.", w.Pool, w.Promised, when[0], w.Seats)
		text = fmt.Sprintf("%s: %d seats are guaranteed and reserved, %s there are only %d.", w.Pool, w.Promised, when[1], w.Seats)
	default:
		german = fmt.Sprintf("%s: Der Vertrag%s über %d Plätze endet %s.", w.Pool, reference, w.Seats, when[0])
		text = fmt.Sprintf("%s: the contract%s over %d seats ends %s.", w.Pool, reference, w.Seats, when[1])
	}
	if english {
		return text
	}
	return german
}

func (h *licenceHandler) ExplainSeat(ctx context.Context, r *heimdrahtv1.ExplainSeatRequest) (*heimdrahtv1.ExplainSeatResponse, error) {
	actor := actorOf(ctx)
	e, err := h.licensing.Explain(ctx, actor, r.GetPersonId(), r.GetTenant())
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.ExplainSeatResponse{PersonName: e.Name, Tenant: e.Tenant, Pool: e.Pool}
	for _, s := range e.Steps {
		step := &heimdrahtv1.SeatStep{Pool: s.Pool, Against: s.Against, Sentence: s.German}
		if actor.Language == "en" {
			step.Sentence = s.English
		}
		answer.Steps = append(answer.Steps, step)
	}
	return answer, nil
}

func (h *licenceHandler) AssignSeat(ctx context.Context, r *heimdrahtv1.AssignSeatRequest) (*heimdrahtv1.AssignSeatResponse, error) {
	w, err := h.licensing.Assign(ctx, actorOf(ctx), licensing.SeatRequest{Person: r.GetPersonId(), Tenant: r.GetTenant(), Pool: r.GetPool(), Reason: r.GetReason()})
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.AssignSeatResponse{PersonName: w.Name, Tenant: w.Tenant}, nil
}

func (h *licenceHandler) TakeBackSeat(ctx context.Context, r *heimdrahtv1.TakeBackSeatRequest) (*heimdrahtv1.TakeBackSeatResponse, error) {
	t, err := h.licensing.TakeBack(ctx, actorOf(ctx), licensing.SeatRequest{Person: r.GetPersonId(), Tenant: r.GetTenant(), Pool: r.GetPool(), Reason: r.GetReason()})
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.TakeBackSeatResponse{PersonName: t.Name, Tenant: t.Tenant, Free: t.Free, BoundUntil: stamp(t.BoundUntil)}, nil
}
