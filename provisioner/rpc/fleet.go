package rpc

import (
	"context"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/tenancy"
)

func (h *adminHandler) ListGateways(ctx context.Context, _ *heimdrahtv1.ListGatewaysRequest) (*heimdrahtv1.ListGatewaysResponse, error) {
	list, revision, err := h.tenancy.Fleet(ctx, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	answer := new(heimdrahtv1.ListGatewaysResponse)
	now := time.Now()
	for _, g := range list {
		answer.Gateways = append(answer.Gateways, fromGateway(g, revision, now))
	}
	return answer, nil
}

func (h *adminHandler) DrainGateway(ctx context.Context, r *heimdrahtv1.DrainGatewayRequest) (*heimdrahtv1.DrainGatewayResponse, error) {
	// What is too long to be multiplied out is as long as can be.
	within := time.Duration(min(max(r.GetWithinMs(), 0), mostMilliseconds)) * time.Millisecond
	g, err := h.changed(ctx, r.GetGateway(), h.tenancy.Drain(ctx, actorOf(ctx), r.GetGateway(), within, r.GetReason()))
	return &heimdrahtv1.DrainGatewayResponse{Gateway: g}, err
}

func (h *adminHandler) UndrainGateway(ctx context.Context, r *heimdrahtv1.UndrainGatewayRequest) (*heimdrahtv1.UndrainGatewayResponse, error) {
	g, err := h.changed(ctx, r.GetGateway(), h.tenancy.Undrain(ctx, actorOf(ctx), r.GetGateway(), r.GetReason()))
	return &heimdrahtv1.UndrainGatewayResponse{Gateway: g}, err
}

func (h *adminHandler) AnnounceMaintenance(ctx context.Context, r *heimdrahtv1.AnnounceMaintenanceRequest) (*heimdrahtv1.AnnounceMaintenanceResponse, error) {
	err := h.tenancy.AnnounceMaintenance(ctx, actorOf(ctx), r.GetGateway(), toTime(r.GetFrom()), toTime(r.GetUntil()), r.GetReason())
	g, err := h.changed(ctx, r.GetGateway(), err)
	return &heimdrahtv1.AnnounceMaintenanceResponse{Gateway: g}, err
}

func (h *adminHandler) WithdrawMaintenance(ctx context.Context, r *heimdrahtv1.WithdrawMaintenanceRequest) (*heimdrahtv1.WithdrawMaintenanceResponse, error) {
	g, err := h.changed(ctx, r.GetGateway(), h.tenancy.WithdrawMaintenance(ctx, actorOf(ctx), r.GetGateway(), r.GetReason()))
	return &heimdrahtv1.WithdrawMaintenanceResponse{Gateway: g}, err
}

// mostMilliseconds is ten years.
const mostMilliseconds = 10 * 365 * 24 * 3600 * 1000

// changed is how a gateway stands after a change that did not fail.
func (h *adminHandler) changed(ctx context.Context, name string, err error) (*heimdrahtv1.Gateway, error) {
	if err != nil {
		return nil, err
	}
	list, revision, err := h.tenancy.Fleet(ctx, actorOf(ctx))
	for _, g := range list {
		if g.Name == name {
			return fromGateway(g, revision, time.Now()), err
		}
	}
	return nil, err
}

func fromGateway(g tenancy.GatewayInUse, revision int64, now time.Time) *heimdrahtv1.Gateway {
	_, leaving := g.Leaving(now)
	m := &heimdrahtv1.Gateway{
		Name: g.Name, Endpoint: g.Endpoint, Joined: !g.PublicKey.IsZero(), Connected: g.Reachable(now), Heard: g.Heard(now),
		Sessions: g.Open, Capacity: g.Sessions, StaticSessions: g.Static, AcknowledgedRevision: g.Revision, Revision: revision,
		LastContact: stamp(g.ContactAt), CertificateNotAfter: stamp(g.CertificateNotAfter), AgentVersion: g.AgentVersion, Tenants: g.Tenants,
		AddressesTaken: g.AddressesTaken, Addresses: g.Addresses, Weight: g.Weight, Site: g.Site,
		ThroughputLimit: g.Throughput, Throughput: g.Load.Rate, CpuPermille: uint32(g.Load.CPU), Leaving: leaving,
	}
	if d := g.Drain; !d.Since.IsZero() {
		m.Drain = &heimdrahtv1.GatewayDrain{Since: stamp(d.Since), Deadline: stamp(d.By), Reason: d.Why}
	}
	if v := g.Maintenance; !v.From.IsZero() && now.Before(v.Until) {
		m.Maintenance = &heimdrahtv1.GatewayMaintenance{From: stamp(v.From), Until: stamp(v.Until), Reason: v.Why}
	}
	return m
}
