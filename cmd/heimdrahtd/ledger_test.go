package main

import (
	"context"
	"errors"
	"iter"
	"log/slog"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// view reads the database beside whatever runs on it.
func (l *load) view(read func(*store.Reader) error) {
	l.t.Helper()
	o := l.database
	o.SchemaAsIs, o.Logger = true, slog.New(slog.DiscardHandler)
	s, err := store.Open(context.Background(), o)
	if err != nil {
		l.t.Fatal("opening the database: ", err)
	}
	if err := errors.Join(s.View(context.Background(), read), s.Close()); err != nil {
		l.t.Fatal("reading the database: ", err)
	}
}

func open(tx *store.Reader) ([]provisioner.Session, error) {
	return tx.SessionsIn(provisioner.Everywhere(), "", "", 1<<20)
}

// audit holds the database against everything that was answered.
func (l *load) audit(when string) {
	l.t.Helper()
	l.view(func(tx *store.Reader) error {
		return errors.Join(l.revisions(tx, when), l.counts(tx, when), l.ledger(tx, when), l.records(tx, when))
	})
}

// revisions have no gaps and end where the allocation row says.
func (l *load) revisions(tx *store.Reader, when string) error {
	position, err := tx.Position()
	if err != nil {
		return err
	}
	changes, err := tx.Changes(0, 1<<30)
	for i, c := range changes {
		if c.Revision != int64(i+1) {
			l.t.Errorf("%s: revision %d stands where %d should", when, c.Revision, i+1)
			break
		}
	}
	if int64(len(changes)) != position.Revision {
		l.t.Errorf("%s: %d changes, and the revision is %d", when, len(changes), position.Revision)
	}
	return err
}

// counts of seats and of gateways' sessions are those of open sessions, and no
// address is held twice.
func (l *load) counts(tx *store.Reader, when string) error {
	sessions, err := open(tx)
	if err != nil {
		return err
	}
	pools, err := tx.Pools()
	if err != nil {
		return err
	}
	gateway, err := tx.Gateway("gw1")
	if n := int64(len(sessions)); pools[0].Held != n || gateway.Open != n {
		l.t.Errorf("%s: %d sessions are open, %d seats held, %d counted on the gateway", when, n, pools[0].Held, gateway.Open)
	}
	seen := make(map[int64]bool)
	for _, s := range sessions {
		if seen[s.AddressIndex] {
			l.t.Errorf("%s: address %d is held twice", when, s.AddressIndex)
		}
		seen[s.AddressIndex] = true
	}
	return err
}

// ledger holds devices and sessions against what was answered; what was asked
// and not answered may be so or so.
func (l *load) ledger(tx *store.Reader, when string) error {
	for _, d := range l.devices {
		stored, err := tx.Device(d.ID)
		if err != nil {
			l.t.Errorf("%s: an enrolled device: %v", when, err)
			continue
		}
		revoked := !stored.RevokedAt.IsZero()
		if revoked && !d.revokeAsked || !revoked && d.revokeAnswer {
			l.t.Errorf("%s: device %s is revoked: %v; asked: %v, answered: %v", when, d.ID, revoked, d.revokeAsked, d.revokeAnswer)
		}
		if _, err := tx.OpenSessionOf(d.ID); revoked && !errors.Is(err, store.ErrNone) {
			l.t.Errorf("%s: revoked device %s has an open session (%v)", when, d.ID, err)
		}
		for _, s := range d.sessions {
			stored, err := tx.Session(s.id)
			if err != nil {
				l.t.Errorf("%s: an opened session: %v", when, err)
				continue
			}
			closed := !stored.ClosedAt.IsZero()
			if closed && !s.closeAsked && !d.revokeAsked || !closed && s.closeAnswer {
				l.t.Errorf("%s: session %s is closed: %v (%s); asked: %v, answered: %v", when, s.id, closed, stored.ClosedWhy, s.closeAsked, s.closeAnswer)
			}
		}
	}
	return nil
}

// records of the audit log verify, and every answered enrolment and revocation
// has one.
func (l *load) records(tx *store.Reader, when string) error {
	heads, err := tx.AuditHeads()
	if err != nil {
		return err
	}
	done := make(map[string]bool)
	for _, head := range heads {
		records, err := tx.AuditRecords(head.Chain, 0, 1<<30)
		if err != nil {
			return err
		}
		if _, err := audit.Verify(audit.Head{}, all(records), head.Head); err != nil {
			l.t.Errorf("%s: %v", when, err)
		}
		for _, r := range records {
			e, err := audit.DecodeEvent(r.Payload)
			if err != nil {
				return err
			}
			done[e.Action+" "+e.Object.ID] = true
		}
	}
	for _, d := range l.devices {
		if !done[string(provisioner.ActionEnrol)+" "+d.ID] {
			l.t.Errorf("%s: no record says that device %s was enrolled", when, d.ID)
		}
		if d.revokeAnswer && !done[string(provisioner.ActionRevokeDevice)+" "+d.ID] {
			l.t.Errorf("%s: no record says that device %s was revoked", when, d.ID)
		}
	}
	return nil
}

func all(records []audit.Record) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}
