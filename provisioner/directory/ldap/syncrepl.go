package ldap

import (
	"context"
	"errors"
	"fmt"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// syncing follows one server by content synchronisation (RFC 4533), with one search a root.
//
// A search begins with a refresh. Without a cookie that is everything there is. With one, it is what has changed, and
// then either who has been deleted (the delete phase), or who is still there (the present phase): who is in neither is
// gone. After the refresh the server tells changes as they happen. Cookies are kept only from then on: one from the
// middle of a refresh would leave out what was still to come.
type syncing struct {
	f        *feed
	on       site
	to       directory.Observer
	wire     *wire
	searches map[int64]*syncSearch
	pass     directory.Pass // of a full read; nil: the server goes on where we were, or the refresh is over
	live     bool
}

// syncSearch is one search of syncing.
type syncSearch struct {
	root    string
	cookie  []byte          // of the refresh so far
	entries int             // that the refresh has told
	there   map[string]bool // named by the refresh, as an entry or in a list of those that have not changed; nil after it
	present bool            // the refresh has a present phase
	done    bool            // the refresh is over
}

func (search *syncSearch) names(id string) {
	if search.there != nil {
		search.there[id] = true
	}
}

// errStale: the server cannot go on from the cookie.
var errStale = errors.New("the server cannot go on where the feed was")

// followSyncrepl goes on where the feed was, if it can.
func (f *feed) followSyncrepl(ctx context.Context, on site, to directory.Observer) error {
	err := f.synchronise(ctx, on, to)
	if errors.Is(err, errStale) {
		f.d.log.InfoContext(ctx, "reading the directory anew", "server", on.url, "why", err.Error())
		clear(f.cookies)
		err = f.synchronise(ctx, on, to)
	}
	return err
}

func (f *feed) synchronise(ctx context.Context, on site, to directory.Observer) error {
	w, err := f.openWire(ctx, on)
	if err != nil {
		return err
	}
	defer w.close()
	s := &syncing{f: f, on: on, to: to, wire: w, searches: map[int64]*syncSearch{}}
	if err := s.begin(); err != nil {
		return err
	}
	for {
		w.hurry(f.regroupAt())
		m, err := w.next()
		if err != nil {
			return err
		}
		search := s.searches[m.id]
		switch {
		case m.beat && s.live:
			if err := f.regroupIfDue(ctx, on, to); err != nil {
				return err
			}
			to.Heard()
		case search == nil:
		default:
			if err := s.message(search, m); err != nil {
				return err
			}
			if err := s.refreshed(); err != nil {
				return err
			}
		}
	}
}

// begin sends the searches: with cookies if there is one for each of them.
func (s *syncing) begin() error {
	for _, root := range s.on.roots {
		if len(s.f.cookies[root]) == 0 {
			s.pass = s.to.Pass()
			break
		}
	}
	for _, root := range s.on.roots {
		var cookie []byte
		if s.pass == nil {
			cookie = s.f.cookies[root]
		}
		control := goldap.NewControlSyncRequest(goldap.SyncRequestModeRefreshAndPersist, cookie, false)
		id, err := s.wire.search(root, goldap.ScopeWholeSubtree, s.on.flavour.FeedFilter(), s.on.flavour.FeedAttributes(), control)
		if err != nil {
			return err
		}
		s.searches[id] = &syncSearch{root: root, there: map[string]bool{}}
	}
	return nil
}

func (s *syncing) message(search *syncSearch, m message) error {
	switch m.tag {
	case opEntry:
		return s.entry(search, m)
	case opIntermediate:
		return s.info(search, m)
	case opDone:
		return s.ended(search, m)
	}
	return nil // a reference to another server, which is not followed
}

// ended says why a search ended that should go on.
func (s *syncing) ended(search *syncSearch, m message) error {
	err := m.err()
	switch {
	case err == nil:
		return errors.New("the server has ended the synchronisation")
	case goldap.IsErrorWithCode(err, goldap.LDAPResultSyncRefreshRequired), !s.live && s.pass == nil && goldap.IsErrorWithCode(err, goldap.LDAPResultUnwillingToPerform):
		return fmt.Errorf("%w: %w", errStale, err)
	case goldap.IsErrorAnyOf(err, goldap.LDAPResultUnavailableCriticalExtension, goldap.LDAPResultUnwillingToPerform):
		return fmt.Errorf("%w: %w", errNotOffered, err)
	}
	return s.f.limited(s.on, search.entries, err)
}

// entry takes an entry, or the news that one has been deleted.
func (s *syncing) entry(search *syncSearch, m message) error {
	state, err := syncStateOf(m)
	if err != nil {
		return err
	}
	id := s.on.flavour.SyncID(state.id)
	switch state.kind {
	case syncAdd, syncModify:
		if err := s.told(search, m, id); err != nil {
			return err
		}
		search.names(id)
		search.entries++
	case syncDelete:
		delete(search.there, id)
		s.f.gone(id, s.to)
	case syncPresent:
		search.names(id)
	}
	s.keep(search, state.cookie)
	return nil
}

// told tells an entry.
func (s *syncing) told(search *syncSearch, m message, id string) error {
	dn, attributes, err := s.wire.entry(m)
	if err != nil {
		return err
	}
	if own, err := s.on.flavour.ID(attributes); err != nil || own != id {
		if err == nil {
			err = fmt.Errorf("its %s is not the id by which the server synchronises", s.on.flavour.StableID)
		}
		return s.f.unjudged(dn, err)
	}
	if s.pass == nil {
		return s.f.change(s.on, search.root, dn, attributes, s.to)
	}
	e, wanted, err := s.f.judge(s.on, dn, attributes)
	if err != nil || !wanted {
		return err
	}
	s.f.remember(search.root, e)
	s.pass.Read(e)
	return nil
}

// info takes what is no entry: lists of ids, ends of phases, cookies.
func (s *syncing) info(search *syncSearch, m message) error {
	info, err := syncInfoOf(m)
	if err != nil {
		return err
	}
	switch info.kind {
	case syncIDSet:
		for _, raw := range info.ids {
			id := s.on.flavour.SyncID(raw)
			if info.flag {
				delete(search.there, id)
				s.f.gone(id, s.to)
			} else {
				search.names(id)
			}
		}
	case syncRefreshPresent:
		search.present = true
		search.done = info.flag
	case syncRefreshDelete:
		search.done = info.flag
	}
	s.keep(search, info.cookie)
	return nil
}

// keep keeps a cookie, once everything it stands for has been told. Servers send empty ones, which mean nothing.
func (s *syncing) keep(search *syncSearch, cookie []byte) {
	switch {
	case len(cookie) == 0, !s.on.flavour.Resumes:
	case s.live:
		s.f.cookies[search.root] = cookie
	default:
		search.cookie = cookie
	}
}

// refreshed ends the refresh when all searches have.
func (s *syncing) refreshed() error {
	if s.live {
		return nil
	}
	for _, search := range s.searches {
		if !search.done {
			return nil
		}
	}
	resumed := s.pass == nil
	if resumed {
		if err := s.resumed(); err != nil {
			return err
		}
		s.f.groupsSoon() // they may have been put in order meanwhile
	} else {
		s.pass.Whole()
		s.pass = nil
	}
	s.live = true
	for _, search := range s.searches {
		s.keep(search, search.cookie)
		search.there = nil
	}
	source := s.on.source(directory.WaySyncrepl)
	source.Resumed = resumed
	s.to.Live(source)
	s.to.Heard()
	return nil
}

// resumed ends a refresh that went on from cookies.
func (s *syncing) resumed() error {
	present := false
	for _, search := range s.searches {
		// OpenLDAP tells everything if it cannot make sense of a cookie, as if all of it had changed, and who has been
		// deleted is not part of that. It looks like a delete phase with very many changes, so those are read anew.
		if !search.present && search.entries > 0 && (len(search.cookie) == 0 || 2*search.entries > s.f.toldOf(search.root)) {
			return fmt.Errorf("%w: it told %d entries", errStale, search.entries)
		}
		present = present || search.present
	}
	if !present {
		return nil
	}
	pass := s.to.Pass()
	for _, search := range s.searches {
		pass.Unchanged(s.f.still(search)...)
	}
	pass.Whole()
	return nil
}

// toldOf counts what has been told of a root.
func (f *feed) toldOf(root string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, place := range f.told {
		if place.root == root {
			n++
		}
	}
	return n
}

// still are the entries of a search that have been told and are still there.
func (f *feed) still(search *syncSearch) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for id, place := range f.told {
		if place.root == search.root && (!search.present || search.there[id]) {
			ids = append(ids, id)
		}
	}
	return ids
}
