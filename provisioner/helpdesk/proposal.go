package helpdesk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Proposal is what one person wants done and another one must confirm.
type Proposal = store.Proposal

// proposalLife is how long a proposal waits for a second person.
const proposalLife = 24 * time.Hour

// doing does what was proposed, in the name of who confirms it.
type doing func(tx *store.Writer, actor provisioner.Actor, p Proposal) error

// kinds are what can be proposed, by the action that it is.
func kinds() map[provisioner.Action]doing {
	return map[provisioner.Action]doing{
		provisioner.ActionResetFactor: resetFactor,
		provisioner.ActionTake:        takeProposed,
	}
}

// propose keeps a proposal for somebody else to confirm. Proposing the same
// again takes the place of the former one.
func propose(tx *store.Writer, actor provisioner.Actor, p Proposal) (*Proposal, error) {
	p.ID, p.ProposedBy, p.ProposedName = provisioner.NewID(), actor.ID, actor.Name
	p.ProposedAt, p.ExpiresAt = tx.Now, tx.Now.Add(proposalLife)
	if err := tx.PutProposal(p); err != nil {
		return nil, fmt.Errorf("keeping a proposal: %w", err)
	}
	return &p, tx.Audit(store.Event{
		Actor: actor, Tenant: p.Tenant, Action: "propose " + p.Kind, Object: audit.Object{Kind: "proposal", ID: p.ID, Name: p.ObjectName},
		Reason: p.Reason, Details: p.Details,
	})
}

// done is the record of what was proposed, or needed no second person.
func done(actor provisioner.Actor, p Proposal, object audit.Object) store.Event {
	e := store.Event{Actor: actor, Tenant: p.Tenant, Action: p.Kind, Object: object, Reason: p.Reason, Details: maps.Clone(p.Details)}
	if p.ProposedBy != "" {
		if e.Details == nil {
			e.Details = make(map[string]string)
		}
		e.Details["proposal"], e.Details["proposed by"] = p.ID, p.ProposedName
	}
	return e
}

// Proposals lists what waits for a second person, the oldest first.
func (s *Service) Proposals(ctx context.Context, actor provisioner.Actor) ([]Proposal, error) {
	const action = provisioner.ActionReadProposals
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return nil, refusal
	}
	return store.Read(ctx, s.Store, func(tx *store.Reader) ([]Proposal, error) {
		return tx.Proposals(provisioner.ScopeOf(actor, action), time.Now())
	})
}

// ConfirmProposal does what somebody else has proposed. It takes the right to do
// it alone. The first of two who confirm at once does it.
func (s *Service) ConfirmProposal(ctx context.Context, actor provisioner.Actor, id string) (p Proposal, err error) {
	err = s.withProposal(ctx, actor, id, func(tx *store.Writer, found Proposal) error {
		p = found
		if p.ProposedBy == actor.ID { // all who came by the server's one-time token are one
			return provisioner.Refuse(provisioner.CodeFourEyes, "who", p.ProposedName)
		}
		do, ok := kinds()[provisioner.Action(p.Kind)]
		if !ok {
			return fmt.Errorf("a proposal of the kind %q is unknown to this program", p.Kind)
		}
		return do(tx, actor, p)
	})
	s.poke()
	return p, err
}

// WithdrawProposal forgets a proposal, whoever made it.
func (s *Service) WithdrawProposal(ctx context.Context, actor provisioner.Actor, id string) (p Proposal, err error) {
	err = s.withProposal(ctx, actor, id, func(tx *store.Writer, found Proposal) error {
		p = found
		return tx.Audit(store.Event{
			Actor: actor, Tenant: p.Tenant, Action: "withdraw " + p.Kind, Object: audit.Object{Kind: "proposal", ID: p.ID, Name: p.ObjectName},
		})
	})
	return p, err
}

// withProposal uses a proposal up. One that the actor may not see, or about what
// he may not do, does not exist for him.
func (s *Service) withProposal(ctx context.Context, actor provisioner.Actor, id string, use func(*store.Writer, Proposal) error) error {
	if refusal := provisioner.Allow(actor, provisioner.ActionReadProposals, provisioner.Object{}); refusal != nil {
		return refusal
	}
	return s.Store.UpdateUrgent(ctx, func(tx *store.Writer) error {
		p, err := tx.Proposal(provisioner.ScopeOf(actor, provisioner.ActionReadProposals), id, tx.Now)
		if errors.Is(err, store.ErrNone) || err == nil && provisioner.Allow(actor, provisioner.Action(p.Kind), provisioner.Object{Tenant: p.Tenant}) != nil {
			return provisioner.Refuse(provisioner.CodeProposalUnknown)
		}
		if err != nil {
			return fmt.Errorf("reading a proposal: %w", err)
		}
		if err := tx.DropProposal(p.ID); err != nil {
			return fmt.Errorf("using up a proposal: %w", err)
		}
		return use(tx, p)
	})
}
