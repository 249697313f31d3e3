package licensing

import (
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/usage"
)

// told is what everybody is told of the use of pools.
type told struct {
	newest, today usage.Newest
}

// readTold reads it of the pools of which the caller sees all tenants and is not told what
// is held now.
func readTold(tx *store.Reader, pools []view, now time.Time) (t told, err error) {
	var names []string
	for _, v := range pools {
		if v.whole && v.hidden {
			names = append(names, v.Pool.Name)
		}
	}
	if t.newest, err = usage.ReadNewest(tx, usage.Pools, names); err != nil {
		return t, fmt.Errorf("reading how much was in use: %w", err)
	}
	if t.today, err = usage.ReadToday(tx, usage.Pools, names, now); err != nil {
		return t, fmt.Errorf("reading how much was in use today: %w", err)
	}
	return t, nil
}

// tell puts what everybody is told in the place of what is withheld: of the whole pool. Of a
// part of its tenants nothing is kept by pool.
func (v view) tell(p *Pool, t told) {
	if !v.whole || !v.hidden {
		return
	}
	p.Highest = Count(t.today.Sessions(p.Name))
	inUse := Count(t.newest.Sessions(p.Name))
	p.Warning = Count{Withheld: inUse.Withheld}
	if !inUse.Withheld {
		p.Warning.Value = v.warning(inUse.Value)
	}
	p.Until = t.newest.Until
	if v.withheld && len(v.others) == 0 {
		p.InUse = inUse
	}
}
