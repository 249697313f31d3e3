package enrolment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	// MostInvited is how many can be invited in one call: the directory may be
	// asked for each.
	MostInvited = 200
	// invitedAtOnce is how many are written in one transaction.
	invitedAtOnce = 50
	// mostListed is how many invitations one page has.
	mostListed = 1000
)

// InviteRequest invites people to enrol laptops without a password.
type InviteRequest struct {
	Tenant string // empty: the only one in which the actor may invite
	Lines  []InviteLine
	Life   time.Duration // of the invitations; zero: 14 days
	// AnyLaptop lets a line be without a serial number: whoever has the
	// invitation may then enrol any laptop for that person.
	AnyLaptop bool
}

// InviteLine invites one person with one laptop.
type InviteLine struct {
	Login        string // or mail address
	SerialNumber string
	DeviceName   string // what the laptop is to be called; empty: as it calls itself
}

// Invited is what became of a line: an invitation with its token, which is not
// told again, or why there is none.
type Invited struct {
	provisioner.Invitation

	Token       string
	Login, Name string // of the person, as the directory has them
	Refusal     *provisioner.Refusal
}

// Invite makes an invitation for each line, and gives them in the lines' order; a line that
// is refused does not keep the others. An open invitation of the same person for
// the same laptop is replaced. Refusals of all are not-allowed, tenant-missing, invalid,
// message-too-large and directory-unavailable; then nothing was done.
func (s *Service) Invite(ctx context.Context, actor provisioner.Actor, r InviteRequest) ([]Invited, error) {
	const action = provisioner.ActionInvite
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return nil, refusal
	}
	if len(r.Lines) > MostInvited {
		return nil, provisioner.Refuse(provisioner.CodeTooLarge)
	}
	life, refusal := lifeOf(r.Life)
	if refusal != nil {
		return nil, refusal
	}
	tenant, err := s.tenantOf(ctx, actor, action, r.Tenant)
	if err != nil {
		return nil, err
	}
	list := make([]Invited, len(r.Lines))
	for i, line := range r.Lines {
		if list[i], err = s.invitable(ctx, tenant, line, r.AnyLaptop); err != nil {
			return nil, err
		}
	}
	refuseTwice(list)
	for part := range slices.Chunk(list, invitedAtOnce) {
		err := s.Store.Update(ctx, func(tx *store.Writer) error {
			for i := range part {
				if part[i].Refusal != nil {
					continue
				}
				if err := invite(tx, actor, &part[i], life, nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("inviting: %w", err)
		}
	}
	return list, nil
}

// lifeOf is how long an invitation is good for that was asked for so long.
func lifeOf(asked time.Duration) (time.Duration, *provisioner.Refusal) {
	switch {
	case asked == 0:
		return provisioner.InvitationLife, nil
	case asked < time.Hour || asked > provisioner.InvitationLongest:
		return 0, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Gültigkeit", "life").
			With("why", "sie geht von einer Stunde bis zu 90 Tagen", "it goes from an hour to 90 days")
	default:
		return asked, nil
	}
}

// tenantOf is the tenant that is named, or the only one in which actor may do
// action. Of others it tells nothing.
func (s *Service) tenantOf(ctx context.Context, actor provisioner.Actor, action provisioner.Action, name string) (provisioner.Tenant, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	scope := provisioner.ScopeOf(actor, action)
	if names, all := scope.Tenants(); name == "" {
		if all || len(names) != 1 {
			return provisioner.Tenant{}, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Verwaltung", "tenant").
				With("why", "sie fehlt, und es kann mehr als eine sein (--tenant)", "it is missing, and there can be more than one (--tenant)")
		}
		name = names[0]
	}
	t, err := store.Read(ctx, s.Store, func(tx *store.Reader) (provisioner.Tenant, error) { return tx.Tenant(name) })
	if errors.Is(err, store.ErrNone) || err == nil && !scope.Includes(name) {
		return provisioner.Tenant{}, notFound("Diese Verwaltung", "tenant", name)
	}
	if err != nil {
		return t, fmt.Errorf("reading a tenant: %w", err)
	}
	return t, nil
}

// invitable finds out who is meant by a line, and whether she can be invited. An
// error is of all lines.
func (s *Service) invitable(ctx context.Context, tenant provisioner.Tenant, line InviteLine, anyLaptop bool) (Invited, error) {
	v := Invited{Login: shown(line.Login)}
	v.Tenant, v.DeviceName = tenant.Name, audit.CleanText(line.DeviceName, NameLimit)
	if v.SerialNumber, v.Refusal = serialInvited(line.SerialNumber, anyLaptop); v.Refusal != nil {
		return v, nil //nolint:nilerr // it is the line's, and told with it
	}
	proof, err := s.SignIn.Find(ctx, tenant, line.Login)
	switch v.Refusal = ofLine(err); {
	case v.Refusal != nil:
		return v, nil //nolint:nilerr // it is the line's, and told with it
	case err != nil:
		return v, err
	}
	v.of(proof)
	return v, nil
}

// ofLine is the refusal that is of one line; nil: it is of all, or none.
func ofLine(err error) *provisioner.Refusal {
	if r, ok := provisioner.AsRefusal(err); ok && r.Kind() != provisioner.KindUnavailable {
		return r
	}
	return nil
}

func (v *Invited) of(p signin.Proof) {
	v.Person, v.Login, v.Name = p.Person.ID, p.Person.Login, p.Person.DisplayName
}

// serialInvited is the serial number to which an invitation is bound.
func serialInvited(typed string, anyLaptop bool) (string, *provisioner.Refusal) {
	serial := serialOf(typed)
	switch {
	case len([]rune(serial)) > serialLimit:
		return "", serialTooLong()
	case serial == "" && audit.CleanText(typed, serialLimit) != "":
		return "", provisioner.Refuse(provisioner.CodeInvalid).With("field", "Seriennummer", "serial_number").
			With("why", "so nennen Hersteller Geräte, die keine haben", "that is what makers call machines that have none")
	case serial == "" && !anyLaptop:
		return "", provisioner.Refuse(provisioner.CodeInvalid).With("field", "Seriennummer", "serial_number").
			With("why", "sie fehlt; für irgendeinen Laptop lädt nur --any-laptop ein", "it is missing; only --any-laptop invites for whatever laptop")
	default:
		return serial, nil
	}
}

// refuseTwice refuses a line that is for the same person and laptop as a former
// one: its invitation would replace that one's.
func refuseTwice(list []Invited) {
	seen := make(map[[2]string]bool, len(list))
	for i := range list {
		v := &list[i]
		if v.Refusal != nil {
			continue
		}
		key := [2]string{v.Person, v.SerialNumber}
		if seen[key] {
			v.Refusal = provisioner.Refuse(provisioner.CodeInvalid).With("field", "Zeile", "line").
				With("why", "derselbe Mensch mit demselben Laptop steht schon weiter oben", "the same person with the same laptop stands further up already")
		}
		seen[key] = true
	}
}

// invite makes an invitation. more are details for the record.
func invite(tx *store.Writer, actor provisioner.Actor, v *Invited, life time.Duration, more map[string]string) error {
	v.ID, v.Token, v.InvitedBy = provisioner.NewID(), provisioner.NewSecret(), actor.Name
	v.CreatedAt, v.ExpiresAt = tx.Now, tx.Now.Add(life)
	if err := tx.AddInvitation(v.Token, v.Invitation); err != nil {
		return fmt.Errorf("keeping an invitation: %w", err)
	}
	details := map[string]string{"invitation": v.ID, "serial number": v.SerialNumber, "until": v.ExpiresAt.UTC().Format(time.RFC3339)}
	if v.SerialNumber == "" {
		details["serial number"] = "any"
	}
	for k, text := range more {
		details[k] = text
	}
	return tx.Audit(store.Event{
		Actor: actor, Tenant: v.Tenant, Action: string(provisioner.ActionInvite),
		Object: audit.Object{Kind: "person", ID: v.Person, Name: v.Name}, Details: details,
	})
}

// InvitationsRequest asks for invitations.
type InvitationsRequest struct {
	Tenant string // empty: all that the actor may see
	All    bool   // also those that are over
	After  string // the page token of the former answer; empty: from the start
	Limit  int    // zero, or more than 1000: 1000
}

// Invitations lists invitations by id. next is for the next page; empty: this is
// the last.
func (s *Service) Invitations(ctx context.Context, actor provisioner.Actor, r InvitationsRequest) (page []Invited, next string, err error) {
	const action = provisioner.ActionReadInvitations
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return nil, "", refusal
	}
	limit := mostListed
	if r.Limit > 0 {
		limit = min(limit, r.Limit)
	}
	scope := provisioner.ScopeOf(actor, action).Narrow(strings.TrimSpace(r.Tenant))
	list, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]store.InvitedPerson, error) {
		return tx.Invitations(scope, !r.All, time.Now(), r.After, limit+1)
	})
	if err != nil {
		return nil, "", fmt.Errorf("listing invitations: %w", err)
	}
	if len(list) > limit {
		list = list[:limit]
		next = list[limit-1].ID
	}
	for _, v := range list {
		page = append(page, invitedOf(v))
	}
	return page, next, nil
}

func invitedOf(v store.InvitedPerson) Invited {
	return Invited{Invitation: v.Invitation, Login: v.Login, Name: v.Name}
}

// WithdrawInvitation ends an open invitation. One that is over is refused with
// invitation-over, one of another tenant is not found.
func (s *Service) WithdrawInvitation(ctx context.Context, actor provisioner.Actor, id string) (Invited, error) {
	var v store.InvitedPerson
	const action = provisioner.ActionWithdrawInvitation
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return Invited{}, refusal
	}
	err := s.Store.UpdateUrgent(ctx, func(tx *store.Writer) (err error) {
		scope := provisioner.ScopeOf(actor, action)
		v, err = tx.InvitationIn(scope, strings.ToLower(strings.TrimSpace(id)))
		if errors.Is(err, store.ErrNone) {
			return notFound("Diese Einladung", "invitation", id)
		}
		if err != nil {
			return err
		}
		if refusal := v.Admits(v.SerialNumber, tx.Now); refusal != nil {
			return refusal
		}
		if err := withdraw(tx, actor, v, ""); err != nil {
			return err
		}
		v.EndedAt, v.Ended = tx.Now, provisioner.InvitationWithdrawn
		return nil
	})
	if err != nil {
		return Invited{}, fmt.Errorf("withdrawing an invitation: %w", err)
	}
	return invitedOf(v), nil
}

// withdraw ends an invitation, if it is open.
func withdraw(tx *store.Writer, actor provisioner.Actor, v store.InvitedPerson, reason string) error {
	ended, err := tx.EndInvitation(v.ID, provisioner.InvitationWithdrawn, "")
	if err != nil || !ended {
		return err
	}
	return tx.Audit(store.Event{
		Actor: actor, Tenant: v.Tenant, Action: string(provisioner.ActionWithdrawInvitation), Reason: reason,
		Object:  audit.Object{Kind: "person", ID: v.Person, Name: v.Name},
		Details: map[string]string{"invitation": v.ID, "serial number": v.SerialNumber},
	})
}
