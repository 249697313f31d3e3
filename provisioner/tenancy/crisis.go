package tenancy

import (
	"context"
	"errors"
	"fmt"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Crisis is a tenant's crisis mode.
type Crisis = store.Crisis

// Crises lists the crisis modes that are prepared, or on; of one tenant, or with an empty name of
// all that the actor may see.
func (s *Service) Crises(ctx context.Context, actor provisioner.Actor, tenant string) ([]Crisis, error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionReadCrisis, provisioner.Object{Tenant: tenant}); refusal != nil {
		return nil, refusal
	}
	scope := provisioner.ScopeOf(actor, provisioner.ActionReadCrisis)
	if tenant != "" {
		scope = scope.Narrow(tenant)
	}
	list, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]Crisis, error) {
		if err := tx.TenantNamed(tenant); err != nil {
			return nil, err
		}
		return tx.Crises(scope)
	})
	if err != nil {
		return nil, fmt.Errorf("listing crisis modes: %w", err)
	}
	return list, nil
}

// SwitchCrisis switches a tenant's prepared policy on or off. Idempotent: changed says
// whether it was otherwise before, and only then it is recorded.
func (s *Service) SwitchCrisis(ctx context.Context, actor provisioner.Actor, tenant string, on bool, reason string) (now Crisis, changed bool, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionSwitchCrisis, provisioner.Object{Tenant: tenant}); refusal != nil {
		return now, false, refusal
	}
	if reason = audit.CleanReason(reason); reason == "" {
		return now, false, provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		now, changed, err = switchCrisis(tx, actor, tenant, on, reason)
		return err
	})
	if err != nil {
		return Crisis{}, false, fmt.Errorf("switching the crisis mode of a tenant: %w", err)
	}
	return now, changed, nil
}

func switchCrisis(tx *store.Writer, actor provisioner.Actor, name string, on bool, reason string) (now Crisis, changed bool, err error) {
	tenant, err := tx.Tenant(name)
	if errors.Is(err, store.ErrNone) {
		return now, false, provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(name, 64)).With("what", "Eine solche Verwaltung", "tenant")
	}
	if err != nil {
		return now, false, err
	}
	if on && !tenant.Crisis.Prepared() {
		return now, false, provisioner.Refuse(provisioner.CodeCrisisUnprepared, "tenant", tenant.Name)
	}
	details := map[string]string{"crisis mode": "off"}
	if on {
		details = map[string]string{"crisis mode": "on", "plan": crisisText(tenant.Crisis)}
		changed, err = tx.BeginCrisis(name, reason)
	} else {
		changed, err = tx.EndCrisis(name)
	}
	if err != nil {
		return now, false, err
	}
	if changed {
		if err := tx.Audit(store.Event{
			Actor: actor, Tenant: name, Action: string(provisioner.ActionSwitchCrisis), Reason: reason,
			Object: audit.Object{Kind: "tenant", ID: name}, Details: details,
		}); err != nil {
			return now, false, err
		}
	}
	now = Crisis{Tenant: name, Plan: tenant.Crisis}
	list, err := tx.Crises(provisioner.Within(name))
	if err == nil && len(list) == 1 {
		now = list[0]
	}
	return now, changed, err
}
