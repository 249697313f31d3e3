package memory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// Options describe a directory in memory.
type Options struct {
	// Name is what tenants call it.
	Name string
	// Base is the DN below which people are, where a query names none.
	Base string
	// Flavour is the name of the directory.Flavour that it plays. Empty: OpenLDAP.
	Flavour string
	// LDIF is the content. An entry without its stable id gets one that is drawn at random.
	LDIF []byte
}

// Directory is a directory in memory. It is made by New.
type Directory struct {
	name    string
	base    string
	flavour directory.Flavour

	mu          sync.RWMutex
	entries     map[string]*entry // by folded DN
	order       []*entry          // as added
	having      map[assertion][]*entry
	unavailable bool
	closed      bool
	watchers    watchers
}

var _ directory.Directory = (*Directory)(nil)

// New reads the content.
func New(o Options) (*Directory, error) {
	if o.Flavour == "" {
		o.Flavour = directory.OpenLDAP
	}
	flavour, ok := directory.FlavourNamed(o.Flavour)
	if !ok {
		return nil, fmt.Errorf("flavour %q is not known", o.Flavour)
	}
	d := &Directory{name: o.Name, base: o.Base, flavour: flavour, entries: map[string]*entry{}}
	if err := d.Add(o.LDIF); err != nil {
		return nil, err
	}
	return d, nil
}

// SignIn implements directory.Directory.
func (d *Directory) SignIn(ctx context.Context, q directory.Query, password string) (directory.Person, error) {
	login, refused := directory.Typed(q.Login, password)
	if refused != nil {
		refused.Directory = d.name
		return directory.Person{}, refused
	}
	e, person, err := d.locate(ctx, q.Base, login)
	if err != nil {
		return directory.Person{}, err
	}
	if q.Found != nil { // outside of the lock: it may take its time
		if err := q.Found(person); err != nil {
			return person, err
		}
	}
	return d.prove(ctx, q, e, person, password)
}

// locate finds the one person with a login.
func (d *Directory) locate(ctx context.Context, base, login string) (*entry, directory.Person, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	base, err := d.located(ctx, base)
	if err != nil {
		return nil, directory.Person{}, err
	}
	hits := d.withLogin(base, login)
	switch {
	case len(hits) == 0:
		return nil, directory.Person{}, d.answer(directory.UnknownLogin, "nobody has this login")
	case len(hits) > 1:
		return nil, directory.Person{}, d.answer(directory.AmbiguousLogin, "more than one entry has this login: "+hits[0].dn+", "+hits[1].dn)
	}
	person, err := d.person(hits[0])
	return hits[0], person, err
}

// prove compares the password of a person found, and reads her groups.
func (d *Directory) prove(ctx context.Context, q directory.Query, e *entry, person directory.Person, password string) (directory.Person, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if _, err := d.located(ctx, q.Base); err != nil {
		return person, err
	}
	v := d.try(e, password, person.Status)
	if composed := norm.NFC.String(password); v.cause == directory.WrongPassword && composed != password {
		v = d.try(e, composed, person.Status)
	}
	if v.cause != "" {
		return person, d.answer(v.cause, "the directory did not accept the password")
	}
	person.Status = v.refine(person.Status)
	groups := q.Groups
	if q.StaffGroup != "" {
		groups = append([]string{q.StaffGroup}, groups...)
	}
	if err := d.fillGroups(e, &person, groups); err != nil {
		return person, err
	}
	if q.StaffGroup != "" && person.Missing(q.StaffGroup) {
		return person, d.answer(directory.Misconfigured, "the staff group "+q.StaffGroup+" is not in the directory")
	}
	return person, nil
}

// Lookup implements directory.Directory.
func (d *Directory) Lookup(ctx context.Context, base, stableID string, groups []string) (directory.Person, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	base, err := d.located(ctx, base)
	if err != nil {
		return directory.Person{}, err
	}
	for _, e := range d.peopleHaving(base, d.idAssertion(stableID)) {
		person, err := d.person(e)
		if err != nil || person.StableID != stableID {
			continue
		}
		if err := d.fillGroups(e, &person, groups); err != nil {
			return directory.Person{}, err
		}
		return person, nil
	}
	for _, e := range d.order {
		if e.isPerson() && directory.Under(e.folded, base) {
			return directory.Person{}, d.answer(directory.Gone, "nobody below the base has this stable id")
		}
	}
	return directory.Person{}, d.answer(directory.Misconfigured, "there is nobody at all below the base")
}

// Find implements directory.Directory.
func (d *Directory) Find(ctx context.Context, base, login string, groups []string) (directory.Person, error) {
	login, refused := directory.TypedLogin(login)
	if refused != nil {
		refused.Directory = d.name
		return directory.Person{}, refused
	}
	e, person, err := d.locate(ctx, base, login)
	if err != nil {
		return directory.Person{}, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return person, d.fillGroups(e, &person, groups)
}

// MissingGroups implements directory.Directory.
func (d *Directory) MissingGroups(ctx context.Context, groups []string) (missing []string, err error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if err := d.ready(ctx); err != nil {
		return nil, err
	}
	for _, dn := range groups {
		if folded, err := fold(dn); err != nil || d.entries[folded] == nil {
			missing = append(missing, dn)
		}
	}
	return missing, nil
}

// idAssertion is what the entry with a stable id has. An id that none can have is had by none.
func (d *Directory) idAssertion(stableID string) assertion {
	attribute := strings.ToLower(d.flavour.StableID)
	value, err := d.flavour.IDValue(stableID)
	if err != nil {
		return assertion{}
	}
	return assertion{attribute, foldFor(attribute, value)}
}

// peopleHaving are the people below base who have one of the values.
func (d *Directory) peopleHaving(base string, either ...assertion) []*entry {
	var hits []*entry
	for _, a := range either {
		for _, e := range d.having[a] {
			if e.isPerson() && directory.Under(e.folded, base) {
				hits = append(hits, e)
			}
		}
	}
	return inOrder(hits)
}

// Close implements directory.Directory.
func (d *Directory) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.watchers.wakeAll()
	return nil
}

// SetUnavailable makes the directory answer nothing, or answer again.
func (d *Directory) SetUnavailable(down bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unavailable = down
	d.watchers.wakeAll()
}

// located returns the folded base, if the directory answers and has it.
func (d *Directory) located(ctx context.Context, base string) (string, error) {
	if err := d.ready(ctx); err != nil {
		return "", err
	}
	if base == "" {
		base = d.base
	}
	return d.foldBase(base)
}

// ready returns an error if the directory does not answer.
func (d *Directory) ready(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return d.givenUp(ctx)
	case d.unavailable, d.closed:
		return d.answer(directory.Unavailable, "the directory does not answer")
	}
	return nil
}

func (d *Directory) givenUp(ctx context.Context) error {
	return &directory.Error{Cause: directory.Unavailable, Directory: d.name, Detail: "the call was given up", Err: context.Cause(ctx)}
}

// foldBase returns the folded base, if there is one.
func (d *Directory) foldBase(base string) (string, error) {
	folded, err := fold(base)
	if err != nil || (folded != "" && d.entries[folded] == nil) {
		return "", d.answer(directory.Misconfigured, "the base "+base+" is not in the directory")
	}
	return folded, nil
}

func (d *Directory) answer(cause directory.Cause, detail string) *directory.Error {
	return &directory.Error{Cause: cause, Directory: d.name, Detail: detail}
}

// withLogin returns the people below base with this login.
func (d *Directory) withLogin(base, login string) []*entry {
	name := login
	if d.flavour.Domains {
		if _, after, found := strings.Cut(login, `\`); found {
			name = after
		}
	}
	var either []assertion
	if strings.Contains(login, "@") {
		either = append(either, assertion{"mail", foldText(login)})
	}
	for _, attr := range d.flavour.Logins {
		either = append(either, assertion{strings.ToLower(attr), foldText(name)})
	}
	return d.peopleHaving(base, either...)
}

func (d *Directory) person(e *entry) (directory.Person, error) {
	p, err := d.flavour.Person(d.name, e.dn, e.attributes, time.Now())
	if err != nil {
		return directory.Person{}, &directory.Error{Cause: directory.Misconfigured, Directory: d.name, Detail: "an entry cannot be judged", Err: err}
	}
	return p, nil
}

// fillGroups walks upwards from the person, each group once.
func (d *Directory) fillGroups(e *entry, person *directory.Person, asked []string) error {
	in := d.groupsOf(e)
	seen := map[string]bool{}
	for _, dn := range asked {
		folded, err := fold(dn)
		if err != nil || folded == "" {
			return &directory.Error{Cause: directory.Misconfigured, Directory: d.name, Detail: fmt.Sprintf("%q is not the DN of a group", dn), Err: err}
		}
		switch {
		case seen[folded]:
		case in[folded]:
			person.Groups = append(person.Groups, dn)
		case d.entries[folded] == nil:
			person.MissingGroups = append(person.MissingGroups, dn)
		}
		seen[folded] = true
	}
	return nil
}

// groupsOf returns all groups that an entry is in, by folded DN.
func (d *Directory) groupsOf(e *entry) map[string]bool {
	in := map[string]bool{}
	level := append(d.above(e.folded), d.having[assertion{"memberuid", e.attributes.First("uid")}]...)
	for len(level) > 0 {
		g := level[0]
		level = level[1:]
		if !in[g.folded] {
			in[g.folded] = true
			level = append(level, d.above(g.folded)...)
		}
	}
	return in
}

// above returns the groups that name an entry, by its folded DN, as a member.
func (d *Directory) above(folded string) []*entry {
	var groups []*entry
	for _, attribute := range []string{"member", "uniquemember"} {
		groups = append(groups, d.having[assertion{attribute, folded}]...)
	}
	return groups
}

var errNoEntry = errors.New("there is no such entry")

func (d *Directory) find(dn string) (*entry, error) {
	folded, err := fold(dn)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", dn, err)
	}
	e := d.entries[folded]
	if e == nil {
		return nil, fmt.Errorf("%q: %w", dn, errNoEntry)
	}
	return e, nil
}

func fold(dn string) (string, error) { return directory.FoldDN(norm.NFC.String(dn)) }
