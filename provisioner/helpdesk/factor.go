package helpdesk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// factorTokenLife is how long a one-time token waits for somebody who is to set
// up a second factor.
const factorTokenLife = 24 * time.Hour

// IssueFactorToken makes a one-time token with which somebody sets up her second
// factor; a former one dies. For each of her roles above staff it takes an
// administrator of the tenant in which she has it, or an operator, and for an
// operator an operator: with one factor she gets to all of them. A second factor
// that is in use must be reset first.
func (s *Service) IssueFactorToken(ctx context.Context, actor provisioner.Actor, tenant, person string) (token string, expires time.Time, err error) {
	const action = provisioner.ActionIssueFactorToken
	token = provisioner.NewSecret()
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		found, err := enrolment.FindPerson(&tx.Reader, actor, action, person, tenant)
		if err != nil {
			return err
		}
		grants, err := grantsOf(&tx.Reader, found.Person)
		if err != nil {
			return err
		}
		if refusal := mayVouch(actor, grants); refusal != nil {
			return refusal
		}
		f, err := tx.Factor(found.Person.ID)
		if err != nil && !errors.Is(err, store.ErrNone) {
			return fmt.Errorf("reading a second factor: %w", err)
		}
		if !f.SetUpAt.IsZero() {
			return provisioner.Refuse(provisioner.CodeFactorThere, "name", found.Person.DisplayName)
		}
		expires = tx.Now.Add(factorTokenLife)
		if err := tx.AddOneTimeToken(token, store.TokenFactor, found.Person.ID, expires); err != nil {
			return fmt.Errorf("keeping the token: %w", err)
		}
		return tx.Audit(store.Event{Actor: actor, Tenant: found.Tenant, Action: string(action), Object: personObject(found.Person)})
	})
	return token, expires, err
}

// grantsOf is what somebody may do, in all tenants, by what the directory last
// said.
func grantsOf(tx *store.Reader, p provisioner.Person) (grants []provisioner.Grant, err error) {
	known, err := tx.KnownAs(p.Directory, p.StableID)
	if err != nil {
		return nil, fmt.Errorf("reading how somebody stands: %w", err)
	}
	for _, v := range known.Standings {
		tenant, err := tx.Tenant(v.Tenant)
		if err != nil {
			return nil, fmt.Errorf("reading a tenant: %w", err)
		}
		if v.Ended == "" {
			grants = append(grants, tenant.GrantsOf(v.Groups)...)
		}
	}
	return grants, nil
}

// mayVouch decides whether actor may say of somebody with these grants that it is
// she who sets up a second factor.
func mayVouch(actor provisioner.Actor, grants []provisioner.Grant) *provisioner.Refusal {
	for _, g := range grants {
		switch {
		case g.Role == provisioner.RoleStaff:
		case g.Role == provisioner.RoleOperator && !actor.Has(provisioner.RoleOperator):
			return provisioner.Refuse(provisioner.CodeNotAllowed)
		default:
			if refusal := provisioner.Allow(actor, provisioner.ActionIssueRoleToken, provisioner.Object{Tenant: g.Tenant}); refusal != nil {
				return refusal
			}
		}
	}
	return nil
}

func personObject(p provisioner.Person) audit.Object {
	return audit.Object{Kind: "person", ID: p.ID, Name: p.DisplayName}
}

// ResetRequest is a wish to take somebody's second factor: the phone is gone.
type ResetRequest struct {
	Tenant  string // may be empty if the caller sees the person in one only
	Person  string
	Reason  string
	Checked string // how it was made sure who is asking
}

// maxChecked is the longest note on how somebody's identity was checked, in
// characters.
const maxChecked = 500

// ResetFactor takes somebody's second factor and recovery codes, and signs her
// out. For a person with a role above staff somebody else must confirm it: then
// the proposal is given, and nothing is done yet.
func (s *Service) ResetFactor(ctx context.Context, actor provisioner.Actor, r ResetRequest) (waits *Proposal, err error) {
	const action = provisioner.ActionResetFactor
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return nil, refusal
	}
	reason, checked := audit.CleanReason(r.Reason), audit.CleanText(r.Checked, maxChecked)
	if reason == "" {
		return nil, provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	if checked == "" {
		return nil, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Prüfung", "identity_checked").
			With("why", "es fehlt, wie festgestellt wurde, dass wirklich diese Person fragt", "it is missing how it was made sure that it is really this person who asks")
	}
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		waits = nil
		found, err := enrolment.FindPerson(&tx.Reader, actor, action, r.Person, r.Tenant)
		if err != nil {
			return err
		}
		p := Proposal{
			Kind: string(action), Tenant: found.Tenant, Object: found.Person.ID, ObjectName: found.Person.DisplayName,
			Details: map[string]string{detailChecked: checked}, Reason: reason,
		}
		grants, err := grantsOf(&tx.Reader, found.Person)
		if err != nil {
			return err
		}
		if !provisioner.AboveStaff(grants) {
			return resetFactor(tx, actor, p)
		}
		waits, err = propose(tx, actor, p)
		return err
	})
	return waits, err
}

const detailChecked = "identity checked"

func resetFactor(tx *store.Writer, actor provisioner.Actor, p Proposal) error {
	if err := tx.DropFactor(p.Object); err != nil {
		return fmt.Errorf("taking a second factor: %w", err)
	}
	if err := tx.DropStaffTokensOf(p.Object); err != nil {
		return fmt.Errorf("signing somebody out: %w", err)
	}
	return tx.Audit(done(actor, p, audit.Object{Kind: "person", ID: p.Object, Name: p.ObjectName}))
}
