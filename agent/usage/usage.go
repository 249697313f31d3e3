// Package usage tells whether listed products run on this laptop, by the names of
// running programs.
//
// What always holds:
//   - Only names that are asked for are looked for, and only they leave this package:
//     nobody is told what else runs.
//   - Of a program its name is compared and nothing more: no arguments, no window, no
//     file, no person. Of one that is listed the version is looked up: the program's own,
//     or its package's. On Windows and macOS capitals are no difference, as to those systems.
//   - A look that hangs holds nobody up, and no second one is begun beside it.
//
// Not its business: what is asked for and why, and to whom it is told (endpoint).
package usage

import (
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Product is what to look for: it is in use while one of the programs runs.
type Product struct {
	Name      string
	Processes []string // without directories
}

// Use is what was seen of a product. Version is of the program that runs; empty: the
// system does not tell it, or it was not asked yet: the first look at a program does.
type Use struct {
	Product string
	InUse   bool
	Version string
}

// within is how long a caller waits for a look. A healthy one takes some milliseconds;
// but a process that is stuck can hold up whoever reads of it.
const within = 500 * time.Millisecond

// Meter looks. The zero value is ready; its methods are safe for concurrent use.
type Meter struct {
	// Logger nil: slog.Default.
	Logger *slog.Logger
	// Account is whose programs count, by number, on Windows by SID: at a laptop that several share nobody's are told in
	// another's name. Empty: everybody's.
	Account string

	mu       sync.Mutex
	looking  bool
	failed   bool
	versions map[string]string // by program file, as it was when it was looked at
	unknown  map[string]string // files whose version is to be learnt, by the same
	learning bool
}

// Look says of each product, in the order given, whether it is in use now. Nil: it
// cannot be told, or not in time.
func (m *Meter) Look(products []Product) []Use {
	if len(products) == 0 || !m.begin() {
		return nil
	}
	seen := make(chan []Use, 1)
	go func() { // ends with the look, for which nobody waits for longer than a moment
		uses, err := m.look(products)
		m.end(err)
		seen <- uses
		m.learn()
	}()
	patience := time.NewTimer(within)
	defer patience.Stop()
	select {
	case uses := <-seen:
		return uses
	case <-patience.C:
		return nil
	}
}

func (m *Meter) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.looking {
		return false
	}
	m.looking = true
	return true
}

// end says once that looking fails, and not with each renewal.
func (m *Meter) end(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looking = false
	if err != nil && !m.failed {
		log := m.Logger
		if log == nil {
			log = slog.Default()
		}
		log.Warn("could not look which products run", "error", err)
	}
	m.failed = err != nil
}

// program is one that runs.
type program interface {
	// is says whether it has a name, as the system compares names.
	is(w wanted, found func(name string))
	// file is what runs, and mark changes when another version takes its place; empty: nobody knows.
	file() (path, mark string)
	// account is whose it is; empty: nobody knows.
	account() string
}

// look looks once.
func (m *Meter) look(products []Product) ([]Use, error) {
	w := newWanted(products)
	uses := make([]Use, len(products))
	for i, p := range products {
		uses[i].Product = p.Name
	}
	err := programs(func(p program) {
		if m.Account != "" && p.account() != m.Account {
			return
		}
		p.is(w, func(name string) {
			for _, i := range w.products[name] {
				uses[i].InUse = true
				if uses[i].Version == "" {
					uses[i].Version = m.version(p)
				}
			}
		})
	})
	if err != nil {
		return nil, err
	}
	return uses, nil
}

// version is what is known of a file. What is not yet is learnt once who looks has been
// told what runs: of a file that no package has it takes a second on a slow laptop.
func (m *Meter) version(p program) string {
	path, mark := p.file()
	if path == "" {
		return ""
	}
	key := path + "\x00" + mark
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.versions[key]
	if !ok {
		if m.unknown == nil {
			m.unknown = make(map[string]string)
		}
		m.unknown[key] = path
	}
	return known
}

// learn asks for the versions that are not known.
func (m *Meter) learn() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.learning {
		return
	}
	m.learning = true
	defer func() { m.learning = false }()
	for len(m.unknown) > 0 {
		for key, path := range m.unknown {
			delete(m.unknown, key)
			m.mu.Unlock()
			version := plain(versionOf(path))
			m.mu.Lock()
			const most = 100 // files of an older version are not looked at again
			if m.versions == nil || len(m.versions) >= most {
				m.versions = make(map[string]string)
			}
			m.versions[key] = version
		}
	}
}

// plain is a version as it may be told: some put words there. Empty: it is none.
func plain(version string) string {
	const longest = 32
	if len(version) > longest || strings.Trim(version, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-+_") != "" {
		return ""
	}
	return version
}

// wanted is what is looked for, by name.
type wanted struct {
	products map[string][]int
	// cut are the names that are longer than what the system keeps of a name, by what it keeps.
	cut map[string][]string
}

func newWanted(products []Product) wanted {
	w := wanted{products: make(map[string][]int), cut: make(map[string][]string)}
	for i, p := range products {
		for _, name := range p.Processes {
			name = fold(name)
			if len(w.products[name]) == 0 && len(name) >= kept {
				w.cut[name[:kept]] = append(w.cut[name[:kept]], name)
			}
			w.products[name] = append(w.products[name], i)
		}
	}
	return w
}

// whole reports a name that is known to be whole.
func (w wanted) whole(name string, found func(string)) {
	if name = fold(name); len(w.products[name]) > 0 {
		found(name)
	}
}

// short reports a name of which the system keeps a beginning only; longer finds out
// whether it is that of a whole name.
func (w wanted) short(name string, longer func(whole string) bool, found func(string)) {
	if len(name) < kept {
		w.whole(name, found)
		return
	}
	for _, whole := range w.cut[fold(name)] {
		if longer(whole) {
			found(whole)
		}
	}
}

// base is the name in a path, whichever way its system writes it.
func base(path string) string { return path[strings.LastIndexAny(path, `/\`)+1:] }
