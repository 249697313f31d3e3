package watch

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	// flushEvery is how often gateways' words are written down.
	flushEvery = 50 * time.Millisecond
	// rememberRemoved is how long a session-by-session acknowledgement is
	// kept; by then the gateway's revision has passed it.
	rememberRemoved = 10 * time.Minute
	// lookEvery is how often a waiting caller looks for what another replica
	// wrote down.
	lookEvery = 200 * time.Millisecond
)

// Contacts keeps what the gateways say: who is connected, and up to where each
// has confirmed. Local words count at once; they are written down every 50 ms,
// one row a gateway, where other replicas see them.
type Contacts struct {
	store *store.Store
	log   *slog.Logger

	mu      sync.Mutex
	known   map[string]*contact
	dirty   map[string]struct{}
	flush   chan struct{} // buffered by one
	changed chan struct{} // closed and replaced when anything is confirmed
}

type contact struct {
	store.Contact
	removed map[string]time.Time // sessions confirmed one by one
}

// NewContacts makes it; Run must be running for anything to be written down.
func NewContacts(s *store.Store, log *slog.Logger) *Contacts {
	return &Contacts{
		store: s, log: log, known: make(map[string]*contact), dirty: make(map[string]struct{}),
		flush: make(chan struct{}, 1), changed: make(chan struct{}),
	}
}

// Connected says that a gateway's stream is up and where the gateway stands.
func (c *Contacts) Connected(ctx context.Context, gateway, epoch string, revision int64) error {
	c.mu.Lock()
	c.known[gateway] = &contact{
		Contact: store.Contact{Gateway: gateway, Connected: true, ContactAt: time.Now(), Epoch: epoch, Revision: revision},
		removed: make(map[string]time.Time),
	}
	c.announce(gateway)
	row := c.known[gateway].Contact
	c.mu.Unlock()
	// At once: until then no session is opened there.
	return c.store.Update(ctx, func(tx *store.Writer) error { return tx.PutContact(row) })
}

// Disconnected says that the stream has ended.
func (c *Contacts) Disconnected(gateway string) {
	c.note(gateway, func(k *contact) { k.Connected = false })
}

// Acknowledged says what a gateway has applied.
func (c *Contacts) Acknowledged(gateway, epoch string, revision int64, removed []string) {
	c.note(gateway, func(k *contact) {
		now := time.Now()
		k.ContactAt, k.Epoch, k.Revision = now, epoch, revision
		for _, id := range removed {
			k.removed[id] = now
		}
	})
}

// Observed says that a gateway has told all it saw.
func (c *Contacts) Observed(gateway string) {
	c.note(gateway, func(k *contact) {
		k.ContactAt = time.Now()
		k.ObservedAt = k.ContactAt
	})
}

func (c *Contacts) note(gateway string, change func(*contact)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.known[gateway]
	if !ok {
		return // its stream is not here
	}
	change(k)
	c.announce(gateway)
}

// announce wakes waiters and the flusher; c.mu is held.
func (c *Contacts) announce(gateway string) {
	c.dirty[gateway] = struct{}{}
	close(c.changed)
	c.changed = make(chan struct{})
	select {
	case c.flush <- struct{}{}:
	default:
	}
}

// Run writes down what was said, until ctx ends.
func (c *Contacts) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return c.write(context.WithoutCancel(ctx))
		case <-c.flush:
		}
		if err := c.write(ctx); err != nil && ctx.Err() == nil {
			c.log.Error("writing down what gateways said", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(flushEvery):
		}
	}
}

func (c *Contacts) write(ctx context.Context) error {
	c.mu.Lock()
	rows := make([]store.Contact, 0, len(c.dirty))
	for name := range c.dirty {
		k := c.known[name]
		rows = append(rows, k.Contact)
		maps.DeleteFunc(k.removed, func(_ string, at time.Time) bool { return time.Since(at) > rememberRemoved })
	}
	clear(c.dirty)
	c.mu.Unlock()
	if len(rows) == 0 {
		return nil
	}
	return c.store.Update(ctx, func(tx *store.Writer) error {
		for _, row := range rows {
			if err := tx.PutContact(row); err != nil {
				return fmt.Errorf("gateway %s: %w", row.Gateway, err)
			}
		}
		return nil
	})
}

// Wait waits until the gateways have confirmed every debt, or until ctx ends,
// and tells of each gateway whether and when it did. A gateway confirms by
// passing the revision in this epoch, or session by session.
func (c *Contacts) Wait(ctx context.Context, epoch string, debts []store.Debt) []provisioner.Confirmation {
	began := time.Now()
	open := make(map[string][]store.Debt)
	for _, d := range debts {
		open[d.Gateway] = append(open[d.Gateway], d)
	}
	names := slices.Sorted(maps.Keys(open))
	confirmed := make(map[string]time.Duration)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		c.mu.Lock()
		changed := c.changed
		for gateway, list := range open {
			if k, ok := c.known[gateway]; ok && k.settles(epoch, list) {
				confirmed[gateway] = time.Since(began)
				delete(open, gateway)
			}
		}
		c.mu.Unlock()
		if len(open) == 0 || ctx.Err() != nil {
			return c.report(ctx, names, confirmed)
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-look.C:
			c.lookUp(ctx, epoch, open, confirmed, began)
		}
	}
}

// settles reports whether everything in list is confirmed.
func (k *contact) settles(epoch string, list []store.Debt) bool {
	for _, d := range list {
		if _, one := k.removed[d.Session]; !one && (k.Epoch != epoch || k.Revision < d.Revision) {
			return false
		}
	}
	return true
}

// lookUp finds confirmations that other replicas wrote down.
func (c *Contacts) lookUp(ctx context.Context, epoch string, open map[string][]store.Debt, confirmed map[string]time.Duration, began time.Time) {
	err := c.store.View(ctx, func(tx *store.Reader) error {
		for gateway, list := range open {
			g, err := tx.Gateway(gateway)
			if err != nil {
				return err
			}
			written := contact{Contact: store.Contact{Epoch: g.Epoch, Revision: g.Revision}}
			if written.settles(epoch, list) {
				confirmed[gateway] = time.Since(began)
				delete(open, gateway)
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		c.log.Error("looking for confirmations", "error", err)
	}
}

func (c *Contacts) report(ctx context.Context, names []string, confirmed map[string]time.Duration) []provisioner.Confirmation {
	ctx = context.WithoutCancel(ctx) // its end is what the report is about
	list := make([]provisioner.Confirmation, 0, len(names))
	for _, name := range names {
		after, ok := confirmed[name]
		v := provisioner.Confirmation{Gateway: name, Confirmed: ok, After: after}
		if !ok {
			v.GraceUntil = c.graceOf(ctx, name)
		}
		list = append(list, v)
	}
	return list
}

// graceOf tells when a gateway that cannot be reached drops its peers by
// itself: a grace time after its last contact.
func (c *Contacts) graceOf(ctx context.Context, gateway string) time.Time {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	g, err := store.Read(ctx, c.store, func(tx *store.Reader) (store.GatewayState, error) { return tx.Gateway(gateway) })
	if err != nil {
		c.log.Error("reading when a gateway was last heard", "gateway", gateway, "error", err)
		return time.Now().Add(provisioner.GatewayGrace)
	}
	return g.ContactAt.Add(provisioner.GatewayGrace)
}
