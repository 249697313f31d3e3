package entitlement

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/mirror"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/tenancy"
)

// moveLook is what a move is judged by: the tenant, its people, and the whole of what the new directory has for it.
type moveLook struct {
	was, now provisioner.Tenant
	changes  []tenancy.Difference
	known    map[string]store.KnownPerson // the tenant's people, by stable id in the former directory
	there    map[string]string            // ids of who is known in the new one already, by stable id
	had      map[string]bool              // who has, or had, a device
	living   map[string]bool              // who has one in the tenant that is not revoked
	mirror   *mirror.Mirror               // of the new directory
	plan     *plan
	readAt   time.Time
}

// lookAtMove reads all of it. declare makes the tenant as it is to be of the tenant as it is.
func (s *Service) lookAtMove(ctx context.Context, tenant string, declare func(provisioner.Tenant) provisioner.Tenant) (*moveLook, error) {
	look := &moveLook{mirror: mirror.New(), readAt: time.Now()}
	var to provisioner.Directory
	err := s.Store.View(ctx, func(tx *store.Reader) (err error) {
		look.was, err = tx.Tenant(tenant)
		if errors.Is(err, store.ErrNone) {
			return provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(tenant, 64)).With("what", "Eine solche Verwaltung", "tenant")
		}
		if err != nil {
			return err
		}
		if look.now, look.changes, err = tenancy.Moved(look.was, declare(look.was)); err != nil {
			return err
		}
		to, err = tx.Directory(look.now.Directory)
		if errors.Is(err, store.ErrNone) {
			return provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(look.now.Directory, 64)).With("what", "Ein solches Verzeichnis", "directory")
		}
		if err != nil {
			return err
		}
		return look.readPeople(tx)
	})
	if err != nil {
		return nil, err
	}
	look.plan = newPlan(to, []provisioner.Tenant{look.now})
	return look, s.readDirectory(ctx, to, look)
}

func (l *moveLook) readPeople(tx *store.Reader) (err error) {
	l.known, l.there = map[string]store.KnownPerson{}, map[string]string{}
	if err := everybodyOf(tx, l.was.Directory, func(k store.KnownPerson) {
		if standingIn(k.Standings, l.was.Name) != nil {
			l.known[k.Person.StableID] = k
		}
	}); err != nil {
		return err
	}
	if err := everybodyOf(tx, l.now.Directory, func(k store.KnownPerson) { l.there[k.Person.StableID] = k.Person.ID }); err != nil {
		return err
	}
	if l.had, err = tx.PeopleWithDevices(); err != nil {
		return fmt.Errorf("reading who has a device: %w", err)
	}
	l.living, err = tx.PeopleWithDevicesIn(l.was.Name)
	return err
}

// everybodyOf goes through the people who are known in a directory.
func everybodyOf(tx *store.Reader, directory string, do func(store.KnownPerson)) error {
	for after := ""; ; {
		page, err := tx.KnownPeople(directory, after, readAtOnce)
		if err != nil {
			return fmt.Errorf("reading how people stand: %w", err)
		}
		for _, k := range page {
			do(k)
			after = k.Person.StableID
		}
		if len(page) < readAtOnce {
			return nil
		}
	}
}

// readDirectory reads the whole of the new directory, as far as the tenant goes. The refusal is directory-unreadable, or that groups
// are missing: nobody could be judged then.
func (s *Service) readDirectory(ctx context.Context, d provisioner.Directory, look *moveLook) error {
	err := s.Directories.Use(d, func(lent directory.Directory) error {
		return lent.Feed(look.plan.interest(d)).Reconcile(ctx, onlyRead{look.mirror})
	})
	if err == nil && !look.mirror.Whole() {
		err = errors.New("the read did not come to its end")
	}
	if err != nil {
		s.Logger.Warn("a directory to which a tenant is to move cannot be read", "directory", d.Name, "tenant", look.now.Name, "error", err)
		return provisioner.Refuse(provisioner.CodeDirectoryUnreadable, "directory", d.Name).Because(err)
	}
	if missing := look.plan.missing(look.mirror)[0]; len(missing) > 0 {
		slices.Sort(missing)
		return tenancy.GroupsMissing(look.now.Name, missing)
	}
	return nil
}

// onlyRead listens to one full read. Nothing else is told.
type onlyRead struct{ mirror *mirror.Mirror }

func (o onlyRead) Pass() directory.Pass    { return o.mirror.Pass() }
func (o onlyRead) Changed(directory.Entry) {}
func (o onlyRead) Gone(string)             {}
func (o onlyRead) Live(directory.Source)   {}
func (o onlyRead) Heard()                  {}

// word is what the new directory says of somebody; false: it does not have her among the tenant's people.
func (l *moveLook) word(stableID string) (Word, bool) {
	person, there := l.mirror.Person(stableID)
	if !there {
		return Word{}, false
	}
	for _, m := range l.plan.tenantsOf(l.mirror, person) { // there is one tenant
		person.Directory, person.Groups = l.now.Directory, m.groups
		return WordOf(person, true), true
	}
	return Word{}, false
}

// judge decides line by line whether a move can be, and names those whom no line names.
func (l *moveLook) judge(lines []IdentityLine, unmappedGone bool) (found Move) {
	from, to, mapped := map[string]int{}, map[string]int{}, map[string]bool{}
	for _, line := range lines {
		former, next := normalID(line.From), normalID(line.To)
		problem := IdentityProblem{Line: line.Line}
		switch {
		case former == "" || next == "":
			problem.Code = IdentityEmpty
		case from[former] != 0 || to[next] != 0:
			problem.Code, problem.Also = IdentityTwice, max(from[former], to[next])
		default:
			problem.Code = l.problem(former, next)
		}
		from[former], to[next] = line.Line, line.Line
		old := l.known[former].Person
		mapped[old.ID] = true // also where it cannot be: one problem a person is enough
		if problem.Code != "" {
			found.Problems = append(found.Problems, problem)
			continue
		}
		w, _ := l.word(next)
		found.List = append(found.List, store.MovedPerson{
			Person: old, FormerID: former, StableID: next, NewName: w.Person.DisplayName, NewLogin: w.Person.Login,
		})
	}
	slices.SortFunc(found.List, func(a, b store.MovedPerson) int { return strings.Compare(a.Person.DisplayName, b.Person.DisplayName) })
	var left []provisioner.Person
	for _, k := range l.known {
		if l.living[k.Person.ID] && !mapped[k.Person.ID] {
			left = append(left, k.Person)
		}
	}
	sortByName(left)
	if !unmappedGone {
		for _, p := range left {
			found.Problems = append(found.Problems, IdentityProblem{Code: IdentityNotMapped, Person: p})
		}
		left = nil
	}
	found.Gone = left
	return l.named(found, unmappedGone)
}

// named completes a move with what names it.
func (l *moveLook) named(found Move, unmappedGone bool) Move {
	found.Former, found.Declaration, found.Changes = l.was.Directory, l.now, l.changes
	found.UnmappedGone, found.People = unmappedGone, int64(len(found.List))
	found.Hash = hashOfMove(found)
	for i := range found.List {
		found.List[i].Hash = found.Hash
	}
	return found
}

func (l *moveLook) problem(former, next string) IdentityCode {
	old, known := l.known[former]
	if !known {
		return IdentityUnknown
	}
	w, read := l.word(next)
	switch {
	case !read:
		return IdentityNotRead
	case l.had[l.there[next]]:
		return IdentityTaken
	}
	stands := standingIn(old.Standings, l.was.Name)
	if stands.Entitled && !w.standing(l.now, provisioner.Standing{}, l.readAt).Entitled {
		return IdentityWouldLose
	}
	return ""
}

// carried is how somebody is to stand at first: in groups and with dates as the new directory says. Her password is as it was: what
// follows from another one, such as a connection to be opened anew, follows when the directory is followed.
func (l *moveLook) carried(m store.MovedPerson) provisioner.Standing {
	former := standingIn(l.known[m.FormerID].Standings, l.was.Name)
	w, _ := l.word(m.StableID)
	v := w.standing(l.now, provisioner.Standing{Person: m.Person.ID}, l.readAt)
	v.Password, v.PasswordEndsAt, v.PasswordChangedAt = former.Password, former.PasswordEndsAt, former.PasswordChangedAt
	return v
}
