//go:build linux

package crash_test

import (
	"database/sql"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// ledger is what was answered, and what was asked without an answer yet. Its
// lock guards all that hangs from it.
type ledger struct {
	sync.Mutex

	devices []*device
	known   map[string]*device // by id

	opened, renewed, closed, revoked int
}

func newLedger() *ledger { return &ledger{known: make(map[string]*device)} }

// ask changes the ledger before something is asked.
func (l *ledger) ask(change func()) {
	l.Lock()
	defer l.Unlock()
	change()
}

// device is what was answered of one device.
type device struct {
	provisionertest.Laptop

	busy         bool // a worker has it
	sessions     []*session
	revokeAsked  bool
	revokeAnswer bool
}

// session is what was answered of one session.
type session struct {
	id          string
	leaseUntil  time.Time // the last one answered
	closeAsked  bool      // by its owner, or by an opening after it
	closeAnswer bool
}

// row is a session as it is stored.
type row struct {
	id, device, tenant, gateway, pool, key string
	index                                  int64
	leaseUntil                             time.Time
	open                                   bool
	why                                    string
}

func readSessions(t testing.TB, q querier) []row {
	t.Helper()
	return list(t, q, func(r *sql.Rows) (s row, err error) {
		var lease, closed int64
		err = r.Scan(&s.id, &s.device, &s.tenant, &s.gateway, &s.pool, &s.key, &s.index, &lease, &closed, &s.why)
		s.leaseUntil, s.open = time.UnixMilli(lease), closed == 0
		return s, err
	}, `select id, device, tenant, gateway, pool, public_key, address_index, lease_until, closed_at, closed_why from session`)
}

// openKeys are the public keys of the sessions open on a gateway, in order.
func openKeys(sessions []row, gateway string) (keys []string) {
	for _, s := range sessions {
		if s.open && s.gateway == gateway {
			keys = append(keys, s.key)
		}
	}
	slices.Sort(keys)
	return keys
}

// check holds a database against what was answered.
func (l *ledger) check(b *books, when string) (sessions []row) {
	b.t.Helper()
	b.consistent(func(tx *sql.Tx) {
		sessions = readSessions(b.t, tx)
		c := checker{b.t, tx, when, sessions}
		c.revisions()
		c.seats()
		c.gateways()
		c.addresses()
		l.Lock()
		defer l.Unlock()
		c.answers(l)
	})
	return sessions
}

// checker holds one state of a database against what must hold in each.
type checker struct {
	t        testing.TB
	tx       *sql.Tx
	when     string
	sessions []row
}

func (c *checker) errorf(format string, args ...any) {
	c.t.Helper()
	c.t.Errorf("%s: %s", c.when, fmt.Sprintf(format, args...))
}

// revisions have no gaps and end where the allocation row says.
func (c *checker) revisions() {
	c.t.Helper()
	revision := value[int64](c.t, c.tx, `select revision from allocation`)
	if n := value[int64](c.t, c.tx, `select count(*) from change where revision between 1 and $1`, revision); n != revision {
		c.errorf("%d of %d revisions are there", n, revision)
	}
	if n := value[int64](c.t, c.tx, `select count(*) from change where revision > $1`, revision); n != 0 {
		c.errorf("%d changes are beyond the revision", n)
	}
}

// seats are held by open sessions and for those who are next in the queue, by nobody
// else, and never more than there are.
func (c *checker) seats() {
	c.t.Helper()
	held, share := make(map[string]int64), make(map[[2]string]int64)
	for _, s := range c.sessions {
		if s.open {
			held[s.pool]++
			share[[2]string{s.pool, s.tenant}]++
		}
	}
	for _, s := range list(c.t, c.tx, func(r *sql.Rows) (s [2]string, err error) { err = r.Scan(&s[0], &s[1]); return s, err },
		`select offered_pool, tenant from seat_queue where offered_pool <> ''`) {
		held[s[0]]++
		share[s]++
	}
	type pool struct {
		name                      string
		held, unused, room, wants int64
	}
	for _, p := range list(c.t, c.tx, func(r *sql.Rows) (p pool, err error) {
		err = r.Scan(&p.name, &p.held, &p.unused, &p.room, &p.wants)
		return p, err
	}, `select name, held, unused_guarantee, seats + burst, coalesce((select sum(case when guarantee > s.held then guarantee - s.held else 0 end)
		from pool_share s where s.pool = licence_pool.name), 0) from licence_pool`) {
		if p.held != held[p.name] || p.unused != p.wants || p.held > p.room {
			c.errorf("pool %s counts %d seats held, of %d, and %d guaranteed ones unused; %d sessions and offers hold some, and the shares add up to %d",
				p.name, p.held, p.room, p.unused, held[p.name], p.wants)
		}
	}
	type portion struct {
		pool, tenant string
		held         int64
	}
	for _, p := range list(c.t, c.tx, func(r *sql.Rows) (p portion, err error) {
		err = r.Scan(&p.pool, &p.tenant, &p.held)
		return p, err
	}, `select pool, tenant, held from pool_share`) {
		if n := share[[2]string{p.pool, p.tenant}]; p.held != n {
			c.errorf("%s counts %d seats of %s, and %d sessions and offers hold some", p.tenant, p.held, p.pool, n)
		}
	}
	c.queue()
}

// queue is counted as it stands, with each pool of a tenant: places, and those that wait.
func (c *checker) queue() {
	c.t.Helper()
	type line struct {
		pool, tenant                   string
		queued, waiting, places, waits int64
	}
	for _, l := range list(c.t, c.tx, func(r *sql.Rows) (l line, err error) {
		err = r.Scan(&l.pool, &l.tenant, &l.queued, &l.waiting, &l.places, &l.waits)
		return l, err
	}, `select s.pool, s.tenant, s.queued, s.waiting_crisis + s.waiting_control + s.waiting_ordinary, (select count(*) from seat_queue q where q.tenant = s.tenant),
		(select count(*) from seat_queue q where q.tenant = s.tenant and q.lost_at = 0 and q.offered_until = 0 and q.rank < 3) from pool_share s`) {
		if l.queued != l.places || l.waiting != l.waits {
			c.errorf("of %s are counted %d places for %s, of which %d wait; there are %d, and %d do", l.tenant, l.queued, l.pool, l.waiting, l.places, l.waits)
		}
	}
}

// gateways count the sessions that are open on them.
func (c *checker) gateways() {
	c.t.Helper()
	type gateway struct {
		name string
		open int
	}
	for _, g := range list(c.t, c.tx, func(r *sql.Rows) (g gateway, err error) { err = r.Scan(&g.name, &g.open); return g, err },
		`select name, open from gateway`) {
		if n := len(openKeys(c.sessions, g.name)); n != g.open {
			c.errorf("gateway %s counts %d sessions, and %d are open", g.name, g.open, n)
		}
	}
}

// addresses are taken by open sessions and nobody else, and by one each.
func (c *checker) addresses() {
	c.t.Helper()
	aggregates := make(map[string]address.Aggregate)
	for _, g := range list(c.t, c.tx, func(r *sql.Rows) (g [3]string, err error) { err = r.Scan(&g[0], &g[1], &g[2]); return g, err },
		`select name, aggregate_v4, aggregate_v6 from gateway`) {
		aggregates[g[0]] = address.Aggregate{V4: netip.MustParsePrefix(g[1]), V6: netip.MustParsePrefix(g[2])}
	}
	type place struct {
		gateway string
		number  int64
	}
	type block struct {
		place
		tenant string
		used   int64
	}
	used, owner := make(map[place]address.Block), make(map[place]string)
	for _, b := range list(c.t, c.tx, func(r *sql.Rows) (b block, err error) {
		err = r.Scan(&b.gateway, &b.number, &b.tenant, &b.used)
		return b, err
	}, `select gateway, block, tenant, used from address_block`) {
		aggregate := aggregates[b.gateway]
		used[b.place], owner[b.place] = address.Block(uint64(b.used))&^aggregate.NewBlock(int(b.number)), b.tenant
	}
	taken := make(map[place]address.Block)
	devices := make(map[string]bool)
	for _, s := range c.sessions {
		if !s.open {
			continue
		}
		at, bit := place{s.gateway, s.index / address.BlockSize}, address.Block(1)<<(s.index%address.BlockSize)
		if taken[at]&bit != 0 || owner[at] != s.tenant || devices[s.device] {
			c.errorf("address %d of %s is held twice (%v), is another tenant's (%q), or its device has two sessions (%v)",
				s.index, s.gateway, taken[at]&bit != 0, owner[at], devices[s.device])
		}
		taken[at] |= bit
		devices[s.device] = true
	}
	for at := range used {
		if used[at] != taken[at] {
			c.errorf("block %d of %s has the bits %x, and %x are of open sessions", at.number, at.gateway, used[at], taken[at])
		}
	}
}

// answers hold: what was answered is there. What was asked and not answered may
// be so or so.
func (c *checker) answers(l *ledger) {
	c.t.Helper()
	revoked := make(map[string]bool)
	for _, d := range list(c.t, c.tx, func(r *sql.Rows) (d [2]string, err error) { err = r.Scan(&d[0], &d[1]); return d, err },
		`select id, case when revoked_at > 0 then 'revoked' else '' end from device`) {
		revoked[d[0]] = d[1] != ""
	}
	stored := make(map[string]row)
	for _, s := range c.sessions {
		stored[s.id] = s
		if d := l.known[s.device]; d == nil || s.open && revoked[s.device] {
			c.errorf("session %s is of the device %s, which is revoked (%v), or which nobody was told of", s.id, s.device, revoked[s.device])
		}
	}
	for _, d := range l.devices {
		is, there := revoked[d.ID]
		if !there || is && !d.revokeAsked || !is && d.revokeAnswer {
			c.errorf("device %s is there: %v, revoked: %v; asked: %v, answered: %v", d.ID, there, is, d.revokeAsked, d.revokeAnswer)
		}
		for _, s := range d.sessions {
			row, there := stored[s.id]
			switch {
			case !there:
				c.errorf("session %s was answered and is not there", s.id)
			case row.open && s.closeAnswer:
				c.errorf("session %s is open, and its end was answered", s.id)
			case !row.open && !s.closeAsked && !d.revokeAsked:
				c.errorf("session %s is closed (%s), and nobody asked for it", s.id, row.why)
			case !row.open && row.why == "":
				c.errorf("session %s is closed for no stated reason", s.id)
			case row.leaseUntil.Before(s.leaseUntil.Truncate(time.Millisecond)):
				c.errorf("session %s has a lease until %v, and %v was answered", s.id, row.leaseUntil, s.leaseUntil)
			}
		}
	}
}
