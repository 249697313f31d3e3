// Package metering counts the sessions in which products are in use whose use a
// tenant meters: licensed software for the home office, as laptops tell with their
// renewals.
//
// What always holds here:
//   - Nothing is taken that the tenant does not list, or for which it names no
//     agreement with its staff council.
//   - Who uses what is known only as long as her stream stands, and only in memory.
//     What is written are numbers of sessions by tenant, product and version.
//   - What is kept for longer than a minute has no number below
//     capacity.Smallest, nor one from which such a number could be computed; and
//     nobody is told one, whatever may be seen otherwise: of few it would say when
//     somebody works.
//
// Not its business: sessions and their seats (session), who may ask (the root package).
package metering

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	// listFor is how long a tenant's list is believed to be what was read last: a
	// change reaches laptops with the renewal after that.
	listFor = 30 * time.Second
	// countEvery is how often the numbers are written, and looked at for the hour's
	// highest; countFor how long they count when no others come.
	countEvery = 30 * time.Second
	countFor   = 3 * countEvery
	// slice is how many rows go in one transaction.
	slice = 150
	// Keep is how long the highest numbers of hours are kept: three years.
	Keep = 3 * 365 * 24 * time.Hour
)

// Options are what a Service needs.
type Options struct {
	Store  *store.Store
	Logger *slog.Logger
}

// Service is the use cases of metering.
type Service struct {
	Options
	tally *tally

	mu    sync.Mutex
	lists map[string]list // by tenant
}

// list is what a tenant's laptops are to say, as it was read.
type list struct {
	tenant provisioner.Tenant
	readAt time.Time
}

// New makes the service.
func New(o Options) *Service {
	return &Service{Options: o, tally: newTally(), lists: make(map[string]list)}
}

// Of is what a tenant's laptops are to say now; false: that cannot be read, and what
// was so before may still hold.
func (s *Service) Of(ctx context.Context, tenant string) (provisioner.Metering, bool) {
	now := time.Now()
	s.mu.Lock()
	known, ok := s.lists[tenant]
	s.mu.Unlock()
	if !ok || now.Sub(known.readAt) >= listFor {
		t, err := store.Read(ctx, s.Store, func(tx *store.Reader) (provisioner.Tenant, error) { return tx.Tenant(tenant) })
		if err != nil {
			s.Logger.Warn("reading which products are metered", "tenant", tenant, "error", err)
			return provisioner.Metering{}, false
		}
		known = list{provisioner.Tenant{Products: t.Products, WorksAgreement: t.WorksAgreement}, now}
		s.mu.Lock()
		s.lists[tenant] = known
		s.mu.Unlock()
	}
	return known.tenant.Metering(now), true
}

// RunCounts writes what the laptops of this replica say, until ctx ends.
func (s *Service) RunCounts(ctx context.Context) error {
	every(ctx, func() {
		if err := s.write(ctx); err != nil && ctx.Err() == nil {
			s.Logger.Warn("writing in how many sessions products are in use", "error", err)
		}
	})
	err := s.Store.Update(context.WithoutCancel(ctx), func(tx *store.Writer) error { return tx.DropProductCounts() })
	if err != nil && !errors.Is(err, store.ErrClosed) { // else they end by themselves
		s.Logger.Warn("taking back in how many sessions products are in use", "error", err)
	}
	return nil
}

// write writes what has changed, in slices, and has all of it count on.
func (s *Service) write(ctx context.Context) error {
	list := s.tally.differences()
	if len(list) == 0 && s.tally.isBlank() {
		return nil // nobody here meters anything
	}
	for first := true; first || len(list) > 0; first = false {
		part := list[:min(slice, len(list))]
		list = list[len(part):]
		if err := s.Store.UpdatePatiently(ctx, func(tx *store.Writer) error {
			return errors.Join(tx.PutProductCounts(part), tx.HoldProductCounts(tx.Now.Add(countFor)))
		}); err != nil {
			return err
		}
		s.tally.wrote(part)
	}
	return nil
}

// RunPeaks keeps the highest numbers of each hour, until ctx ends: one replica at a
// time does.
func (s *Service) RunPeaks(ctx context.Context) error {
	return s.Store.Hold(ctx, "metering", func(ctx context.Context, duty *store.Duty) error {
		raised := make(map[store.ProductCount]int64) // of the hour, with Sessions zero
		var hour time.Time
		every(ctx, func() {
			now := time.Now()
			if h := now.UTC().Truncate(time.Hour); !h.Equal(hour) {
				hour = h
				clear(raised)
			}
			if err := s.raise(ctx, duty, now, hour, raised); err != nil && ctx.Err() == nil {
				s.Logger.Warn("keeping in how many sessions products were in use", "error", err)
			}
		})
		return nil
	})
}

// raise looks once at all numbers, and keeps those that are higher than before in the hour.
func (s *Service) raise(ctx context.Context, duty *store.Duty, now, hour time.Time, raised map[store.ProductCount]int64) error {
	counts, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]store.ProductCount, error) {
		return tx.ProductCounts(provisioner.Everywhere(), now)
	})
	if err != nil {
		return err
	}
	var higher []store.ProductCount
	for _, c := range tellable(counts) {
		key := c
		key.Sessions = 0
		if c.Sessions > raised[key] {
			raised[key] = c.Sessions
			higher = append(higher, c)
		}
	}
	for len(higher) > 0 {
		part := higher[:min(slice, len(higher))]
		higher = higher[len(part):]
		if err := duty.Update(ctx, func(tx *store.Writer) error { return tx.RaiseProductPeaks(hour, part) }); err != nil {
			clear(raised) // what was written is written again, and changes nothing
			return err
		}
	}
	return duty.Update(ctx, func(tx *store.Writer) error { return tx.ForgetProductCounts(tx.Now) })
}

// tellable leaves of numbers, which must be in order, those that can be told.
func tellable(counts []store.ProductCount) (told []store.ProductCount) {
	for len(counts) > 0 {
		of := counts[0]
		total, versions := int64(0), make(map[string]int64)
		for len(counts) > 0 && counts[0].Tenant == of.Tenant && counts[0].Product == of.Product {
			if c := counts[0]; c.Version == "" {
				total = c.Sessions
			} else {
				versions[c.Version] = c.Sessions
			}
			counts = counts[1:]
		}
		if total < capacity.Smallest {
			continue
		}
		told = append(told, store.ProductCount{Tenant: of.Tenant, Product: of.Product, Sessions: total})
		for version, sessions := range capacity.Tellable(total, versions) {
			told = append(told, store.ProductCount{Tenant: of.Tenant, Product: of.Product, Version: version, Sessions: sessions})
		}
	}
	return told
}

// every does something now and then, until ctx ends.
func every(ctx context.Context, do func()) {
	for {
		timer := time.NewTimer(countEvery/2 + rand.N(countEvery))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			do()
		}
	}
}
