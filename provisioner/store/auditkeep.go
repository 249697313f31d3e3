package store

import (
	"encoding/base64"
	"errors"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/audit"
)

// EraseAudit drops payload and salt of records of a class from before a time, at
// most limit, the oldest first, and tells how many. Their chains still verify.
func (w *Writer) EraseAudit(class audit.Class, before time.Time, limit int) (n int64, err error) {
	const which = ` where class = $1 and at < $2 and payload <> '' order by at limit $3)`
	own, err := changed(w.q, `update audit set payload = '', salt = '' where seq in (select seq from audit`+which, string(class), ms(before), limit)
	if err != nil {
		return own, err
	}
	n, err = changed(w.q, `update audit_record set payload = '', salt = '' where number in (select number from audit_record`+which,
		string(class), ms(before), limit)
	return max(own, n), err
}

// ClassifyAudit notes the class of records that a version before wrote, at most
// limit, and tells of how many.
func (w *Writer) ClassifyAudit(limit int) (int64, error) {
	list, err := all(w.q, scanRecord, selectAudit+`where class = '' and payload <> '' limit $1`, limit)
	if err != nil {
		return 0, err
	}
	for _, r := range list {
		class := audit.ClassChange
		if e, err := r.Event(); err == nil { // what cannot be read is kept longer
			class = e.Class()
		}
		if err := run(w.q, `update audit set class = $1 where seq = $2`, string(class), r.Seq); err != nil {
			return 0, err
		}
	}
	return int64(len(list)), nil
}

const selectCheckpoint = `select p.number, p.at, p.chain, p.seq, p.hash, p.key_id, p.signature, a.instance from audit_checkpoint p, allocation a `

// StoredCheckpoint is a checkpoint of one chain as it is kept.
type StoredCheckpoint struct {
	audit.Checkpoint
	Number int64 // in the order of writing
}

func scanCheckpoint(s scanner) (c StoredCheckpoint, err error) {
	var when int64
	var head audit.ChainHead
	var hash, signature string
	if err := s.Scan(&c.Number, &when, &head.Chain, &head.Seq, &hash, &c.Key, &signature, &c.Installation); err != nil {
		return c, err
	}
	c.At = at(when)
	if head.Hash, err = audit.ParseHash(hash); err != nil {
		return c, err
	}
	c.Heads = []audit.ChainHead{head}
	c.Signature, err = base64.StdEncoding.DecodeString(signature)
	return c, err
}

// LastCheckpoint is the newest of a chain; ErrNone: there is none.
func (r *Reader) LastCheckpoint(chain string) (StoredCheckpoint, error) {
	return one(r.q, scanCheckpoint, selectCheckpoint+`where p.chain = $1 order by p.seq desc limit 1`, chain)
}

// Checkpoints lists checkpoints after number, in order, at most limit.
func (r *Reader) Checkpoints(after int64, limit int) ([]StoredCheckpoint, error) {
	return all(r.q, scanCheckpoint, selectCheckpoint+`where p.number > $1 order by p.number limit $2`, after, limit)
}

// AddCheckpoint keeps a checkpoint of one chain. One of the same place that is
// there already stays.
func (w *Writer) AddCheckpoint(c audit.Checkpoint) error {
	if len(c.Heads) != 1 {
		return errors.New("a checkpoint that is kept is of one chain")
	}
	h := c.Heads[0]
	return run(w.q, `insert into audit_checkpoint (number, at, chain, seq, hash, key_id, signature)
		values ((select coalesce(max(number), 0) + 1 from audit_checkpoint), $1, $2, $3, $4, $5, $6) on conflict (chain, seq) do nothing`,
		ms(c.At), h.Chain, h.Seq, h.Hash.String(), string(c.Key), base64.StdEncoding.EncodeToString(c.Signature))
}

// ForgetCheckpoints deletes checkpoints from before a time that a later one of
// their chain has overtaken, at most limit, and tells how many.
func (w *Writer) ForgetCheckpoints(before time.Time, limit int64) (int64, error) {
	return changed(w.q, `delete from audit_checkpoint where number in (select number from audit_checkpoint p
		where at < $1 and exists (select 1 from audit_checkpoint l where l.chain = p.chain and l.seq > p.seq) order by at limit $2)`, ms(before), limit)
}

// MovedChains lists the ends of chains that no checkpoint has signed.
func (r *Reader) MovedChains() (moved []audit.ChainHead, err error) {
	own, err := r.AuditHead("")
	if err != nil {
		return nil, err
	}
	if own.Seq > 0 {
		signed, err := one(r.q, value[int64], `select count(*) from audit_checkpoint where chain = '' and seq = $1 and hash = $2`, own.Seq, own.Hash.String())
		if err != nil {
			return nil, err
		}
		if signed == 0 {
			moved = append(moved, audit.ChainHead{Head: own})
		}
	}
	list, err := all(r.q, scanHead, `select c.tenant, c.seq, c.hash from audit_chain c where not exists
		(select 1 from audit_checkpoint p where p.chain = c.tenant and p.seq = c.seq and p.hash = c.hash) order by c.tenant`)
	return append(moved, list...), err
}

// Collected is what a collector of the audit log has.
type Collected struct {
	Seq        int64 // the last record of the installation's chain
	Number     int64 // the last record of the tenants' chains
	Checkpoint int64 // the number of the last checkpoint
}

// Collected tells what the collector has; nothing, if there never was one.
func (r *Reader) Collected() (c Collected, err error) {
	c, err = one(r.q, func(s scanner) (c Collected, err error) {
		err = s.Scan(&c.Seq, &c.Number, &c.Checkpoint)
		return c, err
	}, `select seq, number, checkpoint from audit_collected where id = 1`)
	if errors.Is(err, ErrNone) {
		return c, nil
	}
	return c, err
}

// SetCollected notes what the collector has.
func (w *Writer) SetCollected(c Collected) error {
	return run(w.q, `insert into audit_collected (id, seq, number, checkpoint) values (1, $1, $2, $3)
		on conflict (id) do update set seq = excluded.seq, number = excluded.number, checkpoint = excluded.checkpoint`, c.Seq, c.Number, c.Checkpoint)
}

// Uncollected lists what the collector has not got: of each kind at most limit,
// in the order of writing.
func (r *Reader) Uncollected(c Collected, limit int) (own, tenants []AuditRecord, checkpoints []StoredCheckpoint, err error) {
	record := func(s scanner) (AuditRecord, error) { return scanAuditRecord(s) }
	if own, err = all(r.q, record, selectAudit+`where seq > $1 order by seq limit $2`, c.Seq, limit); err != nil {
		return nil, nil, nil, err
	}
	if tenants, err = all(r.q, record, selectAuditRecord+`where number > $1 order by number limit $2`, c.Number, limit); err != nil {
		return nil, nil, nil, err
	}
	checkpoints, err = r.Checkpoints(c.Checkpoint, limit)
	return own, tenants, checkpoints, err
}

// AuditWaiting counts the records that the collector has not got, and tells of when
// the oldest is; zero: none.
func (r *Reader) AuditWaiting() (n int64, oldest time.Time, err error) {
	c, err := r.Collected()
	if err != nil {
		return 0, time.Time{}, err
	}
	type count struct{ n, at int64 }
	scan := func(s scanner) (v count, err error) { err = s.Scan(&v.n, &v.at); return v, err }
	own, err := one(r.q, scan, `select count(*), coalesce(min(at), 0) from audit where seq > $1`, c.Seq)
	if err != nil {
		return 0, time.Time{}, err
	}
	tenants, err := one(r.q, scan, `select count(*), coalesce(min(at), 0) from audit_record where number > $1`, c.Number)
	if first := min(own.at, tenants.at); first > 0 {
		return own.n + tenants.n, at(first), err
	}
	return own.n + tenants.n, at(max(own.at, tenants.at)), err // one of the two has none
}
