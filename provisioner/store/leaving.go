package store

import (
	"errors"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// How sessions end. A device has one present session at the most, and besides one that it
// is leaving for it: which has a place on its gateway and an address there, and no seat.
// Nothing is left open of a device whose present session is closed, whoever closes it.

// CloseSession ends an open session: seat and address are free at once (but a static
// peer's, which are its own until EndStatic), the changes are recorded. With the present
// session of a device goes the one that it is leaving. The session must have been read as
// open in this transaction; one that is leaving may have gone with the present one by now.
func (w *Writer) CloseSession(s provisioner.Session, why provisioner.Code) (revision int64, err error) {
	held, err := w.ledger().session(s.Device)
	if err != nil {
		return 0, err
	}
	if s.Leaving() {
		if held.leaving == nil || held.leaving.ID != s.ID {
			return 0, nil
		}
		return w.closeLeaving(held, why)
	}
	if held.leaving != nil {
		if _, err := w.closeLeaving(held, why); err != nil {
			return 0, err
		}
	}
	return w.CloseFailed(s, why)
}

// CloseFailed ends the present session of a device alone, for another one to take its
// place: its gateway has not installed it.
func (w *Writer) CloseFailed(s provisioner.Session, why provisioner.Code) (revision int64, err error) {
	held, err := w.closePresent(&s, why)
	if err != nil || held.session.Static() {
		return s.ClosedRevision, err
	}
	if err := w.free(s); err != nil || !provisioner.KeepsSeat(why) {
		return s.ClosedRevision, err
	}
	return s.ClosedRevision, w.keepSeat(s)
}

// closePresent marks the present session of a device closed, and gives nothing back yet.
func (w *Writer) closePresent(s *provisioner.Session, why provisioner.Code) (*sessionRow, error) {
	l := w.ledger()
	held, err := l.session(s.Device)
	if err != nil {
		return nil, err
	}
	if !held.open || held.session.ID != s.ID {
		return nil, errSessionClosed
	}
	change(l, held)
	held.open = false
	return held, w.markClosed(s, why)
}

// markClosed writes down that a session is closed.
func (w *Writer) markClosed(s *provisioner.Session, why provisioner.Code) (err error) {
	if s.ClosedRevision, err = w.Record(provisioner.Change{
		Kind: provisioner.ChangeClosed, Tenant: s.Tenant, Gateway: s.Gateway, Device: s.Device, Session: s.ID,
	}); err != nil {
		return err
	}
	// When somebody last worked is nobody's business any more.
	return w.beside().run(`update session set closed_at = $1, closed_why = $2, closed_revision = $3, active_at = 0, counted_at = 0, idle_at = 0 where id = $4 and closed_revision <= 0`,
		ms(w.Now), string(why), s.ClosedRevision, s.ID)
}

// closeLeaving ends the session that a device is leaving.
func (w *Writer) closeLeaving(held *sessionRow, why provisioner.Code) (revision int64, err error) {
	change(w.ledger(), held)
	s := *held.leaving
	held.leaving = nil
	if err := w.markClosed(&s, why); err != nil {
		return 0, err
	}
	return s.ClosedRevision, w.vacate(s)
}

// vacate gives back what a session has on its gateway: place and address.
func (w *Writer) vacate(s provisioner.Session) error {
	return errors.Join(w.ledger().movePlace(s.Gateway, -1), w.FreeAddress(s.Gateway, s.Device, s.AddressIndex))
}

// free gives back what a present session holds: place, address and seat.
func (w *Writer) free(s provisioner.Session) error {
	return errors.Join(w.vacate(s), w.FreeSeat(s.Pool, s.Tenant, s.Class))
}

// LeaveSession has a device leave its present session by a time, so that it can open the
// next one beside it, on another gateway. The seat is free for that one at once. What it
// was leaving before is closed. The gateway is told of the new end.
func (w *Writer) LeaveSession(s provisioner.Session, by time.Time) error {
	l := w.ledger()
	held, err := l.session(s.Device)
	if err != nil {
		return err
	}
	if !held.open || held.session.ID != s.ID {
		return errSessionClosed
	}
	if held.leaving != nil {
		if _, err := w.closeLeaving(held, provisioner.CodeSessionElsewhere); err != nil {
			return err
		}
	}
	if err := w.retell(s); err != nil {
		return err
	}
	change(l, held)
	s.LeftAt, s.LeaseUntil, s.LookAt, s.IdleAt, s.Recall = w.Now, by, time.Time{}, time.Time{}, 0
	held.open, held.leaving = false, &s
	if err := l.pen.run(`update session set closed_revision = -1, left_at = $1, lease_until = $2, look_at = 0, idle_at = 0, recall = 0
		where id = $3 and closed_revision = 0`, ms(w.Now), ms(by), s.ID); err != nil {
		return err
	}
	return w.FreeSeat(s.Pool, s.Tenant, s.Class)
}

// ReturnTo ends the present session of a device alone, and has the one that it was leaving
// take its place, with its seat: the laptop has never got over to it.
func (w *Writer) ReturnTo(leaving, present provisioner.Session, why provisioner.Code) error {
	held, err := w.closePresent(&present, why)
	if err != nil {
		return err
	}
	if held.leaving == nil || held.leaving.ID != leaving.ID {
		return errSessionClosed
	}
	lease := w.Now.Add(provisioner.Lease)
	if !leaving.EndsAt.IsZero() && leaving.EndsAt.Before(lease) {
		lease = leaving.EndsAt
	}
	leaving.Pool, leaving.Class, leaving.LeftAt = present.Pool, present.Class, time.Time{}
	leaving.LeaseUntil, leaving.RenewedAt, leaving.LookAt = lease, w.Now, w.Now
	held.session, held.open, held.leaving = leaving, true, nil
	// When it has to be looked at next is found by looking at it.
	if err := w.ledger().pen.run(`update session set closed_revision = 0, left_at = 0, pool = $1, class = $2, lease_until = $3, renewed_at = $4, look_at = $5
		where id = $6 and closed_revision = -1`,
		leaving.Pool, string(leaving.Class), ms(lease), ms(w.Now), ms(w.Now), leaving.ID); err != nil {
		return err
	}
	return errors.Join(w.retell(leaving), w.vacate(present))
}

// LeftAlone lists sessions that are being left by devices without a present one: a control
// plane of the version before has closed that, and knew of no other.
func (r *Reader) LeftAlone(limit int) ([]provisioner.Session, error) {
	return all(r.q, scanSession, selectSession+`where s.closed_revision = -1
		and not exists (select 1 from session p where p.device = s.device and p.closed_revision = 0) order by s.device limit $1`, limit)
}

// SessionsAhead reads the sessions of devices that are open at once, for those who are going
// to close many.
func (w *Writer) SessionsAhead(devices []provisioner.Device) error {
	return w.ledger().sessionsAhead(idsOf(devices))
}

// CloseSessionOf ends the open sessions of a device, and gives the present one; ErrNone if it has none. One that is
// left alone ends as well: whoever takes access need not wait until somebody looks for those.
func (w *Writer) CloseSessionOf(device string, why provisioner.Code) (provisioner.Session, error) {
	s, err := w.OpenSessionOf(device)
	if errors.Is(err, ErrNone) {
		if leaving, alone := w.LeavingSessionOf(device); alone == nil {
			if _, failed := w.CloseSession(leaving, why); failed != nil {
				return s, failed
			}
		} else if !errors.Is(alone, ErrNone) {
			return s, alone
		}
	}
	if err != nil {
		return s, err
	}
	s.ClosedRevision, err = w.CloseSession(s, why)
	return s, err
}

// errSessionClosed is a mistake of the caller and takes the request back.
var errSessionClosed = errors.New("closing a session that was not open")
