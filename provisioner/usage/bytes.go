package usage

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// idBits is how many bits of a key an id takes: three make one.
const idBits = 20

// oldest is how long the sums of bytes are of use: what was carried meanwhile is nobody
// knows whose minute's.
const oldest = 2 * time.Minute

// carriedBy is what tenants' sessions in a pool on a gateway had carried at a time, by
// the ids of the three.
type carriedBy map[int64][2]int64

// readBytes adds what was carried since the last minute. Both times sums are taken of
// the sessions that were open the first time: what was closed between is known by its
// revision, so each byte counts once, whatever the clock says. Of a gateway that was away
// in the minute before, and of everything after a gap, it is not known when.
func (r *roller) readBytes(tx *store.Reader, m *measured, awayBefore map[string]bool) error {
	position, err := tx.Position()
	if err != nil {
		return err
	}
	list, err := tx.CarriedSince(r.state.Revision, r.state.CountedAt)
	if err != nil {
		return fmt.Errorf("reading what was carried: %w", err)
	}
	before, err := unpackCarried(r.state.Bytes)
	if err != nil {
		return err
	}
	now := time.Now()
	known := r.state.Bytes != "" && now.Sub(r.state.CountedAt).Abs() < oldest && position.Revision >= r.state.Revision
	for _, c := range list {
		key, ok := r.key(c)
		if !ok || !known || awayBefore[c.Gateway] {
			continue
		}
		was := before[key]
		for _, name := range all(c.Tenant, c.Pool, c.Gateway) {
			m.received[name] += since(was[0], c.Received)
			m.sent[name] += since(was[1], c.Sent)
		}
	}
	if !known {
		for _, name := range m.names {
			m.missing[name] = true
		}
	}
	m.state.Bytes, m.state.Revision, m.state.CountedAt = packCarried(r.open(list)), position.Revision, now
	return nil
}

// open are the sums of sessions that are open. What is new has no id yet, and counts from
// the next minute on.
func (r *roller) open(list []store.Carried) carriedBy {
	sums := make(carriedBy, len(list))
	for _, c := range list {
		if key, ok := r.key(c); ok {
			sums[key] = [2]int64{c.OpenReceived, c.OpenSent}
		}
	}
	return sums
}

// since is by how much a sum grew. One that fell began anew.
func since(was, is int64) int64 {
	if is < was {
		return is
	}
	return is - was
}

func (r *roller) key(c store.Carried) (int64, bool) {
	tenant, pool, gateway := r.series[series{Tenants, c.Tenant}], r.series[series{Pools, c.Pool}], r.series[series{Gateways, c.Gateway}]
	return tenant<<(2*idBits) | pool<<idBits | gateway, tenant > 0 && gateway > 0 && (pool > 0 || c.Pool == "")
}

func packCarried(c carriedBy) string {
	keys := slices.Sorted(maps.Keys(c))
	columns := [][]int64{make([]int64, len(keys)), make([]int64, len(keys))}
	for i, k := range keys {
		columns[0][i], columns[1][i] = c[k][0], c[k][1]
	}
	return capacity.Pack(keys, columns)
}

func unpackCarried(text string) (carriedBy, error) {
	if text == "" {
		return nil, nil
	}
	keys, columns, err := capacity.Unpack(text)
	if err != nil || len(columns) != 2 {
		return nil, fmt.Errorf("reading the sums of bytes: %w", err)
	}
	c := make(carriedBy, len(keys))
	for i, k := range keys {
		c[k] = [2]int64{columns[0][i], columns[1][i]}
	}
	return c, nil
}

// packParts packs what tenants have of pools in a minute: people at the least, sessions
// at the most.
func (r *roller) packParts(m *measured) (keys []int64, columns [][]int64) {
	byKey := make(map[int64][2]int64, len(m.parts))
	for name, p := range m.parts {
		most := capacity.Follow(p.sessions, p.moves, Minute.Milliseconds()).Max
		byKey[r.series[series{Tenants, name[0]}]<<idBits|r.series[series{Pools, name[1]}]] = [2]int64{max(0, p.people-p.closed), most}
	}
	keys = slices.Sorted(maps.Keys(byKey))
	columns = [][]int64{make([]int64, len(keys)), make([]int64, len(keys))}
	for i, k := range keys {
		columns[0][i], columns[1][i] = byKey[k][0], byKey[k][1]
	}
	return keys, columns
}
