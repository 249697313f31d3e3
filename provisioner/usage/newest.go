package usage

import (
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Newest is the most recent that everybody is told of tenants or pools.
type Newest struct {
	Until time.Time // when it ends; zero: nothing is told yet
	most  map[string]capacity.Count
}

// Sessions is the most at one time. Of what is not known it is withheld.
func (n Newest) Sessions(name string) capacity.Count {
	if c, known := n.most[name]; known {
		return c
	}
	return capacity.Count{Withheld: true}
}

// ReadNewest tells of some tenants or pools the last quarter of the last full hour, as
// Usage does. Who may be told of them is the caller's business.
func ReadNewest(tx *store.Reader, by Kind, names []string) (Newest, error) {
	state, err := tx.UsageState()
	if err != nil || state.HoursTo.IsZero() || len(names) == 0 {
		return Newest{}, err
	}
	return read(tx, state, Query{By: by, From: state.HoursTo.Add(-Quarter), To: state.HoursTo, Step: Quarter}, names)
}

// ReadToday tells of some tenants or pools the most at one time in the full hours of the
// German day of now, as Usage does.
func ReadToday(tx *store.Reader, by Kind, names []string, now time.Time) (Newest, error) {
	state, err := tx.UsageState()
	year, month, d := provisioner.DayOf(now)
	from := provisioner.DayBegins(year, month, d)
	if err != nil || !state.HoursTo.After(from) || len(names) == 0 {
		return Newest{}, err
	}
	return read(tx, state, Query{By: by, From: from, To: state.HoursTo, Step: Day}, names)
}

// read tells of some names what a query of one step tells.
func read(tx *store.Reader, state store.UsageState, q Query, names []string) (n Newest, err error) {
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		wanted[name] = true
	}
	r := &reading{Query: q, tx: tx, state: state}
	all, err := tx.UsageSeries()
	if err != nil {
		return n, err
	}
	for _, v := range all {
		if Kind(v.Kind) == q.By && wanted[v.Name] {
			r.names = append(r.names, v)
		}
	}
	list, err := r.series()
	n = Newest{Until: q.To, most: make(map[string]capacity.Count, len(list))}
	for _, v := range list {
		p := v.Points[0]
		n.most[v.Name] = capacity.Count{Value: p.Sessions.Max, Withheld: p.Sessions.Withheld || p.Minutes == 0}
		if n.most[v.Name].Withheld {
			n.most[v.Name] = capacity.Count{Withheld: true}
		}
	}
	return n, err
}
