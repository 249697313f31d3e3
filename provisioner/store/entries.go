package store

import "github.com/heimdraht/heimdraht/provisioner"

// entries are new rows that wait for the end of the transaction: on a server,
// many rows in one statement cost a fraction of as many statements. Nothing in
// the transaction reads them before they are written (flush, written).
type entries struct {
	changes []provisioner.Change
	opened  []provisioner.Session
}

// enterChange writes a change, or keeps it to be written.
func (l *ledger) enterChange(c provisioner.Change) error {
	if !l.bulk() {
		return l.pen.run(insertChange+`values ($1, $2, $3, $4, $5, $6)`, c.Revision, string(c.Kind), c.Tenant, c.Gateway, c.Device, c.Session)
	}
	l.remember()
	l.entries.changes = append(l.entries.changes, c)
	return nil
}

// enterSession writes an opened session, or keeps it to be written.
func (l *ledger) enterSession(s provisioner.Session) error {
	if !l.bulk() {
		return l.pen.run(insertSession+`values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, 0, 0, 0, 0, 0, 0, '', 0)`,
			s.ID, s.Device, s.Tenant, s.Person, s.Gateway, s.Pool, s.AddressIndex, s.KeyVersion, s.PublicKey.String(), s.Stream, s.Revision,
			ms(s.OpenedAt), ms(s.LeaseUntil), ms(s.RenewedAt))
	}
	l.remember()
	l.entries.opened = append(l.entries.opened, s)
	return nil
}

const (
	insertChange  = `insert into change (revision, kind, tenant, gateway, device, session) `
	insertSession = `insert into session (id, device, tenant, person, gateway, pool, address_index, key_version, public_key, stream, revision,
		opened_at, lease_until, renewed_at, last_handshake, received_bytes, sent_bytes,
		reported_handshake, reported_received, reported_sent, closed_at, closed_why, closed_revision) `
)

// bulk: SQLite has neither round trips to save nor arrays to pass.
func (l *ledger) bulk() bool { _, ok := l.pen.(*postgresPen); return ok }

// remember has an undo bring the entries back as they are now.
func (l *ledger) remember() {
	was := l.entries
	l.undoing = append(l.undoing, func() { l.entries = was })
}

// enter writes the entries.
func (l *ledger) enter() []error {
	var errs []error
	if list := l.entries.changes; len(list) > 0 {
		errs = append(errs, l.pen.run(insertChange+`select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])`,
			column(list, func(c provisioner.Change) int64 { return c.Revision }),
			column(list, func(c provisioner.Change) string { return string(c.Kind) }),
			column(list, func(c provisioner.Change) string { return c.Tenant }),
			column(list, func(c provisioner.Change) string { return c.Gateway }),
			column(list, func(c provisioner.Change) string { return c.Device }),
			column(list, func(c provisioner.Change) string { return c.Session })))
	}
	if list := l.entries.opened; len(list) > 0 {
		errs = append(errs, l.pen.run(insertSession+`select *, 0, 0, 0, 0, 0, 0, 0, '', 0 from unnest($1::text[], $2::text[], $3::text[], $4::text[],
				$5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[])`,
			column(list, func(s provisioner.Session) string { return s.ID }),
			column(list, func(s provisioner.Session) string { return s.Device }),
			column(list, func(s provisioner.Session) string { return s.Tenant }),
			column(list, func(s provisioner.Session) string { return s.Person }),
			column(list, func(s provisioner.Session) string { return s.Gateway }),
			column(list, func(s provisioner.Session) string { return s.Pool }),
			column(list, func(s provisioner.Session) int64 { return s.AddressIndex }),
			column(list, func(s provisioner.Session) int64 { return s.KeyVersion }),
			column(list, func(s provisioner.Session) string { return s.PublicKey.String() }),
			column(list, func(s provisioner.Session) string { return s.Stream }),
			column(list, func(s provisioner.Session) int64 { return s.Revision }),
			column(list, func(s provisioner.Session) int64 { return ms(s.OpenedAt) }),
			column(list, func(s provisioner.Session) int64 { return ms(s.LeaseUntil) }),
			column(list, func(s provisioner.Session) int64 { return ms(s.RenewedAt) })))
	}
	if len(errs) > 0 {
		l.remember()
		l.entries = entries{}
	}
	return errs
}

// written sees that a session is in its table, for a statement that changes it there.
func (l *ledger) written(session string) error {
	for _, s := range l.entries.opened {
		if s.ID == session {
			return l.flush()
		}
	}
	return nil
}

func column[R, V any](list []R, of func(R) V) []V {
	values := make([]V, len(list))
	for i, row := range list {
		values[i] = of(row)
	}
	return values
}
