package warning

import (
	"context"
	"fmt"
	"slices"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// mostListed is how many warnings one answer holds.
const mostListed = 1000

// List is what is warned of.
type List struct {
	Warnings  []store.Warning  // the newest first
	Receiving *store.Receiving // for operators; nil: no webhook is configured
}

// List lists the warnings that the actor may see, those that have ended too if all is asked
// for. Of a pool everybody may know who sees each tenant that has a share of it; of gateways
// and of all together operators.
func (s *Service) List(ctx context.Context, actor provisioner.Actor, all bool) (l List, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionReadConcurrency, provisioner.Object{}); refusal != nil {
		return l, refusal
	}
	operates := provisioner.Allow(actor, provisioner.ActionReadGatewayLoad, provisioner.Object{}) == nil
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		visible, err := visibleTo(tx, provisioner.ScopeOf(actor, provisioner.ActionReadConcurrency), operates)
		if err != nil {
			return err
		}
		list, err := tx.OpenWarnings()
		if err != nil {
			return fmt.Errorf("reading what is warned of: %w", err)
		}
		slices.Reverse(list)
		if all {
			ended, err := tx.EndedWarnings(mostListed)
			if err != nil {
				return fmt.Errorf("reading what was warned of: %w", err)
			}
			list = append(list, ended...)
		}
		list = slices.DeleteFunc(list, func(w store.Warning) bool { return !visible(w) })
		l.Warnings = list[:min(len(list), mostListed)]
		if !operates || s.Webhook == nil {
			return nil
		}
		receiving, err := tx.Receiving()
		l.Receiving = &receiving
		return err
	})
	return l, err
}

func visibleTo(tx *store.Reader, scope provisioner.Scope, operates bool) (func(store.Warning) bool, error) {
	shares, err := tx.PoolShares()
	if err != nil {
		return nil, fmt.Errorf("reading the shares of pools: %w", err)
	}
	whole := make(map[string]bool)
	for _, v := range shares {
		before, seen := whole[v.Pool]
		whole[v.Pool] = (before || !seen) && scope.Includes(v.Tenant)
	}
	return func(w store.Warning) bool {
		switch Of(w.Of) {
		case Tenant:
			return scope.Includes(w.Name)
		case Pool:
			return operates || whole[w.Name]
		default:
			return operates
		}
	}, nil
}

// Labels are what a metric tells of a warning that stands.
type Labels struct {
	Kind, Of, Name string
	Percent        int64
}

// Standing counts the warnings that stand. Those of tenants, and of pools whose tenants have
// fewer than 50 people, have no name in metrics.
func (s *Service) Standing(ctx context.Context) (map[Labels]int, error) {
	few, err := s.Usage.FewPeople(ctx)
	if err != nil {
		return nil, err
	}
	list, err := store.Read(ctx, s.Store, (*store.Reader).OpenWarnings)
	if err != nil {
		return nil, fmt.Errorf("reading what is warned of: %w", err)
	}
	counts := make(map[Labels]int)
	for _, w := range list {
		l := Labels{w.Kind, w.Of, w.Name, w.Percent}
		if of := Of(w.Of); of == Tenant || of == Pool && few[w.Name] {
			l.Name = ""
		}
		counts[l]++
	}
	return counts, nil
}
