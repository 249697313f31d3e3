package store

import (
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

const selectSession = `select s.id, s.device, s.tenant, s.person, s.gateway, s.pool, s.address_index, s.key_version, s.public_key, s.stream, s.revision,
	s.opened_at, s.lease_until, s.renewed_at, s.last_handshake, s.received_bytes, s.sent_bytes,
	s.reported_handshake, s.reported_received, s.reported_sent, s.reported_clock, s.closed_at, s.closed_why, s.closed_revision, s.key_of, s.ends_at,
	s.due_at, s.due_until, s.due_why, s.class, s.counted_at, s.counted_bytes, s.active_at, s.idle_at, s.look_at, s.recall, s.left_at, coalesce(c.observed_at, 0)
	from session s left join gateway_contact c on c.gateway = s.gateway `

func scanSession(r scanner) (s provisioner.Session, err error) {
	var key string
	var opened, lease, renewed, handshake, received, sent, closed, ends, due, dueUntil, observed int64
	var reportedAt, reportedReceived, reportedSent, clock, counted, countedBytes, active, idle, look, recall, left int64
	if err := r.Scan(&s.ID, &s.Device, &s.Tenant, &s.Person, &s.Gateway, &s.Pool, &s.AddressIndex, &s.KeyVersion, &key, &s.Stream, &s.Revision,
		&opened, &lease, &renewed, &handshake, &received, &sent, &reportedAt, &reportedReceived, &reportedSent, &clock, &closed, &s.ClosedWhy, &s.ClosedRevision,
		&s.KeyOf, &ends, &due, &dueUntil, &s.Ending.Why, &s.Class, &counted, &countedBytes, &active, &idle, &look, &recall, &left, &observed); err != nil {
		return s, err
	}
	s.OpenedAt, s.LeaseUntil, s.RenewedAt = at(opened), at(lease), at(renewed)
	s.LastHandshake, s.ClosedAt, s.ObservedAt = at(handshake), at(closed), at(observed)
	s.EndsAt, s.Ending.DueAt, s.Ending.EndsAt = at(ends), at(due), at(dueUntil)
	s.ReceivedBytes, s.SentBytes = uint64(received), uint64(sent)
	s.Traffic = trafficOf(s.OpenedAt, counted, countedBytes, active)
	s.IdleAt, s.LookAt, s.Recall = at(idle), at(look), time.Duration(recall)*time.Millisecond
	s.Reported = provisioner.Usage{LastHandshake: at(reportedAt), ReceivedBytes: uint64(reportedReceived), SentBytes: uint64(reportedSent), Clock: at(clock)}
	s.LeftAt, s.ClosedRevision = at(left), max(s.ClosedRevision, 0)
	s.PublicKey, err = keyFromText(key)
	return s, err
}

// Session reads by id, open or closed; ErrNone if there is none.
func (r *Reader) Session(id string) (provisioner.Session, error) {
	return one(r.q, scanSession, selectSession+`where s.id = $1`, id)
}

// OpenSessionOf reads the present session of a device; ErrNone if there is none.
func (r *Reader) OpenSessionOf(device string) (provisioner.Session, error) {
	l := r.ledger()
	if l == nil {
		return one(r.q, scanSession, selectSession+openOf, device)
	}
	s, err := l.session(device)
	if err == nil && !s.open {
		err = ErrNone
	}
	if err != nil {
		return provisioner.Session{}, err
	}
	return s.session, nil
}

// SessionsSince lists the sessions of a person in a tenant that were open after a
// time, the latest first, at most limit.
func (r *Reader) SessionsSince(person, tenant string, since time.Time, limit int) ([]provisioner.Session, error) {
	return all(r.q, scanSession, selectSession+`where s.device in (select d.id from device d where d.person = $1 and d.tenant = $2) and s.person = $3
		and (s.closed_at = 0 or s.closed_at > $4) order by s.opened_at desc, s.id limit $5`, person, tenant, person, ms(since), limit)
}

// LeavingSessionOf reads the session that a device has besides and is leaving; ErrNone
// if there is none.
func (w *Writer) LeavingSessionOf(device string) (provisioner.Session, error) {
	held, err := w.ledger().session(device)
	if err == nil && held.leaving == nil {
		err = ErrNone
	}
	if err != nil {
		return provisioner.Session{}, err
	}
	return *held.leaving, nil
}

// openOf, like whatever else looks for one session and not for all open ones,
// says "open" as "without a revision of its closing": to closed_at = 0 belong
// indexes of all open sessions, and until PostgreSQL has statistics of the table
// it may read such an index from end to end.
const (
	openOf    = `where s.device = $1 and s.closed_revision = 0`
	heldBy    = `where s.device = $1 and s.closed_revision <= 0`      // the present and the leaving one
	heldByAny = `where s.device = any($1) and s.closed_revision <= 0` // PostgreSQL alone
)

// SessionsOnGateway lists open sessions of a gateway with ids above after, by
// id, at most limit.
func (r *Reader) SessionsOnGateway(gateway, after string, limit int) ([]provisioner.Session, error) {
	return all(r.q, scanSession, selectSession+`where s.gateway = $1 and s.closed_at = 0 and s.id > $2 order by s.id limit $3`, gateway, after, limit)
}

// SessionsChanged lists the sessions that changed for a gateway after a revision
// and up to another one, open and closed. It says nothing more of them, because
// a condition that an index serves would have the engine walk all that are open.
func (r *Reader) SessionsChanged(gateway string, after, upto int64) ([]provisioner.Session, error) {
	return all(r.q, scanSession, selectSession+`where s.id in
		(select session from change where gateway = $1 and revision > $2 and revision <= $3 and session <> '') order by s.id`,
		gateway, after, upto)
}

// SessionsOpenedBefore lists open sessions of laptops on a gateway that were opened
// before a revision, at most limit. Static peers are not among them: there is
// nobody who would open the next one.
func (r *Reader) SessionsOpenedBefore(gateway string, revision int64, limit int) ([]provisioner.Session, error) {
	return all(r.q, scanSession, selectSession+`where s.gateway = $1 and s.closed_at = 0 and s.revision < $2 and s.key_of = '' order by s.id limit $3`,
		gateway, revision, limit)
}

// SessionsAstray lists open sessions of tenants that a gateway does not serve,
// at most limit.
func (r *Reader) SessionsAstray(gateway string, limit int) ([]provisioner.Session, error) {
	return all(r.q, scanSession, selectSession+`where s.gateway = $1 and s.closed_at = 0
		and not exists (select 1 from gateway_tenant t where t.gateway = s.gateway and t.tenant = s.tenant) order by s.id limit $2`, gateway, limit)
}

// LeasesOver lists open sessions whose lease ended before a time, oldest first,
// from behind the last one of the former list; the zero Session begins.
func (r *Reader) LeasesOver(before time.Time, last provisioner.Session, limit int) ([]provisioner.Session, error) {
	// Renewals that shared a transaction end in the same millisecond: the id
	// decides among them.
	from := ms(last.LeaseUntil)
	return all(r.q, scanSession, selectSession+`where s.closed_at = 0 and s.lease_until < $1
		and (s.lease_until > $2 or (s.lease_until = $3 and s.id > $4)) order by s.lease_until, s.id limit $5`, ms(before), from, from, last.ID, limit)
}

// SessionsToLook lists open sessions at which somebody has to look up to a time, from
// behind the last one of the former list; the zero Session begins.
func (r *Reader) SessionsToLook(upto time.Time, last provisioner.Session, limit int) ([]provisioner.Session, error) {
	from := ms(last.LookAt)
	return all(r.q, scanSession, selectSession+`where s.closed_at = 0 and s.look_at > 0 and s.look_at <= $1
		and (s.look_at > $2 or (s.look_at = $3 and s.id > $4)) order by s.look_at, s.id limit $5`, ms(upto), from, from, last.ID, limit)
}

// SetEnding says anew when policy ends an open session, and has somebody look at it by
// then. The session must have been read in this transaction.
func (w *Writer) SetEnding(s provisioner.Session, e provisioner.Ending) error {
	touch(w.ledger(), w.ledger().rows.sessions, s.Device)
	look := s.LookAt
	if !e.EndsAt.IsZero() && (look.IsZero() || e.EndsAt.Before(look)) {
		look = e.EndsAt
	}
	return w.beside().run(`update session set due_at = $1, due_until = $2, due_why = $3, look_at = $4 where id = $5 and closed_revision = 0`,
		ms(e.DueAt), ms(e.EndsAt), string(e.Why), ms(look), s.ID)
}

// SetLook says when an open session ends because nobody works in it, and when somebody
// looks at it again; zero times: not, and never.
func (w *Writer) SetLook(s provisioner.Session, idle, look time.Time) error {
	touch(w.ledger(), w.ledger().rows.sessions, s.Device)
	return w.beside().run(`update session set idle_at = $1, look_at = $2 where id = $3 and closed_revision = 0`, ms(idle), ms(look), s.ID)
}

// LastClosed lists the device's sessions that were closed last, the latest first.
func (r *Reader) LastClosed(device string, limit int) ([]provisioner.Session, error) {
	return all(r.q, scanSession, selectSession+`where s.device = $1 and s.closed_revision > 0 order by s.closed_revision desc limit $2`, device, limit)
}

// FormerGateway names the gateway where the device was last; ErrNone if it
// never was on one.
func (r *Reader) FormerGateway(device string) (string, error) {
	if l := r.ledger(); l != nil {
		former, err := l.former(device)
		if err == nil && former.last == "" {
			err = ErrNone
		}
		if err != nil {
			return "", err
		}
		return former.last, nil
	}
	return one(r.q, value[string], `select gateway from former_address where device = $1 order by used_at desc limit 1`, device)
}

// Debt is a session that a gateway may still hold a peer of.
type Debt struct {
	Session  string
	Gateway  string
	Revision int64 // at which it was closed
}

// DebtsOf lists a device's closed sessions whose gateways have not yet
// acknowledged the closing.
func (r *Reader) DebtsOf(device string) ([]Debt, error) {
	return all(r.q, func(s scanner) (d Debt, err error) { err = s.Scan(&d.Session, &d.Gateway, &d.Revision); return d, err },
		`select s.id, s.gateway, s.closed_revision from session s cross join allocation a
		left join gateway_contact c on c.gateway = s.gateway
		where s.device = $1 and s.closed_revision > 0 and (c.gateway is null or c.epoch <> a.epoch or c.revision < s.closed_revision)
		order by s.gateway, s.closed_revision`, device)
}

// OpenSession writes an opened session and records the change; the session
// gets its revision. Seat and address were taken before; of a static peer the place
// on the gateway too (AddStatic).
func (w *Writer) OpenSession(s *provisioner.Session) error {
	var err error
	s.Revision, err = w.Record(provisioner.Change{Kind: provisioner.ChangeOpened, Tenant: s.Tenant, Gateway: s.Gateway, Device: s.Device, Session: s.ID})
	if err != nil {
		return err
	}
	l := w.ledger()
	if err := l.pen.run(`insert into session (id, device, tenant, person, gateway, pool, address_index, key_version, public_key, stream, revision,
			opened_at, lease_until, renewed_at, last_handshake, received_bytes, sent_bytes,
			reported_handshake, reported_received, reported_sent, reported_clock, closed_at, closed_why, closed_revision, key_of, ends_at,
			due_at, due_until, due_why, class, look_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, 0, 0, 0, 0, 0, $15, 0, '', 0, $16, $17, $18, $19, $20, $21, $22)`,
		s.ID, s.Device, s.Tenant, s.Person, s.Gateway, s.Pool, s.AddressIndex, s.KeyVersion, s.PublicKey.String(), s.Stream, s.Revision,
		ms(s.OpenedAt), ms(s.LeaseUntil), ms(s.RenewedAt), ms(s.Reported.Clock), s.KeyOf, ms(s.EndsAt),
		ms(s.Ending.DueAt), ms(s.Ending.EndsAt), string(s.Ending.Why), string(s.Class), ms(s.LookAt)); err != nil {
		return err
	}
	if held, ok := l.rows.sessions[s.Device]; ok {
		change(l, held)
		held.keep(*s)
	}
	if s.Static() {
		return nil
	}
	return l.movePlace(s.Gateway, 1)
}

// Renewed is what a renewal has to know of its session.
type Renewed struct {
	LeaseUntil time.Time
	EndsAt     time.Time // zero: never
	IdleAt     time.Time // when it ends because nobody works in it; zero: nobody said so
	Timed      bool      // the tenant's policy limits access to certain times
}

// RenewSession moves the lease of an open session that stream holds, not beyond the
// session's end, and keeps what the laptop reports; ErrNone if it holds no such session.
func (w *Writer) RenewSession(id, device, stream string, leaseUntil time.Time, u provisioner.Usage) (Renewed, error) {
	touch(w.ledger(), w.ledger().rows.sessions, device)
	return one(w.beside(), func(s scanner) (r Renewed, err error) {
		var lease, ends, idle, timed int64
		err = s.Scan(&lease, &ends, &idle, &timed)
		r.LeaseUntil, r.EndsAt, r.IdleAt, r.Timed = at(lease), at(ends), at(idle), timed > 0
		return r, err
	}, `update session set lease_until = case when ends_at > 0 and ends_at < $1 then ends_at else $2 end, renewed_at = $3,
			reported_handshake = $4, reported_received = $5, reported_sent = $6, reported_clock = $7
		where id = $8 and device = $9 and stream = $10 and closed_revision = 0
		returning lease_until, ends_at, idle_at, (select t.timed from tenant t where t.name = session.tenant)`,
		ms(leaseUntil), ms(leaseUntil), ms(w.Now), ms(u.LastHandshake), clip(u.ReceivedBytes), clip(u.SentBytes), ms(u.Clock), id, device, stream)
}

// MoveEnd gives an open session another end, of which its gateway is told; the zero
// time: none.
func (w *Writer) MoveEnd(s provisioner.Session, ends time.Time) error {
	touch(w.ledger(), w.ledger().rows.sessions, s.Device)
	if err := w.retell(s); err != nil {
		return err
	}
	return w.beside().run(`update session set ends_at = $1 where id = $2 and closed_revision <= 0`, ms(ends), s.ID)
}

// RetellSession has the gateway of a device's present session told anew what it may reach,
// and that of the one which it is leaving.
func (w *Writer) RetellSession(s provisioner.Session) error {
	held, err := w.ledger().session(s.Device)
	if err != nil {
		return err
	}
	if held.leaving != nil {
		if err := w.retell(*held.leaving); err != nil {
			return err
		}
	}
	return w.retell(s)
}

// retell records that the gateway of a session has to hear of it again.
func (w *Writer) retell(s provisioner.Session) error {
	_, err := w.Record(provisioner.Change{Kind: provisioner.ChangeOpened, Tenant: s.Tenant, Gateway: s.Gateway, Device: s.Device, Session: s.ID})
	return err
}

// RetellTenant has the gateways that serve a tenant told anew what its sessions may reach.
// Each gateway is one change, however many sessions there are.
func (w *Writer) RetellTenant(tenant string) error {
	gateways, err := all(w.q, value[string], `select gateway from gateway_tenant where tenant = $1 order by gateway`, tenant)
	if err != nil {
		return err
	}
	for _, g := range gateways {
		if _, err := w.Record(provisioner.Change{Kind: provisioner.ChangeGateway, Tenant: tenant, Gateway: g}); err != nil {
			return err
		}
	}
	return nil
}

// ResumeSession gives an open session to a newer stream, whose laptop's clock
// shows clock.
func (w *Writer) ResumeSession(id, device, stream string, leaseUntil, clock time.Time) (bool, error) {
	touch(w.ledger(), w.ledger().rows.sessions, device)
	n, err := w.beside().exec(`update session set stream = $1, lease_until = case when ends_at > 0 and ends_at < $2 then ends_at else $3 end, renewed_at = $4,
			reported_clock = $5
		where id = $6 and device = $7 and closed_revision = 0`,
		stream, ms(leaseUntil), ms(leaseUntil), ms(w.Now), ms(clock), id, device)
	return n > 0, err
}

// Observed is what a gateway saw of one session since the last time.
type Observed struct {
	Session       string
	LastHandshake time.Time // zero: nothing newer
	ReceivedBytes uint64    // differences
	SentBytes     uint64
}

// Watched is a session as it was before an observation.
type Watched struct {
	Bytes   uint64 // in both directions together
	Traffic provisioner.Traffic
	Below   int64 // from how many bytes a second on it is activity
}

// Watched reads open sessions of a gateway, by id, for what it saw of them. Those of
// other gateways and closed ones are not among them.
func (w *Writer) Watched(gateway string, ids []string) (map[string]Watched, error) {
	type row struct {
		id string
		Watched
	}
	var a args
	list, err := all(w.beside(), func(s scanner) (v row, err error) { // the ledger keeps nothing of this
		var received, sent, opened, counted, bytes, active int64
		err = s.Scan(&v.id, &received, &sent, &opened, &counted, &bytes, &active, &v.Below)
		v.Bytes, v.Traffic = uint64(received+sent), trafficOf(at(opened), counted, bytes, active)
		return v, err
	}, `select s.id, s.received_bytes, s.sent_bytes, s.opened_at, s.counted_at, s.counted_bytes, s.active_at, t.idle_below
		from session s join tenant t on t.name = s.tenant where s.id`+a.in(ids)+` and s.gateway = `+a.add(gateway)+` and s.closed_revision <= 0`, a.list...)
	known := make(map[string]Watched, len(list))
	for _, v := range list {
		known[v.id] = v.Watched
	}
	return known, err
}

// trafficOf reads what was counted last; before the first time, that is the opening.
func trafficOf(opened time.Time, counted, bytes, active int64) provisioner.Traffic {
	t := provisioner.Traffic{At: at(counted), Bytes: uint64(bytes), ActiveAt: at(active)}
	if counted == 0 {
		t.At = opened
	}
	return t
}

// Total is what a session has moved with an observation.
func (o Observed) Total(before uint64) uint64 {
	return before + uint64(clip(o.ReceivedBytes)) + uint64(clip(o.SentBytes))
}

// Observe adds what a gateway saw, and what it tells of whether somebody works: who does
// is not told any more that the session ends. Sessions of other gateways and closed
// ones are left alone.
func (w *Writer) Observe(gateway string, o Observed, t provisioner.Traffic) error {
	received, sent, active := clip(o.ReceivedBytes), clip(o.SentBytes), ms(t.ActiveAt)
	// What the ledger knows of the session may be older in this; nothing is decided by it there.
	return w.beside().run(`update session set last_handshake = case when $1 > last_handshake then $2 else last_handshake end,
		received_bytes = case when received_bytes > $3 then received_bytes else received_bytes + $4 end,
		sent_bytes = case when sent_bytes > $5 then sent_bytes else sent_bytes + $6 end,
		counted_at = $7, counted_bytes = $8, idle_at = case when active_at < $9 then 0 else idle_at end, active_at = $10
		where id = $11 and gateway = $12 and closed_revision <= 0`,
		ms(o.LastHandshake), ms(o.LastHandshake), mostBytes, received, mostBytes, sent,
		ms(t.At), int64(min(t.Bytes, 1<<62)), active, active, o.Session, gateway)
}

// mostBytes is where counting ends: a sum that overflowed could not be read
// any more.
const mostBytes int64 = 1 << 60

// clip bounds what a machine reported: no interface moves a petabyte between
// two observations.
func clip(n uint64) int64 { return int64(min(n, 1<<50)) }

// SessionsIn lists open sessions in scope with ids above after, by id, at
// most limit; an empty gateway means all.
func (r *Reader) SessionsIn(scope provisioner.Scope, gateway, after string, limit int) ([]provisioner.Session, error) {
	a := new(args)
	where := `where s.closed_at = 0 and s.id > ` + a.add(after) + ` and ` + a.scope(scope, "s.tenant")
	if gateway != "" {
		where += ` and s.gateway = ` + a.add(gateway)
	}
	return all(r.q, scanSession, selectSession+where+` order by s.id limit `+a.add(limit), a.list...)
}

// ForgetSessions deletes at most limit sessions that were closed before t. A
// gateway that has not acknowledged them by then has dropped their peers when
// its grace time was over.
func (w *Writer) ForgetSessions(t time.Time, limit int) (int64, error) {
	return changed(w.q, `delete from session where id in (select id from session where closed_at > 0 and closed_at < $1 order by closed_at limit $2)`, ms(t), limit)
}
