//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
)

// benchEnrol measures enrolments at several sizes of the fleet. The time is a laptop's: making two keys and a
// certificate request, asking, checking and keeping what was answered.
func (r *runner) benchEnrol(ctx context.Context) error {
	for _, size := range []int{100, 1_000, 5_000, 29_000} {
		// The first sizes are passed quickly; their measurements must not be the way to the next one.
		n := min(max(size/2, 300), 1_000)
		if size > r.flags.Devices {
			if len(r.laptops) > 0 {
				return nil
			}
			size, n = r.flags.Devices/2, max(r.flags.Devices/4, 1) // a small fleet has one size, its own
		}
		if err := r.needDevices(ctx, size); err != nil {
			return err
		}
		if err := r.enrolments(ctx, size, n, "kept-64", func(ctx context.Context, name string) (*sample, error) { return r.enrolMore(ctx, n, name) }); err != nil {
			return err
		}
		if err := r.enrolments(ctx, size, n, "new", func(ctx context.Context, name string) (*sample, error) {
			return r.enrolBy(ctx, n, kept, name, func(int, *laptop) *control.Conn { return nil })
		}); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) enrolments(ctx context.Context, size, n int, connections string, do func(context.Context, string) (*sample, error)) error {
	since, err := r.processor()
	if err != nil {
		return err
	}
	began := time.Now()
	s, err := do(ctx, fmt.Sprintf("enrolling %d beside %d devices, connections %s", n, size, connections))
	took := time.Since(began)
	if err != nil {
		return err
	}
	used, err := since()
	if err != nil {
		return err
	}
	metrics := append([]metric{perSecond(n, took)}, latencies(s)...)
	metrics = append(metrics, r.perOperation(n, used)...)
	return r.results.line(fmt.Sprintf("Enrol/devices=%d/connections=%s", size, connections), n, took/time.Duration(n), metrics...)
}
