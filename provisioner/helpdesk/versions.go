package helpdesk

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"golang.org/x/mod/semver"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// AgentVersion is how many laptops of a tenant have a version of the agent.
type AgentVersion struct {
	store.AgentVersion
	Outdated bool // older than the tenant's minimum
}

// AgentVersions counts laptops that have access, in a tenant or in all that the caller may see, by tenant and then the oldest first.
func (s *Service) AgentVersions(ctx context.Context, actor provisioner.Actor, tenant string) (list []AgentVersion, err error) {
	const action = provisioner.ActionListAgents
	if refusal := provisioner.Allow(actor, action, provisioner.Object{Tenant: tenant}); refusal != nil {
		return nil, refusal
	}
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		counted, err := tx.AgentVersions(provisioner.ScopeOf(actor, action).Narrow(tenant))
		if err != nil {
			return err
		}
		minimum := make(map[string]provisioner.MinimumAgent)
		for _, v := range counted {
			if _, known := minimum[v.Tenant]; !known {
				t, err := tx.Tenant(v.Tenant)
				if err != nil {
					return err
				}
				minimum[v.Tenant] = t.Policy.MinimumAgent
			}
			list = append(list, AgentVersion{v, minimum[v.Tenant].Outdated(v.Version)})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	slices.SortFunc(list, func(a, b AgentVersion) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), semver.Compare(a.Version, b.Version), cmp.Compare(a.Version, b.Version))
	})
	return list, nil
}
