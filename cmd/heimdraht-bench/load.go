//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// writers is how many openings are under way at once.
const writers = 128

// errOver ends a load whose time is over. Not by a deadline: calls under way would report it as their own failure.
var errOver = errors.New("the window is over")

// benchOpen measures openings a second through the whole stack. Laptops take turns: one that opens in a loop is
// refused. The former session of each is closed by the way.
func (r *runner) benchOpen(ctx context.Context) error {
	if _, err := r.needHeld(ctx); err != nil {
		return err
	}
	const most, turns = 1_024, 25 // a device may open 30 times a minute
	list := r.laptops[r.held:]
	list = list[:min(len(list), most)]
	if len(list) == 0 {
		return errors.New("no laptop is left that holds no stream (--laptops)")
	}
	conns := make([]*control.Conn, len(list))
	p := r.say.phase("connecting %d laptops", len(list), len(list))
	err := together(ctx, kept, len(list), func(ctx context.Context, _, i int) (err error) {
		conns[i], err = r.connect(ctx, list[i])
		p.step()
		return err
	})
	p.end()
	free := make(chan *control.Conn, len(conns))
	for _, c := range conns {
		if c != nil {
			defer func() { _ = c.Close() }() // nothing is under way on it
			free <- c
		}
	}
	if err != nil {
		return err
	}
	n := turns * len(list)
	window := min(r.flags.Window/3, 20*time.Second)
	since, err := r.processor()
	if err != nil {
		return err
	}
	p = r.say.lasting(fmt.Sprintf("opening sessions, %d at a time", min(writers, len(list))), window)
	defer p.end()
	var s sample
	began := time.Now()
	err = timed(ctx, min(writers, len(list)), n, &s, func(ctx context.Context, _, _ int) error {
		if time.Since(began) >= window {
			return errOver
		}
		c := <-free
		defer func() { free <- c }()
		return open(ctx, c)
	})
	took := time.Since(began)
	if err != nil && !errors.Is(err, errOver) {
		return fmt.Errorf("opening: %w", err)
	}
	used, err := since()
	if err != nil {
		return err
	}
	if s.count() == 0 {
		return errNothing
	}
	metrics := append([]metric{perSecond(s.count(), took)}, latencies(&s)...)
	metrics = append(metrics, r.perOperation(s.count(), used)...)
	return r.results.line(fmt.Sprintf("Open/writers=%d", min(writers, len(list))), s.count(), took/time.Duration(s.count()), metrics...)
}

// Rates of benchLatency.
const (
	enrolmentsPerSecond = 20
	measuredPerSecond   = 10 // openings, and revocations
	importPause         = 2 * time.Second
)

// benchLatency measures what one laptop and one revocation wait for while all else goes on.
func (r *runner) benchLatency(ctx context.Context) error {
	if _, err := r.needHeld(ctx); err != nil {
		return err
	}
	each := max(int(r.flags.Window.Seconds()*measuredPerSecond)+measuredPerSecond, 1)
	each = min(each, max((len(r.laptops)-max(r.held, r.next))/2, 1))
	openers, err := r.take(each)
	if err != nil {
		return err
	}
	victims := r.laptops[r.next:]
	if err := r.openAll(ctx, victims); err != nil {
		return err
	}
	sessions, peers := r.held+len(victims), r.peers()
	r.say.printf("%d sessions are open; the %d gateways hold %d peers", sessions, r.town.gateways, peers)

	conns, err := r.keptConnections(ctx, kept)
	if err != nil {
		return err
	}
	defer func() {
		for _, c := range conns {
			_ = c.Close() // what was under way on it has ended
		}
	}()
	l := &latency{runner: r, openers: openers, victims: victims, conns: conns}
	p := r.say.lasting("opening, revoking, enrolling and importing at once", r.flags.Window)
	defer p.end()
	if err := l.measure(ctx); err != nil {
		return err
	}
	return l.report(sessions)
}

// openAll opens a session for each of these laptops, without holding a stream.
func (r *runner) openAll(ctx context.Context, list []*laptop) error {
	p := r.say.phase("opening %d sessions", len(list), len(list))
	defer p.end()
	const atOnce = 32
	return together(ctx, atOnce, len(list), func(ctx context.Context, _, i int) error {
		_, err := r.openOnce(ctx, list[i])
		p.step()
		return err
	})
}

// latency is one run of benchLatency.
type latency struct {
	*runner

	openers, victims []*laptop
	conns            []*control.Conn

	openReady, openNew, revoked, enrolled, imported sample

	unconfirmed atomic.Int64
}

func (l *latency) measure(ctx context.Context) error {
	window, stop := context.WithTimeout(ctx, l.flags.Window)
	defer stop()
	var errs []error
	var running sync.WaitGroup
	var mu sync.Mutex
	for _, part := range []func() error{
		func() error { return paced(window, enrolmentsPerSecond, l.enrolOne) },
		func() error { return paced(window, measuredPerSecond, l.openOne) },
		func() error { return paced(window, measuredPerSecond, l.revokeOne) },
		func() error { return l.importing(window) },
	} {
		running.Go(func() {
			if err := part(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
				stop()
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

func (l *latency) enrolOne(ctx context.Context, i int, due time.Time) error {
	n := len(l.laptops) + i
	if n >= maxDevices {
		return errUsage{"there are no more people: fewer --devices or a shorter --window"}
	}
	laptop, err := l.newLaptop(n)
	if err != nil {
		return err
	}
	if err := l.enrol(ctx, laptop, l.conns[i%len(l.conns)]); err != nil {
		return err
	}
	l.enrolled.add(time.Since(due))
	return nil
}

func (l *latency) openOne(ctx context.Context, i int, due time.Time) error {
	if i >= len(l.openers) {
		return nil
	}
	opening, err := l.openOnce(ctx, l.openers[i])
	if err != nil {
		return err
	}
	l.openReady.add(opening)
	l.openNew.add(time.Since(due))
	return nil
}

func (l *latency) revokeOne(ctx context.Context, i int, due time.Time) error {
	if i >= len(l.victims) {
		return nil
	}
	confirmed, err := l.revoke(ctx, l.victims[i])
	if err != nil {
		return err
	}
	l.revoked.add(time.Since(due))
	if !confirmed {
		l.unconfirmed.Add(1)
	}
	return nil
}

// revoke revokes a device and waits until its gateway has confirmed.
func (r *runner) revoke(ctx context.Context, l *laptop) (confirmed bool, err error) {
	answer, err := heimdrahtv1.NewHelpdeskServiceClient(r.operator.conn).RevokeDevice(r.operator.as(ctx),
		&heimdrahtv1.RevokeDeviceRequest{DeviceId: l.deviceID, Reason: "bench", Emergency: true})
	if err != nil {
		return false, fmt.Errorf("revoking: %w", control.FromStatus(err))
	}
	l.revoked.Store(true)
	confirmed = len(answer.GetConfirmations()) > 0
	for _, c := range answer.GetConfirmations() {
		confirmed = confirmed && c.GetConfirmed()
	}
	return confirmed, nil
}

// importing applies one edition of all tenants after the other.
func (l *latency) importing(ctx context.Context) error {
	for edition := 1; ctx.Err() == nil; edition++ {
		began := time.Now()
		d := &heimdrahtv1.Declaration{Tenants: l.town.tenantList(edition)}
		if err := l.apply(context.WithoutCancel(ctx), d); err != nil {
			return err
		}
		l.imported.add(time.Since(began))
		_ = control.Sleep(ctx, importPause) // the loop looks whether it ended
	}
	return nil
}

func (l *latency) report(sessions int) error {
	if l.openReady.count() == 0 || l.revoked.count() == 0 {
		return errNothing
	}
	base := fmt.Sprintf("/devices=%d/sessions=%d/gateways=%d", len(l.laptops), sessions, l.town.gateways)
	line := func(name string, s *sample, more ...metric) error {
		return l.results.line("Latency"+base+"/"+name, s.count(), s.mean(), append(latencies(s), more...)...)
	}
	return errors.Join(
		line("do=open/connection=ready", &l.openReady),
		line("do=open/connection=new", &l.openNew),
		line("do=revoke", &l.revoked, metric{float64(l.unconfirmed.Load()), "unconfirmed"}),
		line("do=enrol", &l.enrolled),
		line(fmt.Sprintf("do=import/tenants=%d", l.town.tenants), &l.imported),
	)
}
