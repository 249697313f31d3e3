package privacy

import (
	"context"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Of how many days without use one can ask. Fewer would tell who is ill this week.
const (
	leastUnused = 30
	mostUnused  = 3660
)

// UnusedSince is the time since which access has not been used that was not used for
// so many days; refused with invalid if those are less than 30.
func UnusedSince(days int, now time.Time) (time.Time, error) {
	if days < leastUnused || days > mostUnused {
		return time.Time{}, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Tage ohne Nutzung", "days").
			With("why", fmt.Sprintf("es sind mindestens %d und höchstens %d", leastUnused, mostUnused), fmt.Sprintf("there are at least %d and at most %d", leastUnused, mostUnused))
	}
	return now.AddDate(0, 0, -days).UTC().Truncate(24 * time.Hour), nil
}

// Unused lists laptops with access that were not in use for so many days, by id, for
// review (IT-Grundschutz NET.3.3.A5); next is what to ask After for more, empty at the end. What rests is
// not among them. The look is recorded, each page.
func (s *Service) Unused(ctx context.Context, actor provisioner.Actor, days int, r ListRequest) (list []store.UnusedDevice, next string, err error) {
	const action = provisioner.ActionListUnused
	if refusal := provisioner.Allow(actor, action, provisioner.Object{Tenant: r.Tenant}); refusal != nil {
		return nil, "", refusal
	}
	since, err := UnusedSince(days, time.Now())
	if err != nil {
		return nil, "", err
	}
	limit := within(r.Limit)
	scope := provisioner.ScopeOf(actor, action).Narrow(r.Tenant)
	if err := s.looked(ctx, actor, action, scope); err != nil {
		return nil, "", err
	}
	if list, err = store.Read(ctx, s.Store, func(tx *store.Reader) ([]store.UnusedDevice, error) {
		return tx.UnusedDevices(scope, since, r.After, limit+1)
	}); err != nil {
		return nil, "", fmt.Errorf("%s: %w", action, err)
	}
	if len(list) > limit {
		list = list[:limit]
		next = list[limit-1].Device.ID
	}
	return list, next, nil
}
