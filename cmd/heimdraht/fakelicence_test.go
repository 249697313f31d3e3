package main

import (
	"context"

	"google.golang.org/grpc/codes"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func (f *fake) ListSeats(_ context.Context, r *heimdrahtv1.ListSeatsRequest) (*heimdrahtv1.ListSeatsResponse, error) {
	of := func(n int64) *heimdrahtv1.Count { return &heimdrahtv1.Count{Value: n} }
	hidden := &heimdrahtv1.Count{Withheld: true}
	names := &heimdrahtv1.SeatPool{
		Pool: "names", Model: "named", Seats: 20, NextEnd: at("2027-12-31T23:00:00Z"), InUse: of(17), GuaranteedUnused: of(0), Borrowed: of(17),
		Waiting: of(2), Lent: of(0), HighestToday: of(17),
		Tenants: []*heimdrahtv1.SeatShare{{Tenant: "stadt", InUse: 17, Borrowed: 17, Waiting: 2}},
	}
	switch r.GetTenant() {
	case "empty":
		return &heimdrahtv1.ListSeatsResponse{At: at("2026-11-22T09:30:00Z")}, nil
	case "shared": // whose administrator does not see all that share the pool
		names.Lent, names.HighestToday, names.WarningWithheld = hidden, hidden, true
		names.Reserved = []*heimdrahtv1.SeatReserve{{Class: "crisis", Seats: 2, Unused: hidden}}
		return &heimdrahtv1.ListSeatsResponse{At: at("2026-11-22T09:30:00Z"), Pools: []*heimdrahtv1.SeatPool{names}}, nil
	case "dorf":
		names.InUse, names.GuaranteedUnused, names.Borrowed, names.Tenants = hidden, hidden, hidden, nil
		names.Waiting, names.Lent, names.HighestToday, names.WarningWithheld = hidden, hidden, hidden, true
		return &heimdrahtv1.ListSeatsResponse{At: at("2026-11-22T09:30:00Z"), Pools: []*heimdrahtv1.SeatPool{names}}, nil
	}
	return &heimdrahtv1.ListSeatsResponse{At: at("2026-11-22T09:30:00Z"), Pools: []*heimdrahtv1.SeatPool{{
		Pool: "citrix", Model: "concurrent", Seats: 400, OfProduct: true, InUse: of(0), GuaranteedUnused: of(0), Borrowed: of(0), Waiting: of(0), Lent: of(0), HighestToday: of(0),
	}, names, {
		Pool: "vpn", Model: "concurrent", Seats: 1200, Burst: 50, WarnAt: []int64{70, 90}, InUse: of(1180), GuaranteedUnused: of(30), Borrowed: of(210), Lent: of(12), Waiting: of(2),
		HighestToday: of(1190), HighestAt: at("2026-11-22T08:15:00Z"), Warning: 95,
		Reserved: []*heimdrahtv1.SeatReserve{{Class: "crisis", Seats: 10, Unused: of(7)}, {Class: "control", Seats: 5, Unused: hidden}},
		Tenants:  []*heimdrahtv1.SeatShare{{Tenant: "dorf", Guarantee: 30}, {Tenant: "stadt", Guarantee: 970, InUse: 1180, Borrowed: 210, Waiting: 2}},
	}}}, nil
}

func (f *fake) ListLicences(_ context.Context, r *heimdrahtv1.ListLicencesRequest) (*heimdrahtv1.ListLicencesResponse, error) {
	if r.GetTenant() == "empty" {
		return &heimdrahtv1.ListLicencesResponse{At: at("2026-11-22T09:30:00Z")}, nil
	}
	hidden := &heimdrahtv1.Count{Withheld: true}
	return &heimdrahtv1.ListLicencesResponse{
		At: at("2026-11-22T09:30:00Z"),
		Licences: []*heimdrahtv1.Licence{
			{Pool: "names", Model: "named", Seats: 20, From: at("2026-01-01T00:00:00Z")},
			{
				Pool: "vpn", Model: "concurrent", Reference: "R-4711", Seats: 1200, Burst: 50, NetCents: 150, GrossCents: 179, Period: "month",
				NetCentsAYear: 2160000, GrossCentsAYear: 2577600, Until: at("2026-12-31T23:00:00Z"), NoticeBy: at("2026-11-30T23:00:00Z"),
			},
		},
		Warnings: []*heimdrahtv1.LicenceWarning{{Pool: "vpn", Code: "notice", At: at("2026-11-30T23:00:00Z"), Sentence: "vpn: notice of the contract R-4711 over 1200 seats can be given for 8 more days."}},
		Unused: []*heimdrahtv1.UnusedSeats{
			{Pool: "few", OfProduct: true, Seats: hidden, Owned: 10, Highest: hidden},
			{Pool: "names", Seats: &heimdrahtv1.Count{Value: 6}},
			{Pool: "office", OfProduct: true, Seats: &heimdrahtv1.Count{Value: 23}, Owned: 400, Highest: &heimdrahtv1.Count{Value: 377}},
			{Pool: "shared", OfProduct: true, Seats: hidden, Highest: &heimdrahtv1.Count{Value: 7}},
		},
	}, nil
}

func (f *fake) ExplainSeat(_ context.Context, r *heimdrahtv1.ExplainSeatRequest) (*heimdrahtv1.ExplainSeatResponse, error) {
	return &heimdrahtv1.ExplainSeatResponse{PersonName: "Erika Müller", Tenant: "stadt", Steps: []*heimdrahtv1.SeatStep{
		{Pool: "vpn", Sentence: "Held are 1250 of 1250."}, {Pool: "vpn", Against: true, Sentence: "All seats are taken."}, {Against: true, Sentence: "She gets no seat now."},
	}}, nil
}

func (f *fake) AssignSeat(ctx context.Context, r *heimdrahtv1.AssignSeatRequest) (*heimdrahtv1.AssignSeatResponse, error) {
	if r.GetPool() == "full" {
		return nil, refuse(ctx, codes.ResourceExhausted, "no-seat-to-assign", "Kein Platz ist frei.", "Kaufen Sie welche.", "No seat is free.", "Buy more.")
	}
	return &heimdrahtv1.AssignSeatResponse{PersonName: "Erika Müller", Tenant: "stadt"}, nil
}

func (f *fake) TakeBackSeat(_ context.Context, r *heimdrahtv1.TakeBackSeatRequest) (*heimdrahtv1.TakeBackSeatResponse, error) {
	answer := &heimdrahtv1.TakeBackSeatResponse{PersonName: "Erika Müller", Tenant: "stadt", Free: r.GetPool() == "names"}
	if r.GetPool() == "bound" {
		answer.BoundUntil = at("2027-01-31T23:00:00Z")
	}
	return answer, nil
}
