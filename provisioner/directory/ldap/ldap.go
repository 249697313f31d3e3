package ldap

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// Directory is one directory service. It is made by New.
type Directory struct {
	cfg     directory.Config
	log     *slog.Logger
	servers []*server
	search  slots
	bind    slots
	life    context.Context // ends with Close, and ends feeds
	end     context.CancelFunc

	mu      sync.Mutex
	closed  bool
	product *product       // what the servers are; nil until one has answered
	refused serviceRefusal // the last refusal of the service account
}

var _ directory.Directory = (*Directory)(nil)

// serviceRefusal remembers that a password of the service account was refused, and which, without keeping it.
type serviceRefusal struct {
	password [sha256.Size]byte
	until    time.Time
	err      error
}

// New checks the configuration. It does not connect: a directory that is down must not keep anything from
// starting. A nil logger discards.
func New(cfg directory.Config, log *slog.Logger) (*Directory, error) {
	if err := cfg.Validate(); err != nil {
		return nil, &directory.Error{Cause: directory.Misconfigured, Directory: cfg.Name, Detail: "the configuration is wrong", Err: err}
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = directory.DefaultTimeout
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	servers, err := newServers(cfg)
	if err != nil {
		return nil, &directory.Error{Cause: directory.Misconfigured, Directory: cfg.Name, Detail: "the configuration is wrong", Err: err}
	}
	life, end := context.WithCancel(context.Background())
	return &Directory{
		life:    life,
		end:     end,
		cfg:     cfg,
		log:     log.With("directory", cfg.Name),
		servers: servers,
		search:  make(slots, maxConnections),
		bind:    make(slots, maxConnections),
	}, nil
}

// SignIn implements directory.Directory.
func (d *Directory) SignIn(ctx context.Context, q directory.Query, password string) (directory.Person, error) {
	login, refused := directory.Typed(q.Login, password)
	if refused != nil {
		refused.Directory = d.cfg.Name
		return directory.Person{}, refused
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()

	found, err := d.findLogin(ctx, d.baseOr(q.Base), norm.NFC.String(login))
	if err != nil {
		return directory.Person{}, err
	}
	person := found.person
	if q.Found != nil {
		if err := q.Found(person); err != nil {
			return person, err
		}
	}
	proof, err := d.prove(ctx, found.person, password)
	if err != nil {
		return person, err
	}
	person.Status = proof.refine(person.Status)
	groups := q.Groups
	if q.StaffGroup != "" {
		groups = append([]string{q.StaffGroup}, groups...)
	}
	if err := d.fillGroups(ctx, found, &person, groups); err != nil {
		return person, err
	}
	if q.StaffGroup != "" && person.Missing(q.StaffGroup) {
		return person, d.fault(directory.Misconfigured, "the staff group "+q.StaffGroup+" is not in the directory, or hidden from the service account",
			"correct staff_group, or let the service account read the group", nil)
	}
	return person, nil
}

// Lookup implements directory.Directory.
func (d *Directory) Lookup(ctx context.Context, base, stableID string, groups []string) (directory.Person, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()

	found, err := d.findID(ctx, d.baseOr(base), stableID)
	if err != nil {
		return directory.Person{}, err
	}
	person := found.person
	if err := d.fillGroups(ctx, found, &person, groups); err != nil {
		return directory.Person{}, err
	}
	return person, nil
}

// Find implements directory.Directory.
func (d *Directory) Find(ctx context.Context, base, login string, groups []string) (directory.Person, error) {
	login, refused := directory.TypedLogin(login)
	if refused != nil {
		refused.Directory = d.cfg.Name
		return directory.Person{}, refused
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()

	found, err := d.findLogin(ctx, d.baseOr(base), norm.NFC.String(login))
	if err != nil {
		return directory.Person{}, err
	}
	person := found.person
	if err := d.fillGroups(ctx, found, &person, groups); err != nil {
		return directory.Person{}, err
	}
	return person, nil
}

// Close implements directory.Directory. Calls that are under way end with an error. It is idempotent.
func (d *Directory) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.end()
	for _, s := range d.servers {
		s.closeIdle()
	}
	return nil
}

func (d *Directory) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

func (d *Directory) baseOr(base string) string {
	if base != "" {
		return base
	}
	return d.cfg.Base
}

// fault is an *Error of this directory.
func (d *Directory) fault(cause directory.Cause, detail, advice string, err error) *directory.Error {
	return &directory.Error{Cause: cause, Directory: d.cfg.Name, Detail: detail, Advice: advice, Err: err}
}
