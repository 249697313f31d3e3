package gateway

import (
	"errors"
	"fmt"
	"slices"

	"github.com/heimdraht/heimdraht/agent/firewall"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// errUnfit says that a message does not continue the state we hold: a
// snapshot is needed.
var errUnfit = errors.New("does not fit")

// wanted is the state that the control plane wants, as far as we were told.
// Its methods are pure: messages in, keys to look at again out.
type wanted struct {
	at       place
	sessions map[string]*session
	byKey    map[wireguard.Key]*session
	// tombstones are sessions removed ahead of `at`, with the places at which
	// they were closed: one in each epoch that said so.
	tombstones map[string][]place
	// collecting is a snapshot whose end mark has not come. Nil: none.
	collecting *snapshot
	// lists are those that sessions name, with how many do: each stands in
	// memory once, although it comes again and again.
	lists map[string]*sharedList
}

type sharedList struct {
	*firewall.List
	uses int
}

type snapshot struct {
	at       place
	received int64
	sessions []*session
}

func newWanted() *wanted {
	return &wanted{
		sessions:   make(map[string]*session),
		byKey:      make(map[wireguard.Key]*session),
		tombstones: make(map[string][]place),
		lists:      make(map[string]*sharedList),
	}
}

// of is the session that a key should carry, or nil.
func (w *wanted) of(key wireguard.Key) *session { return w.byKey[key] }

// applyDelta takes a delta that fits at exactly our place; else the error
// wraps errUnfit and nothing has changed.
func (w *wanted) applyDelta(d delta) (touched []wireguard.Key, over []badPeer, err error) {
	if d.epoch != w.at.epoch || d.after != w.at.revision {
		return nil, nil, fmt.Errorf("a delta after %d in epoch %s %w at %d in epoch %s",
			d.after, d.epoch, errUnfit, w.at.revision, w.at.epoch)
	}
	touched, over = w.advance(d.upto, d.removed, d.added)
	return touched, over, nil
}

// errOver is why peers are left out that WireGuard could not take: who is there stays.
var errOver = fmt.Errorf("there are %d peers already, and WireGuard takes no more", maxSessions)

// leftOut are sessions that are too many.
func leftOut(sessions []*session) (over []badPeer) {
	for _, s := range sessions {
		over = append(over, badPeer{s.id, errOver})
	}
	return over
}

// advance makes the changes of a delta: removals first, so that an address or
// a key can go from one session to the next.
func (w *wanted) advance(upto place, removed []string, added []*session) (touched []wireguard.Key, over []badPeer) {
	for _, id := range removed {
		touched = append(touched, w.drop(id)...)
	}
	for _, s := range added {
		if len(w.sessions) >= maxSessions && w.sessions[s.id] == nil && w.byKey[s.peer.PublicKey] == nil {
			over = append(over, leftOut([]*session{s})...)
			continue
		}
		touched = append(touched, w.put(s)...)
	}
	w.at = upto
	w.bury()
	return touched, over
}

// applyRemoval takes sessions away at once, whatever our place is.
func (w *wanted) applyRemoval(r removal) ([]wireguard.Key, error) {
	if len(w.tombstones)+len(r.sessions) > maxTombstones {
		return nil, fmt.Errorf("more than %d sessions were removed ahead of their revision", maxTombstones)
	}
	var touched []wireguard.Key
	for _, id := range r.sessions {
		touched = append(touched, w.drop(id)...)
		if w.ahead(r.at) {
			w.entomb(id, r.at)
		}
	}
	return touched, nil
}

// maxEpochs bounds the epochs whose word on one session is kept: ours, that of
// a snapshot on its way, and those that were left behind.
const maxEpochs = 4

func (w *wanted) entomb(id string, at place) {
	places := w.tombstones[id]
	i := slices.IndexFunc(places, func(p place) bool { return p.epoch == at.epoch })
	switch {
	case i >= 0:
		places[i].revision = max(places[i].revision, at.revision)
		return
	case len(places) == maxEpochs:
		i = slices.IndexFunc(places, func(p place) bool { return p.epoch != w.at.epoch })
		places = slices.Delete(places, i, i+1)
	}
	w.tombstones[id] = append(places, at)
}

// forget drops the tombstones' places for which gone holds.
func (w *wanted) forget(gone func(closed place) bool) {
	for id, places := range w.tombstones {
		if places = slices.DeleteFunc(places, gone); len(places) == 0 {
			delete(w.tombstones, id)
		} else {
			w.tombstones[id] = places
		}
	}
}

func (w *wanted) begin(at place) { w.collecting = &snapshot{at: at} }

// page adds to the snapshot. size is how many peers it held, bad ones
// included.
func (w *wanted) page(sessions []*session, size int) (over []badPeer, err error) {
	c := w.collecting
	if c == nil {
		return nil, fmt.Errorf("a page without a snapshot %w", errUnfit)
	}
	c.received += int64(size)
	if size > maxPage {
		return nil, fmt.Errorf("a page of a snapshot holds %d peers, more than %d", size, maxPage)
	}
	room := min(maxSessions-len(c.sessions), len(sessions))
	c.sessions = append(c.sessions, sessions[:room]...)
	return leftOut(sessions[room:]), nil
}

// end makes the collected snapshot our state, if it is whole.
func (w *wanted) end(at place, peers int64) ([]wireguard.Key, error) {
	c := w.collecting
	w.collecting = nil
	if c == nil {
		return nil, fmt.Errorf("the end of a snapshot without its beginning %w", errUnfit)
	}
	if c.at != at || c.received != peers {
		return nil, fmt.Errorf("a snapshot of %d peers at %d, announced as %d at %d, %w",
			c.received, at.revision, peers, c.at.revision, errUnfit)
	}
	return w.replace(at, c.sessions), nil
}

// replace returns the keys whose session is another one afterwards.
func (w *wanted) replace(at place, sessions []*session) []wireguard.Key {
	before := w.byKey
	if at.epoch != w.at.epoch {
		// In another epoch, the revisions of the old tombstones say nothing.
		w.forget(func(closed place) bool { return closed.epoch != at.epoch })
	}
	w.at = at
	w.sessions = make(map[string]*session, len(sessions))
	w.byKey = make(map[wireguard.Key]*session, len(sessions))
	w.lists = make(map[string]*sharedList)
	for _, s := range sessions {
		w.put(s)
	}
	var touched []wireguard.Key
	for key, was := range before {
		is := w.byKey[key]
		if is != nil && is.id == was.id {
			is.peer.Endpoint = was.peer.Endpoint
		}
		if is == nil || !same(was, is) {
			touched = append(touched, key)
		}
	}
	for key := range w.byKey {
		if before[key] == nil {
			touched = append(touched, key)
		}
	}
	w.bury()
	return touched
}

// put takes a session in, unless it is known to be closed. A session that
// shares its key with another one takes its place.
func (w *wanted) put(s *session) []wireguard.Key {
	if _, dead := w.tombstones[s.id]; dead {
		return nil
	}
	var touched []wireguard.Key
	if old := w.sessions[s.id]; old != nil {
		if old.peer.PublicKey == s.peer.PublicKey {
			s.peer.Endpoint = old.peer.Endpoint
		}
		touched = w.drop(s.id)
	}
	if rival := w.byKey[s.peer.PublicKey]; rival != nil {
		w.drop(rival.id)
	}
	w.share(s)
	w.sessions[s.id] = s
	w.byKey[s.peer.PublicKey] = s
	return append(touched, s.peer.PublicKey)
}

func (w *wanted) drop(id string) []wireguard.Key {
	s := w.sessions[id]
	if s == nil {
		return nil
	}
	delete(w.sessions, id)
	w.unshare(s)
	if w.byKey[s.peer.PublicKey] == s {
		delete(w.byKey, s.peer.PublicKey)
	}
	return []wireguard.Key{s.peer.PublicKey}
}

// share gives a session the list of that name that others have.
func (w *wanted) share(s *session) {
	if s.access == nil {
		return
	}
	l := w.lists[s.access.Name]
	if l == nil {
		l = &sharedList{List: s.access}
		w.lists[s.access.Name] = l
	}
	l.uses++
	s.access = l.List
}

func (w *wanted) unshare(s *session) {
	if s.access == nil {
		return
	}
	if l := w.lists[s.access.Name]; l != nil {
		if l.uses--; l.uses == 0 {
			delete(w.lists, s.access.Name)
		}
	}
}

// unlisted says whether there is a session of which nobody has said what it may
// reach.
func (w *wanted) unlisted() bool {
	for _, s := range w.sessions {
		if s.access == nil {
			return true
		}
	}
	return false
}

// bury forgets the tombstones that our revision has passed: no message that
// fits from here on can name their sessions.
func (w *wanted) bury() {
	w.forget(func(closed place) bool { return !w.ahead(closed) })
}

// ahead says whether a message may still come that is older than the place.
func (w *wanted) ahead(of place) bool {
	return !w.at.reached(of) || w.collecting != nil && !w.collecting.at.reached(of)
}

// same says whether two sessions want the same of the device.
func same(a, b *session) bool {
	return a.id == b.id && a.peer.PublicKey == b.peer.PublicKey && a.peer.PresharedKey == b.peer.PresharedKey &&
		a.notAfter.Equal(b.notAfter) && a.accessName() == b.accessName() && slices.Equal(a.peer.AllowedIPs, b.peer.AllowedIPs)
}

// receive takes one message that concerns the peers. bad are the peers that
// were left out. An error that wraps errUnfit wants a snapshot; any other says
// that the message makes no sense.
func (w *wanted) receive(m *heimdrahtv1.SyncResponse) (touched []wireguard.Key, bad []badPeer, err error) {
	switch order := m.GetOrder().(type) {
	case *heimdrahtv1.SyncResponse_Delta:
		d, err := parseDelta(order.Delta)
		if err != nil {
			return nil, nil, err
		}
		touched, over, err := w.applyDelta(d)
		return touched, append(d.bad, over...), err
	case *heimdrahtv1.SyncResponse_Removal:
		r, err := parseRemoval(order.Removal)
		if err != nil {
			return nil, nil, err
		}
		touched, err = w.applyRemoval(r)
		return touched, nil, err
	case *heimdrahtv1.SyncResponse_SnapshotBegin:
		at, err := parsePlace(order.SnapshotBegin.GetEpoch(), order.SnapshotBegin.GetRevision())
		if err != nil {
			return nil, nil, fmt.Errorf("a snapshot: %w", err)
		}
		w.begin(at)
		return nil, nil, nil
	case *heimdrahtv1.SyncResponse_SnapshotPage:
		peers := order.SnapshotPage.GetPeers()
		good, bad := parsePeers(peers, order.SnapshotPage.GetAccessLists())
		over, err := w.page(good, len(peers))
		return nil, append(bad, over...), err
	case *heimdrahtv1.SyncResponse_SnapshotEnd:
		at, err := parsePlace(order.SnapshotEnd.GetEpoch(), order.SnapshotEnd.GetRevision())
		if err != nil {
			return nil, nil, fmt.Errorf("a snapshot: %w", err)
		}
		touched, err = w.end(at, order.SnapshotEnd.GetPeers())
		return touched, nil, err
	}
	return nil, nil, errors.New("an order of an unknown kind")
}
