package privacy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/access"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// ForgetRequest asks to forget one person in a tenant (Art. 17 GDPR).
type ForgetRequest struct {
	Person, Tenant string
	Reason         string // recorded, and kept: it should not name her
}

// Forgotten says what became of it.
type Forgotten struct {
	Tenant  string
	Devices int
	// Elsewhere: other tenants know her, and so she is still known as a person.
	Elsewhere bool
	// InDirectory: the tenant's directory still has her among its staff, and she
	// will be known anew.
	InDirectory bool
}

// Forget forgets somebody who has no access any more: the directory has taken it, or
// all her devices are revoked; else it is refused with still-has-access. While a gateway has
// not confirmed that her access is gone, it is refused with forget-too-early. What stays says
// Keepings. It is recorded under her id, without what that meant.
func (s *Service) Forget(ctx context.Context, actor provisioner.Actor, r ForgetRequest) (Forgotten, error) {
	const action = provisioner.ActionForgetPerson
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return Forgotten{}, refusal
	}
	reason, err := reasonOf(r.Reason)
	if err != nil {
		return Forgotten{}, err
	}
	// The log is long, and its reading must not keep the writer: what it has until
	// now is shortened before, the rest with the forgetting.
	var m [2]store.Mentions
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		found, err := enrolment.FindPerson(tx, actor, action, r.Person, r.Tenant)
		if err != nil {
			return err
		}
		if _, err := mayForget(tx, found); err != nil {
			return err
		}
		m[0], err = tx.MentionsOf(subjectOf(found))
		m[1] = m[0]
		m[1].Own = true
		return err
	})
	for i := 0; i < len(m) && err == nil; i++ {
		m[i], err = s.shorten(ctx, m[i])
	}
	if err != nil {
		return Forgotten{}, fmt.Errorf("%s: %w", action, err)
	}
	var done Forgotten
	var revision int64
	err = s.Store.UpdateUrgent(ctx, func(tx *store.Writer) error {
		found, err := enrolment.FindPerson(&tx.Reader, actor, action, r.Person, r.Tenant)
		if err != nil {
			return err
		}
		if done, err = s.forget(tx, actor, found, m, reason); err != nil {
			return err
		}
		revision = tx.Revision()
		return tx.Audit(store.Event{
			Actor: actor, Tenant: found.Tenant, Action: string(action), Reason: reason, Object: audit.Object{Kind: "person", ID: found.Person.ID},
		})
	})
	if err != nil {
		return Forgotten{}, fmt.Errorf("%s: %w", action, err)
	}
	s.kept(ctx, revision)
	return done, nil
}

// mayForget refuses while somebody has access. It gives her devices.
func mayForget(tx *store.Reader, found store.FoundPerson) ([]provisioner.Device, error) {
	standing, err := tx.Standing(found.Person.ID, found.Tenant)
	if err != nil {
		return nil, fmt.Errorf("reading what the directory said: %w", err)
	}
	devices, err := tx.DevicesOf(found.Person.ID, found.Tenant)
	if err != nil {
		return nil, fmt.Errorf("reading the person's devices: %w", err)
	}
	living := slices.ContainsFunc(devices, func(d provisioner.Device) bool { return d.State() != provisioner.DeviceRevoked })
	if living && (standing.Entitled || standing.Held) {
		return nil, provisioner.Refuse(provisioner.CodeStillHasAccess, "name", found.Person.DisplayName)
	}
	var owing []string
	for _, d := range devices {
		debts, err := tx.DebtsOf(d.ID)
		if err != nil {
			return nil, fmt.Errorf("finding the gateways that may still hold the peer: %w", err)
		}
		for _, v := range debts {
			if !slices.Contains(owing, v.Gateway) {
				owing = append(owing, v.Gateway)
			}
		}
	}
	if len(owing) > 0 {
		return nil, provisioner.Refuse(provisioner.CodeForgetTooEarly, "gateways", strings.Join(owing, ", "))
	}
	return devices, nil
}

// shorten has records about somebody kept no longer than security events, in
// slices, and gives where it came to.
func (s *Service) shorten(ctx context.Context, m store.Mentions) (store.Mentions, error) {
	for {
		var head audit.Head
		records, err := store.Read(ctx, s.Store, func(tx *store.Reader) (_ []audit.Record, err error) {
			chain := m.Tenant
			if m.Own {
				chain = ""
			}
			if head, err = tx.AuditHead(chain); err != nil {
				return nil, err
			}
			return tx.AuditMentions(m)
		})
		if err != nil {
			return m, err
		}
		if len(records) == 0 {
			m.After = head.Seq
			return m, nil
		}
		seqs, err := store.About(records, m.IDs)
		if err != nil {
			return m, err
		}
		if err := s.Store.Update(ctx, func(tx *store.Writer) error { return tx.ShortenAudit(m, seqs, s.securityBegins(tx.Now)) }); err != nil {
			return m, err
		}
		m.After = records[len(records)-1].Seq
	}
}

func (s *Service) forget(tx *store.Writer, actor provisioner.Actor, found store.FoundPerson, m [2]store.Mentions, reason string) (done Forgotten, err error) {
	devices, err := mayForget(&tx.Reader, found)
	if err != nil {
		return done, err
	}
	standing, err := tx.Standing(found.Person.ID, found.Tenant)
	if err != nil {
		return done, err
	}
	for _, d := range devices { // who left has them suspended only
		if _, err := access.Revoke(tx, actor, d, reason); err != nil {
			return done, err
		}
	}
	for _, v := range m {
		if err := tx.ShortenMentions(v, s.securityBegins(tx.Now)); err != nil {
			return done, fmt.Errorf("shortening the audit log: %w", err)
		}
	}
	elsewhere, err := tx.Elsewhere(found.Person.ID, found.Tenant)
	if err != nil {
		return done, err
	}
	done = Forgotten{Tenant: found.Tenant, Devices: len(devices), Elsewhere: elsewhere > 0, InDirectory: standing.Entitled}
	return done, tx.ForgetEverything(subjectOf(found))
}
