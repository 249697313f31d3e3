package entitlement

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/tenancy"
)

// MoveProposal is what somebody wants: that a tenant goes on with another directory.
type MoveProposal struct {
	Tenant    string
	Directory string // the other one, which must be declared
	// Declared is the tenant as it is to be. Nil: as it is, but for the directory.
	Declared *provisioner.Tenant
	Lines    []IdentityLine
	// UnmappedGone: the tenant's people with a device whom no line names count as gone from the directory. Else they are a
	// problem.
	UnmappedGone bool
	Reason       string
	DryRun       bool // only look
}

// Move is a proposed one.
type Move struct {
	store.TenantMove // without a hash: there is nothing to confirm
	ExpiresAt        time.Time
	Changes          []tenancy.Difference // of the tenant's declaration
	List             []store.MovedPerson
	Gone             []provisioner.Person // by name; with UnmappedGone
	Problems         []IdentityProblem    // by line; with any, nothing is proposed
}

// ProposeMove keeps a proposal for somebody else to confirm. It reads the new directory: nothing follows it for this tenant yet.
// Proposing the same again changes nothing.
func (s *Service) ProposeMove(ctx context.Context, actor provisioner.Actor, p MoveProposal) (Move, error) {
	// Which directory decides about a tenant's people is the operator's to change, as in a file.
	for _, action := range []provisioner.Action{provisioner.ActionProposeIdentities, provisioner.ActionApplyInfrastructure} {
		if refusal := provisioner.Allow(actor, action, provisioner.Object{Tenant: p.Tenant}); refusal != nil {
			return Move{}, refusal
		}
	}
	reason, refusal := checkProposal(p.Reason, p.DryRun, p.Lines)
	if refusal != nil {
		return Move{}, refusal
	}
	look, err := s.lookAtMove(ctx, p.Tenant, func(was provisioner.Tenant) provisioner.Tenant {
		if p.Declared == nil {
			was.Directory = p.Directory
			return was
		}
		return *p.Declared
	})
	if err != nil {
		return Move{}, err
	}
	if look.now.Directory != p.Directory { // of a file
		return Move{}, provisioner.Refuse(provisioner.CodeInvalid).With("field", "to_directory", "to_directory").
			With("why", "die Datei nennt ein anderes Verzeichnis", "the file names another directory")
	}
	found := look.judge(p.Lines, p.UnmappedGone)
	if len(found.Problems) > 0 {
		return found, nil
	}
	found.Reason, found.ProposedBy, found.ProposedName, found.ProposedAt = reason, actor.ID, actor.Name, time.Now()
	found.ExpiresAt = found.ProposedAt.Add(identityLife)
	if p.DryRun {
		found.Hash = ""
		return found, nil
	}
	return found, s.keepMove(ctx, actor, &found)
}

// keepMove writes in slices; what is written last makes it count.
func (s *Service) keepMove(ctx context.Context, actor provisioner.Actor, found *Move) error {
	proposed := false
	if err := s.Store.Update(ctx, func(tx *store.Writer) error {
		if err := tx.ForgetTenantMoves(tx.Now.Add(-identityLife)); err != nil {
			return err
		}
		before, err := tx.TenantMove(found.Hash)
		switch {
		case errors.Is(err, store.ErrNone):
			return tx.PutTenantMove(found.TenantMove)
		case err != nil:
			return err
		}
		if proposed = before.Complete; proposed { // by whomever
			found.TenantMove, found.ExpiresAt = before, before.ProposedAt.Add(identityLife)
		}
		return nil
	}); err != nil || proposed {
		return err
	}
	for part := range slices.Chunk(found.List, changesAtOnce) {
		if err := s.Store.Update(ctx, func(tx *store.Writer) error {
			for _, m := range part {
				if err := tx.AddMovedPerson(m); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return fmt.Errorf("keeping a proposal: %w", err)
		}
	}
	return s.Store.Update(ctx, func(tx *store.Writer) error {
		found.Complete = true
		if err := tx.PutTenantMove(found.TenantMove); err != nil {
			return err
		}
		return tx.Audit(moveEvent(actor, provisioner.ActionProposeIdentities, *found, found.Reason))
	})
}

func moveEvent(actor provisioner.Actor, action provisioner.Action, m Move, reason string) store.Event {
	details := map[string]string{"hash": m.Hash, "people": fmt.Sprint(m.People), "unmapped": fmt.Sprint(len(m.Gone))}
	for _, d := range m.Changes {
		details[d.Field] = audit.CleanText(d.Before+" -> "+d.After, audit.ReasonLimit)
	}
	return store.Event{
		Actor: actor, Tenant: m.Declaration.Name, Action: string(action), Reason: reason,
		Object: audit.Object{Kind: "tenant", ID: m.Declaration.Name}, Details: details,
	}
}

// IsMove reports whether a proposal is one to have a tenant go on with another directory.
func (s *Service) IsMove(ctx context.Context, hash string) (bool, error) {
	_, err := store.Read(ctx, s.Store, func(tx *store.Reader) (store.TenantMove, error) { return tx.TenantMove(cleanHash(hash)) })
	if errors.Is(err, store.ErrNone) {
		return false, nil
	}
	return err == nil, err
}

func cleanHash(hash string) string { return strings.ToLower(strings.TrimSpace(hash)) }

// ReadMove shows a proposal to whoever is to confirm it.
func (s *Service) ReadMove(ctx context.Context, actor provisioner.Actor, hash string) (found Move, err error) {
	const action = provisioner.ActionConfirmIdentities
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return found, refusal
	}
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		m, err := openMove(tx, hash, time.Now())
		if err != nil {
			return err
		}
		if !provisioner.ScopeOf(actor, action).Includes(m.Declaration.Name) {
			return provisioner.Refuse(provisioner.CodeProposalUnknown)
		}
		found, err = readMove(tx, m)
		return err
	})
	return found, err
}

// openMove reads a proposal that can be confirmed.
func openMove(tx *store.Reader, hash string, now time.Time) (store.TenantMove, error) {
	m, err := tx.TenantMove(cleanHash(hash))
	if errors.Is(err, store.ErrNone) || err == nil && (!m.Complete || !m.ConfirmedAt.IsZero() || !now.Before(m.ProposedAt.Add(identityLife))) {
		return m, provisioner.Refuse(provisioner.CodeProposalUnknown)
	}
	return m, err
}

func readMove(tx *store.Reader, m store.TenantMove) (found Move, err error) {
	found = Move{TenantMove: m, ExpiresAt: m.ProposedAt.Add(identityLife)}
	was, err := tx.Tenant(m.Declaration.Name)
	if err != nil {
		return found, fmt.Errorf("reading tenant %s: %w", m.Declaration.Name, err)
	}
	if _, found.Changes, err = tenancy.Moved(was, m.Declaration); err != nil {
		return found, provisioner.Refuse(provisioner.CodeProposalVoid).Because(err)
	}
	if found.List, err = tx.MovedPeople(m.Hash, identitiesAtMost); err != nil || !m.UnmappedGone {
		return found, err
	}
	living, err := tx.PeopleWithDevicesIn(was.Name)
	if err != nil {
		return found, err
	}
	for _, i := range found.List {
		delete(living, i.Person.ID)
	}
	for id := range living {
		p, err := tx.Person(id)
		if err != nil {
			return found, fmt.Errorf("reading who stays behind: %w", err)
		}
		if p.Directory == m.Former {
			found.Gone = append(found.Gone, p)
		}
	}
	sortByName(found.Gone)
	return found, nil
}

// ConfirmMove has a tenant go on with another directory, as was proposed by somebody else, if all of it still holds. It returns of how
// many people it was.
func (s *Service) ConfirmMove(ctx context.Context, actor provisioner.Actor, hash, reason string) (int, error) {
	n, err := s.confirmMove(ctx, actor, hash, reason)
	if err != nil {
		return 0, err
	}
	return n, s.finishMoves(ctx, s.Store.Update)
}

// confirmMove begins it; from then on it is done, by whomever.
func (s *Service) confirmMove(ctx context.Context, actor provisioner.Actor, hash, reason string) (int, error) {
	found, err := s.ReadMove(ctx, actor, hash)
	if err != nil {
		return 0, err
	}
	if reason = audit.CleanReason(reason); reason == "" {
		return 0, provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	if found.ProposedBy == actor.ID { // all who came by the server's one-time token are one
		return 0, provisioner.Refuse(provisioner.CodeFourEyes, "who", found.ProposedName)
	}
	look, err := s.lookAtMove(ctx, found.Declaration.Name, func(provisioner.Tenant) provisioner.Tenant { return found.Declaration })
	if err != nil {
		return 0, err
	}
	again := look.judge(found.lines(), found.UnmappedGone)
	if len(again.Problems) > 0 || again.Hash != found.Hash {
		return 0, provisioner.Refuse(provisioner.CodeProposalVoid).Because(fmt.Errorf("%d problems, %d people, %d left behind", len(again.Problems), len(again.List), len(again.Gone)))
	}
	if err := s.keepSaid(ctx, look, found); err != nil {
		return 0, err
	}
	if err := s.Store.Update(ctx, func(tx *store.Writer) error { return beginMove(tx, actor, look, found, reason) }); err != nil {
		return 0, fmt.Errorf("%s: %w", provisioner.ActionConfirmIdentities, err)
	}
	return len(found.List), nil
}

func (m Move) lines() (lines []IdentityLine) {
	for n, i := range m.List {
		lines = append(lines, IdentityLine{Line: n + 1, From: i.FormerID, To: i.StableID})
	}
	return lines
}

// keepSaid notes, in slices, what the new directory says of everybody: without the proposal's end it means nothing.
func (s *Service) keepSaid(ctx context.Context, look *moveLook, m Move) error {
	for part := range slices.Chunk(m.List, changesAtOnce) {
		if err := s.Store.Update(ctx, func(tx *store.Writer) error {
			for _, i := range part {
				if err := tx.PutMovedStanding(m.Hash, look.carried(i)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return fmt.Errorf("keeping what the new directory says: %w", err)
		}
	}
	return nil
}

// beginMove has the tenant use the other directory. From now on nobody is followed, asked for or made known in the tenant until its
// people are carried over (finishMoves).
func beginMove(tx *store.Writer, actor provisioner.Actor, look *moveLook, m Move, reason string) error {
	now, err := openMove(&tx.Reader, m.Hash, tx.Now)
	if err != nil {
		return err
	}
	tenant, err := tx.Tenant(look.was.Name)
	if err != nil {
		return fmt.Errorf("reading tenant %s: %w", look.was.Name, err)
	}
	living, err := tx.PeopleWithDevicesIn(tenant.Name)
	if err != nil {
		return fmt.Errorf("reading who has a device: %w", err)
	}
	if !reflect.DeepEqual(tenant, look.was) || !maps.Equal(living, look.living) { // somebody has enrolled, or been revoked
		return provisioner.Refuse(provisioner.CodeProposalVoid)
	}
	now.ConfirmedAt = tx.Now
	if err := tx.PutTenantMove(now); err != nil {
		return err
	}
	if err := tx.PutTenant(m.Declaration, tenant); err != nil {
		return err
	}
	return tx.Audit(moveEvent(actor, provisioner.ActionConfirmIdentities, m, reason))
}

// finishMoves does what was confirmed, each person as a whole.
func (s *Service) finishMoves(ctx context.Context, update func(context.Context, func(*store.Writer) error) error) error {
	ctx = context.WithoutCancel(ctx)
	list, err := store.Read(ctx, s.Store, (*store.Reader).ConfirmedMoves)
	if err != nil {
		return err
	}
	for _, m := range list {
		if err := s.finishMove(ctx, m, update); err != nil {
			return fmt.Errorf("moving tenant %s: %w", m.Declaration.Name, err)
		}
	}
	return nil
}

// movedAtOnce is how many people are carried over in one transaction: each is a dozen statements.
const movedAtOnce = 10

func (s *Service) finishMove(ctx context.Context, m store.TenantMove, update func(context.Context, func(*store.Writer) error) error) error {
	for {
		list, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]store.MovedPerson, error) { return tx.MovedPeople(m.Hash, movedAtOnce) })
		if err != nil {
			return err
		}
		if len(list) == 0 {
			break
		}
		var left []string
		if err := update(ctx, func(tx *store.Writer) error {
			left = nil
			for _, i := range list {
				done, err := movePerson(tx, m, i)
				if err != nil {
					return fmt.Errorf("carrying %s over: %w", i.Person.ID, err)
				}
				if !done {
					left = append(left, i.Person.ID)
				}
			}
			return nil
		}); err != nil {
			return err
		}
		if len(left) > 0 {
			s.Logger.Warn("people were not carried over to another directory: what was proposed of them does not hold any more; they count as gone, and the brake holds",
				"tenant", m.Declaration.Name, "people", left, "next", "heimdraht directory pending --tenant "+m.Declaration.Name)
		}
	}
	return s.endMove(ctx, m, update)
}

// endMove puts those right who are left behind and have nothing to lose, and has the tenant be followed again.
func (s *Service) endMove(ctx context.Context, m store.TenantMove, update func(context.Context, func(*store.Writer) error) error) error {
	tenant := m.Declaration.Name
	for {
		list, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]string, error) { return tx.LeftBehind(tenant, changesAtOnce) })
		if err != nil {
			return err
		}
		if len(list) == 0 {
			break
		}
		if err := update(ctx, func(tx *store.Writer) error {
			for _, person := range list {
				if err := tx.LeaveBehind(tenant, person); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	// People are in the groups that the new directory has, and so are the networks: only now is it known who reaches what.
	if err := update(ctx, func(tx *store.Writer) error { return errors.Join(tx.EndTenantMove(m.Hash), tx.RetellTenant(tenant)) }); err != nil {
		return err
	}
	s.Logger.Info("a tenant uses another directory", "tenant", tenant, "former", m.Former, "directory", m.Declaration.Directory)
	s.Declared()
	// What was on its way about people who were carried over was passed over: it is found again at once.
	s.Reconcile(m.Former)
	return nil
}

// movePerson carries somebody over, if nobody has done it meanwhile.
func movePerson(tx *store.Writer, m store.TenantMove, i store.MovedPerson) (bool, error) {
	if _, err := tx.TenantMove(m.Hash); errors.Is(err, store.ErrNone) {
		return true, nil
	} else if err != nil {
		return false, err
	}
	now, err := tx.Person(i.Person.ID)
	if err != nil && !errors.Is(err, store.ErrNone) {
		return false, fmt.Errorf("reading the person: %w", err)
	}
	if now.Directory == m.Declaration.Directory && now.StableID == i.StableID {
		return true, nil
	}
	return tx.MovePerson(m, i)
}

// hashOfMove names exactly these changes, these people and ids, and who stays behind.
func hashOfMove(m Move) string {
	lines := []string{m.Declaration.Name, m.Former, fmt.Sprint(m.UnmappedGone)}
	for _, d := range m.Changes {
		lines = append(lines, fmt.Sprintf("%q %q %q", d.Field, d.Before, d.After))
	}
	fixed := len(lines)
	for _, i := range m.List {
		lines = append(lines, i.Person.ID+" "+i.FormerID+" "+i.StableID)
	}
	for _, p := range m.Gone {
		lines = append(lines, "gone "+p.ID)
	}
	slices.Sort(lines[fixed:])
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:6])
}

func sortByName(list []provisioner.Person) {
	slices.SortFunc(list, func(a, b provisioner.Person) int {
		return strings.Compare(a.DisplayName+"\x00"+a.ID, b.DisplayName+"\x00"+b.ID)
	})
}
