package signin_test

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/factor"
	"github.com/heimdraht/heimdraht/provisioner/keyring"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

const (
	staffGroup    = "CN=Homeoffice,DC=stadt,DC=example"
	helpdeskGroup = "CN=Helpdesk,DC=stadt,DC=example"
	plannerGroup  = "CN=Planung,DC=stadt,DC=example"
	evasPassword  = "Fahrrad im Regen 7"
)

// ldap is a directory at the edge: people by login, and what it was asked.
type ldap struct {
	mu       sync.Mutex
	name     string
	people   map[string]account            // by every spelling that leads to them
	fault    directory.Cause               // empty: it answers
	takes    time.Duration                 // for each answer
	telling  func(tell func() error) error // of whom it has found; nil: tells
	tried    []string                      // logins whose password was tried, in order
	searched int
	closed   int
}

type account struct {
	person   directory.Person
	password string
	refuses  directory.Cause // with any password
	gone     bool
}

func (l *ldap) SignIn(ctx context.Context, q directory.Query, password string) (directory.Person, error) {
	a, err := l.find(ctx, strings.ToLower(q.Login))
	if err != nil {
		return directory.Person{}, err
	}
	if q.Found != nil {
		tell := func() error { return q.Found(a.person) }
		if l.telling != nil {
			err = l.telling(tell)
		} else {
			err = tell()
		}
		if err != nil {
			return a.person, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tried = append(l.tried, a.person.Login)
	switch {
	case l.fault != "":
		return a.person, l.silence()
	case a.refuses != "":
		return a.person, &directory.Error{Cause: a.refuses, Directory: l.name}
	case a.password != password:
		return a.person, &directory.Error{Cause: directory.WrongPassword, Directory: l.name}
	default:
		return a.person, nil
	}
}

func (l *ldap) find(ctx context.Context, login string) (account, error) {
	l.mu.Lock()
	takes := l.takes
	l.searched++
	l.mu.Unlock()
	if takes > 0 {
		select {
		case <-ctx.Done():
			return account{}, &directory.Error{Cause: directory.Unavailable, Directory: l.name, Err: ctx.Err()}
		case <-time.After(takes):
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault != "" {
		return account{}, l.silence()
	}
	if login == "zwilling" {
		return account{}, &directory.Error{Cause: directory.AmbiguousLogin, Directory: l.name}
	}
	a, ok := l.people[strings.Join(strings.Fields(login), " ")]
	if !ok {
		return a, &directory.Error{Cause: directory.UnknownLogin, Directory: l.name}
	}
	return a, nil
}

func (l *ldap) silence() error {
	return &directory.Error{Cause: l.fault, Directory: l.name, Detail: "nobody there", Advice: "look at the server"}
}

func (l *ldap) Lookup(ctx context.Context, _, stableID string, _ []string) (directory.Person, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault != "" {
		return directory.Person{}, l.silence()
	}
	for _, a := range l.people {
		if a.person.StableID == stableID && !a.gone {
			return a.person, nil
		}
	}
	return directory.Person{}, &directory.Error{Cause: directory.Gone, Directory: l.name}
}

func (l *ldap) Find(ctx context.Context, _, login string, _ []string) (directory.Person, error) {
	a, err := l.find(ctx, strings.ToLower(login))
	return a.person, err
}

// Feed is not asked for here: signing in asks each time anew.
func (l *ldap) MissingGroups(context.Context, []string) ([]string, error) { return nil, nil }

func (l *ldap) Feed(directory.Interest) directory.Feed { return nil }

func (l *ldap) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed++
	return nil
}

func (l *ldap) change(logins []string, change func(*account)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, login := range logins {
		a := l.people[login]
		change(&a)
		l.people[login] = a
	}
}

func (l *ldap) falls(silent directory.Cause) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = silent
}

func (l *ldap) tries() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tried)
}

func (l *ldap) closings() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// world is a control plane with one tenant, and a second one that shares
// nothing with it.
type world struct {
	service *signin.Service
	store   *store.Store
	ldap    *ldap // stadt's
	other   *ldap // dorf's
	path    string
	factors keyring.FactorKey
	log     *slog.Logger
}

func evasLogins() []string { return []string{"eva", "eva.muster@stadt.example", "stadt\\eva"} }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		factors: keyring.NewFactorKey(),
		path:    storetest.SQLite(t).Database,
		ldap:    &ldap{name: "stadt-ad", people: make(map[string]account)}, other: &ldap{name: "dorf-ad", people: make(map[string]account)},
		log: slog.New(slog.DiscardHandler),
	}
	eva := account{password: evasPassword, person: directory.Person{
		Directory: "stadt-ad", StableID: "id-eva", Login: "eva", DisplayName: "Eva Muster", Mail: "eva.muster@stadt.example", Groups: []string{staffGroup},
	}}
	for _, login := range evasLogins() {
		w.ldap.people[login] = eva
	}
	add := func(login string, change func(*account)) {
		a := account{password: evasPassword, person: directory.Person{StableID: "id-" + login, Login: login, DisplayName: login, Groups: []string{staffGroup}}}
		change(&a)
		w.ldap.people[login] = a
	}
	add("gesperrt", func(a *account) { a.refuses = directory.Locked })
	add("aus", func(a *account) { a.refuses = directory.Disabled })
	add("ausgeschieden", func(a *account) { a.person.Status.Ended = directory.EndDisabled })
	add("abgelaufen", func(a *account) { a.person.Status.PasswordExpired = true })
	add("neu", func(a *account) { a.person.Status.MustChangePassword = true })
	add("draussen", func(a *account) { a.person.Groups = nil })
	add("helferin", func(a *account) { a.person.Groups = []string{helpdeskGroup} })
	w.open(t)
	t.Cleanup(func() { w.close(t) })
	w.update(t, func(tx *store.Writer) error {
		if err := tx.PutDirectory(provisioner.Directory{Name: "stadt-ad", Servers: []string{"ldaps://dc1.stadt.example"}}); err != nil {
			return err
		}
		if err := tx.PutDirectory(provisioner.Directory{Name: "dorf-ad", Servers: []string{"ldaps://dc1.dorf.example"}}); err != nil {
			return err
		}
		if err := tx.PutTenant(provisioner.Tenant{
			Name: "stadt", Directory: "stadt-ad", MailDomains: []string{"stadt.example"}, StaffGroup: staffGroup,
			Roles: provisioner.RoleGroups{Helpdesk: helpdeskGroup, Planner: plannerGroup}, Policy: provisioner.DefaultPolicy(),
		}); err != nil {
			return err
		}
		return tx.PutTenant(provisioner.Tenant{Name: "dorf", Directory: "dorf-ad", MailDomains: []string{"dorf.example"}, StaffGroup: "CN=Dorf"})
	})
	return w
}

// open starts the service on the world's database, as a restart does.
func (w *world) open(t *testing.T) {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{Database: w.path, Logger: w.log})
	if err != nil {
		t.Fatal(err)
	}
	w.store = s
	w.service = signin.New(signin.Options{Store: s, Logger: w.log, Factors: w.factors, Directories: signin.NewRegistry(func(d provisioner.Directory) (directory.Directory, error) {
		if d.Name == "stadt-ad" {
			return w.ldap, nil
		}
		return w.other, nil
	})})
}

// login signs in. Who needs a second factor and has none sets it up.
func (w *world) login(t *testing.T, actor provisioner.Actor, c signin.Credentials) (signin.SignedIn, error) {
	t.Helper()
	signed, err := w.service.Login(t.Context(), actor, c, "")
	if codeOf(err) != provisioner.CodeFactorMissing {
		return signed, err
	}
	token := w.factorToken(t, c.Login)
	signed, _, err = w.service.ConfirmFactor(t.Context(), actor, c, token, w.phone(t, actor, c, token)())
	return signed, err
}

// factorToken is a one-time token to set up a second factor.
func (w *world) factorToken(t *testing.T, login string) (token string) {
	t.Helper()
	token = provisioner.NewSecret()
	w.update(t, func(tx *store.Writer) error {
		p, err := tx.PersonTyped("stadt", login)
		if err != nil {
			return err
		}
		return tx.AddOneTimeToken(token, store.TokenFactor, p.ID, tx.Now.Add(time.Hour))
	})
	return token
}

// phone begins a second factor and gives what shows its codes.
func (w *world) phone(t *testing.T, actor provisioner.Actor, c signin.Credentials, token string) (show func() string) {
	t.Helper()
	begun, err := w.service.BeginFactor(t.Context(), actor, c, token)
	if err != nil {
		t.Fatal(err)
	}
	return func() string {
		code, err := factor.Code(begun.Secret, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
}

func (w *world) close(t *testing.T) {
	t.Helper()
	if err := w.service.Directories.Close(); err != nil {
		t.Error(err)
	}
	if err := w.store.Close(); err != nil {
		t.Error(err)
	}
}

func (w *world) update(t *testing.T, do func(*store.Writer) error) {
	t.Helper()
	if err := w.store.Update(context.Background(), do); err != nil {
		t.Fatal(err)
	}
}

func (w *world) refusals(t *testing.T, p provisioner.Person) []store.RecentRefusal {
	t.Helper()
	list, err := store.Read(context.Background(), w.store, func(tx *store.Reader) ([]store.RecentRefusal, error) { return tx.RefusalsOf(p, "stadt", 50) })
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// from is somebody anonymous at an address of her own.
func from(n int) provisioner.Actor {
	return provisioner.Actor{Source: netip.AddrFrom4([4]byte{192, 0, byte(n / 250), byte(n%250 + 1)}).String()}
}

func eva(password string) signin.Credentials {
	return signin.Credentials{Tenant: "stadt", Login: "eva", Password: signin.Password(password)}
}

func codeOf(err error) provisioner.Code {
	if r, ok := provisioner.AsRefusal(err); ok {
		return r.Code
	}
	if err != nil {
		return provisioner.Code("fault: " + err.Error())
	}
	return ""
}

func grantsIn(tenant string, roles ...provisioner.Role) []provisioner.Grant {
	var list []provisioner.Grant
	for _, r := range roles {
		list = append(list, provisioner.Grant{Role: r, Tenant: tenant})
	}
	return slices.Clone(list)
}

// pass lets time go by in a synctest bubble, where none is waited for.
func pass(d time.Duration) { <-time.After(d) }
