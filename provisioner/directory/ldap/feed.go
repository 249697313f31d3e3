package ldap

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// feed tells what the directory contains. It remembers what it has told for as long as its observer does.
type feed struct {
	d        *Directory
	interest directory.Interest
	pace     pace

	mu      sync.Mutex
	told    map[string]place  // by stable id
	ids     map[string]string // the stable ids by folded DN: some servers tell a deletion by the DN alone
	units   map[string]string // the folded DNs of units, by stable id
	seed    maphash.Seed
	regroup regroup

	cookies map[string][]byte // how far each root has been told (RFC 4533). Only Follow uses them.
	ad      adPlace           // how far Active Directory has been told. Only Follow uses it.
}

// place is where an entry was when it was last told.
type place struct {
	root    string // the search that found it
	dn      string // folded
	members uint64 // a sum of a group's members
}

// pace is how often something happens that nobody asked for.
type pace struct {
	beat time.Duration // a server that is silent for so long is asked whether it is still there
	poll time.Duration // between two full reads, where there is no better way
	// settle is how long a server is given to put its groups in order after somebody was renamed or deleted.
	settle time.Duration
	// rest bounds what reading again and again costs a server: so many times as long as it took there is none.
	rest int
}

// resting is how long there is no reading after one that took so long.
func (p pace) resting(took time.Duration) time.Duration { return time.Duration(p.rest) * took }

// Feed implements directory.Directory.
func (d *Directory) Feed(i directory.Interest) directory.Feed {
	return &feed{
		d: d, interest: i, pace: pace{beat: 10 * time.Second, poll: time.Minute, settle: time.Second, rest: 19},
		seed: maphash.MakeSeed(), told: map[string]place{}, ids: map[string]string{}, units: map[string]string{}, cookies: map[string][]byte{},
	}
}

// follower follows one server in one way, until it is lost. It makes connections of its own: openWire for searches that
// go on, dialService for all others. It calls Live once everything has been told, and Heard each time it knows that
// nothing is outstanding.
type follower func(ctx context.Context, on site, to directory.Observer) error

// follower returns how a way is gone.
func (f *feed) follower(w directory.Way) follower {
	switch w {
	case directory.WayDirSync:
		return f.followDirSync
	case directory.WayUSN:
		return f.followUSN
	case directory.WaySyncrepl:
		return f.followSyncrepl
	case directory.WayPersistentSearch:
		return f.followPersistent
	case directory.WayPolling:
		return f.followPolling
	}
	return func(context.Context, site, directory.Observer) error { return errNotOffered }
}

// errNotOffered: the server does not do what its root DSE says, or not for this service account. The next way is tried.
var errNotOffered = errors.New("the server does not offer this way of noticing changes")

// Follow implements directory.Feed. Each server gets one chance, and the first that becomes live is followed until it is
// lost.
func (f *feed) Follow(ctx context.Context, to directory.Observer) error {
	return f.onFirst(ctx, func(ctx context.Context, on site) error { return f.follow(ctx, on, to) })
}

// Reconcile implements directory.Feed.
func (f *feed) Reconcile(ctx context.Context, to directory.Observer) error {
	return f.onFirst(ctx, func(ctx context.Context, on site) error { return f.readAll(ctx, on, to) })
}

// onFirst does something on the first server that answers.
func (f *feed) onFirst(ctx context.Context, do func(context.Context, site) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(f.d.life, cancel) //nolint:contextcheck // the directory ends its feeds, whoever called
	defer stop()
	return f.d.overServers(ctx, func(ctx context.Context, s *server, _ int) error {
		if f.d.isClosed() {
			return f.d.closedFault()
		}
		on, err := f.site(ctx, s)
		if err != nil {
			return err
		}
		return do(ctx, on)
	})
}

// follow goes the best way that the server offers.
func (f *feed) follow(ctx context.Context, on site, to directory.Observer) error {
	t := &telling{Observer: to, server: on.server}
	for _, way := range append(slices.Clone(on.flavour.Ways), directory.WayPolling) {
		if !way.Offers(on.root) {
			continue
		}
		err := f.follower(way)(ctx, on, t)
		switch {
		case errors.Is(err, errNotOffered):
			f.d.log.InfoContext(ctx, "a directory server offers a way of noticing changes that cannot be used; taking the next",
				"server", on.url, "way", string(way), "error", err.Error())
		case t.live: // whether to look for another server now is the caller's to say
			on.rest(ctx.Err() == nil)
			return final{f.d.translate(on.server, err)}
		default:
			return err
		}
	}
	return errNotOffered // not reached: polling is always offered
}

// telling notes that a server has become live.
type telling struct {
	directory.Observer
	server *server
	live   bool
}

func (t *telling) Live(s directory.Source) {
	t.live = true
	t.server.rest(false)
	t.Observer.Live(s)
}

// judge makes of an entry what an observer is told. False: it is not of interest.
func (f *feed) judge(on site, dn string, a directory.Attributes) (directory.Entry, bool, error) {
	group, err := on.flavour.IsGroup(a)
	if err == nil && !group && on.flavour.IsUnit(a) {
		return directory.Entry{}, false, f.unit(on, dn, a)
	}
	if err == nil && !group && !on.holds(dn) {
		return directory.Entry{}, false, nil
	}
	var e directory.Entry
	if err == nil {
		e, err = on.flavour.Entry(f.d.cfg.Name, dn, a, time.Now())
	}
	if errors.Is(err, directory.ErrNoLogin) {
		return directory.Entry{}, false, nil
	}
	if err != nil {
		return e, false, f.unjudged(dn, err)
	}
	return e, true, nil
}

// unit notes where a unit is. When it is somewhere else than before, so is everybody below it, whom no server tells: then
// everything is read again.
func (f *feed) unit(on site, dn string, a directory.Attributes) error {
	id, err := on.flavour.ID(a)
	if err != nil {
		return f.unjudged(dn, err)
	}
	folded, _ := fold(dn) // one that cannot be folded counts as never moved
	f.mu.Lock()
	before, known := f.units[id]
	f.units[id] = folded
	f.mu.Unlock()
	if known && before != folded {
		f.everythingSoon()
	}
	return nil
}

// unjudged: to pass over what cannot be judged would look as if it were not there.
func (f *feed) unjudged(dn string, err error) error {
	return final{f.d.fault(directory.Misconfigured, "the entry "+dn+" cannot be judged",
		"let the service account read it, or set `flavour:` to what the directory is", err)}
}

// change tells an observer of an entry that has come, changed, or moved out of what is of interest.
func (f *feed) change(on site, root, dn string, a directory.Attributes, to directory.Observer) error {
	e, wanted, err := f.judge(on, dn, a)
	if err != nil {
		return err
	}
	if wanted {
		before := f.remember(root, e)
		if before.dn != "" && before.dn != f.place(e.StableID).dn {
			f.groupsSoon()
		}
		to.Changed(e)
		return nil
	}
	id, err := on.flavour.ID(a)
	if err != nil {
		return f.unjudged(dn, err)
	}
	f.gone(id, to)
	return nil
}

// remember notes what is told, and returns what was told of the entry before.
func (f *feed) remember(root string, e directory.Entry) (before place) {
	p := place{root: root}
	p.dn, _ = fold(e.DN) // one that cannot be folded is found by its id alone
	for _, m := range e.Members {
		p.members += maphash.String(f.seed, m)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	before = f.told[e.StableID]
	f.forget(e.StableID)
	f.told[e.StableID] = p
	if p.dn != "" {
		f.ids[p.dn] = e.StableID
	}
	return before
}

// gone tells that an entry is no longer there, if it had been told.
func (f *feed) gone(id string, to directory.Observer) {
	f.mu.Lock()
	had := f.forget(id)
	f.mu.Unlock()
	if had {
		f.groupsSoon()
		to.Gone(id)
	}
}

// forget reports whether an entry had been told. The lock is held.
func (f *feed) forget(id string) bool {
	p, had := f.told[id]
	delete(f.told, id)
	if f.ids[p.dn] == id {
		delete(f.ids, p.dn)
	}
	return had
}
