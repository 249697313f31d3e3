package rpc

import (
	"context"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/tenancy"
)

func (h *adminHandler) SwitchCrisis(ctx context.Context, r *heimdrahtv1.SwitchCrisisRequest) (*heimdrahtv1.SwitchCrisisResponse, error) {
	now, changed, err := h.tenancy.SwitchCrisis(ctx, actorOf(ctx), r.GetTenant(), r.GetOn(), r.GetReason())
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.SwitchCrisisResponse{Crisis: fromCrisis(now), Changed: changed}, nil
}

func (h *adminHandler) ListCrises(ctx context.Context, r *heimdrahtv1.ListCrisesRequest) (*heimdrahtv1.ListCrisesResponse, error) {
	list, err := h.tenancy.Crises(ctx, actorOf(ctx), r.GetTenant())
	if err != nil {
		return nil, err
	}
	answer := new(heimdrahtv1.ListCrisesResponse)
	for _, c := range list {
		answer.Crises = append(answer.Crises, fromCrisis(c))
	}
	return answer, nil
}

func fromCrisis(c tenancy.Crisis) *heimdrahtv1.Crisis {
	m := &heimdrahtv1.Crisis{Tenant: c.Tenant, Since: stamp(c.Since), Reason: c.Reason}
	if p := c.Plan; p.Prepared() {
		m.Plan = &heimdrahtv1.CrisisPlan{IdleS: int64(p.Idle / time.Second), LiftHours: p.LiftHours, CloseOrdinary: p.CloseOrdinary}
	}
	return m
}

func toCrisisPlan(m *heimdrahtv1.CrisisPlan) provisioner.CrisisPlan {
	return provisioner.CrisisPlan{Idle: seconds(m.GetIdleS()), LiftHours: m.GetLiftHours(), CloseOrdinary: m.GetCloseOrdinary()}
}
