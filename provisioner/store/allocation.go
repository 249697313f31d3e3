package store

import (
	"errors"

	"github.com/heimdraht/heimdraht/provisioner"
)

// allocation is the one row that stands in every writer's way.
type allocation struct {
	epoch     string
	revision  int64
	horizon   int64
	auditSeq  int64  // of the installation's chain
	auditHead string // likewise
	audited   int64  // the number of the last record of any chain
	instance  string
}

// Position is where the database stands.
type Position struct {
	Epoch    string // drawn anew when a database is made or restored
	Revision int64
	Horizon  int64  // changes at or below are trimmed
	Instance string // names this installation in certificates
}

const selectAllocation = `select epoch, revision, horizon, audit_seq, audit_head, audit_number, instance from allocation where id = 1`

func scanAllocation(s scanner) (a allocation, err error) {
	err = s.Scan(&a.epoch, &a.revision, &a.horizon, &a.auditSeq, &a.auditHead, &a.audited, &a.instance)
	return a, err
}

// lockAllocation reads the row and keeps it; none is no error, as a new
// database has none until ensureAllocation has made it.
func (w *Writer) lockAllocation(lock string) (allocation, error) {
	a, err := one(w.q, scanAllocation, selectAllocation+lock)
	if errors.Is(err, ErrNone) {
		return allocation{}, nil
	}
	return a, err
}

func (w *Writer) ensureAllocation() error {
	if w.alloc.epoch != "" {
		return nil
	}
	// Another replica may be making it at the same time: the first one's counts.
	if _, err := changed(w.q, `insert into allocation (id, epoch, revision, horizon, audit_seq, audit_head, instance)
		values (1, $1, 0, 0, 0, '', $2) on conflict (id) do nothing`, provisioner.NewID(), provisioner.NewID()); err != nil {
		return err
	}
	var err error
	w.alloc, err = w.lockAllocation("")
	return err
}

func (w *Writer) saveAllocation() error {
	a := w.alloc
	return w.beside().run(`update allocation set epoch = $1, revision = $2, horizon = $3, audit_seq = $4, audit_head = $5, audit_number = $6 where id = 1`,
		a.epoch, a.revision, a.horizon, a.auditSeq, a.auditHead, a.audited)
}

// Position tells epoch, revision and horizon of the state being read.
func (r *Reader) Position() (Position, error) {
	a, err := one(r.q, scanAllocation, selectAllocation)
	return Position{a.epoch, a.revision, a.horizon, a.instance}, err
}

// Revision is that of the last change so far in this transaction.
func (w *Writer) Revision() int64 { return w.alloc.revision }

// Epoch of the database.
func (w *Writer) Epoch() string { return w.alloc.epoch }

// Record gives a change the next revision.
func (w *Writer) Record(c provisioner.Change) (int64, error) {
	w.alloc.revision++
	c.Revision = w.alloc.revision
	w.ledger().append("change (revision, kind, tenant, gateway, device, session)", c.Revision, string(c.Kind), c.Tenant, c.Gateway, c.Device, c.Session)
	return c.Revision, nil
}

const selectChange = `select revision, kind, tenant, gateway, device, session from change `

func scanChange(s scanner) (c provisioner.Change, err error) {
	err = s.Scan(&c.Revision, &c.Kind, &c.Tenant, &c.Gateway, &c.Device, &c.Session)
	return c, err
}

// Changes lists what moved after a revision, oldest first, at most limit.
func (r *Reader) Changes(after int64, limit int) ([]provisioner.Change, error) {
	return all(r.q, scanChange, selectChange+`where revision > $1 order by revision limit $2`, after, limit)
}

// GatewayChanges lists what moved for a gateway, oldest first, at most limit.
func (r *Reader) GatewayChanges(gateway string, after int64, limit int) ([]provisioner.Change, error) {
	return all(r.q, scanChange, selectChange+`where gateway = $1 and revision > $2 order by revision limit $3`, gateway, after, limit)
}

// TrimChanges forgets at most limit of the oldest changes at or below upto,
// and tells how many. Whoever stands before the horizon gets a snapshot.
func (w *Writer) TrimChanges(upto int64, limit int64) (int64, error) {
	upto = min(upto, w.alloc.horizon+limit, w.alloc.revision)
	if upto <= w.alloc.horizon {
		return 0, nil
	}
	w.alloc.horizon = upto
	return changed(w.q, `delete from change where revision <= $1`, upto)
}
