package signin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/factor"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// FactorSealer encrypts the secrets of second factors.
type FactorSealer interface {
	SealFactor(person string, secret []byte) ([]byte, error)
	OpenFactor(person string, sealed []byte) ([]byte, error)
}

const (
	// Who guesses knows the password already. With twenty tries a day, of three
	// codes that count at a time, one is right in 45 years on average.
	factorLimit, factorWindow = 5, 15 * time.Minute
	factorDayLimit, factorDay = 20, 24 * time.Hour
)

// factorCounts are what wrong codes of a person are counted under.
func factorCounts(person string) []count {
	return []count{
		{key: "f:" + person, limit: factorLimit, window: factorWindow, cost: 1},
		{key: "d:" + person, limit: factorDayLimit, window: factorDay, cost: 1},
	}
}

// causeOfCode is why a code did not count, for the helpdesk.
func causeOfCode(err error) cause {
	switch {
	case errors.Is(err, factor.ErrClock):
		return causeCodeClock
	case errors.Is(err, factor.ErrUsed):
		return causeCodeUsed
	default:
		return causeCodeWrong
	}
}

// secondFactor checks what somebody typed beside her password, and counts wrong
// tries. The refusal is to be told once the transaction has committed.
func (s *Service) secondFactor(tx *store.Writer, actor provisioner.Actor, proof Proof, typed string) (*provisioner.Refusal, error) {
	person := proof.Person.ID
	f, err := tx.Factor(person)
	switch {
	case errors.Is(err, store.ErrNone) || err == nil && f.SetUpAt.IsZero():
		return provisioner.Refuse(provisioner.CodeFactorMissing), nil
	case err != nil:
		return nil, fmt.Errorf("reading a second factor: %w", err)
	case typed == "":
		return provisioner.Refuse(provisioner.CodeFactorNeeded), nil
	}
	return s.counted(tx, actor, proof, func() (cause, error) {
		code, recovery := factor.Typed(typed)
		if recovery != "" {
			ok, err := tx.UseRecoveryCode(person, recovery)
			if err != nil || ok {
				return "", err
			}
			return causeCodeWrong, nil
		}
		return s.useCode(tx, person, f, code)
	})
}

// Occasion is what somebody proves who she is for.
type Occasion int

// The occasions of which a tenant's policy says whether a password is enough.
const (
	Enrolling Occasion = iota
	SigningInAgain
)

func (o Occasion) wants(p provisioner.SecondFactorPolicy) bool {
	return o == Enrolling && p.Enrolling || o == SigningInAgain && p.SigningInAgain
}

// Confirm wants the second factor of somebody whose password is proven, where her
// tenant's policy does: a code from the phone, or a recovery code. The refusals are
// factor-needed, factor-missing, factor-wrong and factor-throttled.
func (s *Service) Confirm(ctx context.Context, actor provisioner.Actor, proof Proof, typed Password, o Occasion) error {
	if !o.wants(proof.Tenant.Policy.SecondFactor) {
		return nil
	}
	var refusal *provisioner.Refusal
	err := s.Store.Update(ctx, func(tx *store.Writer) (err error) {
		refusal, err = s.secondFactor(tx, actor, proof, string(typed))
		if err != nil || refusal == nil || refusal.Code != provisioner.CodeFactorMissing && refusal.Code != provisioner.CodeFactorThrottled {
			return err // a wrong code has its record
		}
		return tx.AddRefusal(store.RecentRefusal{
			Tenant: proof.Tenant.Name, Login: store.Fold(proof.Person.Login), Person: proof.Person.ID, Code: refusal.Code, Source: actor.Source,
		})
	})
	if err != nil {
		return fmt.Errorf("checking a second factor: %w", err)
	}
	if refusal != nil {
		return refusal
	}
	return nil
}

// counted tries a code and counts if it is wrong. try gives why it is; "": it
// is right.
func (s *Service) counted(tx *store.Writer, actor provisioner.Actor, proof Proof, try func() (cause, error)) (*provisioner.Refusal, error) {
	counts := factorCounts(proof.Person.ID)
	for _, c := range counts {
		n, first, err := tx.Failures(c.key, tx.Now.Add(-c.window))
		if err != nil {
			return nil, fmt.Errorf("reading the count of wrong codes: %w", err)
		}
		if n >= c.limit {
			return throttledFor(first.Add(c.window).Sub(tx.Now)), nil
		}
	}
	why, err := try()
	if err != nil {
		return nil, err
	}
	if why == "" {
		for _, c := range counts {
			if err := tx.ClearFailures(c.key); err != nil {
				return nil, fmt.Errorf("forgetting wrong codes: %w", err)
			}
		}
		return nil, nil
	}
	for _, c := range counts {
		if _, err := tx.CountFailure(c.key, tx.Now.Add(-c.window)); err != nil {
			return nil, fmt.Errorf("counting a wrong code: %w", err)
		}
	}
	actor.ID, actor.Name, actor.Grants = proof.Person.ID, proof.Person.DisplayName, proof.Tenant.GrantsOf(proof.Standing.Groups)
	refusal := wrongCode(why)
	return refusal, errors.Join(
		tx.AddRefusal(store.RecentRefusal{
			Tenant: proof.Tenant.Name, Login: store.Fold(proof.Person.Login), Person: proof.Person.ID,
			Code: refusal.Code, Cause: string(why), Source: actor.Source,
		}),
		tx.Audit(store.Event{Actor: actor, Tenant: proof.Tenant.Name, Action: string(provisioner.ActionSignIn), Result: string(refusal.Code)}),
	)
}

// useCode checks a code by time against a factor, and notes it.
func (s *Service) useCode(tx *store.Writer, person string, f store.Factor, code string) (cause, error) {
	plain, err := s.Factors.OpenFactor(person, f.Sealed)
	if err != nil {
		return "", err
	}
	var secret factor.Secret
	if copy(secret[:], plain) != len(secret) {
		return "", errors.New("opening a second factor: it is too short")
	}
	step, err := factor.Verify(secret, code, tx.Now, f.LastStep)
	if err != nil {
		return causeOfCode(err), nil
	}
	// Two who show the same code at once: it counts for one of them.
	ok, err := tx.UseFactor(person, step)
	if err != nil || ok {
		return "", err
	}
	return causeCodeUsed, nil
}

func wrongCode(why cause) *provisioner.Refusal {
	var warum, because string
	switch why {
	case causeCodeClock:
		warum, because = "; die Uhr Ihres Telefons geht falsch", "; your phone's clock is wrong"
	case causeCodeUsed:
		warum, because = ", denn er wurde schon benutzt", ", because it was used before"
	}
	return provisioner.Refuse(provisioner.CodeFactorWrong).With("why", warum, because)
}

func throttledFor(d time.Duration) *provisioner.Refusal {
	minutes := max(int((d+time.Minute-1)/time.Minute), 1)
	german, english := fmt.Sprintf("%d Minuten", minutes), fmt.Sprintf("%d minutes", minutes)
	switch {
	case minutes == 1:
		german, english = "eine Minute", "a minute"
	case minutes >= 100:
		hours := (minutes + 59) / 60
		german, english = fmt.Sprintf("%d Stunden", hours), fmt.Sprintf("%d hours", hours)
	}
	return provisioner.Refuse(provisioner.CodeFactorThrottled).With("wait", german, english).After(d)
}

// NewFactor is what a phone is told once.
type NewFactor struct {
	Secret string // in base 32
	URI    string // otpauth://…, for a QR code
}

// BeginFactor makes the secret of a second factor for somebody who shows her
// password and a one-time token (IssueFactorToken). It counts once ConfirmFactor
// was shown a first code; beginning again makes another secret.
func (s *Service) BeginFactor(ctx context.Context, actor provisioner.Actor, c Credentials, token string) (NewFactor, error) {
	proof, err := s.prove(ctx, actor, c, hasRole)
	if err != nil {
		return NewFactor{}, err
	}
	secret := factor.NewSecret()
	sealed, err := s.Factors.SealFactor(proof.Person.ID, secret[:])
	if err != nil {
		return NewFactor{}, err
	}
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		if err := s.mayBegin(&tx.Reader, proof, token, tx.Now); err != nil {
			return err
		}
		return tx.BeginFactor(proof.Person.ID, sealed)
	})
	if err != nil {
		return NewFactor{}, err
	}
	return NewFactor{Secret: secret.Base32(), URI: secret.URI(cmp.Or(proof.Tenant.DisplayName, proof.Tenant.Name), proof.Person.Login)}, nil
}

// mayBegin wants the person's own token, and no factor that is in use.
func (s *Service) mayBegin(tx *store.Reader, proof Proof, token string, now time.Time) error {
	subject, err := tx.OneTimeToken(token, store.TokenFactor, now)
	if err != nil {
		return err
	}
	if subject != proof.Person.ID {
		return provisioner.Refuse(provisioner.CodeTokenInvalid)
	}
	f, err := tx.Factor(proof.Person.ID)
	if err != nil && !errors.Is(err, store.ErrNone) {
		return fmt.Errorf("reading a second factor: %w", err)
	}
	if !f.SetUpAt.IsZero() {
		return provisioner.Refuse(provisioner.CodeFactorThere, "name", proof.Person.DisplayName)
	}
	return nil
}

// ConfirmFactor completes what BeginFactor began with a first code from the
// phone: the token is used up, the person is signed in, and gets recovery codes
// that are shown this once.
func (s *Service) ConfirmFactor(ctx context.Context, actor provisioner.Actor, c Credentials, token, typed string) (signed SignedIn, recovery []string, err error) {
	proof, err := s.prove(ctx, actor, c, hasRole)
	if err != nil {
		return SignedIn{}, nil, err
	}
	code, _ := factor.Typed(typed)
	var refusal *provisioner.Refusal
	err = s.Store.Update(ctx, func(tx *store.Writer) (err error) {
		refusal = nil
		if err := s.mayBegin(&tx.Reader, proof, token, tx.Now); err != nil {
			return err
		}
		f, err := tx.Factor(proof.Person.ID)
		if errors.Is(err, store.ErrNone) {
			return provisioner.Refuse(provisioner.CodeFactorMissing)
		}
		if err != nil {
			return fmt.Errorf("reading a second factor: %w", err)
		}
		refusal, err = s.counted(tx, actor, proof, func() (cause, error) { return s.useCode(tx, proof.Person.ID, f, code) })
		if err != nil || refusal != nil {
			return err
		}
		signed, recovery, err = s.completed(tx, actor, proof, token)
		return err
	})
	if err == nil && refusal != nil {
		err = refusal
	}
	if err != nil {
		return SignedIn{}, nil, err
	}
	return signed, recovery, nil
}

func (s *Service) completed(tx *store.Writer, actor provisioner.Actor, proof Proof, token string) (signed SignedIn, recovery []string, err error) {
	if _, err := tx.UseOneTimeToken(token, store.TokenFactor); err != nil {
		return signed, nil, err
	}
	recovery = factor.NewRecoveryCodes()
	kept := make([]string, len(recovery))
	for i, c := range recovery {
		_, kept[i] = factor.Typed(c)
	}
	if err := tx.SetRecoveryCodes(proof.Person.ID, kept); err != nil {
		return signed, nil, fmt.Errorf("keeping recovery codes: %w", err)
	}
	t := tokenOf(proof)
	actor.ID, actor.Name, actor.Grants = t.Person, t.Name, t.Grants
	if err := tx.Audit(store.Event{
		Actor: actor, Tenant: proof.Tenant.Name, Action: "set up factor",
		Object: audit.Object{Kind: "person", ID: proof.Person.ID, Name: proof.Person.DisplayName},
	}); err != nil {
		return signed, nil, fmt.Errorf("recording a second factor: %w", err)
	}
	signed, err = issue(tx, actor, t, proof.Tenant.Name)
	return signed, recovery, err
}
