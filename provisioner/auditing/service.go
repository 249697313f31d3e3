package auditing

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/syslog"
)

// Keys are the keys that sign checkpoints.
type Keys interface {
	// AuditKey signs now.
	AuditKey() ed25519.PrivateKey
	// AuditKeys are the public keys of all that were ever used, the newest first.
	AuditKeys() []ed25519.PublicKey
}

// Options are what a Service needs.
type Options struct {
	Store     *store.Store
	Keys      Keys
	Collector *syslog.Collector // nil: there is none
	Logger    *slog.Logger
}

// Service is the use cases of the audit log.
type Service struct {
	Options

	mu        sync.Mutex
	broken    map[string]bool // chains that get no checkpoint
	collector CollectorState
}

// New makes the service.
func New(o Options) *Service { return &Service{Options: o, broken: make(map[string]bool)} }

// How much one answer holds.
const (
	defaultRecords = 100
	maxRecords     = 1000
	// maxScanned is how many records one call looks through: a filter that fits
	// nothing must not read the whole log at once.
	maxScanned = 5000
	page       = 500
)

// Query asks for records.
type Query struct {
	Tenant       string // empty: every tenant in scope
	Since, Until time.Time
	Actor        string // an id, or a part of the name
	Person       string // who did it, or to whom or whose device it was done
	Device       string // a device's id or its beginning
	Action       string
	Limit        int    // 0: 100, at most 1,000
	After        string // what the former answer ended with
}

// Listed is a record for people.
type Listed struct {
	Chain  string
	Seq    int64
	At     time.Time
	Tenant string
	Erased bool        // and nothing is known but the above
	Event  audit.Event // zero if erased
}

// List lists records, the newest first; next is what to ask After for more, empty at the
// end. An answer can be short, or empty, and not be the end.
func (s *Service) List(ctx context.Context, actor provisioner.Actor, q Query) (list []Listed, next string, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionReadAudit, provisioner.Object{Tenant: q.Tenant}); refusal != nil {
		return nil, "", refusal
	}
	after, err := parsePlace(q.After)
	if err != nil {
		return nil, "", err
	}
	scope := provisioner.ScopeOf(actor, provisioner.ActionReadAudit).Narrow(q.Tenant)
	limit := q.Limit
	if limit <= 0 {
		limit = defaultRecords
	}
	limit = min(limit, maxRecords)
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		for scanned := 0; ; {
			found, err := tx.FindAudit(store.AuditQuery{Scope: scope, Since: q.Since, Until: q.Until, After: after, Limit: page})
			if err != nil {
				return fmt.Errorf("reading the audit log: %w", err)
			}
			for _, r := range found {
				after = r.Place()
				l, err := listed(r)
				if err != nil {
					return err
				}
				if q.fits(l) {
					list = append(list, l)
				}
				if len(list) == limit {
					next = formatPlace(after)
					return nil
				}
			}
			if len(found) < page {
				return nil
			}
			if scanned += len(found); scanned >= maxScanned {
				next = formatPlace(after)
				return nil
			}
		}
	})
	if err != nil {
		return nil, "", err
	}
	return list, next, s.looked(ctx, actor, scope, q)
}

func listed(r store.AuditRecord) (Listed, error) {
	l := Listed{Chain: r.Chain, Seq: r.Seq, At: r.At, Tenant: r.Tenant, Erased: r.IsErased()}
	if l.Erased {
		return l, nil
	}
	var err error
	l.Event, err = r.Event()
	return l, err
}

func (q Query) fits(l Listed) bool {
	e := l.Event
	switch {
	case q.Actor != "" && (l.Erased || e.Actor.ID != q.Actor && !strings.Contains(store.Fold(e.Actor.Name), store.Fold(q.Actor))),
		q.Person != "" && (e.Object.Kind != "person" || e.Object.ID != q.Person) && e.Details["person"] != q.Person && e.Actor.ID != q.Person,
		q.Device != "" && (e.Object.Kind != "device" || !strings.HasPrefix(e.Object.ID, strings.ToLower(q.Device))),
		q.Action != "" && !strings.EqualFold(e.Action, q.Action):
		return false
	}
	return true
}

// looked records a look at the log, in each tenant that was looked at; a look over all of
// them in the installation's own chain.
func (s *Service) looked(ctx context.Context, actor provisioner.Actor, scope provisioner.Scope, q Query) error {
	tenants, everywhere := scope.Tenants()
	if everywhere {
		tenants = []string{""}
	}
	details := make(map[string]string)
	for name, v := range map[string]string{"actor": q.Actor, "person": q.Person, "device": q.Device, "action": q.Action} {
		if v != "" {
			details[name] = v
		}
	}
	for name, t := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !t.IsZero() {
			details[name] = t.UTC().Format(time.RFC3339)
		}
	}
	err := s.Store.Update(ctx, func(tx *store.Writer) error {
		for _, t := range tenants {
			if err := tx.Audit(store.Event{Actor: actor, Tenant: t, Action: string(provisioner.ActionReadAudit), Object: object(t), Details: details}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording a look at the audit log: %w", err)
	}
	return nil
}

func object(tenant string) audit.Object { return audit.Object{Kind: "audit log", ID: tenant} }

// Key gives the public keys that sign checkpoints, the newest first.
func (s *Service) Key(actor provisioner.Actor) ([]ed25519.PublicKey, error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionReadAuditKey, provisioner.Object{}); refusal != nil {
		return nil, refusal
	}
	return s.Keys.AuditKeys(), nil
}

func formatPlace(p store.AuditPlace) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d %d", p.At.UnixMilli(), p.Number, p.Seq))
}

func parsePlace(s string) (p store.AuditPlace, err error) {
	if s == "" {
		return p, nil
	}
	var at int64
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		_, err = fmt.Sscanf(string(text), "%d %d %d", &at, &p.Number, &p.Seq)
	}
	if err != nil {
		return p, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Seite", "page_token").
			With("why", "so eine gibt es nicht", "there is no such page").Because(err)
	}
	p.At = time.UnixMilli(at).UTC()
	return p, nil
}

// oneTenant gives the tenant that is meant, or the only one in scope; empty: all.
func oneTenant(scope provisioner.Scope, tenant string) (string, error) {
	tenants, everywhere := scope.Tenants()
	switch {
	case tenant != "":
		return tenant, nil
	case everywhere:
		return "", nil
	case len(tenants) == 1:
		return tenants[0], nil
	default:
		return "", provisioner.Refuse(provisioner.CodeTenantMissing, "tenants", strings.Join(tenants, ", "))
	}
}

// exists refuses a tenant that nobody knows and that never had a record.
func exists(tx *store.Reader, tenant string) error {
	if tenant == "" {
		return nil
	}
	_, err := tx.Tenant(tenant)
	if !errors.Is(err, store.ErrNone) {
		return err
	}
	head, err := tx.AuditHead(tenant)
	if err == nil && head.Seq == 0 {
		return provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(tenant, 64)).With("what", "Diese Verwaltung", "tenant")
	}
	return err
}

// BrokenChains lists the chains that get no checkpoint.
func (s *Service) BrokenChains() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for chain := range s.broken {
		list = append(list, chain)
	}
	slices.Sort(list)
	return list
}
