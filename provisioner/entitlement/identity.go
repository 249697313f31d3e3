package entitlement

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// IdentityLine says by which stable id somebody is to be known who is known by another one.
type IdentityLine struct {
	Line     int // in the file that it comes from
	From, To string
}

// IdentityProblem is why a line cannot be.
type IdentityProblem struct {
	Line int
	Code IdentityCode
	Also int // the other line, of what stands twice; zero: none
	// Person is whom no line names (IdentityNotMapped).
	Person provisioner.Person
}

// IdentityCode is why. The codes are stable.
type IdentityCode string

// The reasons.
const (
	IdentityEmpty     IdentityCode = "empty"      // an id is missing
	IdentitySame      IdentityCode = "same"       // both ids are one
	IdentityTwice     IdentityCode = "twice"      // an id stands in another line too
	IdentityUnknown   IdentityCode = "unknown"    // nobody, or nobody of the caller's, is known by the old one
	IdentityNotRead   IdentityCode = "not-read"   // nobody has been read from the directory with the new one
	IdentityTaken     IdentityCode = "taken"      // somebody with a laptop has the new one
	IdentityWouldLose IdentityCode = "would-lose" // whoever has the new one has not the right that the person has
	IdentityNotMapped IdentityCode = "not-mapped" // somebody of the tenant that is to move has a device, and no line names her
)

const (
	identitiesAtMost = 50_000 // lines
	// identityLife is how long a proposal waits for somebody else.
	identityLife = 7 * 24 * time.Hour
)

// IdentityProposal is what somebody wants changed.
type IdentityProposal struct {
	Directory string
	Lines     []IdentityLine
	Reason    string
	DryRun    bool // only look
}

// Identities are proposed changes.
type Identities struct {
	store.IdentityChange // without a hash: there is nothing to confirm
	ExpiresAt            time.Time
	List                 []store.NewIdentity
	Problems             []IdentityProblem // by line; with any, nothing is proposed
}

// ProposeIdentities keeps a proposal for somebody else to confirm. Proposing the same again changes nothing.
func (s *Service) ProposeIdentities(ctx context.Context, actor provisioner.Actor, p IdentityProposal) (Identities, error) {
	const action = provisioner.ActionProposeIdentities
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return Identities{}, refusal
	}
	reason, refusal := checkProposal(p.Reason, p.DryRun, p.Lines)
	if refusal != nil {
		return Identities{}, refusal
	}
	var found Identities
	err := s.Store.View(ctx, func(tx *store.Reader) error {
		look, err := s.lookAtIdentities(tx, provisioner.ScopeOf(actor, action), p.Directory)
		if err != nil {
			return err
		}
		found = look.judge(p.Lines)
		return nil
	})
	if err != nil || len(found.Problems) > 0 {
		return found, err
	}
	found.IdentityChange = store.IdentityChange{
		Hash: hashOfIdentities(p.Directory, found.List), Directory: p.Directory, People: int64(len(found.List)), Reason: reason,
		ProposedBy: actor.ID, ProposedName: actor.Name, ProposedAt: time.Now(),
	}
	found.ExpiresAt = found.ProposedAt.Add(identityLife)
	if p.DryRun {
		found.Hash = ""
		return found, nil
	}
	return found, s.keepProposal(ctx, actor, &found)
}

// checkProposal refuses one without a reason, unless somebody only looks, and one with too few or too many lines.
func checkProposal(reason string, dryRun bool, lines []IdentityLine) (string, *provisioner.Refusal) {
	reason = audit.CleanReason(reason)
	if reason == "" && !dryRun {
		return "", provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	if len(lines) == 0 || len(lines) > identitiesAtMost {
		return "", provisioner.Refuse(provisioner.CodeInvalid).With("field", "lines", "lines").
			With("why", fmt.Sprintf("es braucht 1 bis %d Zeilen", identitiesAtMost), fmt.Sprintf("it takes 1 to %d lines", identitiesAtMost))
	}
	return reason, nil
}

// keepProposal writes in slices; what is written last makes it count.
func (s *Service) keepProposal(ctx context.Context, actor provisioner.Actor, found *Identities) error {
	if err := s.Store.Update(ctx, func(tx *store.Writer) error { return tx.ForgetIdentityChanges(tx.Now.Add(-identityLife)) }); err != nil {
		return fmt.Errorf("forgetting proposals that nobody has confirmed: %w", err)
	}
	for part := range slices.Chunk(found.List, changesAtOnce) {
		if err := s.Store.Update(ctx, func(tx *store.Writer) error {
			for _, i := range part {
				i.Hash = found.Hash
				if err := tx.AddNewIdentity(i); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return fmt.Errorf("keeping a proposal: %w", err)
		}
	}
	return s.Store.Update(ctx, func(tx *store.Writer) error {
		before, err := tx.IdentityChange(found.Hash)
		if err == nil { // proposed already, by whomever
			found.IdentityChange, found.ExpiresAt = before, before.ProposedAt.Add(identityLife)
			return nil
		}
		if !errors.Is(err, store.ErrNone) {
			return err
		}
		if err := tx.PutIdentityChange(found.IdentityChange); err != nil {
			return err
		}
		return tx.Audit(identityEvent(actor, provisioner.ActionProposeIdentities, found.IdentityChange, found.Reason))
	})
}

func identityEvent(actor provisioner.Actor, action provisioner.Action, c store.IdentityChange, reason string) store.Event {
	return store.Event{
		Actor: actor, Action: string(action), Reason: reason, Object: audit.Object{Kind: "identities", ID: c.Hash},
		Details: map[string]string{"directory": c.Directory, "people": fmt.Sprint(c.People)},
	}
}

// hashOfIdentities names exactly these people and ids.
func hashOfIdentities(directory string, list []store.NewIdentity) string {
	lines := []string{directory}
	for _, i := range list {
		lines = append(lines, i.Person.ID+" "+i.FormerID+" "+i.StableID)
	}
	slices.Sort(lines[1:])
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:6])
}

// identityLook is what a map of ids is held against.
type identityLook struct {
	scope   provisioner.Scope
	known   map[string]store.KnownPerson // by stable id
	devices map[string]bool              // by person
}

func (s *Service) lookAtIdentities(tx *store.Reader, scope provisioner.Scope, name string) (identityLook, error) {
	look := identityLook{scope: scope, known: map[string]store.KnownPerson{}}
	tenants, err := tx.Tenants(scope)
	if err != nil {
		return look, err
	}
	_, everywhere := scope.Tenants()
	_, err = tx.Directory(name)
	uses := slices.ContainsFunc(tenants, func(t provisioner.Tenant) bool { return t.Directory == name })
	if errors.Is(err, store.ErrNone) || err == nil && !everywhere && !uses {
		return look, provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(name, 64)).With("what", "Ein solches Verzeichnis", "directory")
	}
	if err != nil {
		return look, err
	}
	if err := everybodyOf(tx, name, func(k store.KnownPerson) { look.known[k.Person.StableID] = k }); err != nil {
		return look, err
	}
	look.devices, err = tx.PeopleWithDevices()
	return look, err
}

// covers reports whether somebody is of the caller's tenants, and of no other.
func (l identityLook) covers(k store.KnownPerson) bool {
	_, everywhere := l.scope.Tenants()
	return everywhere || len(k.Standings) > 0 &&
		!slices.ContainsFunc(k.Standings, func(v provisioner.Standing) bool { return !l.scope.Includes(v.Tenant) })
}

// normalID is the form in which stable ids are kept: people copy them in capitals and in braces.
func normalID(s string) string { return strings.ToLower(strings.Trim(strings.TrimSpace(s), "{}")) }

func (l identityLook) judge(lines []IdentityLine) (found Identities) {
	first := map[string]int{}
	for _, line := range lines {
		from, to := normalID(line.From), normalID(line.To)
		problem := IdentityProblem{Line: line.Line}
		switch {
		case from == "" || to == "":
			problem.Code = IdentityEmpty
		case from == to:
			problem.Code = IdentitySame
		case first[from] != 0 || first[to] != 0:
			problem.Code, problem.Also = IdentityTwice, max(first[from], first[to])
		default:
			problem.Code = l.problem(from, to)
		}
		first[from], first[to] = line.Line, line.Line
		if problem.Code != "" {
			found.Problems = append(found.Problems, problem)
			continue
		}
		now := l.known[to].Person
		found.List = append(found.List, store.NewIdentity{
			Person: l.known[from].Person, FormerID: from, StableID: to, NewName: now.DisplayName, NewLogin: now.Login,
		})
	}
	slices.SortFunc(found.List, func(a, b store.NewIdentity) int { return strings.Compare(a.Person.DisplayName, b.Person.DisplayName) })
	return found
}

func (l identityLook) problem(from, to string) IdentityCode {
	old, known := l.known[from]
	if !known || !l.covers(old) {
		return IdentityUnknown
	}
	now, read := l.known[to]
	if read && (l.devices[now.Person.ID] || !l.covers(now)) {
		return IdentityTaken
	}
	return mayBecome(old, now, read)
}

// mayBecome decides whether somebody may be known as another one is known now, without losing a right by it.
func mayBecome(old, now store.KnownPerson, read bool) IdentityCode {
	for _, v := range old.Standings {
		if !v.Entitled {
			continue
		}
		if !read {
			return IdentityNotRead
		}
		if other := standingIn(now.Standings, v.Tenant); other == nil || !other.Entitled {
			return IdentityWouldLose
		}
	}
	return ""
}

// ReadIdentities shows a proposal to whoever is to confirm it.
func (s *Service) ReadIdentities(ctx context.Context, actor provisioner.Actor, hash string) (found Identities, err error) {
	const action = provisioner.ActionConfirmIdentities
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return found, refusal
	}
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		found, err = readIdentities(tx, provisioner.ScopeOf(actor, action), hash, time.Now())
		return err
	})
	return found, err
}

// readIdentities gives a proposal that is still open, all of whose people are in scope.
func readIdentities(tx *store.Reader, scope provisioner.Scope, hash string, now time.Time) (found Identities, err error) {
	change, err := openProposal(tx, hash, now)
	if err != nil {
		return found, err
	}
	found = Identities{IdentityChange: change, ExpiresAt: change.ProposedAt.Add(identityLife)}
	if found.List, err = tx.NewIdentities(change.Hash); err != nil {
		return found, err
	}
	look := identityLook{scope: scope}
	for _, i := range found.List {
		if _, everywhere := scope.Tenants(); everywhere {
			break
		}
		k, err := tx.KnownAs(change.Directory, i.Person.StableID)
		if err != nil {
			return found, fmt.Errorf("reading how somebody stands: %w", err)
		}
		if !look.covers(k) {
			return Identities{}, provisioner.Refuse(provisioner.CodeProposalUnknown)
		}
	}
	return found, nil
}

// openProposal reads a proposal that can be confirmed.
func openProposal(tx *store.Reader, hash string, now time.Time) (store.IdentityChange, error) {
	change, err := tx.IdentityChange(cleanHash(hash))
	if errors.Is(err, store.ErrNone) || err == nil && (!change.ConfirmedAt.IsZero() || !now.Before(change.ProposedAt.Add(identityLife))) {
		return change, provisioner.Refuse(provisioner.CodeProposalUnknown)
	}
	return change, err
}

// ConfirmIdentities has a proposal done, by somebody else than who made it. It returns of how many people it was.
func (s *Service) ConfirmIdentities(ctx context.Context, actor provisioner.Actor, hash, reason string) (int, error) {
	const action = provisioner.ActionConfirmIdentities
	found, err := s.ReadIdentities(ctx, actor, hash)
	if err != nil {
		return 0, err
	}
	if reason = audit.CleanReason(reason); reason == "" {
		return 0, provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		change, err := openProposal(&tx.Reader, found.Hash, tx.Now)
		if err != nil {
			return err
		}
		if change.ProposedBy == actor.ID { // all who came by the server's one-time token are one
			return provisioner.Refuse(provisioner.CodeFourEyes, "who", change.ProposedName)
		}
		change.ConfirmedAt = tx.Now
		if err := tx.PutIdentityChange(change); err != nil {
			return err
		}
		return tx.Audit(identityEvent(actor, action, change, reason))
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", action, err)
	}
	return len(found.List), s.finishIdentities(ctx, s.Store.Update)
}

// finishIdentities does what was confirmed, each person as a whole.
func (s *Service) finishIdentities(ctx context.Context, update func(context.Context, func(*store.Writer) error) error) error {
	ctx = context.WithoutCancel(ctx)
	for {
		list, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]store.NewIdentity, error) { return tx.ConfirmedIdentities(lossesAtOnce) })
		if err != nil || len(list) == 0 {
			return err
		}
		var left []string
		if err := update(ctx, func(tx *store.Writer) error {
			left = nil
			for _, i := range list {
				done, err := carry(tx, i)
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
			s.Logger.Warn("people were not carried over to other stable ids: what was proposed of them does not hold any more",
				"directory", list[0].Person.Directory, "people", left, "next", "propose them anew: heimdraht directory migrate")
		}
	}
}

// carry has somebody known by another stable id, with all that is hers. Whoever has been made known by it meanwhile,
// without a laptop, is she herself.
func carry(tx *store.Writer, i store.NewIdentity) (bool, error) {
	if err := tx.DropNewIdentity(i.Hash, i.Person.ID); err != nil {
		return false, err
	}
	old, err := tx.KnownAs(i.Person.Directory, i.FormerID)
	if errors.Is(err, store.ErrNone) || err == nil && old.Person.ID != i.Person.ID {
		return false, nil // done already, or she is known by yet another one
	}
	if err != nil {
		return false, err
	}
	now, err := tx.KnownAs(i.Person.Directory, i.StableID)
	read := err == nil
	if err != nil && !errors.Is(err, store.ErrNone) {
		return false, err
	}
	if mayBecome(old, now, read) != "" {
		return false, nil
	}
	if read {
		has, err := tx.HasDevices(now.Person.ID)
		if err != nil || has {
			return false, err
		}
		if err := tx.MoveSeats(now.Person.ID, old.Person.ID); err != nil {
			return false, fmt.Errorf("keeping her named seats: %w", err)
		}
		if err := tx.ForgetPerson(now.Person.ID); err != nil {
			return false, err
		}
	}
	if err := tx.SetStableID(old.Person.ID, i.StableID); err != nil {
		return false, err
	}
	for _, v := range old.Standings {
		v.LostAt = time.Time{} // it was no loss, and the brake must not count it
		if err := tx.PutStanding(v); err != nil {
			return false, fmt.Errorf("keeping how she stands: %w", err)
		}
	}
	for _, v := range now.Standings {
		tenant, err := tx.Tenant(v.Tenant)
		if err != nil {
			return false, fmt.Errorf("reading tenant %s: %w", v.Tenant, err)
		}
		if _, err := Settle(tx, tenant, Word{
			Person: now.Person, Groups: v.Groups, Ended: v.Ended, EndsAt: v.EndsAt, Password: v.Password,
			PasswordEndsAt: v.PasswordEndsAt, PasswordChangedAt: v.PasswordChangedAt, ReadAt: v.ReadAt, Own: true,
		}); err != nil {
			return false, err
		}
	}
	return true, nil
}
