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
		Pool: p.Name, Model: string(p.Model), Seats: p.Seats, Burst: p.Burst, NextEnd: stamp(p.NextEnd),
		InUse: fromSeats(p.InUse), GuaranteedUnused: fromSeats(p.GuaranteedUnused), Borrowed: fromSeats(p.Borrowed),
	}
	for _, s := range p.Tenants {
		m.Tenants = append(m.Tenants, &heimdrahtv1.SeatShare{Tenant: s.Tenant, Guarantee: s.Guarantee, InUse: s.InUse, Borrowed: s.Borrowed})
	}
	if p.All == nil {
		return m
	}
	m.Lent, m.Waiting, m.HighestToday = fromSeats(p.All.Lent), fromSeats(p.All.Waiting), fromSeats(p.All.Highest)
	m.HighestAt, m.Warning = stamp(p.All.HighestAt), p.All.Warning
	for _, r := range p.All.Reserved {
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
		answer.Unused = append(answer.Unused, &heimdrahtv1.UnusedSeats{Pool: u.Pool, Seats: fromSeats(u.Seats)})
	}
	return answer, nil
}

// sentenceOf says what is to be done. The times are ends of days, so the day before counts.
func sentenceOf(w licensing.Warning, now time.Time, english bool) string {
	german := "%s: Der Vertrag%s über %d Plätze endet in %d Tagen."
	text := "%s: the contract%s over %d seats ends in %d days."
	days := int(w.At.Sub(now).Hours() / 24)
	args := []any{w.Pool, "", w.Seats, days}
	if w.Reference != "" {
		args[1] = " " + w.Reference
	}
	switch w.Code {
	case licensing.WarnNotice:
		german = "%s: Der Vertrag%s über %d Plätze ist noch %d Tage lang kündbar."
		text = "%s: notice of the contract%s over %d seats can be given for %d more days."
	case licensing.WarnGuarantees:
		german = "%s: Zugesagt und reserviert sind %d Plätze, in %[4]d Tagen gibt es nur noch %[3]d."
		text = "%s: %d seats are guaranteed and reserved, in %[4]d days there are only %[3]d."
		args[1] = w.Promised
	default:
	}
	if english {
		return fmt.Sprintf(text, args...)
	}
	return fmt.Sprintf(german, args...)
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
