package enrolment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const wayCode way = "code"

// Waiting is a laptop that waits, as who approves it sees it.
type Waiting struct {
	UserCode     string
	Name         string
	SerialNumber string
	Platform     string
	AgentVersion string
	Fingerprint  string // of its key; the laptop shows the same
	Source       string // the network address from which it asks
	BegunAt      time.Time
	ExpiresAt    time.Time
}

func waitingOf(v store.WaitingLaptop) Waiting {
	return Waiting{
		UserCode: shownCode(v.UserCode), Name: v.Name, SerialNumber: v.SerialNumber, Platform: v.Platform, AgentVersion: v.AgentVersion,
		Fingerprint: v.PublicKey.Fingerprint(), Source: v.Source, BegunAt: v.BegunAt, ExpiresAt: v.ExpiresAt,
	}
}

// Waiting shows the laptop that waits under a code to who may approve it.
// Refusals are enrolment-code-unknown, also for those of other tenants and those
// that have expired, enrolment-code-used and enrolment-code-throttled.
func (s *Service) Waiting(ctx context.Context, actor provisioner.Actor, typed string) (Waiting, error) {
	v, err := s.waiting(ctx, actor, provisioner.ActionApproveEnrolment, typed)
	if err != nil {
		return Waiting{}, err
	}
	return waitingOf(v), nil
}

// DecideRequest decides on a laptop that waits.
type DecideRequest struct {
	UserCode    string
	Fingerprint string // as it was seen
}

// Approve enrols the laptop that waits under a code for who approves it, as Enrol
// does with her password. Refusals are those of Waiting and of Enrol behind the
// password; then the laptop waits on.
func (s *Service) Approve(ctx context.Context, actor provisioner.Actor, r DecideRequest) (Enrolled, error) {
	v, err := s.seen(ctx, actor, provisioner.ActionApproveEnrolment, r)
	if err != nil {
		return Enrolled{}, err
	}
	proof, err := s.standing(ctx, actor)
	if err != nil {
		return Enrolled{}, err
	}
	enrolled, err := s.enrol(ctx, actor, proven{
		Proof: proof, way: wayCode, details: map[string]string{"laptop's network address": v.Source},
		claim: func(tx *store.Writer) error {
			return decide(tx, v.UserCode, proof.Tenant.Name, store.LaptopApproved, tx.Now.Add(answerLife))
		},
		keep: func(tx *store.Writer, e Enrolled) error {
			return tx.AnswerWaitingLaptop(v.UserCode, store.WaitingAnswer{
				Device: e.Device.ID, Tenant: e.Device.Tenant, PersonName: e.PersonName, Certificate: e.Certificate,
				Replaced: e.Replaced, AwaitsApproval: e.AwaitsApproval,
			})
		},
	}, Laptop{
		CertificateRequest: v.CertificateRequest, PublicKey: v.PublicKey[:],
		DeviceName: v.Name, SerialNumber: v.SerialNumber, Platform: v.Platform, AgentVersion: v.AgentVersion,
	})
	if err == nil {
		s.asking.tell(v.UserCode)
	}
	return enrolled, err
}

// Deny ends the waiting of a laptop that is not hers to approve. Refusals are
// those of Waiting.
func (s *Service) Deny(ctx context.Context, actor provisioner.Actor, r DecideRequest) error {
	const action = provisioner.ActionDenyEnrolment
	v, err := s.seen(ctx, actor, action, r)
	if err != nil {
		return err
	}
	tenant := home(actor)
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		if err := decide(tx, v.UserCode, tenant, store.LaptopDenied, v.ExpiresAt.Add(codeLife)); err != nil {
			return err
		}
		return tx.Audit(store.Event{
			Actor: actor, Tenant: tenant, Action: string(action), Object: audit.Object{Kind: "laptop", Name: v.Name},
			Details: map[string]string{"laptop's network address": v.Source},
		})
	})
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	s.asking.tell(v.UserCode)
	return nil
}

// decide marks a laptop as decided on, which happens once.
func decide(tx *store.Writer, code, tenant string, state store.WaitingState, kept time.Time) error {
	decided, err := tx.DecideWaitingLaptop(code, tenant, state, kept)
	if err != nil {
		return fmt.Errorf("deciding on a laptop that waits: %w", err)
	}
	if decided {
		return nil
	}
	v, err := tx.WaitingLaptop(code)
	if err != nil && !errors.Is(err, store.ErrNone) {
		return fmt.Errorf("reading a laptop that waits: %w", err)
	}
	if err == nil && v.State != store.LaptopWaits && v.Tenant == tenant {
		return provisioner.Refuse(provisioner.CodeEnrolmentUsed)
	}
	return provisioner.Refuse(provisioner.CodeEnrolmentUnknown)
}

// home is the tenant whose staff somebody is; empty: none.
func home(actor provisioner.Actor) string {
	for _, g := range actor.Grants {
		if g.Role == provisioner.RoleStaff {
			return g.Tenant
		}
	}
	return ""
}

// seen is waiting for who has seen the laptop's fingerprint.
func (s *Service) seen(ctx context.Context, actor provisioner.Actor, action provisioner.Action, r DecideRequest) (store.WaitingLaptop, error) {
	v, err := s.waiting(ctx, actor, action, r.UserCode)
	if err == nil && v.PublicKey.Fingerprint() != strings.TrimSpace(r.Fingerprint) {
		err = provisioner.Refuse(provisioner.CodeEnrolmentUnknown)
	}
	return v, err
}

// waiting finds the laptop that waits under a code, and counts codes that are
// wrong: also those of other tenants, of which nobody learns that they exist.
func (s *Service) waiting(ctx context.Context, actor provisioner.Actor, action provisioner.Action, typed string) (v store.WaitingLaptop, err error) {
	tenant := home(actor)
	if refusal := provisioner.Allow(actor, action, provisioner.Object{Tenant: tenant}); refusal != nil {
		return v, refusal
	}
	code := typedCode(typed)
	if code == "" {
		return v, provisioner.Refuse(provisioner.CodeEnrolmentUnknown)
	}
	var refusal *provisioner.Refusal
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		v, refusal = store.WaitingLaptop{}, nil
		key := "c:" + actor.ID
		wrong, first, err := tx.Failures(key, tx.Now.Add(-wrongCodesWithin))
		if err != nil {
			return fmt.Errorf("reading the count of wrong codes: %w", err)
		}
		if wrong >= wrongCodes {
			refusal = provisioner.Refuse(provisioner.CodeEnrolmentThrottled).After(first.Add(wrongCodesWithin).Sub(tx.Now))
			return nil
		}
		v, err = tx.WaitingLaptop(code)
		if err != nil && !errors.Is(err, store.ErrNone) {
			return fmt.Errorf("finding a laptop that waits: %w", err)
		}
		if refusal = visible(v, err == nil, tenant, tx.Now); refusal == nil || refusal.Code == provisioner.CodeEnrolmentUsed {
			return nil
		}
		_, err = tx.CountFailure(key, tx.Now.Add(-wrongCodesWithin))
		return err
	})
	if err == nil && refusal != nil {
		err = refusal
	}
	return v, err
}

func visible(v store.WaitingLaptop, there bool, tenant string, now time.Time) *provisioner.Refusal {
	switch {
	case !there, v.Tenant != "" && v.Tenant != tenant:
		return provisioner.Refuse(provisioner.CodeEnrolmentUnknown)
	case v.State != store.LaptopWaits:
		return provisioner.Refuse(provisioner.CodeEnrolmentUsed)
	case !now.Before(v.ExpiresAt):
		return provisioner.Refuse(provisioner.CodeEnrolmentUnknown)
	}
	return nil
}

// standing is somebody who is signed in, with what her directory says of her now.
func (s *Service) standing(ctx context.Context, actor provisioner.Actor) (proof signin.Proof, err error) {
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		if proof.Tenant, err = tx.Tenant(home(actor)); err != nil {
			return fmt.Errorf("reading a tenant: %w", err)
		}
		if proof.Person, err = tx.Person(actor.ID); err != nil {
			return fmt.Errorf("reading a person: %w", err)
		}
		return nil
	})
	if err != nil {
		return proof, err
	}
	if proof.Standing, err = s.SignIn.Lookup(ctx, proof.Tenant, proof.Person); err != nil {
		return proof, err
	}
	if refusal := proof.Tenant.Admits(proof.Standing, time.Now()); refusal != nil {
		s.remember(ctx, actor, proof, refusal)
		return proof, refusal
	}
	return proof, nil
}
