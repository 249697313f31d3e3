//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// benchTake cuts the biggest tenant off, with a session open for each of its devices, while single devices of other
// tenants are revoked.
func (r *runner) benchTake(ctx context.Context) error {
	if err := r.needDevices(ctx, r.flags.Devices); err != nil {
		return err
	}
	const singles = 200
	city := r.town.tenant(0)
	var citizens, others []*laptop
	for _, l := range r.laptops[r.held:] {
		switch {
		case l.revoked.Load():
		case l.tenant == city:
			citizens = append(citizens, l)
		case len(others) < singles:
			others = append(others, l)
		}
	}
	if len(citizens) == 0 {
		return errors.New("no device of the biggest tenant is left (--devices)")
	}
	for _, list := range [][]*laptop{citizens, others} {
		if err := r.openAll(ctx, list); err != nil {
			return err
		}
	}
	p := r.say.phase("revoking the devices of %s", len(citizens), city)
	defer p.end()
	revoking, stop := context.WithCancel(ctx)
	defer stop()
	var took sample
	ended := make(chan error, 1)
	go func() { ended <- r.revokeEach(revoking, others, &took) }()
	since, err := r.processor()
	if err != nil {
		return err
	}
	began := time.Now()
	done, err := r.takeTenant(ctx, city)
	all := time.Since(began)
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		return err
	}
	used, err := since()
	if err != nil {
		return err
	}
	unconfirmed := 0
	for _, c := range done.GetConfirmations() {
		if !c.GetConfirmed() {
			unconfirmed++
		}
	}
	name := fmt.Sprintf("Take/devices=%d/gateways=%d", done.GetDone(), len(done.GetConfirmations()))
	if err := r.results.line(name, int(done.GetDone()), all/time.Duration(max(done.GetDone(), 1)),
		metric{all.Seconds(), "s-until-confirmed"}, metric{float64(unconfirmed), "unconfirmed"}, metric{used.plane.Seconds(), "plane-cpu-s"}); err != nil {
		return err
	}
	if took.count() == 0 {
		return nil
	}
	return r.results.line(name+"/do=revoke", took.count(), took.mean(), latencies(&took)...)
}

// takeTenant revokes everything of a tenant and waits until all gateways have confirmed.
func (r *runner) takeTenant(ctx context.Context, tenant string) (*heimdrahtv1.FollowTakingResponse, error) {
	desk := heimdrahtv1.NewHelpdeskServiceClient(r.operator.conn)
	begun, err := desk.Take(r.operator.as(ctx), &heimdrahtv1.TakeRequest{
		Action: heimdrahtv1.TakeAction_TAKE_ACTION_REVOKE, Tenant: tenant, Reason: "bench", Emergency: true,
	})
	if err != nil {
		return nil, fmt.Errorf("revoking a tenant: %w", control.FromStatus(err))
	}
	stream, err := desk.FollowTaking(r.operator.as(ctx), &heimdrahtv1.FollowTakingRequest{TakingId: begun.GetTakingId(), WaitMs: time.Minute.Milliseconds()})
	if err != nil {
		return nil, fmt.Errorf("following what is revoked: %w", control.FromStatus(err))
	}
	var last *heimdrahtv1.FollowTakingResponse
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return last, nil
		}
		if err != nil {
			return nil, fmt.Errorf("following what is revoked: %w", control.FromStatus(err))
		}
		last = answer
	}
}

// revokeEach revokes one device after the other until it is told to stop.
func (r *runner) revokeEach(ctx context.Context, list []*laptop, took *sample) error {
	const pause = 20 * time.Millisecond
	for i := 0; i < len(list) && ctx.Err() == nil; i++ {
		began := time.Now()
		if _, err := r.revoke(context.WithoutCancel(ctx), list[i]); err != nil {
			return err
		}
		took.add(time.Since(began))
		_ = control.Sleep(ctx, pause) // the loop looks whether it ended
	}
	return nil
}
