package ldap

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// adGather is how long notices are gathered after the server was asked: an import makes thousands of them.
const adGather = 100 * time.Millisecond

// adUnnoticed is how often a server is asked that does not notify.
const adUnnoticed = 2 * time.Second

// adFeed follows one domain controller of Active Directory, or Samba. A change notification says that something has
// happened; DirSync, or the server's own numbers, say to which entries; and these are then read again, because neither
// tells what the server computes. Nor is a notification sent for everything (Samba sends none for a lockout), so the
// server is also asked every now and then.
type adFeed struct {
	*feed
	on    site
	to    directory.Observer
	line  *line
	woken chan struct{} // of capacity one: there has been a notice
}

// adPlace is where a feed is in the changes of one server. Each domain controller counts for itself, so a place
// means nothing to another one, nor to the same one after it was restored from a backup.
type adPlace struct {
	server string // its identity; empty: nowhere
	way    directory.Way
	flags  int64             // of DirSync
	cookie map[string][]byte // of DirSync, by root
	usn    uint64            // the number of the last change that has been told
	// silent: deletions are not told.
	silent bool
	// units are the folded DNs of units and containers, by objectGUID.
	units map[string]string
}

func (f *feed) followDirSync(ctx context.Context, on site, to directory.Observer) error {
	return f.followAD(ctx, on, to, directory.WayDirSync)
}

func (f *feed) followUSN(ctx context.Context, on site, to directory.Observer) error {
	return f.followAD(ctx, on, to, directory.WayUSN)
}

func (f *feed) followAD(ctx context.Context, on site, to directory.Observer, way directory.Way) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	asking, err := f.d.dialLine(ctx, on)
	if err != nil {
		return err
	}
	defer asking.close()
	a := &adFeed{feed: f, on: on, to: to, line: asking, woken: make(chan struct{}, 1)}

	notices, err := f.openWire(ctx, on)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer notices.close()
		cancel(a.listen(ctx, notices))
	}()
	defer func() { cancel(nil); <-done }()
	err = a.run(ctx, way)
	if cause := context.Cause(ctx); cause != nil {
		return cause // why the listening ended, if it did
	}
	return err
}

// listen takes change notifications (MS-ADTS 3.1.1.3.4.1.9), which know no other filter, until the server is lost.
func (f *adFeed) listen(ctx context.Context, w *wire) error {
	for _, root := range f.on.roots {
		if _, err := w.search(root, goldap.ScopeWholeSubtree, "(objectClass=*)", []string{"1.1"},
			goldap.NewControlMicrosoftNotification(), goldap.NewControlMicrosoftShowDeleted()); err != nil {
			return err
		}
	}
	w.due = time.Now() // what has changed before its answer may not have been notified
	for {
		m, err := w.next()
		switch {
		case err != nil:
			return err
		case m.beat, m.tag == opEntry:
			f.wake()
		case m.tag == opDone:
			if err := m.err(); err != nil && isAnswer(err) {
				f.d.log.WarnContext(ctx, "a directory server does not notify of changes; asking it every now and then", "server", f.on.url, "error", err.Error())
				return f.wakeAnyway(ctx)
			}
			return errors.New("the server has ended change notification")
		}
	}
}

// wakeAnyway stands in for notices that a server does not give.
func (f *adFeed) wakeAnyway(ctx context.Context) error {
	tick := time.NewTicker(adUnnoticed)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.wake()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (f *adFeed) wake() {
	select {
	case f.woken <- struct{}{}:
	default: // the server is about to be asked anyway
	}
}

func (f *adFeed) run(ctx context.Context, way directory.Way) error {
	identity, highest, err := f.identity(ctx)
	if err != nil {
		return err
	}
	// A number below the one that has been told: somebody has set the server back, unknown to itself.
	resumed := f.ad.server == identity && f.ad.way == way && highest >= f.ad.usn
	if resumed {
		if err := f.catchUp(ctx); err != nil {
			return f.stale(ctx, err)
		}
		if f.ad.silent {
			err = f.list(ctx)
		}
	} else {
		err = f.begin(ctx, adPlace{server: identity, way: way, usn: highest})
	}
	if err != nil {
		return err
	}
	source := f.on.source(way)
	source.Resumed = resumed
	if f.ad.silent {
		source.Limited = strings.Join(append(f.on.missingSaid(), "that an account was deleted, which is found out within a minute: "+
			"the service account may not read the container Deleted Objects"), "; ")
	}
	f.to.Live(source)
	return f.goOn(ctx)
}

// stale forgets a place from which the server cannot go on: then the next attempt reads everything.
func (f *adFeed) stale(ctx context.Context, err error) error {
	if ctx.Err() == nil && isAnswer(err) {
		f.d.log.InfoContext(ctx, "the directory is going to be read anew", "server", f.on.url, "why", err.Error())
		f.ad = adPlace{}
	}
	return err
}

// goOn tells changes as they happen.
func (f *adFeed) goOn(ctx context.Context) error {
	for listed := time.Now(); ; {
		f.to.Heard()
		if err := f.wait(ctx); err != nil {
			return err
		}
		if err := f.catchUp(ctx); err != nil {
			return f.stale(ctx, err)
		}
		if err := f.regroupIfDue(ctx, f.on, f.to); err != nil {
			return err
		}
		if f.ad.silent && time.Since(listed) >= f.pace.poll {
			if err := f.list(ctx); err != nil {
				return err
			}
			listed = time.Now()
		}
	}
}

// wait returns when the server is to be asked: soon after a notice, and without one after a while, or when groups are to
// be read again.
func (f *adFeed) wait(ctx context.Context) error {
	patience := f.pace.beat
	if at := f.regroupAt(); !at.IsZero() {
		patience = min(patience, time.Until(at))
	}
	anyway := time.NewTimer(patience)
	defer anyway.Stop()
	gathered := time.NewTimer(adGather)
	defer gathered.Stop()
	select {
	case <-gathered.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-f.woken:
	case <-anyway.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// identity names the server and the incarnation of its database, and tells the number of its last change.
func (f *adFeed) identity(ctx context.Context) (identity string, highest uint64, err error) {
	root, err := f.line.entry(ctx, "", "dsServiceName")
	if err != nil {
		return "", 0, fmt.Errorf("reading the root DSE: %w", err)
	}
	name := root.First("dsservicename")
	if name == "" {
		return "", 0, fmt.Errorf("%w: it does not say which domain controller it is", errNotOffered)
	}
	settings, err := f.line.entry(ctx, name, "invocationId")
	if err != nil {
		return "", 0, fmt.Errorf("reading the server's settings: %w", err)
	}
	highest, err = f.highestUSN(ctx)
	return name + " " + settings.First("invocationid"), highest, err
}

// begin reads everything, after it has noted from where on changes are to be told.
func (f *adFeed) begin(ctx context.Context, place adPlace) error {
	f.ad = adPlace{}
	if err := f.mark(ctx, &place); err != nil {
		return err
	}
	var err error
	if place.units, err = f.readUnits(ctx); err != nil {
		return err
	}
	if err := f.readAll(ctx, f.on, f.to); err != nil {
		return err
	}
	f.ad = place
	return f.catchUp(ctx)
}

// readUnits finds where units and containers are.
func (f *adFeed) readUnits(ctx context.Context) (map[string]string, error) {
	units := map[string]string{}
	for _, root := range f.on.roots {
		err := f.line.pages(ctx, root, adUnits, []string{"objectGUID"}, nil, func(e *goldap.Entry) error {
			units[e.GetAttributeValue("objectGUID")], _ = fold(e.DN) // one that cannot be folded counts as never moved
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading units: %w", err)
		}
	}
	return units, nil
}

// catchUp tells what has changed since it was called last. The place moves on when all of it is told. The number of the
// last change is read first, so that what happens meanwhile is told twice rather than never.
func (f *adFeed) catchUp(ctx context.Context) error {
	highest, err := f.highestUSN(ctx)
	if err != nil || highest == f.ad.usn {
		return err
	}
	next := f.ad
	next.usn = highest
	next.cookie = maps.Clone(f.ad.cookie)
	moved := false
	for _, root := range f.on.roots {
		changed, err := f.since(ctx, root, &next)
		if err != nil {
			return err
		}
		for len(changed) > 0 {
			n := min(adAtOnce, len(changed))
			above, err := f.tell(ctx, root, changed[:n])
			if err != nil {
				return err
			}
			moved = moved || above
			changed = changed[n:]
		}
	}
	if moved {
		// The DN of everybody below has changed, which is a change of none of them.
		if next.units, err = f.readUnits(ctx); err != nil {
			return err
		}
		if err := f.readAll(ctx, f.on, f.to); err != nil {
			return err
		}
	}
	f.ad = next
	return nil
}

// list finds out who is still there, where deletions are not told.
func (f *adFeed) list(ctx context.Context) error {
	pass := f.to.Pass()
	there := map[string]bool{}
	for _, root := range f.on.roots {
		err := f.line.pages(ctx, root, f.on.flavour.FeedFilter(), []string{"objectGUID", "objectClass"}, nil, func(e *goldap.Entry) error {
			a := attributesOf(e)
			id, err := f.on.flavour.ID(a)
			if err != nil {
				return f.unjudged(e.DN, err)
			}
			if group, err := f.on.flavour.IsGroup(a); err != nil {
				return f.unjudged(e.DN, err)
			} else if group || f.on.holds(e.DN) {
				there[id] = true
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("listing who is there: %w", err)
		}
	}
	pass.Unchanged(f.keepOnly(there)...)
	pass.Whole()
	return nil
}

// keepOnly forgets all entries but these, and returns those of them that have been told.
func (f *feed) keepOnly(there map[string]bool) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var still []string
	for id := range f.told {
		if there[id] {
			still = append(still, id)
		} else {
			f.forget(id)
		}
	}
	return still
}

// highestUSN asks for the number of the server's last change.
func (f *adFeed) highestUSN(ctx context.Context) (uint64, error) {
	root, err := f.line.entry(ctx, "", "highestCommittedUSN")
	if err != nil {
		return 0, fmt.Errorf("reading the root DSE: %w", err)
	}
	n, err := strconv.ParseUint(root.First("highestcommittedusn"), 10, 64)
	if err != nil {
		return 0, errors.Join(errNotOffered, fmt.Errorf("the number of the last change: %w", err))
	}
	return n, nil
}
