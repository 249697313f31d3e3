//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
)

// benchStart measures how long the control plane is away for a restart in order.
func (r *runner) benchStart(ctx context.Context) error {
	if err := r.needDevices(ctx, r.flags.Devices); err != nil {
		return err
	}
	const times = 5
	p := r.say.phase("restarting the control plane", times)
	defer p.end()
	var s sample
	for range times {
		if err := r.plane.stop(); err != nil {
			return err
		}
		began := time.Now()
		if err := r.plane.start(ctx); err != nil {
			return err
		}
		if err := r.reachOperator(ctx); err != nil {
			return err
		}
		s.add(time.Since(began))
		p.step()
	}
	if err := r.awaitGateways(ctx); err != nil {
		return err
	}
	return r.results.line(fmt.Sprintf("Start/devices=%d", len(r.laptops)), times, s.mean(), ms(s.quantile(.99), "ms-max"))
}

// fleetSize is the fleet that goals are stated for. From fewer than enough laptops nothing is extrapolated to it.
const fleetSize, enough = 29_000, 1_000

// benchHold measures what it takes to connect laptops, and what they occupy while they hold their streams.
func (r *runner) benchHold(ctx context.Context) error {
	if err := r.needDevices(ctx, r.flags.Devices); err != nil {
		return err
	}
	if r.held > 0 {
		return errors.New("laptops are connected already")
	}
	if err := r.noteMemory(ctx); err != nil {
		return err
	}
	since, err := r.processor()
	if err != nil {
		return err
	}
	began := time.Now()
	s, err := r.needHeld(ctx)
	took := time.Since(began)
	if err != nil {
		return err
	}
	used, err := since()
	if err != nil {
		return err
	}
	n := s.count()
	metrics := append([]metric{perSecond(n, took)}, latencies(s)...)
	metrics = append(metrics, r.perOperation(n, used)...)
	if r.plane.pid != 0 {
		// What was garbage of the openings goes with the next collection, which an idle process does every two minutes.
		if err := control.Sleep(ctx, min(5*time.Second, r.flags.Window)); err != nil {
			return err
		}
		plane, _, err := r.used()
		if err != nil {
			return err
		}
		each := float64(plane.rss-r.rssBefore) / float64(n)
		metrics = append(metrics, metric{each / 1024, "KB/laptop"}, metric{float64(plane.rss) / (1 << 20), "MB-resident"})
		if n != fleetSize && n >= enough {
			all := (float64(r.rssBefore) + each*fleetSize) / (1 << 20)
			metrics = append(metrics, metric{all, "MB-at-29000"})
			r.say.printf("%d laptops hold a stream, as many as open files (%d) and --laptops allow; MB-at-29000 is extrapolated from them", n, r.openFiles)
		}
	}
	return r.results.line(fmt.Sprintf("Hold/laptops=%d", n), n, took/time.Duration(n), metrics...)
}

// benchRenew measures the share of one processor core that a quiet working day takes.
func (r *runner) benchRenew(ctx context.Context) error {
	if _, err := r.needHeld(ctx); err != nil {
		return err
	}
	p := r.say.lasting(fmt.Sprintf("%d laptops renew each minute, %d gateways observe each half minute", r.held, r.town.gateways), r.flags.Window)
	defer p.end()
	since, err := r.processor()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := control.Sleep(ctx, r.flags.Window); err != nil {
		return err
	}
	used, err := since()
	took := time.Since(began)
	if err != nil {
		return err
	}
	var metrics []metric
	share := func(name string, processor time.Duration) {
		cores := processor.Seconds() / took.Seconds()
		metrics = append(metrics, metric{cores, name})
		if r.held != fleetSize && r.held >= enough {
			metrics = append(metrics, metric{cores * fleetSize / float64(r.held), name + "-at-29000"})
		}
	}
	if r.plane.pid != 0 {
		share("plane-cores", used.plane)
	}
	if r.postgres.pid != 0 {
		share("postgres-cores", used.database)
	}
	state, err := r.crowd.state(ctx)
	if err != nil {
		return err
	}
	if state.Away > 0 {
		return fmt.Errorf("%d of %d laptops are not connected any more", state.Away, r.held)
	}
	renewals := max(int(took.Minutes()*float64(r.held)), 1)
	return r.results.line(fmt.Sprintf("Renew/laptops=%d", r.held), renewals, took/time.Duration(renewals), metrics...)
}
