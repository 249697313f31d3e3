package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// What a restore does to a database that was copied from a backup, before it
// takes the place of another one.

// DrawEpoch draws a new epoch, because revisions after the backup have been used
// in the old one, and enters the old one among those known.
func (w *Writer) DrawEpoch() error {
	if err := w.KnowEpoch(w.alloc.epoch, w.alloc.revision); err != nil {
		return err
	}
	w.alloc.epoch = provisioner.NewID()
	return nil
}

// KnowEpoch notes that what was taken in another epoch up to a revision is taken
// here too.
func (w *Writer) KnowEpoch(epoch string, revision int64) error {
	return run(w.q, `insert into known_epoch (epoch, revision) values ($1, $2)
		on conflict (epoch) do update set revision = case when excluded.revision > known_epoch.revision then excluded.revision else known_epoch.revision end`,
		epoch, revision)
}

// KnownEpochs tells up to where this database knows which epoch, its own
// included.
func (r *Reader) KnownEpochs() (map[string]int64, error) {
	type row struct {
		epoch    string
		revision int64
	}
	list, err := all(r.q, func(s scanner) (v row, err error) { err = s.Scan(&v.epoch, &v.revision); return v, err },
		`select epoch, revision from known_epoch`)
	if err != nil {
		return nil, err
	}
	position, err := r.Position()
	known := map[string]int64{position.Epoch: position.Revision}
	for _, v := range list {
		known[v.epoch] = v.revision
	}
	return known, err
}

// restoredKey counts in the place of the wrong passwords that were counted
// after a backup and are not known any more.
const restoredKey = "restored"

// ForgetSignIns signs everybody out and makes every one-time token and invitation useless:
// which of them were used or given back after the backup, nobody knows. Nor is
// known how many wrong passwords the directory has counted since.
func (w *Writer) ForgetSignIns() error {
	_, err := w.CountFailure(restoredKey, w.Now)
	return errors.Join(
		run(w.q, `delete from staff_token`),
		run(w.q, `delete from one_time_token`),
		run(w.q, `update invitation set ended_at = $1, ended = $2 where ended_at = 0`, ms(w.Now), string(provisioner.InvitationWithdrawn)),
		err,
	)
}

// LatelyRestored reports whether counts of wrong passwords are missing that
// began after `since`.
func (r *Reader) LatelyRestored(since time.Time) (bool, error) {
	n, err := one(r.q, value[int64], `select count(*) from throttle where key = $1 and since > $2`, restoredKey, ms(since))
	return n > 0, err
}

// ContactsUnknown says of every gateway that has joined that it was heard until
// now: until when it really was, and so until when it keeps what it knows, the
// backup cannot tell.
func (w *Writer) ContactsUnknown() error {
	list, err := all(w.q, scanGateway, selectGateway+`where g.generation > 0`)
	for i := 0; i < len(list) && err == nil; i++ {
		_, err = w.PutContact(Contact{Gateway: list[i].Name, ContactAt: w.Now}, true)
	}
	return err
}

// CloseEverySession closes all that are open and tells how many.
func (w *Writer) CloseEverySession(why provisioner.Code) (n int, err error) {
	const slice = 1000
	for {
		list, err := w.SessionsIn(provisioner.Everywhere(), "", "", slice)
		if err != nil {
			return n, err
		}
		for _, s := range list {
			if _, err := w.CloseSession(s, why); err != nil {
				return n, fmt.Errorf("closing a session: %w", err)
			}
		}
		n += len(list)
		if len(list) < slice {
			return n, nil
		}
	}
}

// DevicesTaken lists devices of which something was taken (revoked, suspended,
// or given other keys), with ids above after, by id, at most limit.
func (r *Reader) DevicesTaken(after string, limit int) ([]provisioner.Device, error) {
	return r.devices(selectDevice+`where d.id > $1 and (d.revoked_at > 0 or d.generation > 1
		or exists (select 1 from suspension s where s.device = d.id)) order by d.id limit $2`, after, limit)
}

// MoveDevice gives a device the generation and key that it had after the
// backup; its former certificate is dead. The key must be claimed.
func (w *Writer) MoveDevice(d provisioner.Device, generation int64, key provisioner.Key) error {
	if err := run(w.q, `update device set generation = $1, public_key = $2, search = $3 where id = $4`,
		generation, key.String(), searchText(d.Name, d.SerialNumber, key.String()), d.ID); err != nil {
		return err
	}
	return w.deviceChanged(d)
}

// MoveGateway gives a gateway the generation and key that it had after the
// backup; its former certificate is dead. The key must be claimed.
func (w *Writer) MoveGateway(name string, generation int64, key provisioner.Key) error {
	if err := run(w.q, `update gateway set generation = $1, public_key = $2 where name = $3`, generation, key.String(), name); err != nil {
		return err
	}
	_, err := w.Record(provisioner.Change{Kind: provisioner.ChangeGateway, Gateway: name})
	return err
}

// HasPerson reports whether a person and a tenant are known.
func (r *Reader) HasPerson(person, tenant string) (bool, error) {
	n, err := one(r.q, value[int64], `select count(*) from person p, tenant t where p.id = $1 and t.name = $2`, person, tenant)
	return n > 0, err
}
