package store

import (
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Proposal is what one person wants done and another one must confirm.
type Proposal struct {
	ID         string
	Kind       string
	Tenant     string
	Object     string // whom or what it is about
	ObjectName string // for people to read
	Details    map[string]string
	Reason     string

	ProposedBy   string // who must not confirm it
	ProposedName string
	ProposedAt   time.Time
	ExpiresAt    time.Time
}

const selectProposal = `select id, kind, tenant, object, object_name, details, reason, proposed_by, proposed_name, proposed_at, expires_at from proposal `

func scanProposal(s scanner) (p Proposal, err error) {
	var details string
	var proposed, expires int64
	if err := s.Scan(&p.ID, &p.Kind, &p.Tenant, &p.Object, &p.ObjectName, &details, &p.Reason, &p.ProposedBy, &p.ProposedName, &proposed, &expires); err != nil {
		return p, err
	}
	p.ProposedAt, p.ExpiresAt = at(proposed), at(expires)
	return p, fromJSON(details, &p.Details)
}

// PutProposal keeps a proposal, in place of a former one of the same kind about
// the same.
func (w *Writer) PutProposal(p Proposal) error {
	details, err := toJSON(p.Details)
	if err != nil {
		return err
	}
	if err := run(w.q, `delete from proposal where kind = $1 and tenant = $2 and object = $3`, p.Kind, p.Tenant, p.Object); err != nil {
		return err
	}
	return run(w.q, `insert into proposal (id, kind, tenant, object, object_name, details, reason, proposed_by, proposed_name, proposed_at, expires_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		p.ID, p.Kind, p.Tenant, p.Object, p.ObjectName, details, p.Reason, p.ProposedBy, p.ProposedName, ms(w.Now), ms(p.ExpiresAt))
}

// Proposal reads one that has not expired; ErrNone if there is none in scope.
func (r *Reader) Proposal(scope provisioner.Scope, id string, now time.Time) (Proposal, error) {
	var a args
	query := selectProposal + `where id = ` + a.add(id) + ` and expires_at > ` + a.add(ms(now)) + ` and ` + a.scope(scope, "tenant")
	return one(r.q, scanProposal, query, a.list...)
}

// Proposals lists those that have not expired, the oldest first.
func (r *Reader) Proposals(scope provisioner.Scope, now time.Time) ([]Proposal, error) {
	var a args
	query := selectProposal + `where expires_at > ` + a.add(ms(now)) + ` and ` + a.scope(scope, "tenant") + ` order by proposed_at, id`
	return all(r.q, scanProposal, query, a.list...)
}

// DropProposal forgets a proposal. Idempotent.
func (w *Writer) DropProposal(id string) error {
	return run(w.q, `delete from proposal where id = $1`, id)
}

// ForgetProposals deletes those that expired before t.
func (w *Writer) ForgetProposals(t time.Time) error {
	return run(w.q, `delete from proposal where expires_at < $1`, ms(t))
}
