package store

import (
	"cmp"
	"encoding/base64"
	"fmt"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
)

// Event is a change of rights as its transaction records it.
type Event struct {
	Actor  provisioner.Actor
	Tenant string // empty: concerns the whole installation
	Action string
	Object audit.Object
	Reason string
	Result string // empty: done
	// Details are what else one must know, by name.
	Details map[string]string
}

// Audit appends an event to the log, in the change's own transaction: both are
// durable, or neither.
func (w *Writer) Audit(e Event) error {
	hash, err := audit.ParseHash(w.alloc.auditHead)
	if err != nil {
		return fmt.Errorf("reading the head of the audit log: %w", err)
	}
	event := audit.Event{
		At: w.Now, Tenant: e.Tenant, Action: e.Action, Object: e.Object, Reason: e.Reason,
		Result: cmp.Or(e.Result, audit.ResultDone), Details: e.Details,
	}.By(e.Actor)
	record, head, err := audit.Head{Seq: w.alloc.auditSeq, Hash: hash}.Append(event, audit.NewSalt())
	if err != nil {
		return fmt.Errorf("making an audit record: %w", err)
	}
	w.alloc.auditSeq, w.alloc.auditHead = head.Seq, head.Hash.String()
	return w.beside().run(`insert into audit (seq, at, tenant, payload, salt, commitment, hash) values ($1, $2, $3, $4, $5, $6, $7)`,
		record.Seq, ms(record.At), record.Tenant, string(record.Payload), base64.StdEncoding.EncodeToString(record.Salt),
		record.Commitment.String(), record.Hash.String())
}

// AuditHead is the end of the audit log's chain.
func (r *Reader) AuditHead() (audit.Head, error) {
	a, err := one(r.q, scanAllocation, selectAllocation)
	if err != nil {
		return audit.Head{}, err
	}
	hash, err := audit.ParseHash(a.auditHead)
	return audit.Head{Seq: a.auditSeq, Hash: hash}, err
}

// AuditRecords lists records of every tenant after seq, in order, at most
// limit.
func (r *Reader) AuditRecords(after int64, limit int) ([]audit.Record, error) {
	return all(r.q, scanRecord, `select seq, at, tenant, payload, salt, commitment, hash from audit where seq > $1 order by seq limit $2`, after, limit)
}

// LastEvent is the newest event of a tenant about an object, by its kind and id; ErrNone if there is none, or it was
// erased. It reads all records of the tenant: it is for what happens seldom.
func (r *Reader) LastEvent(tenant string, object audit.Object) (audit.Event, error) {
	records, err := all(r.q, scanRecord, `select seq, at, tenant, payload, salt, commitment, hash from audit where tenant = $1 and payload like $2 escape '!'
		order by seq desc`, tenant, "%"+likeLiteral(object.ID)+"%")
	if err != nil {
		return audit.Event{}, err
	}
	for _, record := range records {
		event, err := audit.DecodeEvent(record.Payload)
		if err != nil {
			return event, err
		}
		if event.Object.Kind == object.Kind && event.Object.ID == object.ID {
			return event, nil
		}
	}
	return audit.Event{}, ErrNone
}

func scanRecord(s scanner) (v audit.Record, err error) {
	var when int64
	var payload, salt, commitment, hash string
	if err := s.Scan(&v.Seq, &when, &v.Tenant, &payload, &salt, &commitment, &hash); err != nil {
		return v, err
	}
	v.At = at(when)
	if payload != "" {
		v.Payload = []byte(payload)
	}
	if salt != "" {
		if v.Salt, err = base64.StdEncoding.DecodeString(salt); err != nil {
			return v, err
		}
	}
	if v.Commitment, err = audit.ParseHash(commitment); err != nil {
		return v, err
	}
	v.Hash, err = audit.ParseHash(hash)
	return v, err
}
