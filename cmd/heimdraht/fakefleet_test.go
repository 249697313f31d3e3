package main

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// asChanged is gateway gw4, or another one, as a change has left it.
func asChanged(ctx context.Context, name string, change func(*heimdrahtv1.Gateway)) (*heimdrahtv1.Gateway, error) {
	list, err := new(fake).ListGateways(ctx, nil)
	for _, g := range list.GetGateways() {
		if g.GetName() == name {
			change(g)
			return g, err
		}
	}
	return nil, refuse(ctx, codes.NotFound, "not-found", "Gibt es nicht.", "Prüfen Sie die Angabe.", "There is no such gateway: "+name+".", "Check what you typed.")
}

func (f *fake) DrainGateway(ctx context.Context, r *heimdrahtv1.DrainGatewayRequest) (*heimdrahtv1.DrainGatewayResponse, error) {
	g, err := asChanged(ctx, r.GetGateway(), func(g *heimdrahtv1.Gateway) {
		begin := at("2026-11-22T09:30:00Z")
		deadline := timestamppb.New(begin.AsTime())
		deadline.Seconds += r.GetWithinMs() / 1000
		g.Leaving, g.Drain = true, &heimdrahtv1.GatewayDrain{Since: begin, Deadline: deadline, Reason: r.GetReason()}
	})
	return &heimdrahtv1.DrainGatewayResponse{Gateway: g}, err
}

func (f *fake) UndrainGateway(ctx context.Context, r *heimdrahtv1.UndrainGatewayRequest) (*heimdrahtv1.UndrainGatewayResponse, error) {
	g, err := asChanged(ctx, r.GetGateway(), func(g *heimdrahtv1.Gateway) { g.Drain = nil })
	return &heimdrahtv1.UndrainGatewayResponse{Gateway: g}, err
}

func (f *fake) AnnounceMaintenance(ctx context.Context, r *heimdrahtv1.AnnounceMaintenanceRequest) (*heimdrahtv1.AnnounceMaintenanceResponse, error) {
	g, err := asChanged(ctx, r.GetGateway(), func(g *heimdrahtv1.Gateway) {
		g.Maintenance = &heimdrahtv1.GatewayMaintenance{From: r.GetFrom(), Until: r.GetUntil(), Reason: r.GetReason()}
	})
	return &heimdrahtv1.AnnounceMaintenanceResponse{Gateway: g}, err
}

func (f *fake) WithdrawMaintenance(ctx context.Context, r *heimdrahtv1.WithdrawMaintenanceRequest) (*heimdrahtv1.WithdrawMaintenanceResponse, error) {
	g, err := asChanged(ctx, r.GetGateway(), func(g *heimdrahtv1.Gateway) { g.Maintenance = nil })
	return &heimdrahtv1.WithdrawMaintenanceResponse{Gateway: g}, err
}
