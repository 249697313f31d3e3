package signin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/entitlement"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Credentials are what a person typed.
type Credentials struct {
	Tenant   string // empty: it follows from the mail domain in Login
	Login    string
	Password Password
	Code     Password // from the phone, or a recovery code; empty: none was typed (Confirm)
}

// Proof is a person whose password is proven.
type Proof struct {
	Tenant   provisioner.Tenant
	Person   provisioner.Person
	Standing provisioner.Standing
}

// Prove finds out by password who somebody is, and that she may use the
// tenant's access. Until the password is proven, every refusal is
// sign-in-failed and leaves at a full half second. After that it is
// access-ended, password-expired or not-in-group.
func (s *Service) Prove(ctx context.Context, actor provisioner.Actor, c Credentials) (Proof, error) {
	proof, err := s.prove(ctx, actor, c, func(p Proof) *provisioner.Refusal { return p.Tenant.Admits(p.Standing, time.Now()) })
	if err != nil {
		return Proof{}, err
	}
	return proof, nil
}

// evenly is the grid on which refusals leave.
const evenly = 500 * time.Millisecond

// prove gives with a refusal who it was, as far as that is known.
func (s *Service) prove(ctx context.Context, actor provisioner.Actor, c Credentials, admit func(Proof) *provisioner.Refusal) (Proof, error) {
	began := time.Now()
	if refusal := provisioner.Allow(actor, provisioner.ActionSignIn, provisioner.Object{}); refusal != nil {
		return Proof{}, refusal
	}
	t := try{service: s, actor: actor, credentials: c, admit: admit}
	proof, err := t.run(ctx)
	if t.proven || err == nil {
		return proof, err
	}
	var f *failure
	if errors.As(err, &f) {
		t.remember(ctx, f)
		err = provisioner.Refuse(provisioner.CodeSignInFailed).Because(f)
	}
	if gone := waitEvenly(ctx, began); gone != nil {
		return Proof{}, gone
	}
	return Proof{Tenant: t.tenant, Person: t.named}, err
}

// waitEvenly returns at the next full half second after began.
func waitEvenly(ctx context.Context, began time.Time) error {
	timer := time.NewTimer(evenly - time.Since(began)%evenly)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// try is one try to sign in, and what is known of it so far.
type try struct {
	service     *Service
	actor       provisioner.Actor
	credentials Credentials
	admit       func(Proof) *provisioner.Refusal

	login     string // as typed, without outer spaces
	tenant    provisioner.Tenant
	directory provisioner.Directory
	live      bool              // the directory is followed: groups are known without asking
	counts    []count           // reserved
	found     *directory.Person // whose login it is; nil: not known
	proven    bool
	named     provisioner.Person // who it seems to be, as far as may be written down
}

// run gives a *failure as long as the password is not proven, a refusal or a
// fault.
func (t *try) run(ctx context.Context) (Proof, error) {
	login, refused := directory.Typed(t.credentials.Login, string(t.credentials.Password))
	if refused != nil {
		return Proof{}, t.refusedAsTyped(ctx, refused)
	}
	t.login = login
	if err := t.findTenant(ctx); err != nil {
		return Proof{}, err
	}
	if err := t.reserve(ctx, sourceCount(t.actor.Source), loginCount(t.tenant.Name, foldLogin(login), t.cost())); err != nil {
		return Proof{}, err
	}
	// Who goes away before the answer has made a try all the same.
	person, err := t.ask(context.WithoutCancel(ctx))
	if err != nil {
		return Proof{}, t.unproven(ctx, err)
	}
	t.proven, t.found = true, &person
	return t.admitted(ctx, person)
}

// refusedAsTyped is about what no directory is asked. Whose login it is still
// helps the helpdesk.
func (t *try) refusedAsTyped(ctx context.Context, refused *directory.Error) error {
	if refused.Cause == directory.EmptyPassword || refused.Cause == directory.PasswordTooLong {
		t.login, _ = directory.Typed(t.credentials.Login, "x")
		var unknown *failure
		if err := t.findTenant(ctx); err != nil && !errors.As(err, &unknown) {
			return err
		}
	}
	return failureOf(refused)
}

// ownFault is of our database while the directory is asked: no word of the directory.
type ownFault struct{ error }

func (f ownFault) Unwrap() error { return f.error }

func (t *try) cost() int64 { return costOf(t.credentials.Password) }

// reserve counts the try in advance.
func (t *try) reserve(ctx context.Context, counts ...count) error {
	err := t.service.reserve(ctx, counts...)
	var full *throttled
	switch {
	case errors.As(err, &full):
		return failureOf(full)
	case err != nil:
		return ownFault{fmt.Errorf("counting a try to sign in: %w", err)}
	}
	t.counts = append(t.counts, counts...)
	return nil
}

// findTenant finds the tenant by name, else by mail domain, and its directory.
func (t *try) findTenant(ctx context.Context) error {
	return t.service.Store.View(ctx, func(tx *store.Reader) (err error) {
		name := strings.ToLower(strings.TrimSpace(t.credentials.Tenant))
		if name == "" {
			at := strings.LastIndexByte(t.login, '@')
			if at < 0 {
				return &failure{cause: causeUnknownTenant}
			}
			name, err = tx.TenantOfMailDomain(strings.ToLower(t.login[at+1:]))
			if errors.Is(err, store.ErrNone) {
				return &failure{cause: causeUnknownTenant}
			}
			if err != nil {
				return fmt.Errorf("finding the tenant of a mail domain: %w", err)
			}
		}
		t.tenant, err = tx.Tenant(name)
		if errors.Is(err, store.ErrNone) {
			return &failure{cause: causeUnknownTenant}
		}
		if err != nil {
			return fmt.Errorf("reading a tenant: %w", err)
		}
		if t.directory, err = tx.Directory(t.tenant.Directory); err != nil {
			return fmt.Errorf("reading the directory of tenant %s: %w", name, err)
		}
		following, err := tx.Following(t.directory.Name)
		if err != nil && !errors.Is(err, store.ErrNone) {
			return fmt.Errorf("reading how directory %s is followed: %w", t.directory.Name, err)
		}
		t.live = following.IsLive(time.Now())
		return nil
	})
}

// ask has the directory prove the password, and say in which groups the person is if that is not known.
func (t *try) ask(ctx context.Context) (person directory.Person, err error) {
	q := directory.Query{
		Base: t.tenant.Base, Login: t.login,
		Found: func(p directory.Person) error {
			t.found = &p
			return t.reserve(ctx, personCount(p, t.directory.Name, t.cost()))
		},
	}
	if !t.live {
		q.StaffGroup, q.Groups = t.tenant.StaffGroup, t.tenant.GroupsAsked()
	}
	err = t.service.Directories.Use(t.directory, func(d directory.Directory) error {
		person, err = d.SignIn(ctx, q, string(t.credentials.Password))
		if err != nil || !t.live {
			return err
		}
		person, err = t.withGroups(ctx, d, person)
		return err
	})
	return person, err
}

// withGroups adds the groups that are known from following the directory. It is asked all the same about who is not known
// to be staff: what it has said may be a moment old, and nobody is refused for that.
func (t *try) withGroups(ctx context.Context, d directory.Directory, person directory.Person) (directory.Person, error) {
	known, err := store.Read(ctx, t.service.Store, func(tx *store.Reader) (store.KnownPerson, error) {
		return tx.KnownAs(t.directory.Name, person.StableID)
	})
	if err != nil && !errors.Is(err, store.ErrNone) {
		return person, ownFault{fmt.Errorf("reading somebody's groups: %w", err)}
	}
	for _, v := range known.Standings {
		if v.Tenant == t.tenant.Name && !v.Held && t.tenant.IsStaff(v.Groups) {
			person.Groups = v.Groups
			return person, nil
		}
	}
	now, err := d.Lookup(ctx, t.tenant.Base, person.StableID, t.tenant.GroupsAsked())
	if err != nil {
		return person, err
	}
	if now.Missing(t.tenant.StaffGroup) {
		return person, staffGroupMissing(t.tenant)
	}
	person.Groups, person.MissingGroups = now.Groups, now.MissingGroups
	return person, nil
}

// unproven sorts the directory's answer. Tries that it did not answer are
// taken back.
func (t *try) unproven(ctx context.Context, err error) error {
	var own ownFault
	if errors.As(err, &own) {
		return own.error
	}
	var f *failure // of the counting in between
	if !errors.As(err, &f) {
		f = failureOf(err)
	}
	if !f.fault && f.cause != causeLoginThrottled {
		return f
	}
	undo := t.service.Store.Update(context.WithoutCancel(ctx), func(tx *store.Writer) error { return takeBack(tx, t.counts) })
	if undo != nil {
		return fmt.Errorf("taking back the count of a try to sign in: %w", undo)
	}
	t.counts = nil
	return f
}

// admitted keeps what the directory said of a proven person and decides
// whether that suffices.
func (t *try) admitted(ctx context.Context, found directory.Person) (proof Proof, err error) {
	var refusal *provisioner.Refusal
	var settled entitlement.Settled
	err = t.service.Store.Update(ctx, func(tx *store.Writer) error {
		if err := forgive(tx, t.counts); err != nil {
			return fmt.Errorf("forgetting wrong tries: %w", err)
		}
		found.Directory = t.tenant.Directory
		if settled, err = entitlement.Settle(tx, t.tenant, entitlement.WordOf(found, true)); err != nil {
			return err
		}
		// Who signs in is judged by what the directory says now, whatever is held back for those who are connected.
		proof = Proof{Tenant: t.tenant, Person: settled.Person, Standing: settled.Said}
		if refusal = t.decide(proof, found.Status); refusal == nil {
			return nil
		}
		return tx.AddRefusal(store.RecentRefusal{
			Tenant: t.tenant.Name, Login: store.Fold(proof.Person.Login), Person: proof.Person.ID, Code: refusal.Code, Source: t.actor.Source,
		})
	})
	if err != nil {
		return Proof{}, fmt.Errorf("keeping what the directory said: %w", err)
	}
	settled.Tell(t.service.Logger)
	if refusal != nil {
		return proof, refusal
	}
	return proof, nil
}

func (t *try) decide(p Proof, status directory.Status) *provisioner.Refusal {
	switch {
	case p.Standing.Ended != "":
		return provisioner.AccessEnded(p.Standing.Ended)
	case status.PasswordExpired || status.MustChangePassword:
		return provisioner.Refuse(provisioner.CodePasswordExpired)
	default:
		return t.admit(p)
	}
}

// remember writes a failure down for the helpdesk and the log.
func (t *try) remember(ctx context.Context, f *failure) {
	log := t.service.Logger
	if f.fault {
		log.Warn("a directory did not answer a sign-in", "tenant", t.tenant.Name, "error", f)
	} else {
		log.Info("a sign-in failed", "tenant", t.tenant.Name, "cause", string(f.cause), "source", t.actor.Source)
	}
	if len(t.counts) == 0 && !t.service.uncounted.Allow() {
		return
	}
	ctx = context.WithoutCancel(ctx)
	row := store.RecentRefusal{Tenant: t.tenant.Name, Code: provisioner.CodeSignInFailed, Cause: f.Told(), Source: t.actor.Source}
	err := t.name(ctx, &row)
	if err == nil {
		t.named = provisioner.Person{ID: row.Person, Login: row.Login}
		if t.found != nil {
			t.named, err = t.service.knownAs(ctx, t.directory.Name, *t.found)
		}
	}
	if err == nil {
		log.Debug("whose sign-in failed", "login", row.Login)
		err = t.service.Store.Update(ctx, func(tx *store.Writer) error { return tx.AddRefusal(row) })
	}
	if err != nil {
		log.Error("keeping a refusal for the helpdesk", "error", err)
	}
}

// knownAs is whom the directory found; without an id if she was never here.
func (s *Service) knownAs(ctx context.Context, in string, found directory.Person) (provisioner.Person, error) {
	p := provisioner.Person{Login: store.Fold(found.Login)}
	known, err := store.Read(ctx, s.Store, func(tx *store.Reader) (store.KnownPerson, error) { return tx.KnownAs(in, found.StableID) })
	if err != nil && !errors.Is(err, store.ErrNone) {
		return p, fmt.Errorf("looking whether somebody is known: %w", err)
	}
	p.ID = known.Person.ID
	return p, nil
}

// name says in a record who it was. What was typed is kept only if it is the
// login or mail address of somebody known: people type passwords into that
// field.
func (t *try) name(ctx context.Context, row *store.RecentRefusal) error {
	if t.found != nil {
		row.Login = store.Fold(t.found.Login)
		return nil
	}
	typed := store.Fold(t.login)
	if t.tenant.Name == "" || typed == "" {
		return nil
	}
	person, err := store.Read(ctx, t.service.Store, func(tx *store.Reader) (provisioner.Person, error) {
		return tx.PersonTyped(t.tenant.Name, typed)
	})
	if errors.Is(err, store.ErrNone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking whose login it is: %w", err)
	}
	row.Login, row.Person = typed, person.ID
	return nil
}
