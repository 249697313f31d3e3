package usage

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// refusals counts openings that this replica refuses, in memory. A crash loses at most
// what was not written yet: a minute of them.
type refusals struct {
	mu   *sync.Mutex
	hour time.Time
	// counts are of what was not written yet; devices those that were refused in the hour.
	counts  map[refused]int64
	devices map[refused]map[string]bool
}

type refused struct {
	tenant string
	reason capacity.Reason
}

// mostRefused is how many different laptops are told apart: enough to know that they
// are not few.
const mostRefused = 2 * capacity.Smallest

func newRefusals() refusals {
	return refusals{mu: new(sync.Mutex), counts: make(map[refused]int64), devices: make(map[refused]map[string]bool)}
}

// Refused counts an opening that was refused to somebody in a tenant.
func (s *Service) Refused(tenant, person string, code provisioner.Code) {
	r := &s.refusals
	key := refused{tenant, reasonOf(code)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(time.Now())
	r.counts[key]++
	if r.devices[key] == nil {
		r.devices[key] = make(map[string]bool)
	}
	if len(r.devices[key]) < mostRefused {
		r.devices[key][person] = true
	}
}

// turn forgets whom it refused in the hour before.
func (r *refusals) turn(now time.Time) {
	if hour := now.UTC().Truncate(time.Hour); !hour.Equal(r.hour) {
		r.hour = hour
		clear(r.devices)
	}
}

// take gives what was not written, and counts anew.
func (r *refusals) take(now time.Time) (list []store.RefusedOpenings) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, n := range r.counts {
		list = append(list, store.RefusedOpenings{
			Minute: now.UTC().Truncate(time.Minute), Tenant: key.tenant, Reason: int64(key.reason), Attempts: n, People: int64(len(r.devices[key])),
		})
	}
	clear(r.counts)
	return list
}

// putBack counts again what could not be written.
func (r *refusals) putBack(list []store.RefusedOpenings) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range list {
		r.counts[refused{v.Tenant, capacity.Reason(v.Reason)}] += v.Attempts
	}
}

// RunRefusals writes what this replica refuses at the end of each minute, until ctx ends.
func (s *Service) RunRefusals(ctx context.Context) error {
	for {
		now := time.Now()
		timer := time.NewTimer(now.Truncate(time.Minute).Add(time.Minute-time.Second).Sub(now).Abs() + time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			err := s.writeRefusals(context.WithoutCancel(ctx))
			if errors.Is(err, store.ErrClosed) {
				return nil
			}
			return err
		case <-timer.C:
		}
		if err := s.writeRefusals(ctx); err != nil && ctx.Err() == nil {
			s.Logger.Warn("writing how many openings were refused", "error", err)
		}
	}
}

func (s *Service) writeRefusals(ctx context.Context) error {
	for list := s.refusals.take(time.Now()); len(list) > 0; {
		part := list[:min(slice, len(list))]
		if err := s.Store.UpdatePatiently(ctx, func(tx *store.Writer) error { return tx.AddRefused(part) }); err != nil {
			s.refusals.putBack(list)
			return err
		}
		list = list[len(part):]
	}
	return nil
}
