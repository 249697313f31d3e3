package signin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	// tokenLife is a working day.
	tokenLife = 8 * time.Hour
	// operatorTokenLife is how long a one-time token waits for its operator.
	operatorTokenLife = 24 * time.Hour
	// OperatorName is what records call those who came by a one-time token:
	// no directory knows them.
	OperatorName = "operator"
)

// SignedIn is somebody at the command line.
type SignedIn struct {
	Token     string // only in the answer to signing in
	ExpiresAt time.Time
	Name      string
	Grants    []provisioner.Grant
	// RecoveryCodes is how many are left, where a second factor was shown.
	RecoveryCodes int64
}

// Login signs in at the command line anybody who has a role in the tenant. Above
// staff, and where policy says so, it takes a code besides: from the phone, or a recovery code. Its refusals
// are those of Prove, then factor-needed, factor-missing, factor-wrong and
// factor-throttled.
func (s *Service) Login(ctx context.Context, actor provisioner.Actor, c Credentials, code string) (SignedIn, error) {
	proof, err := s.prove(ctx, actor, c, hasRole)
	if err != nil {
		s.noteRefused(ctx, actor, proof, err)
		return SignedIn{}, err
	}
	t := tokenOf(proof)
	var signed SignedIn
	var refusal *provisioner.Refusal
	err = s.Store.Update(ctx, func(tx *store.Writer) (err error) {
		refusal = nil
		if needsFactor(proof, t.Grants) {
			if refusal, err = s.secondFactor(tx, actor, proof, code); err != nil || refusal != nil {
				return err
			}
		}
		known := actor
		known.ID, known.Name, known.Grants = t.Person, t.Name, t.Grants
		signed, err = issue(tx, known, t, proof.Tenant.Name)
		return err
	})
	if err == nil && refusal != nil {
		err = refusal
		if refusal.Code == provisioner.CodeFactorThrottled { // a wrong code has its record
			s.noteRefused(ctx, actor, proof, err)
		}
	}
	if err != nil {
		return SignedIn{}, err
	}
	if needsFactor(proof, t.Grants) {
		signed.RecoveryCodes, err = store.Read(ctx, s.Store, func(tx *store.Reader) (int64, error) { return tx.RecoveryCodes(t.Person) })
	}
	return signed, err
}

// needsFactor reports whether signing in at the command line takes more than a
// password. Where enrolling does, it does for everybody: what is enrolled can be
// approved there.
func needsFactor(p Proof, grants []provisioner.Grant) bool {
	return provisioner.AboveStaff(grants) || p.Tenant.Policy.SecondFactor.Enrolling
}

func tokenOf(p Proof) store.StaffToken {
	return store.StaffToken{Person: p.Person.ID, Tenant: p.Tenant.Name, Name: p.Person.DisplayName, Grants: p.Tenant.GrantsOf(p.Standing.Groups)}
}

func hasRole(p Proof) *provisioner.Refusal {
	if len(p.Tenant.GrantsOf(p.Standing.Groups)) == 0 {
		return provisioner.Refuse(provisioner.CodeNotInGroup, "group", p.Tenant.StaffGroup)
	}
	return nil
}

// NewOperatorToken makes a one-time token for an operator; a former one that
// nobody has used dies. There is nobody to ask for leave: whoever can call it
// holds the database and the master key already.
func (s *Service) NewOperatorToken(ctx context.Context) (token string, expires time.Time, err error) {
	token = provisioner.NewSecret()
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		expires = tx.Now.Add(operatorTokenLife)
		if err := tx.AddOneTimeToken(token, store.TokenOperator, OperatorName, expires); err != nil {
			return fmt.Errorf("keeping the token: %w", err)
		}
		return tx.Audit(store.Event{Actor: provisioner.System("heimdrahtd"), Action: "create operator token"})
	})
	return token, expires, err
}

// RedeemToken trades an operator's one-time token for a staff token. Wrong,
// expired and used ones are one refusal, token-invalid.
func (s *Service) RedeemToken(ctx context.Context, actor provisioner.Actor, token string) (SignedIn, error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionSignIn, provisioner.Object{}); refusal != nil {
		return SignedIn{}, refusal
	}
	anonymous := actor
	t := store.StaffToken{Name: OperatorName, Grants: []provisioner.Grant{{Role: provisioner.RoleOperator}}}
	actor.ID, actor.Name, actor.Grants = OperatorName, t.Name, t.Grants
	var signed SignedIn
	err := s.Store.Update(ctx, func(tx *store.Writer) error {
		_, err := tx.UseOneTimeToken(token, store.TokenOperator)
		if err != nil {
			return err
		}
		signed, err = issue(tx, actor, t, "")
		return err
	})
	if err != nil {
		s.noteRefused(ctx, anonymous, Proof{}, err)
	}
	return signed, err
}

// noteRefused records that nobody was signed in at the command line, and who it seems to have been.
func (s *Service) noteRefused(ctx context.Context, actor provisioner.Actor, who Proof, err error) {
	refusal, is := provisioner.AsRefusal(err)
	if !is || refusal.Kind() == provisioner.KindUnavailable {
		return
	}
	e := store.Event{Actor: actor, Tenant: who.Tenant.Name, Action: string(provisioner.ActionSignIn), Result: string(refusal.Code)}
	if name := cmp.Or(who.Person.DisplayName, who.Person.Login); who.Person.ID != "" || name != "" {
		e.Object = audit.Object{Kind: "person", ID: who.Person.ID, Name: name}
	}
	s.refusals.Note(ctx, e)
}

// issue makes a staff token. Signing in with a role above staff is recorded.
func issue(tx *store.Writer, actor provisioner.Actor, t store.StaffToken, tenant string) (SignedIn, error) {
	token := provisioner.NewSecret()
	t.ExpiresAt = tx.Now.Add(tokenLife)
	if err := tx.AddStaffToken(token, t); err != nil {
		return SignedIn{}, fmt.Errorf("keeping the token: %w", err)
	}
	if actor.MainRole() != provisioner.RoleStaff {
		if err := tx.Audit(store.Event{Actor: actor, Tenant: tenant, Action: string(provisioner.ActionSignIn)}); err != nil {
			return SignedIn{}, fmt.Errorf("recording the sign-in: %w", err)
		}
	}
	return SignedIn{Token: token, ExpiresAt: t.ExpiresAt, Name: t.Name, Grants: t.Grants}, nil
}

// Logout ends a token. Idempotent.
func (s *Service) Logout(ctx context.Context, actor provisioner.Actor, token string) error {
	if refusal := provisioner.Allow(actor, provisioner.ActionSignOut, provisioner.Object{}); refusal != nil {
		return refusal
	}
	return s.Store.Update(ctx, func(tx *store.Writer) error { return tx.DropStaffToken(token) })
}

// WhoAmI says who is signed in by a token, and until when.
func (s *Service) WhoAmI(ctx context.Context, actor provisioner.Actor, token string) (SignedIn, error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionWhoAmI, provisioner.Object{}); refusal != nil {
		return SignedIn{}, refusal
	}
	t, err := s.token(ctx, token)
	if err != nil {
		return SignedIn{}, err
	}
	return SignedIn{ExpiresAt: t.ExpiresAt, Name: t.Name, Grants: actor.Grants}, nil
}

func (s *Service) token(ctx context.Context, token string) (store.StaffToken, error) {
	t, err := store.Read(ctx, s.Store, func(tx *store.Reader) (store.StaffToken, error) { return tx.StaffToken(token) })
	switch {
	case errors.Is(err, store.ErrNone) || err == nil && !time.Now().Before(t.ExpiresAt):
		return t, provisioner.Refuse(provisioner.CodeNotSignedIn)
	case err != nil:
		return t, fmt.Errorf("reading a staff token: %w", err)
	default:
		return t, nil
	}
}

// Authenticate says whom a staff token stands for, or refuses with
// not-signed-in. A role lasts no longer than the directory grants it: the
// answer is at most a minute old, and while the directory is silent what it
// last said counts until the token expires, for somebody must be able to act
// then too. Source and language are the caller's to add.
func (s *Service) Authenticate(ctx context.Context, token string) (provisioner.Actor, error) {
	t, err := s.token(ctx, token)
	if err != nil {
		return provisioner.Actor{}, err
	}
	actor := provisioner.Actor{ID: t.Person, Name: t.Name, Grants: t.Grants}
	if t.Person == "" {
		actor.ID = t.Name
		return actor, nil
	}
	if actor.Grants, err = s.grantsNow(ctx, t); err != nil {
		return provisioner.Actor{}, err
	}
	if len(actor.Grants) == 0 {
		return provisioner.Actor{}, provisioner.Refuse(provisioner.CodeNotSignedIn)
	}
	return actor, nil
}

const (
	// standingFresh is how old the directory's word on staff may be.
	standingFresh = time.Minute
	// staffPatience is how long a call of staff waits for the directory.
	staffPatience = time.Second
	// silencePause is how long a silent directory is not asked again for staff.
	silencePause = 30 * time.Second
)

// grantsNow keeps of a token's grants those that still hold.
func (s *Service) grantsNow(ctx context.Context, t store.StaffToken) ([]provisioner.Grant, error) {
	var grants []provisioner.Grant
	homes := []string{t.Tenant}
	if t.Tenant == "" { // of the version before
		homes = tenantsOf(t.Grants)
	}
	for _, name := range homes {
		tenant, standing, err := s.standingNow(ctx, t.Person, name)
		if errors.Is(err, store.ErrNone) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading how somebody stands in %s: %w", name, err)
		}
		if standing.Ended != "" {
			continue
		}
		for _, g := range tenant.GrantsOf(standing.Groups) {
			if slices.Contains(t.Grants, g) {
				grants = append(grants, g)
			}
		}
	}
	return grants, nil
}

func tenantsOf(grants []provisioner.Grant) []string {
	var names []string
	for _, g := range grants {
		if !slices.Contains(names, g.Tenant) {
			names = append(names, g.Tenant)
		}
	}
	return names
}

func (s *Service) standingNow(ctx context.Context, personID, tenantName string) (tenant provisioner.Tenant, standing provisioner.Standing, err error) {
	var person provisioner.Person
	err = s.Store.View(ctx, func(tx *store.Reader) (err error) {
		if tenant, err = tx.Tenant(tenantName); err != nil {
			return err
		}
		if person, err = tx.Person(personID); err != nil {
			return err
		}
		return nil
	})
	if err != nil {
		return tenant, standing, err
	}
	known, err := s.known(ctx, tenant, personID)
	if err == nil && known.at.IsZero() {
		err = store.ErrNone
	}
	standing = known.standing
	if err != nil || known.live || time.Since(known.at) < standingFresh || s.isSilent(tenant.Directory) {
		return tenant, standing, err
	}
	patience, cancel := context.WithTimeout(ctx, staffPatience)
	defer cancel()
	fresh, err := s.ask(patience, tenant, person)
	var silence *directory.Error
	switch {
	case err == nil:
		return tenant, fresh.Standing, nil
	case ctx.Err() != nil:
		return tenant, standing, ctx.Err()
	case errors.As(err, &silence):
		s.Logger.Warn("a directory did not say how staff stand", "tenant", tenant.Name, "error", silence)
		s.noteSilent(tenant.Directory)
		return tenant, standing, nil
	default:
		return tenant, standing, err
	}
}

func (s *Service) isSilent(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Before(s.silent[name])
}

func (s *Service) noteSilent(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent[name] = time.Now().Add(silencePause)
}
