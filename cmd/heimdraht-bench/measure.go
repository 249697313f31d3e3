//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sample is how long things took, safe for concurrent use. The zero value is empty.
type sample struct {
	mu   sync.Mutex
	took []time.Duration
}

func (s *sample) add(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, d)
}

func (s *sample) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.took)
}

// quantile is what the share q took at the most; 0 if there is nothing.
func (s *sample) quantile(q float64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.took) == 0 {
		return 0
	}
	slices.Sort(s.took)
	return s.took[min(int(q*float64(len(s.took))), len(s.took)-1)]
}

func (s *sample) mean() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum time.Duration
	for _, d := range s.took {
		sum += d
	}
	return sum / time.Duration(max(len(s.took), 1))
}

// together does things 0 to n-1, some callers at a time, until all are done, one fails, or the context ends.
func together(ctx context.Context, callers, n int, do func(ctx context.Context, caller, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var running sync.WaitGroup
	for caller := range min(callers, n) {
		running.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, caller, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}

// timed is together with how long each took.
func timed(ctx context.Context, callers, n int, s *sample, do func(ctx context.Context, caller, i int) error) error {
	return together(ctx, callers, n, func(ctx context.Context, caller, i int) error {
		began := time.Now()
		if err := do(ctx, caller, i); err != nil {
			return err
		}
		s.add(time.Since(began))
		return nil
	})
}

// paced does a thing so many times a second, whether or not the former ones have ended, until the context ends, and
// then waits for those under way. Whoever is slow is waited for by nobody, so that a pause of the server is felt by
// all who come in it. do is told when its thing was due, for the same reason.
func paced(ctx context.Context, perSecond float64, do func(ctx context.Context, i int, due time.Time) error) error {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	defer running.Wait()
	interval := time.Duration(float64(time.Second) / perSecond)
	due := time.Now().Add(interval)
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for i := 0; ; i++ {
		select {
		case <-limited.Done():
			if ctx.Err() != nil {
				return nil
			}
			return context.Cause(limited)
		case <-timer.C:
		}
		then := due
		running.Go(func() {
			// What has begun may end; each call has a limit of its own.
			if err := do(context.WithoutCancel(ctx), i, then); err != nil {
				cancel(err)
			}
		})
		due = due.Add(interval)
		timer.Reset(time.Until(due))
	}
}

// metric is one figure of a line.
type metric struct {
	value float64
	unit  string
}

func ms(d time.Duration, unit string) metric { return metric{float64(d.Microseconds()) / 1000, unit} }

// latencies are the usual figures of a sample.
func latencies(s *sample) []metric {
	return []metric{ms(s.quantile(.5), "ms-p50"), ms(s.quantile(.99), "ms-p99")}
}

// results prints lines as `go test -bench` does.
type results struct {
	w    io.Writer
	db   string
	once sync.Once
}

func (r *results) line(name string, n int, perOp time.Duration, metrics ...metric) error {
	r.once.Do(func() {
		fmt.Fprintf(r.w, "goos: %s\ngoarch: %s\npkg: github.com/heimdraht/heimdraht/cmd/heimdraht-bench\n", runtime.GOOS, runtime.GOARCH)
	})
	base, rest, _ := strings.Cut(name, "/")
	if rest != "" {
		rest = "/" + rest
	}
	text := fmt.Sprintf("Benchmark%s/db=%s%s-%d\t%8d\t%12.0f ns/op", base, r.db, rest, runtime.GOMAXPROCS(0), n, float64(perOp.Nanoseconds()))
	for _, m := range metrics {
		text += "\t" + figure(m.value) + " " + m.unit
	}
	_, err := fmt.Fprintln(r.w, text)
	return err
}

// figure has four digits that count, as the testing package prints metrics.
func figure(v float64) string {
	switch {
	case v == 0 || v >= 999.95:
		return fmt.Sprintf("%10.0f", v)
	case v >= 99.995:
		return fmt.Sprintf("%12.1f", v)
	case v >= 9.9995:
		return fmt.Sprintf("%13.2f", v)
	case v >= .99995:
		return fmt.Sprintf("%14.3f", v)
	}
	return fmt.Sprintf("%15.4f", v)
}

// perSecond is a rate.
func perSecond(n int, took time.Duration) metric { return metric{float64(n) / took.Seconds(), "op/s"} }

var errNothing = errors.New("nothing was measured: the window is too short")
