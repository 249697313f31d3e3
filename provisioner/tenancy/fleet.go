package tenancy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	// longestDrain is how long a drain may take at the most: laptops believe in no end
	// that is farther away.
	longestDrain = 48 * time.Hour
	// longestMaintenance is how long a maintenance may be, and farthestMaintenance how
	// far ahead it is announced.
	longestMaintenance  = 7 * 24 * time.Hour
	farthestMaintenance = 366 * 24 * time.Hour
)

// GatewayInUse is a gateway with how it is used.
type GatewayInUse struct {
	GatewayState
	Static         int64 // of its sessions, those of static peers
	AddressesTaken int64
	Addresses      int64
}

// Fleet lists all gateways with how they are used, and the revision that they should
// reach.
func (s *Service) Fleet(ctx context.Context, actor provisioner.Actor) (list []GatewayInUse, revision int64, err error) {
	gateways, revision, err := s.Gateways(ctx, actor)
	if err != nil {
		return nil, 0, err
	}
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		statics, err := tx.StaticsOn()
		if err != nil {
			return err
		}
		list = make([]GatewayInUse, len(gateways))
		for i, g := range gateways {
			blocks := address.Aggregate{V4: g.AggregateV4, V6: g.AggregateV6}.Blocks()
			list[i] = GatewayInUse{GatewayState: g, Static: statics[g.Name], Addresses: int64(blocks) * address.BlockSize}
			if list[i].AddressesTaken, err = tx.AddressesTaken(g.Name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("reading how gateways are used: %w", err)
	}
	return list, revision, nil
}

// Drain has a gateway take no more sessions, and those that it has move to others within
// a time. Idempotent; another time takes the place of the former.
func (s *Service) Drain(ctx context.Context, actor provisioner.Actor, gateway string, within time.Duration, reason string) error {
	reason = audit.CleanReason(reason)
	within = min(max(within, 0), longestDrain)
	return s.changeFleet(ctx, actor, provisioner.ActionDrainGateway, gateway, reason, func(tx *store.Writer, g GatewayState) (map[string]string, error) {
		d := provisioner.Drain{Since: g.Drain.Since, By: tx.Now.Add(within), Why: reason}
		if d.Since.IsZero() {
			d.Since = tx.Now
		}
		return map[string]string{"deadline": d.By.UTC().Format(time.RFC3339), "sessions": fmt.Sprint(g.Open)}, tx.SetDrain(g.Name, d)
	})
}

// Undrain has it take sessions again. Idempotent.
func (s *Service) Undrain(ctx context.Context, actor provisioner.Actor, gateway, reason string) error {
	reason = audit.CleanReason(reason)
	return s.changeFleet(ctx, actor, provisioner.ActionUndrainGateway, gateway, reason, func(tx *store.Writer, g GatewayState) (map[string]string, error) {
		if g.Drain.Since.IsZero() {
			return nil, nil
		}
		return map[string]string{}, tx.SetDrain(g.Name, provisioner.Drain{})
	})
}

// AnnounceMaintenance says from when to when a gateway is not to be used. Another window
// takes the place of the former.
func (s *Service) AnnounceMaintenance(ctx context.Context, actor provisioner.Actor, gateway string, from, until time.Time, reason string) error {
	reason = audit.CleanReason(reason)
	return s.changeFleet(ctx, actor, provisioner.ActionAnnounceMaintenance, gateway, reason, func(tx *store.Writer, g GatewayState) (map[string]string, error) {
		if refusal := checkMaintenance(from, until, tx.Now); refusal != nil {
			return nil, refusal
		}
		m := provisioner.Maintenance{From: from, Until: until, Why: reason}
		return map[string]string{"from": from.UTC().Format(time.RFC3339), "until": until.UTC().Format(time.RFC3339)}, tx.SetMaintenance(g.Name, m)
	})
}

func checkMaintenance(from, until, now time.Time) *provisioner.Refusal {
	refuse := func(german, english string) *provisioner.Refusal {
		return provisioner.Refuse(provisioner.CodeMaintenanceInvalid).With("why", german, english)
	}
	switch {
	case from.IsZero() || until.IsZero():
		return refuse("Beginn und Ende gehören dazu", "it takes a beginning and an end")
	case !until.After(from):
		return refuse("das Ende liegt nicht nach dem Beginn", "its end is not after its beginning")
	case !until.After(now):
		return refuse("sie wäre schon vorbei", "it would be over already")
	case until.Sub(from) > longestMaintenance:
		return refuse("sie dauert länger als sieben Tage", "it lasts longer than seven days")
	case from.Sub(now) > farthestMaintenance:
		return refuse("sie beginnt erst in mehr als einem Jahr", "it begins in more than a year")
	default:
		return nil
	}
}

// WithdrawMaintenance takes the announcement back. Idempotent.
func (s *Service) WithdrawMaintenance(ctx context.Context, actor provisioner.Actor, gateway, reason string) error {
	reason = audit.CleanReason(reason)
	return s.changeFleet(ctx, actor, provisioner.ActionWithdrawMaintenance, gateway, reason, func(tx *store.Writer, g GatewayState) (map[string]string, error) {
		if g.Maintenance.From.IsZero() {
			return nil, nil
		}
		return map[string]string{}, tx.SetMaintenance(g.Name, provisioner.Maintenance{})
	})
}

// changeFleet makes a change to a gateway, and the record of it; change gives its
// details, nil if there was nothing to do.
func (s *Service) changeFleet(ctx context.Context, actor provisioner.Actor, action provisioner.Action, gateway, reason string,
	change func(*store.Writer, GatewayState) (map[string]string, error),
) error {
	if refusal := provisioner.Allow(actor, action, provisioner.Object{Gateway: gateway}); refusal != nil {
		return refusal
	}
	if reason == "" {
		return provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	err := s.Store.Update(ctx, func(tx *store.Writer) error {
		g, err := tx.Gateway(gateway)
		if errors.Is(err, store.ErrNone) {
			return provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(gateway, 64)).With("what", "Einen solchen Zugangsserver", "gateway")
		}
		if err != nil {
			return err
		}
		details, err := change(tx, g)
		if err != nil || details == nil {
			return err
		}
		return tx.Audit(store.Event{Actor: actor, Action: string(action), Object: audit.Object{Kind: kindGateway, ID: gateway}, Reason: reason, Details: details})
	})
	if err != nil {
		return fmt.Errorf("%s %s: %w", action, audit.CleanText(gateway, 64), err)
	}
	return nil
}
