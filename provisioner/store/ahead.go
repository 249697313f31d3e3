package store

import (
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
)

// question is one of several queries that are sent together.
type question struct {
	query string
	args  []any
	read  func(rows) error
}

// ask makes one of a query and what becomes of each row.
func ask[T any](scan func(scanner) (T, error), keep func(T), query string, args ...any) question {
	return question{query, args, func(r rows) error {
		for r.Next() {
			v, err := scan(r)
			if err != nil {
				return err
			}
			keep(v)
		}
		return r.Err()
	}}
}

// ahead reads in two round trips what requests about these devices are going to
// need. Where a round trip costs nothing there is nothing to be gained.
func (l *ledger) ahead(devices []string) error {
	p, ok := l.pen.(*postgresPen)
	if !ok || len(devices) < 2 {
		return nil
	}
	var fresh []string
	for _, d := range devices {
		if _, known := l.rows.devices[d]; !known {
			fresh = append(fresh, d)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	p.mark = len(p.pending) // whatever is wrong in it was asked for by earlier requests
	// What an earlier request has read of them may lack what the others ask for.
	for _, d := range fresh {
		delete(l.rows.sessions, d)
		delete(l.rows.formers, d)
	}
	if err := p.ask(
		ask(scanDevice, l.keepDevice, selectDevice+`where d.id = any($1)`, fresh),
		ask(scanSuspension, func(v suspensionRow) {
			if d, ok := l.rows.devices[v.device]; ok {
				d.device.SuspendedBy = append(d.device.SuspendedBy, v.suspension)
			}
		}, selectSuspension+`where device = any($1) order by device, source`, fresh),
		ask(scanSession, l.keepSession, selectSession+heldByAny, fresh),
		ask(scanFormer, func(f formerAddress) {
			if r, ok := l.rows.formers[f.device]; ok {
				r.add(f)
			}
		}, selectFormer+`where device = any($1) order by used_at, gateway`, fresh),
		ask(scanQueued, func(q Queued) { l.rows.places[q.Device] = &q }, selectQueued+`where q.device = any($1)`, fresh),
	); err != nil {
		return err
	}
	return l.tenantsAhead(p, fresh)
}

// keepDevice keeps a device that was read, for now without suspensions, open
// session, former addresses and place in the queue.
func (l *ledger) keepDevice(d provisioner.Device) {
	l.rows.devices[d.ID] = &deviceRow{d}
	l.rows.sessions[d.ID] = &sessionRow{}
	l.rows.formers[d.ID] = &formerRow{addresses: make(map[string]int64)}
	l.rows.places[d.ID] = &Queued{}
}

// keepSession keeps an open session that was read, of a device that may be unknown.
func (l *ledger) keepSession(s provisioner.Session) {
	if l.rows.sessions[s.Device] == nil {
		l.rows.sessions[s.Device] = &sessionRow{}
	}
	l.rows.sessions[s.Device].keep(s)
}

// tenantsAhead reads what the tenants of these devices share.
func (l *ledger) tenantsAhead(p *postgresPen, devices []string) error {
	var tenants []string
	asked := make(map[string]bool)
	var gateways []string
	var numbers []int64
	for _, id := range devices {
		d, ok := l.rows.devices[id]
		if !ok {
			continue
		}
		for gateway, index := range l.rows.formers[id].addresses {
			gateways, numbers = append(gateways, gateway), append(numbers, index/address.BlockSize)
		}
		tenant := d.device.Tenant
		if _, known := l.rows.serving[tenant]; known || asked[tenant] {
			continue
		}
		asked[tenant] = true
		tenants = append(tenants, tenant)
	}
	questions := []question{
		ask(scanBlock, func(b blockRow) { l.keepBlock(b) },
			selectBlock+`where (gateway, block) in (select * from unnest($1::text[], $2::bigint[]))`, gateways, numbers),
	}
	if len(tenants) > 0 {
		for _, t := range tenants {
			l.rows.entitled[t], l.rows.serving[t] = []string{}, []string{}
		}
		questions = append(questions,
			ask(scanEntitled, l.keepPool, selectEntitled+`where s.tenant = any($1) and `+forSessions+` order by s.tenant, p.name`, tenants),
			ask(scanServing, func(s served) { l.keepGateway(s.tenant, s.gateway) },
				selectServing+`where t.tenant = any($1) order by t.tenant, g.name`, tenants),
			// The lowest block with room of each tenant on each gateway.
			ask(scanBlock, func(b blockRow) { l.keepBlock(b) }, selectBlock+`b where tenant = any($1) and used <> -1
				and not exists (select 1 from address_block lower where lower.gateway = b.gateway and lower.tenant = b.tenant
					and lower.used <> -1 and lower.block < b.block)`, tenants))
	}
	return p.ask(questions...)
}
