package usage

import (
	"fmt"

	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// readQueue reads who waits for a seat: of her tenant, of all, and of each pool that may give
// her one.
func (m *measured) readQueue(tx *store.Reader) error {
	waited, moves, err := tx.WaitedAt(m.begins)
	if err != nil {
		return err
	}
	pools, err := tx.WaitedFor()
	if err != nil {
		return fmt.Errorf("reading for which pools people wait: %w", err)
	}
	of := func(tenant string) []series {
		list := []series{{kind: Provider}, {Tenants, tenant}}
		for _, pool := range pools[tenant] {
			list = append(list, series{Pools, pool})
		}
		return list
	}
	for tenant, n := range waited {
		for _, name := range of(tenant) {
			m.waited[name] += n
		}
	}
	for _, v := range moves {
		if !v.At.Before(m.begins.Add(Minute)) {
			break
		}
		for _, name := range of(v.Tenant) {
			m.waits[name] = append(m.waits[name], capacity.Move{At: v.At.Sub(m.begins).Milliseconds(), By: v.More})
		}
	}
	return nil
}
