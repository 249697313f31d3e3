package metering

import (
	"sync"

	"github.com/heimdraht/heimdraht/provisioner/store"
)

// MostVersions is how many versions of one product of a tenant are told apart at a
// time; laptops that say further ones count without. Else one that makes them up
// would fill the database.
const mostVersions = 20

// tally counts the sessions in which products are in use, as laptops say that are
// connected here. It knows numbers; whose they are, each stream remembers.
type tally struct {
	mu      sync.Mutex
	counts  map[product]*numbers
	written map[counted]int64 // as the database has them
}

type product struct{ tenant, name string }

type counted struct {
	product
	version string // empty: all together
}

type numbers struct {
	all      int64
	versions map[string]int64
}

func newTally() *tally {
	return &tally{counts: make(map[product]*numbers), written: make(map[counted]int64)}
}

// add counts a use, in the version as which it is to be taken back.
func (t *tally) add(tenant string, u Use) Use {
	p := product{tenant, u.Product}
	n := t.counts[p]
	if n == nil {
		n = &numbers{versions: make(map[string]int64)}
		t.counts[p] = n
	}
	n.all++
	if _, known := n.versions[u.Version]; !known && len(n.versions) >= mostVersions {
		u.Version = ""
	}
	if u.Version != "" {
		n.versions[u.Version]++
	}
	return u
}

// remove takes back what add counted.
func (t *tally) remove(tenant string, u Use) {
	p := product{tenant, u.Product}
	n := t.counts[p]
	n.all--
	if u.Version != "" {
		if n.versions[u.Version]--; n.versions[u.Version] == 0 {
			delete(n.versions, u.Version)
		}
	}
	if n.all == 0 {
		delete(t.counts, p)
	}
}

// differences lists what the database has otherwise than it is.
func (t *tally) differences() (list []store.ProductCount) {
	t.mu.Lock()
	defer t.mu.Unlock()
	present := make(map[counted]int64)
	for p, n := range t.counts {
		present[counted{p, ""}] = n.all
		for version, sessions := range n.versions {
			present[counted{p, version}] = sessions
		}
	}
	for c, sessions := range present {
		if t.written[c] != sessions {
			list = append(list, store.ProductCount{Tenant: c.tenant, Product: c.name, Version: c.version, Sessions: sessions})
		}
	}
	for c := range t.written {
		if present[c] == 0 {
			list = append(list, store.ProductCount{Tenant: c.tenant, Product: c.name, Version: c.version})
		}
	}
	return list
}

// wrote notes what the database has now.
func (t *tally) wrote(list []store.ProductCount) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range list {
		key := counted{product{c.Tenant, c.Product}, c.Version}
		if t.written[key] = c.Sessions; c.Sessions == 0 {
			delete(t.written, key)
		}
	}
}

// Stream is one laptop's stream, while it stands. Its methods are called one at a time.
type Stream struct {
	tally  *tally
	tenant string
	uses   []Use
}

// Open begins to count what a laptop of a tenant says. Forget ends it.
func (s *Service) Open(tenant string) *Stream { return &Stream{tally: s.tally, tenant: tenant} }

// Say takes the place of what was said before.
func (s *Stream) Say(uses []Use) {
	if len(s.uses) == 0 && len(uses) == 0 {
		return // as on most
	}
	s.tally.mu.Lock()
	defer s.tally.mu.Unlock()
	for _, u := range s.uses {
		s.tally.remove(s.tenant, u)
	}
	s.uses = nil
	for _, u := range uses {
		s.uses = append(s.uses, s.tally.add(s.tenant, u))
	}
}

// Forget takes back what was said. Idempotent.
func (s *Stream) Forget() { s.Say(nil) }

// isBlank reports that nothing is counted and nothing written.
func (t *tally) isBlank() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.counts) == 0 && len(t.written) == 0
}
