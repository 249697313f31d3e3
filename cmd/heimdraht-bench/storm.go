//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
)

// outage is how long the control plane is away at the most before it is started again: a supervisor's pause.
const outage = 2 * time.Second

// benchStorm kills the control plane while all laptops are connected, starts it again, and waits until all are back,
// by the agents' own pauses and timeouts. Devices are revoked all the while.
func (r *runner) benchStorm(ctx context.Context) error {
	if _, err := r.needHeld(ctx); err != nil {
		return err
	}
	victims, err := r.take(max(min(200, r.reserve()/4), 1))
	if err != nil {
		return err
	}
	if err := r.openAll(ctx, victims); err != nil {
		return err
	}
	if err := r.plane.kill(); err != nil {
		return err
	}
	if err := control.Sleep(ctx, min(outage, r.flags.Window)); err != nil {
		return err
	}
	answered, err := r.answered(ctx)
	if err != nil {
		return err
	}
	before, err := r.databaseUsed()
	if err != nil {
		return err
	}
	p := r.say.phase("%d laptops come back", r.held, r.held)
	defer p.end()
	began := time.Now()
	if err := r.plane.start(ctx); err != nil {
		return err
	}
	coming, stop := context.WithCancel(ctx)
	defer stop()
	desk := &stormDesk{runner: r, victims: victims}
	var running sync.WaitGroup
	var revoking error
	running.Go(func() { revoking = desk.run(coming, began) })
	back, err := r.awaitBack(ctx, p, began)
	stop()
	running.Wait()
	if err := errors.Join(err, revoking); err != nil {
		return err
	}
	if r.operator.conn == nil {
		if err := r.reachOperator(ctx); err != nil {
			return err
		}
	}
	if err := r.awaitGateways(ctx); err != nil {
		return err
	}
	plane, database, err := r.used() // of a process that began with the storm
	if err != nil {
		return err
	}
	// Laptops, gateways and the operator each need one.
	needed := r.held + r.town.gateways + 1
	done, err := r.answered(ctx)
	if err != nil {
		return err
	}
	done -= answered
	metrics := []metric{
		{back.quantile(1).Seconds(), "s-all-back"}, {back.quantile(.5).Seconds(), "s-half-back"},
		{float64(done), "handshakes"}, {100 * float64(max(done-needed, 0)) / float64(needed), "%-wasted"},
		{plane.cpu.Seconds(), "plane-cpu-s"},
		{desk.reached.Seconds(), "s-operator-back"},
	}
	if r.postgres.pid != 0 {
		metrics = append(metrics, metric{(database.cpu - before.cpu).Seconds(), "postgres-cpu-s"})
	}
	base := fmt.Sprintf("Storm/laptops=%d", r.held)
	if err := r.results.line(base, r.held, back.quantile(1), metrics...); err != nil {
		return err
	}
	if desk.took.count() == 0 {
		r.say.printf("no revocation was confirmed before all laptops were back")
		return nil
	}
	return r.results.line(base+"/do=revoke", desk.took.count(), desk.took.mean(),
		append(latencies(&desk.took), metric{float64(desk.unconfirmed), "unconfirmed"})...)
}

// answered is on how many connections the control plane has said something, whoever's they are.
func (r *runner) answered(ctx context.Context) (int, error) {
	crowd, err := r.crowd.state(ctx)
	return crowd.Answered + int(r.fleet.answered.Load()), err
}

// awaitBack waits until every laptop holds its session on a new stream, and gives when each did.
func (r *runner) awaitBack(ctx context.Context, p *phase, began time.Time) (*sample, error) {
	const look = 50 * time.Millisecond
	back := new(sample)
	for back.count() < r.held {
		if err := control.Sleep(ctx, look); err != nil {
			return back, fmt.Errorf("%d of %d laptops are not back: %w", r.held-back.count(), r.held, err)
		}
		state, err := r.crowd.state(ctx)
		if err != nil {
			return back, err
		}
		for back.count() < r.held-state.Away {
			back.add(time.Since(began))
			p.step()
		}
	}
	return back, nil
}

// stormDesk is the helpdesk in a storm.
type stormDesk struct {
	*runner

	victims     []*laptop
	reached     time.Duration
	took        sample
	unconfirmed int
}

// run connects as soon as it can, and revokes one device after the other until the storm is over.
func (d *stormDesk) run(ctx context.Context, began time.Time) error {
	const pause = 25 * time.Millisecond
	err := d.reachOperator(ctx)
	select {
	case <-ctx.Done(): // the storm was over before
		return nil
	default:
	}
	if err != nil {
		return err
	}
	d.reached = time.Since(began)
	for _, l := range d.victims {
		from := time.Now()
		confirmed, err := d.revoke(context.WithoutCancel(ctx), l)
		switch {
		case err != nil:
			return err
		case confirmed:
			d.took.add(time.Since(from))
		default: // its gateway is not back yet
			d.unconfirmed++
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
	return nil
}
