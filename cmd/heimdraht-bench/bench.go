//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
)

// bench is one benchmark; it may print several lines.
type bench struct {
	name, what string
	restarts   bool // the control plane, so that it has to be ours
	run        func(*runner, context.Context) error
}

// benches are all of them in the order in which they run: the fleet grows, connects, and is used up at the end.
func benches() []bench {
	return []bench{
		{"Enrol", "enrolments over 64 kept connections, and over new ones, while the fleet grows", false, (*runner).benchEnrol},
		{"Start", "from the start of the process, with the whole fleet enrolled, until a call succeeds", true, (*runner).benchStart},
		{"Hold", "what a laptop costs that connects and holds its stream: time, processor, resident memory", false, (*runner).benchHold},
		{"Renew", "processor's time for the renewals of all connected laptops and the gateways' observations", false, (*runner).benchRenew},
		{"Open", "openings a second, 128 at a time, over kept connections, each until its gateway has acknowledged", false, (*runner).benchOpen},
		{"Storm", "all connected laptops come back after the control plane was killed, while devices are revoked", true, (*runner).benchStorm},
		{"Latency", "openings and revocations until the gateway has acknowledged, with a session for each device, beside enrolments, imports and statistics", false, (*runner).benchLatency},
		{"Take", "the biggest tenant is cut off, with a session for each of its devices, beside single revocations of other tenants", false, (*runner).benchTake},
	}
}

// kept is how many connections enrol at once, as front ends or provisioning stations would.
const kept = 64

// needDevices enrols until the fleet has n devices.
func (r *runner) needDevices(ctx context.Context, n int) error {
	if missing := n - len(r.laptops); missing > 0 {
		_, err := r.enrolMore(ctx, missing, fmt.Sprintf("enrolling up to %d devices", n))
		return err
	}
	return nil
}

// enrolMore enrols n more over kept connections.
func (r *runner) enrolMore(ctx context.Context, n int, name string) (*sample, error) {
	conns, err := r.keptConnections(ctx, min(kept, n))
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, c := range conns {
			_ = c.Close() // nothing is under way on it
		}
	}()
	return r.enrolBy(ctx, n, len(conns), name, func(caller int, _ *laptop) *control.Conn { return conns[caller] })
}

func (r *runner) keptConnections(ctx context.Context, n int) (conns []*control.Conn, err error) {
	for i := range n {
		conn, err := r.anonymous(ctx, enrolAddress(i))
		if err != nil {
			return nil, fmt.Errorf("connecting: %w", err)
		}
		conns = append(conns, conn)
	}
	return conns, nil
}

// enrolBy enrols n new laptops, some callers at a time, each over the connection that over gives; nil: its own.
func (r *runner) enrolBy(ctx context.Context, n, callers int, name string, over func(caller int, l *laptop) *control.Conn) (*sample, error) {
	p := r.say.phase("%s", n, name)
	defer p.end()
	first := len(r.laptops)
	made := make([]*laptop, n)
	s := new(sample)
	err := timed(ctx, callers, n, s, func(ctx context.Context, caller, i int) error {
		l, err := r.newLaptop(first + i)
		if err != nil {
			return err
		}
		if err := r.enrol(ctx, l, over(caller, l)); err != nil {
			return err
		}
		made[i] = l
		p.step()
		return nil
	})
	if err == nil {
		r.laptops = append(r.laptops, made...)
	}
	return s, err
}

// reserve is how many of the fleet never hold a stream: they are opened, revoked and used up.
func (r *runner) reserve() int { return min(r.flags.Devices/4, 3_000) }

// spareFiles are for gateways, devices, journals, directory and database.
const spareFiles = 600

// mostHeld is how many laptops hold a stream. Each takes a file here, and one in the control plane.
func (r *runner) mostHeld() int {
	n := r.flags.Laptops
	if n == 0 {
		n = r.flags.Devices
	}
	return max(min(n, r.flags.Devices-r.reserve(), r.openFiles-spareFiles), 1)
}

// needHeld connects laptops until so many hold a stream as shall.
func (r *runner) needHeld(ctx context.Context) (*sample, error) {
	if err := r.needDevices(ctx, r.flags.Devices); err != nil {
		return nil, err
	}
	s := new(sample)
	n := r.mostHeld()
	if r.held >= n {
		return s, nil
	}
	if err := r.noteMemory(ctx); err != nil {
		return nil, err
	}
	p := r.say.phase("connecting %d laptops", n-r.held, n-r.held)
	defer p.end()
	// A morning, not a storm: what a storm does is a benchmark of its own.
	const atOnce = 32
	list := r.laptops[r.held:n]
	if err := r.startCrowd(ctx); err != nil {
		return nil, err
	}
	err := together(ctx, atOnce, len(list), func(ctx context.Context, _, i int) error {
		took, err := r.crowd.hold(ctx, list[i])
		if err != nil {
			return err
		}
		s.add(took)
		p.step()
		return nil
	})
	r.held, r.next = n, max(r.next, n)
	return s, err
}

// noteMemory notes what the control plane occupies without laptops, once it is at rest.
func (r *runner) noteMemory(ctx context.Context) error {
	if r.held > 0 || r.plane.pid == 0 || r.rssBefore > 0 {
		return nil
	}
	if err := control.Sleep(ctx, min(2*time.Second, r.flags.Window)); err != nil {
		return err
	}
	plane, _, err := r.used()
	r.rssBefore = plane.rss
	return err
}

// take gives n laptops that hold no stream and were not used before.
func (r *runner) take(n int) ([]*laptop, error) {
	first := max(r.next, r.held)
	if first+n > len(r.laptops) {
		return nil, fmt.Errorf("the fleet is used up: %d more devices are needed (--devices)", first+n-len(r.laptops))
	}
	r.next = first + n
	return r.laptops[first:r.next], nil
}
