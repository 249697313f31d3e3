package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// The journal's records: a byte for the kind, then the content. Replaying the
// orders in it leads to the state they led to when they came, because both go
// through the same pure code.
const (
	recordOrder    = 'O' // a SyncResponse that changed our state
	recordContact  = 'C' // a contactRecord
	recordEndpoint = 'E' // an endpointRecord
)

// journal is a state.Journal, or one that fails in a test.
type journal interface {
	Append(records ...[]byte) error
	Compact(records iter.Seq[[]byte]) error
	Size() int64
	Close() error
}

// contactRecord says when the control plane was last heard, and for how long
// we had been cut off when it was written: the latter counts should the clock
// have been set back meanwhile.
type contactRecord struct {
	At       time.Time `json:"at"`
	CutOffMS int64     `json:"cut_off_ms"`
	// The place, which empty deltas move without a record of their own.
	Epoch    string `json:"epoch"`
	Revision int64  `json:"revision"`
}

// endpointRecord is where peers were last heard from, by session.
type endpointRecord map[string]netip.AddrPort

func encodeOrder(m *heimdrahtv1.SyncResponse) ([]byte, error) {
	b, err := proto.MarshalOptions{}.MarshalAppend([]byte{recordOrder}, m)
	if err != nil {
		return nil, fmt.Errorf("encoding an order for the journal: %w", err)
	}
	return b, nil
}

func encodeRecord(kind byte, value any) ([]byte, error) {
	b, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encoding a record for the journal: %w", err)
	}
	return append([]byte{kind}, b...), nil
}

// memory is what a journal holds.
type memory struct {
	wanted        *wanted
	configuration *heimdrahtv1.GatewayConfiguration // nil: none yet
	contact       contactRecord
}

func newMemory() *memory { return &memory{wanted: newWanted()} }

// replay takes in one record.
func (m *memory) replay(record []byte) error {
	if len(record) == 0 {
		return errors.New("an empty record")
	}
	content := record[1:]
	switch record[0] {
	case recordOrder:
		var order heimdrahtv1.SyncResponse
		if err := proto.Unmarshal(content, &order); err != nil {
			return fmt.Errorf("reading an order: %w", err)
		}
		return m.replayOrder(&order)
	case recordContact:
		var c contactRecord
		if err := json.Unmarshal(content, &c); err != nil {
			return fmt.Errorf("reading a contact: %w", err)
		}
		m.contact = c
		if at := (place{c.Epoch, c.Revision}); at.reached(m.wanted.at) {
			m.wanted.advance(at, nil, nil)
		}
		return nil
	case recordEndpoint:
		var endpoints endpointRecord
		if err := json.Unmarshal(content, &endpoints); err != nil {
			return fmt.Errorf("reading endpoints: %w", err)
		}
		for id, endpoint := range endpoints {
			if s := m.wanted.sessions[id]; s != nil && endpoint.IsValid() {
				s.peer.Endpoint = endpoint
			}
		}
		return nil
	}
	return fmt.Errorf("a record of the unknown kind %q", record[0])
}

func (m *memory) replayOrder(order *heimdrahtv1.SyncResponse) error {
	if c := order.GetConfiguration(); c != nil {
		m.configuration = c
		return nil
	}
	if o := order.GetDelta(); o != nil {
		// Empty deltas before it left no record, so that its `after` need not
		// be our place.
		d, err := parseDelta(o)
		if err != nil {
			return err
		}
		m.wanted.advance(d.upto, d.removed, d.added)
		return nil
	}
	_, _, err := m.wanted.receive(order)
	return err
}

// compacted is the shortest journal that leads to the same state.
func (m *memory) compacted() (iter.Seq[[]byte], error) {
	var records [][]byte
	add := func(b []byte, err error) error {
		records = append(records, b)
		return err
	}
	var err error
	order := func(m *heimdrahtv1.SyncResponse) {
		err = errors.Join(err, add(encodeOrder(m)))
	}
	if m.configuration != nil {
		order(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Configuration{Configuration: m.configuration}})
	}
	w := m.wanted
	if w.at.epoch != "" {
		order(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_SnapshotBegin{SnapshotBegin: &heimdrahtv1.SnapshotBegin{
			Epoch: w.at.epoch, Revision: w.at.revision}}})
		endpoints := make(endpointRecord)
		page := &heimdrahtv1.SnapshotPage{}
		lists := make(map[string]*heimdrahtv1.AccessList)
		flush := func() {
			page.AccessLists = slices.Collect(maps.Values(lists))
			clear(lists)
			order(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_SnapshotPage{SnapshotPage: page}})
			page = &heimdrahtv1.SnapshotPage{}
		}
		for _, s := range w.sessions {
			page.Peers = append(page.Peers, s.message())
			if name := s.accessName(); name != "" && lists[name] == nil {
				lists[name] = accessMessage(s.access)
			}
			if s.peer.Endpoint.IsValid() {
				endpoints[s.id] = s.peer.Endpoint
			}
			if len(page.Peers) == maxPage {
				flush()
			}
		}
		flush()
		order(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_SnapshotEnd{SnapshotEnd: &heimdrahtv1.SnapshotEnd{
			Epoch: w.at.epoch, Revision: w.at.revision, Peers: int64(len(w.sessions))}}})
		if len(endpoints) > 0 {
			err = errors.Join(err, add(encodeRecord(recordEndpoint, endpoints)))
		}
	}
	closed := make(map[place][]string)
	for id, places := range w.tombstones {
		for _, at := range places {
			closed[at] = append(closed[at], id)
		}
	}
	for at, ids := range closed {
		order(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Removal{Removal: &heimdrahtv1.Removal{
			Epoch: at.epoch, Revision: at.revision, Sessions: ids}}})
	}
	err = errors.Join(err, add(encodeRecord(recordContact, m.contact)))
	return slices.Values(records), err
}

// message is the session as it came.
func (s *session) message() *heimdrahtv1.Peer {
	m := &heimdrahtv1.Peer{
		SessionId:    s.id,
		PublicKey:    slices.Clone(s.peer.PublicKey[:]),
		PresharedKey: slices.Clone(s.peer.PresharedKey[:]),
		Access:       s.accessName(),
	}
	for _, prefix := range s.peer.AllowedIPs {
		m.AllowedIps = append(m.AllowedIps, prefix.String())
	}
	if !s.notAfter.IsZero() {
		m.NotAfter = timestamppb.New(s.notAfter)
	}
	return m
}
