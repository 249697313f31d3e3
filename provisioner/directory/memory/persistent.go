package memory

import (
	"bytes"
	"context"
	"sync"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// Persistent search (draft-ietf-ldapext-psearch-03).
const (
	oidPersistentSearch = "2.16.840.1.113730.3.4.3"
	oidEntryChange      = "2.16.840.1.113730.3.4.7"
	// maxPersistent bounds the persistent searches of one connection.
	maxPersistent = 16
)

// persistent is a search that goes on: it sends entries as they change.
type persistent struct {
	id      int64
	base    string // folded
	scope   int64
	asked   query
	want    selection
	kinds   int64
	notify  bool // with an entry change notification
	watcher *watcher
	cancel  context.CancelFunc

	mu sync.Mutex // held from taking changes to having sent them: they keep their order
}

// persistentControl finds the control in a request.
func persistentControl(message *ber.Packet) (kinds int64, changesOnly, notify, found bool, err error) {
	if len(message.Children) < 3 {
		return 0, false, false, false, nil
	}
	for _, c := range message.Children[2].Children {
		if len(c.Children) == 0 || text(c.Children[0]) != oidPersistentSearch {
			continue
		}
		value, err := ber.DecodePacketErr([]byte(text(c.Children[len(c.Children)-1])))
		if err != nil || len(value.Children) != 3 {
			return 0, false, false, false, errMessage
		}
		kinds, ok := value.Children[0].Value.(int64)
		changesOnly, ok2 := value.Children[1].Value.(bool)
		notify, ok3 := value.Children[2].Value.(bool)
		if !ok || !ok2 || !ok3 {
			return 0, false, false, false, errMessage
		}
		return kinds, changesOnly, notify, true, nil
	}
	return 0, false, false, false, nil
}

// matches reports whether a change is to be sent.
func (p *persistent) matches(c change) bool {
	if c.kind&p.kinds == 0 {
		return false
	}
	if p.scope == 0 {
		return c.entry.folded == p.base && p.asked.match(c.entry)
	}
	return inScope(c.entry, p.base, p.scope) && p.asked.match(c.entry)
}

// encode writes what has happened since the last time.
func (p *persistent) encode() ([]byte, error) {
	var out bytes.Buffer
	for _, c := range p.watcher.take() {
		if !p.matches(c) {
			continue
		}
		var controls []*ber.Packet
		if p.notify {
			controls = append(controls, entryChange(c))
		}
		if err := writeMessage(&out, p.id, p.want.encode(c.entry), controls...); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// entryChange is the control that says what has happened to an entry.
func entryChange(c change) *ber.Packet {
	value := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "EntryChangeNotification")
	value.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, c.kind, "changeType"))
	if c.kind == changeModDN {
		value.AppendChild(octets(c.former, "previousDN"))
	}
	return control(oidEntryChange, value)
}

// persist begins a persistent search. The directory's read lock is held.
func (s *session) persist(p *persistent) {
	p.watcher = s.directory.watchers.watch()
	if s.persistent == nil {
		s.persistent = map[int64]*persistent{}
	}
	s.persistent[p.id] = p
	s.begun = append(s.begun, p)
}

// begin has the searches that a request has begun go on by themselves, after its answer was sent.
func (s *session) begin(ctx context.Context) {
	for _, p := range s.begun {
		ctx, cancel := context.WithCancel(ctx)
		p.cancel = cancel
		s.running.Go(func() {
			defer s.directory.watchers.unwatch(p.watcher)
			for {
				select {
				case <-ctx.Done():
					return
				case <-p.watcher.news:
				}
				if err := s.sendChanges(p); err != nil {
					s.conn.Close() // which ends the session too
					return
				}
			}
		})
	}
	s.begun = nil
}

// sendAllChanges sends what the searches have to say, so that an answer after it says that nothing is outstanding.
func (s *session) sendAllChanges() error {
	for _, p := range s.persistent {
		if err := s.sendChanges(p); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) sendChanges(p *persistent) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	out, err := p.encode()
	if err != nil || len(out) == 0 {
		return err
	}
	return s.send(out)
}

// abandon ends a persistent search. Any other request that a client may name has been answered.
func (s *session) abandon(op *ber.Packet) error {
	id, err := ber.ParseInt64(op.Data.Bytes())
	if err != nil {
		return errMessage
	}
	if p := s.persistent[id]; p != nil {
		delete(s.persistent, id)
		p.cancel()
	}
	return nil
}

// end ends all persistent searches and waits for them.
func (s *session) end() {
	for _, p := range s.persistent {
		p.cancel()
	}
	s.running.Wait()
}
