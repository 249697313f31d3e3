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
	// mostRemoved bounds what one gateway can have us remember. What comes on
	// top is confirmed when its revision has passed it.
	mostRemoved = 20_000
	// recentlyRemoved is how long they are told to other replicas.
	recentlyRemoved = 10 * time.Second
	// lookEvery is how often a waiting caller looks for what another replica
	// wrote down.
	lookEvery = 500 * time.Millisecond
)

// Contacts keeps what the gateways say: who is connected, and up to where each
// has confirmed. Local words count at once; they are written down every 50 ms,
// one row a gateway, where other replicas see them.
type Contacts struct {
	store *store.Store
	hub   *Hub
	log   *slog.Logger

	writing sync.Mutex // rows are written in the order in which they were taken

	mu      sync.Mutex
	known   map[string]*Contact // the newest stream of each gateway
	dirty   map[string]struct{}
	flush   chan struct{} // buffered by one
	changed chan struct{} // closed and replaced when anything is confirmed
}

// NewContacts makes it; Run must be running for anything to be written down. The
// hub wakes those who wait for what gateways say to other replicas.
func NewContacts(s *store.Store, hub *Hub, log *slog.Logger) *Contacts {
	return &Contacts{
		store: s, hub: hub, log: log, known: make(map[string]*Contact), dirty: make(map[string]struct{}),
		flush: make(chan struct{}, 1), changed: make(chan struct{}),
	}
}

// Contact is one stream of a gateway. What is said on it counts until
// Disconnected, or until a newer stream of the same gateway begins.
type Contact struct {
	contacts *Contacts
	replaced chan struct{}

	// Guarded by Contacts.mu.
	row     store.Contact
	begins  bool                 // not written down yet
	told    place                // as far as the gateway has been told
	removed map[string]time.Time // sessions confirmed one by one
}

// Replaced is closed when another replica has taken the gateway over.
func (k *Contact) Replaced() <-chan struct{} { return k.replaced }

type place struct {
	epoch    string
	revision int64
}

// Connected says that a gateway's stream is up. Nothing is confirmed on it yet:
// what the gateway confirmed before may no longer be true of it. The context is
// the stream's: one that has ended, because a newer stream came, is refused.
func (c *Contacts) Connected(ctx context.Context, gateway string) (*Contact, error) {
	k := &Contact{
		contacts: c, replaced: make(chan struct{}), begins: true,
		row:     store.Contact{Gateway: gateway, Connected: true, ContactAt: time.Now()},
		removed: make(map[string]time.Time),
	}
	c.mu.Lock()
	if ctx.Err() != nil {
		c.mu.Unlock()
		return nil, context.Cause(ctx)
	}
	c.known[gateway] = k
	c.announce(gateway)
	c.mu.Unlock()
	// At once: until then no session is opened there.
	if err := c.write(ctx); err != nil {
		k.Disconnected()
		return nil, fmt.Errorf("writing down that gateway %s is connected: %w", gateway, err)
	}
	return k, nil
}

// Disconnected says that the stream has ended. Idempotent. It reports whether
// the stream still was the gateway's newest.
func (k *Contact) Disconnected() bool {
	return k.note(func() { k.row.Connected = false })
}

// Told says how far the gateway has been told, or holds as we know: it cannot
// confirm more.
func (k *Contact) Told(epoch string, revision int64) {
	k.contacts.mu.Lock()
	defer k.contacts.mu.Unlock()
	k.told = place{epoch, revision}
}

// Acknowledged says what the gateway has applied: everything up to a revision,
// and sessions removed ahead of it. A place that it was never told confirms
// nothing: it is of another epoch, of a history that we have lost, or made up.
func (k *Contact) Acknowledged(epoch string, revision int64, removed []string) {
	k.note(func() {
		now := time.Now()
		k.row.ContactAt, k.row.Epoch, k.row.Revision = now, "", 0
		if epoch == k.told.epoch && revision <= k.told.revision {
			k.row.Epoch, k.row.Revision = epoch, revision
		}
		for _, id := range removed {
			if len(k.removed) < mostRemoved {
				k.removed[id] = now
			}
		}
	})
}

// Loaded says how busy the gateway is. It is written down with the next word.
func (k *Contact) Loaded(l provisioner.GatewayLoad) {
	k.contacts.mu.Lock()
	defer k.contacts.mu.Unlock()
	k.row.Load = l
}

// Observed says that by a time the gateway had told all it saw.
func (k *Contact) Observed(at time.Time) {
	k.note(func() { k.row.ContactAt, k.row.ObservedAt = time.Now(), at })
}

// note makes a change, and reports false if the stream's words no longer count.
func (k *Contact) note(change func()) bool {
	c := k.contacts
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[k.row.Gateway] != k || !k.row.Connected {
		return false
	}
	change()
	c.announce(k.row.Gateway)
	return true
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
	c.writing.Lock()
	defer c.writing.Unlock()
	words := c.take()
	if len(words) == 0 {
		return nil
	}
	var lost []*Contact
	// Ahead of what waits: somebody may be waiting for these words.
	err := c.store.UpdateUrgent(ctx, func(tx *store.Writer) error {
		lost = nil
		for _, w := range words {
			held, err := tx.PutContact(w.row, w.begins)
			if err != nil {
				return fmt.Errorf("gateway %s: %w", w.row.Gateway, err)
			}
			if !held {
				lost = append(lost, w.said)
			}
		}
		return nil
	})
	c.written(words, lost, err)
	return err
}

// words are what one stream of a gateway has said, to be written down.
type words struct {
	said   *Contact
	row    store.Contact
	begins bool
}

// mostRemovedWritten bounds the list of sessions in a gateway's row.
const mostRemovedWritten = 500

// take gives what is to be written down.
func (c *Contacts) take() []words {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]words, 0, len(c.dirty))
	for name := range c.dirty {
		k := c.known[name]
		maps.DeleteFunc(k.removed, func(_ string, at time.Time) bool { return time.Since(at) > rememberRemoved })
		row := k.row
		for id, at := range k.removed {
			if len(row.Removed) < mostRemovedWritten && time.Since(at) < recentlyRemoved {
				row.Removed = append(row.Removed, id)
			}
		}
		list = append(list, words{k, row, k.begins})
	}
	clear(c.dirty)
	return list
}

// written notes what became of words: those that could not be written down go
// with the next ones; streams that another replica has replaced count no more.
func (c *Contacts) written(list []words, lost []*Contact, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range list {
		if c.known[w.said.row.Gateway] != w.said {
			continue
		}
		if err != nil {
			c.dirty[w.row.Gateway] = struct{}{}
		} else {
			w.said.begins = false
		}
	}
	if err != nil {
		return
	}
	for _, k := range lost {
		if c.known[k.row.Gateway] == k {
			delete(c.known, k.row.Gateway)
			delete(c.dirty, k.row.Gateway)
			close(k.replaced)
		}
	}
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
	elsewhere := c.hub.Listen(heard())
	defer elsewhere.Close()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	c.lookUp(ctx, epoch, open, confirmed, began)
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
		case <-elsewhere.C:
			c.lookUp(ctx, epoch, open, confirmed, began)
		case <-look.C:
			c.lookUp(ctx, epoch, open, confirmed, began)
		}
	}
}

// settles reports whether everything in list is confirmed.
func (k *Contact) settles(epoch string, list []store.Debt) bool {
	for _, d := range list {
		if _, one := k.removed[d.Session]; !one && (k.row.Epoch != epoch || k.row.Revision < d.Revision) {
			return false
		}
	}
	return true
}

// lookUp finds confirmations that other replicas wrote down. Of gateways whose
// streams are here we know better.
func (c *Contacts) lookUp(ctx context.Context, epoch string, open map[string][]store.Debt, confirmed map[string]time.Duration, began time.Time) {
	names := c.elsewhere(open)
	if len(names) == 0 {
		return
	}
	err := c.store.View(ctx, func(tx *store.Reader) error {
		for _, gateway := range names {
			row, err := tx.Contact(gateway)
			if err != nil {
				return err
			}
			written := Contact{row: row, removed: make(map[string]time.Time)}
			for _, id := range row.Removed {
				written.removed[id] = began
			}
			if written.settles(epoch, open[gateway]) {
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

// elsewhere names gateways whose streams are not here.
func (c *Contacts) elsewhere(open map[string][]store.Debt) (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for gateway := range open {
		if k, ok := c.known[gateway]; !ok || !k.row.Connected {
			names = append(names, gateway)
		}
	}
	return names
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
