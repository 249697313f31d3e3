package store

import (
	"errors"
	"fmt"
	"slices"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
)

// ledger keeps, for the time of one transaction, the rows that openings and
// closings read and count in: devices, seats, gateways' places, blocks of
// addresses. Many requests that share a transaction read them once and write
// them once. The allocation row is locked meanwhile, so nobody else changes them.
//
// It stands between the Writer and its pen. Methods that know it use its rows,
// and the pen beside them for what it does not keep; every other statement finds
// the rows written back first, and one that writes finds them read anew after it.
// So a method that knows nothing of the ledger is right, and only slower.
type ledger struct {
	pen
	rows *ledgerRows
	// appended are new rows, in tables of which the ledger keeps nothing else.
	appended []appending
	// undoing takes back what the present request did to the rows, last first.
	undoing []func()
}

// appending is a row to insert: into names the table and its columns.
type appending struct {
	into string
	row  []any
}

type ledgerRows struct {
	devices  map[string]*deviceRow
	sessions map[string]*sessionRow // the open ones, by device
	formers  map[string]*formerRow  // addresses, by device
	places   map[string]*Queued     // in the queue, by device, as read ahead; zero: none
	entitled map[string][]string    // pools, by tenant
	pools    map[string]*poolRow
	shares   map[shareKey]*shareRow
	classes  map[classKey]*classRow
	serving  map[string][]string // gateways, by tenant
	gateways map[string]*gatewayRow
	blocks   map[blockKey]*blockRow
	partly   map[tenantOnGateway][]*blockRow // blocks that may have an address free
}

type (
	shareKey struct{ pool, tenant string }
	classKey struct {
		pool  string
		class provisioner.PriorityClass
	}
	blockKey struct {
		gateway string
		number  int64
	}
	tenantOnGateway struct{ gateway, tenant string }

	deviceRow  struct{ device provisioner.Device }
	sessionRow struct {
		session provisioner.Session
		open    bool                 // false: the device has no present session
		leaving *provisioner.Session // nil: it leaves none; replaced, never changed
	}
	formerRow struct {
		last      string           // the gateway of the newest; empty: none
		addresses map[string]int64 // by gateway; replaced, never changed
	}
	poolRow struct {
		model    provisioner.PoolModel
		quantity provisioner.Quantity
		// unused is what is left of guarantees, unusedReserve of reserves.
		held, unused, unusedReserve int64
		waiting                     int64
		queued                      int64 // places of all; programs of the version before go by it
		dirty                       bool
	}
	shareRow struct {
		guarantee, protected, held int64
		reserved                   int64    // of the held ones, those out of reserves
		queued                     int64    // the tenant's places in the queue
		waiting                    [3]int64 // of those the ones that wait, by rank
		dirty                      bool
	}
	classRow struct {
		reserve, held int64
		dirty         bool
	}
	gatewayRow struct {
		state GatewayState // without its tenants
		dirty bool
	}
	blockRow struct {
		key    blockKey
		tenant string
		used   address.Block
		dirty  bool
	}
)

func newLedgerRows() *ledgerRows {
	return &ledgerRows{
		devices: make(map[string]*deviceRow), sessions: make(map[string]*sessionRow), formers: make(map[string]*formerRow), places: make(map[string]*Queued),
		entitled: make(map[string][]string), pools: make(map[string]*poolRow), shares: make(map[shareKey]*shareRow),
		classes: make(map[classKey]*classRow),
		serving: make(map[string][]string), gateways: make(map[string]*gatewayRow),
		blocks: make(map[blockKey]*blockRow), partly: make(map[tenantOnGateway][]*blockRow),
	}
}

func (r *ledgerRows) empty() bool {
	return len(r.devices)+len(r.sessions)+len(r.formers)+len(r.places)+len(r.entitled)+len(r.pools)+len(r.shares)+len(r.classes)+
		len(r.serving)+len(r.gateways)+len(r.blocks)+len(r.partly) == 0
}

// clear empties it for a transaction.
func (l *ledger) clear() { l.rows, l.appended, l.undoing = newLedgerRows(), nil, nil }

// save marks where a request begins.
func (l *ledger) save() error {
	l.undoing = l.undoing[:0]
	return l.pen.save()
}

// undo takes back what the request did.
func (l *ledger) undo() error {
	for i := len(l.undoing) - 1; i >= 0; i-- {
		l.undoing[i]()
	}
	l.undoing = l.undoing[:0]
	return l.pen.undo()
}

func (l *ledger) commit() error {
	if err := l.flush(); err != nil {
		return err
	}
	return l.pen.commit()
}

func (l *ledger) query(query string, args ...any) (rows, error) {
	if err := l.flush(); err != nil {
		return nil, err
	}
	return l.pen.query(query, args...)
}

func (l *ledger) exec(query string, args ...any) (int64, error) {
	if err := l.flush(); err != nil {
		return 0, err
	}
	l.forget()
	return l.pen.exec(query, args...)
}

func (l *ledger) run(query string, args ...any) error {
	if err := l.flush(); err != nil {
		return err
	}
	l.forget()
	return l.pen.run(query, args...)
}

// forget has everything read anew. It costs nothing where nothing was read, as
// when one statement that writes follows another.
func (l *ledger) forget() {
	if l.rows.empty() {
		return
	}
	was := l.rows
	l.undoing = append(l.undoing, func() { l.rows = was })
	l.rows = newLedgerRows()
}

// change notes how a row was before it is changed.
func change[T any](l *ledger, row *T) {
	was := *row
	l.undoing = append(l.undoing, func() { *row = was })
}

// append inserts a row with others, later.
func (l *ledger) append(into string, row ...any) {
	was := l.appended
	l.undoing = append(l.undoing, func() { l.appended = was })
	l.appended = append(l.appended, appending{into, row})
}

// insert inserts what was appended.
func (l *ledger) insert() error {
	if len(l.appended) == 0 {
		return nil
	}
	was := l.appended
	l.undoing = append(l.undoing, func() { l.appended = was })
	l.appended = nil
	byTable := make(map[string][][]any)
	for _, a := range was {
		byTable[a.into] = append(byTable[a.into], a.row)
	}
	var errs []error
	for into, list := range byTable {
		errs = append(errs, insertMany(l.pen, "insert into "+into, list, ""))
	}
	return errors.Join(errs...)
}

// flush writes back what was changed.
func (l *ledger) flush() error {
	errs := []error{l.insert()}
	for name, r := range l.rows.pools {
		if r.dirty {
			change(l, r)
			r.dirty = false
			errs = append(errs, l.pen.run(`update licence_pool set held = $1, unused_guarantee = $2, unused_reserve = $3, queued = $4, waiting = $5 where name = $6`,
				r.held, r.unused, r.unusedReserve, r.queued, r.waiting, name))
		}
	}
	for k, r := range l.rows.classes {
		if r.dirty {
			change(l, r)
			r.dirty = false
			errs = append(errs, l.pen.run(`insert into pool_class (pool, class, reserve, held) values ($1, $2, $3, $4)
				on conflict (pool, class) do update set held = excluded.held`, k.pool, string(k.class), r.reserve, r.held))
		}
	}
	for k, r := range l.rows.shares {
		if r.dirty {
			change(l, r)
			r.dirty = false
			errs = append(errs, l.pen.run(`update pool_share set held = $1, reserved = $2, queued = $3,
				waiting_crisis = $4, waiting_control = $5, waiting_ordinary = $6 where pool = $7 and tenant = $8`,
				r.held, r.reserved, r.queued, r.waiting[0], r.waiting[1], r.waiting[2], k.pool, k.tenant))
		}
	}
	for name, r := range l.rows.gateways {
		if r.dirty {
			change(l, r)
			r.dirty = false
			errs = append(errs, l.pen.run(`update gateway set open = $1 where name = $2`, r.state.Open, name))
		}
	}
	for k, r := range l.rows.blocks {
		if r.dirty {
			change(l, r)
			r.dirty = false
			errs = append(errs, l.pen.run(`update address_block set used = $1 where gateway = $2 and block = $3`, int64(r.used), k.gateway, k.number))
		}
	}
	return errors.Join(errs...)
}

// ledger gives the ledger that this reads through; nil in a view.
func (r *Reader) ledger() *ledger {
	l, _ := r.q.(*ledger)
	return l
}

// beside runs statements on what the ledger does not keep.
func (w *Writer) beside() querier { return w.ledger().pen }

// read notes a row that the present request has read: what it wrote before may
// be in it, and is taken back with it.
func read[K comparable, V any](l *ledger, rows map[K]V, key K, row V) V {
	l.undoing = append(l.undoing, func() { delete(rows, key) })
	rows[key] = row
	return row
}

// device gives a device with its suspensions.
func (l *ledger) device(id string) (*deviceRow, error) {
	if r, ok := l.rows.devices[id]; ok {
		return r, nil
	}
	d, err := deviceOf(l.pen, id)
	if err != nil {
		return nil, err
	}
	return read(l, l.rows.devices, id, &deviceRow{d}), nil
}

// session gives the open sessions of a device.
func (l *ledger) session(device string) (*sessionRow, error) {
	if r, ok := l.rows.sessions[device]; ok {
		return r, nil
	}
	list, err := all(l.pen, scanSession, selectSession+heldBy, device)
	if err != nil {
		return nil, err
	}
	row := &sessionRow{}
	for _, s := range list {
		row.keep(s)
	}
	return read(l, l.rows.sessions, device, row), nil
}

// keep takes in an open session of the device.
func (r *sessionRow) keep(s provisioner.Session) {
	if s.Leaving() {
		r.leaving = &s
		return
	}
	r.session, r.open = s, true
}

// sessionsAhead reads the open sessions of devices at once.
func (l *ledger) sessionsAhead(devices []string) error {
	fresh := slices.DeleteFunc(slices.Clone(devices), func(d string) bool { return l.rows.sessions[d] != nil })
	if len(fresh) == 0 {
		return nil
	}
	var a args
	list, err := all(l.pen, scanSession, selectSession+`where s.device`+a.in(fresh)+` and s.closed_revision <= 0`, a.list...)
	if err != nil {
		return err
	}
	for _, d := range fresh {
		read(l, l.rows.sessions, d, &sessionRow{})
	}
	for _, s := range list {
		l.rows.sessions[s.Device].keep(s)
	}
	return nil
}

// touch has a row read anew.
func touch[K comparable, V any](l *ledger, rows map[K]V, key K) {
	was, ok := rows[key]
	if !ok {
		return
	}
	l.undoing = append(l.undoing, func() { rows[key] = was })
	delete(rows, key)
}

// former gives the addresses that a device had.
func (l *ledger) former(device string) (*formerRow, error) {
	if r, ok := l.rows.formers[device]; ok {
		return r, nil
	}
	list, err := all(l.pen, scanFormer, selectFormer+`where device = $1 order by used_at, gateway`, device)
	if err != nil {
		return nil, err
	}
	r := &formerRow{addresses: make(map[string]int64)}
	for _, f := range list {
		r.add(f)
	}
	return read(l, l.rows.formers, device, r), nil
}

// formerAddress is one row of former_address.
type formerAddress struct {
	device, gateway string
	index           int64
}

const selectFormer = `select device, gateway, address_index from former_address `

func scanFormer(s scanner) (f formerAddress, err error) {
	err = s.Scan(&f.device, &f.gateway, &f.index)
	return f, err
}

// add is called in the order of use, oldest first.
func (r *formerRow) add(f formerAddress) { r.last, r.addresses[f.gateway] = f.gateway, f.index }

// gatewaysOf gives the gateways that serve a tenant.
func (l *ledger) gatewaysOf(tenant string) ([]GatewayState, error) {
	names, ok := l.rows.serving[tenant]
	if !ok {
		list, err := all(l.pen, scanGateway, selectServed+`where t.tenant = $1 order by g.name`, tenant)
		if err != nil {
			return nil, err
		}
		read(l, l.rows.serving, tenant, []string{})
		for _, g := range list {
			l.keepGateway(tenant, g)
		}
		names = l.rows.serving[tenant]
	}
	list := make([]GatewayState, len(names))
	for i, name := range names {
		list[i] = l.rows.gateways[name].state
	}
	return list, nil
}

func (l *ledger) keepGateway(tenant string, g GatewayState) {
	if _, ok := l.rows.gateways[g.Name]; !ok {
		read(l, l.rows.gateways, g.Name, &gatewayRow{state: g})
	}
	l.rows.serving[tenant] = append(l.rows.serving[tenant], g.Name)
}

// heard keeps what a gateway has said.
func (l *ledger) heard(c Contact) {
	g, ok := l.rows.gateways[c.Gateway]
	if !ok {
		return
	}
	change(l, g)
	g.state.Connected, g.state.ContactAt, g.state.Epoch, g.state.Revision, g.state.Load = c.Connected, c.ContactAt, c.Epoch, c.Revision, c.Load
	if !c.ObservedAt.IsZero() {
		g.state.ObservedAt = c.ObservedAt
	}
}

// movePlace counts one session more or less on a gateway.
func (l *ledger) movePlace(gateway string, by int64) error {
	g, ok := l.rows.gateways[gateway]
	if !ok {
		state, err := one(l.pen, scanGateway, selectGateway+`where g.name = $1`, gateway)
		if err != nil {
			return fmt.Errorf("reading gateway %s: %w", gateway, err)
		}
		g = read(l, l.rows.gateways, gateway, &gatewayRow{state: state})
	}
	change(l, g)
	g.state.Open += by
	g.dirty = true
	return nil
}
