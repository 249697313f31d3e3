package store

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
)

// schemaChains is the first schema in which tenants have chains of their own.
const schemaChains = 8

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

// Audit appends an event to the log of its tenant, or the installation's, in the
// change's own transaction: both are durable, or neither.
func (w *Writer) Audit(e Event) error {
	event := audit.Event{
		At: w.Now, Tenant: e.Tenant, Action: e.Action, Object: e.Object, Reason: e.Reason,
		Result: cmp.Or(e.Result, audit.ResultDone), Details: e.Details,
	}.By(e.Actor)
	last, err := w.head(e.Tenant)
	if err != nil {
		return fmt.Errorf("reading the head of the audit log: %w", err)
	}
	record, head, err := last.Append(event, audit.NewSalt())
	if err != nil {
		return fmt.Errorf("making an audit record: %w", err)
	}
	w.alloc.audited++
	row := []any{
		record.Seq, ms(record.At), record.Tenant, string(record.Payload), base64.StdEncoding.EncodeToString(record.Salt),
		record.Commitment.String(), record.Hash.String(), w.alloc.audited, string(event.Class()),
	}
	const columns = " (seq, at, tenant, payload, salt, commitment, hash, number, class)"
	if e.Tenant == "" {
		w.alloc.auditSeq, w.alloc.auditHead = head.Seq, head.Hash.String()
		w.ledger().append("audit"+columns, row...)
		return nil
	}
	w.chains[e.Tenant], w.moved[e.Tenant] = head, true
	w.ledger().append("audit_record"+columns, row...)
	return nil
}

// saveChains writes the heads that the present request has moved.
func (w *Writer) saveChains() error {
	var errs []error
	for _, tenant := range slices.Sorted(maps.Keys(w.moved)) {
		head := w.chains[tenant]
		errs = append(errs, w.beside().run(`insert into audit_chain (tenant, seq, hash) values ($1, $2, $3)
			on conflict (tenant) do update set seq = excluded.seq, hash = excluded.hash`, tenant, head.Seq, head.Hash.String()))
	}
	clear(w.moved)
	return errors.Join(errs...)
}

// head is the end of a chain within the transaction.
func (w *Writer) head(tenant string) (audit.Head, error) {
	if tenant == "" {
		return headOf(w.alloc)
	}
	if h, ok := w.chains[tenant]; ok {
		return h, nil
	}
	if err := w.AuditAhead([]string{tenant}); err != nil {
		return audit.Head{}, err
	}
	return w.chains[tenant], nil
}

// AuditAhead reads the heads of tenants' logs at once, for those who are going to
// record something for many of them.
func (w *Writer) AuditAhead(tenants []string) error {
	if w.chains == nil {
		w.chains, w.moved = make(map[string]audit.Head), make(map[string]bool)
	}
	var fresh []string
	for _, t := range tenants {
		if _, known := w.chains[t]; !known && t != "" {
			fresh = append(fresh, t)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	var a args
	heads, err := all(w.beside(), scanHead, `select tenant, seq, hash from audit_chain where tenant`+a.in(fresh), a.list...)
	if err != nil {
		return err
	}
	for _, t := range fresh {
		w.chains[t] = audit.Head{}
	}
	for _, h := range heads {
		w.chains[h.Chain] = h.Head
	}
	return nil
}

func headOf(a allocation) (audit.Head, error) {
	hash, err := audit.ParseHash(a.auditHead)
	return audit.Head{Seq: a.auditSeq, Hash: hash}, err
}

func scanHead(s scanner) (h audit.ChainHead, err error) {
	var hash string
	if err := s.Scan(&h.Chain, &h.Seq, &hash); err != nil {
		return h, err
	}
	h.Hash, err = audit.ParseHash(hash)
	return h, err
}

// AuditHead is the end of a chain; of the empty name, the installation's. The
// zero Head: it has no record.
func (r *Reader) AuditHead(chain string) (audit.Head, error) {
	if chain == "" {
		a, err := one(r.q, scanAllocation, selectAllocation)
		if err != nil {
			return audit.Head{}, err
		}
		return headOf(a)
	}
	h, err := one(r.q, scanHead, `select tenant, seq, hash from audit_chain where tenant = $1`, chain)
	if errors.Is(err, ErrNone) {
		return audit.Head{}, nil
	}
	return h.Head, err
}

// AuditHeads lists the ends of all chains that have records, by name.
func (r *Reader) AuditHeads() ([]audit.ChainHead, error) {
	own, err := r.AuditHead("")
	if err != nil {
		return nil, err
	}
	list, err := all(r.q, scanHead, `select tenant, seq, hash from audit_chain order by tenant`)
	if err != nil || own.Seq == 0 {
		return list, err
	}
	return append([]audit.ChainHead{{Head: own}}, list...), nil
}

// AuditRecord is a record with its place among those of all chains.
type AuditRecord struct {
	audit.Record
	Chain  string
	Number int64 // in the order of writing; 0: a version before wrote it
}

// The installation's chain and the tenants' in one form.
const (
	selectAudit       = `select '', seq, at, tenant, payload, salt, commitment, hash, number from audit `
	selectAuditRecord = `select tenant, seq, at, tenant, payload, salt, commitment, hash, number from audit_record `
)

// AuditRecords lists records of a chain after seq, in order, at most limit.
func (r *Reader) AuditRecords(chain string, after int64, limit int) ([]audit.Record, error) {
	if chain == "" {
		return all(r.q, scanRecord, selectAudit+`where seq > $1 order by seq limit $2`, after, limit)
	}
	return all(r.q, scanRecord, selectAuditRecord+`where tenant = $1 and seq > $2 order by seq limit $3`, chain, after, limit)
}

// EarlierRecord is a record of a tenant in the installation's chain, with the hash of the
// one before it.
type EarlierRecord struct {
	audit.Record
	Before audit.Hash
}

// EarlierRecords lists what the installation's chain holds of a tenant from before tenants had
// chains of their own, after seq, in order, at most limit.
func (r *Reader) EarlierRecords(tenant string, after int64, limit int) ([]EarlierRecord, error) {
	return all(r.q, func(s scanner) (v EarlierRecord, err error) {
		var before string
		w, err := scanAuditRecord(s, &before)
		if err != nil {
			return v, err
		}
		v.Record = w.Record
		v.Before, err = audit.ParseHash(before)
		return v, err
	}, `select '', a.seq, a.at, a.tenant, a.payload, a.salt, a.commitment, a.hash, a.number, coalesce(p.hash, '') from audit a
		left join audit p on p.seq = a.seq - 1 where a.tenant = $1 and a.seq > $2 order by a.seq limit $3`, tenant, after, limit)
}

// LastEvent is the newest event of a tenant about an object, by its kind and id; ErrNone if there is none, or it was
// erased. It reads all records of the tenant: it is for what happens seldom.
func (r *Reader) LastEvent(tenant string, object audit.Object) (audit.Event, error) {
	for _, from := range []string{selectAuditRecord, selectAudit} { // what stands in the installation's chain is older
		records, err := all(r.q, scanRecord, from+`where tenant = $1 and payload like $2 escape '!' order by seq desc`, tenant, "%"+likeLiteral(object.ID)+"%")
		if err != nil {
			return audit.Event{}, err
		}
		for _, record := range records {
			event, err := record.Event()
			if err != nil {
				return event, err
			}
			if event.Object.Kind == object.Kind && event.Object.ID == object.ID {
				return event, nil
			}
		}
	}
	return audit.Event{}, ErrNone
}

// AuditPlace is where a list of records ended. The zero AuditPlace is before the
// newest.
type AuditPlace struct {
	At          time.Time
	Number, Seq int64
}

// Place of the record in a list.
func (a AuditRecord) Place() AuditPlace { return AuditPlace{a.At, a.Number, a.Seq} }

// newer orders records as lists do.
func (p AuditPlace) newer(q AuditPlace) bool {
	return cmp.Or(p.At.Compare(q.At), cmp.Compare(p.Number, q.Number), cmp.Compare(p.Seq, q.Seq)) > 0
}

// AuditQuery asks for records of tenants, and with a scope without bounds of the
// installation.
type AuditQuery struct {
	Scope        provisioner.Scope
	Since, Until time.Time // zero: without bound; Until is not included
	After        AuditPlace
	Limit        int
}

// FindAudit lists records, the newest first.
func (r *Reader) FindAudit(q AuditQuery) ([]AuditRecord, error) {
	own, err := r.findAudit(q, selectAudit)
	if err != nil {
		return nil, err
	}
	list, err := r.findAudit(q, selectAuditRecord)
	if err != nil {
		return nil, err
	}
	merged := make([]AuditRecord, 0, min(len(own)+len(list), q.Limit))
	for len(merged) < q.Limit && len(own)+len(list) > 0 {
		from := &list
		if len(list) == 0 || len(own) > 0 && own[0].Place().newer(list[0].Place()) {
			from = &own
		}
		merged = append(merged, (*from)[0])
		*from = (*from)[1:]
	}
	return merged, nil
}

func (r *Reader) findAudit(q AuditQuery, from string) ([]AuditRecord, error) {
	var a args
	where := []string{a.scope(q.Scope, "tenant")}
	if !q.Since.IsZero() {
		where = append(where, "at >= "+a.add(ms(q.Since)))
	}
	if !q.Until.IsZero() {
		where = append(where, "at < "+a.add(ms(q.Until)))
	}
	if p := q.After; p != (AuditPlace{}) {
		// The first condition alone can be looked up.
		where = append(where, "at <= "+a.add(ms(p.At)),
			"(at, number, seq) < ("+a.add(ms(p.At))+", "+a.add(p.Number)+", "+a.add(p.Seq)+")")
	}
	return all(r.q, func(s scanner) (AuditRecord, error) { return scanAuditRecord(s) },
		from+"where "+strings.Join(where, " and ")+" order by at desc, number desc, seq desc limit "+a.add(q.Limit), a.list...)
}

// LastAudited is the latest time among the last n records of the installation's
// chain and the last n of the tenants'; zero: there are none.
func (r *Reader) LastAudited(n int) (time.Time, error) {
	last, err := one(r.q, value[int64], `select coalesce(max(at), 0) from (
		select at from (select at from audit order by seq desc limit $1) as own
		union all select at from (select at from audit_record order by number desc limit $2) as tenants) as latest`, n, n)
	return at(last), err
}

func scanRecord(s scanner) (audit.Record, error) {
	v, err := scanAuditRecord(s)
	return v.Record, err
}

// scanAuditRecord reads a record, and what the query has further.
func scanAuditRecord(s scanner, further ...any) (v AuditRecord, err error) {
	var when int64
	var payload, salt, commitment, hash string
	if err := s.Scan(append([]any{&v.Chain, &v.Seq, &when, &v.Tenant, &payload, &salt, &commitment, &hash, &v.Number}, further...)...); err != nil {
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
