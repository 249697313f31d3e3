// Package usage measures how much is used: sessions, seats, the queue for them, refused
// openings and bytes, by tenant, licence pool, gateway and of all together; and tells
// planners of it.
//
// What always holds here:
//   - What is measured are numbers. No row of them leads to a person or a laptop, and of
//     few people nothing is kept for longer than two days.
//   - A minute in which no control plane measured is a gap, never zero. So is one in
//     which a gateway was away, of that gateway; totals that lack it say so.
//   - Openings and closings stand in the sessions themselves, which are kept for a week, and
//     moves of the queue in rows of their own: a minute is computed from them after it is
//     over, so that maxima are exact, and nothing is counted twice by a restart, a failover
//     or a second replica.
//   - What of an hour may be told is decided once, when it is over, for all who will ever
//     ask.
//
// Not its business: who may ask (the root package), which numbers speak of few people
// (capacity), forecasts.
package usage

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Kind is what numbers are of.
type Kind string

// The kinds.
const (
	Tenants  Kind = "tenant"
	Pools    Kind = "pool"
	Gateways Kind = "gateway"
	Provider Kind = "provider" // all together
	parts    Kind = "part"     // what tenants have of pools, until the hour is over
)

// Steps in which numbers are kept, and how long.
const (
	Minute      = time.Minute
	FiveMinutes = 5 * time.Minute
	Hour        = time.Hour
	day         = 24 * time.Hour

	KeepMinutes     = 2 * day
	KeepFiveMinutes = 60 * day
	KeepHours       = 3 * 365 * day
)

const (
	// sampleEvery is how often is looked at what is gone once it is over: which gateways
	// are there.
	sampleEvery = 10 * time.Second
	// silence is how long nobody may have measured before that is a gap.
	silence = 30 * time.Second
	// settle is how long after its end a minute is computed: until then a transaction
	// may be under way that began in it, and replicas write what they refused.
	settle = 15 * time.Second
	// slice is how many rows go in one transaction.
	slice = 50
)

// Options are what a Service needs.
type Options struct {
	Store  *store.Store
	Logger *slog.Logger
}

// Service is the use cases of usage.
type Service struct {
	Options
	refusals    refusals
	forecasting chan struct{} // room for one
}

type series struct {
	kind Kind
	name string
}

// New makes the service.
func New(o Options) *Service {
	return &Service{Options: o, refusals: newRefusals(), forecasting: make(chan struct{}, 1)}
}

// RunRollups measures, until ctx ends: one replica at a time does.
func (s *Service) RunRollups(ctx context.Context) error {
	return s.Store.Hold(ctx, "usage", func(ctx context.Context, duty *store.Duty) error {
		r := &roller{Service: s, duty: duty}
		for {
			if err := r.look(ctx, time.Now()); err != nil && ctx.Err() == nil {
				s.Logger.Error("measuring how much is used", "error", err)
			}
			timer := time.NewTimer(sampleEvery*3/4 + rand.N(sampleEvery/4))
			select {
			case <-ctx.Done():
				timer.Stop()
				return nil
			case <-timer.C:
			}
		}
	})
}

func readSeries(tx *store.Reader) (map[series]int64, error) {
	list, err := tx.UsageSeries()
	known := make(map[series]int64, len(list))
	for _, v := range list {
		known[series{Kind(v.Kind), v.Name}] = v.ID
	}
	return known, err
}

// reasonOf is which of the reasons a refusal is for planners.
func reasonOf(code provisioner.Code) capacity.Reason {
	switch code {
	case provisioner.CodeNoSeat, provisioner.CodeNoLicence:
		return capacity.NoSeat
	case provisioner.CodeNoGateway, provisioner.CodeGatewayFull, provisioner.CodeGatewayNotReady, provisioner.CodeGatewaysResting:
		return capacity.NoGateway
	case provisioner.CodeCrisisMode, provisioner.CodeOutsideHours:
		return capacity.NotNow
	default:
		return capacity.Otherwise
	}
}
