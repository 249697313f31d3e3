package ldap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// wire is a connection for searches that go on. It takes one message after the other off the line, in the order in which
// the server sent them: so the answer to a heartbeat says that whatever the server had sent before it has been told.
// go-ldap hands each request's answers to a goroutine of its own, where that order is lost.
//
// A server counts as lost when it owes an answer and sends nothing at all for as long as an answer may take. Time that
// the caller spends between two calls does not count.
type wire struct {
	raw    net.Conn
	in     *bufio.Reader
	stop   func() bool
	ctx    func() error // why the caller has given up, if so
	beat   time.Duration
	answer time.Duration

	last    int64     // number of the last request
	beating int64     // number of the heartbeat that is not answered yet; 0: none
	due     time.Time // when the next heartbeat is sent
}

// message is one message of the server, about the request that id names.
type message struct {
	id       int64
	beat     bool // it is the answer to a heartbeat
	packet   *ber.Packet
	op       *ber.Packet
	controls []*ber.Packet
}

var errSilent = errors.New("the server has stopped answering")

// openWire connects and binds as the service account. The wire is closed when ctx ends, or by close.
func (f *feed) openWire(ctx context.Context, on site) (*wire, error) {
	setup, cancel := context.WithTimeout(ctx, on.answer)
	defer cancel()
	raw, err := on.connect(setup)
	if err != nil {
		return nil, err
	}
	w := &wire{raw: raw, in: bufio.NewReaderSize(raw, 64<<10), beat: on.pace.beat, answer: on.answer}
	w.ctx = func() error { return context.Cause(ctx) }
	w.stop = context.AfterFunc(ctx, w.shut)
	if err := f.d.bindBy(on.server, w.bind); err != nil {
		w.close()
		return nil, err
	}
	w.due = time.Now().Add(w.beat)
	return w, nil
}

func (w *wire) close() {
	w.stop()
	w.shut()
}

// shut never waits for the server: tls.Conn's Close wants to say goodbye.
func (w *wire) shut() {
	_ = w.raw.SetDeadline(time.Unix(1, 0))
	_ = w.raw.Close()
}

// bind signs in. Nothing else may be under way.
func (w *wire) bind(dn, password string) error {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, goldap.ApplicationBindRequest, nil, "bind")
	op.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, 3, "version"))
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, dn, "name"))
	op.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, password, "password"))
	if _, err := w.send(op); err != nil {
		return err
	}
	m, err := w.read()
	if err != nil {
		return w.why(err)
	}
	return m.err()
}

// search asks for entries and returns the number that the answers carry.
func (w *wire) search(base string, scope int, filter string, attributes []string, controls ...goldap.Control) (int64, error) {
	compiled, err := goldap.CompileFilter(filter)
	if err != nil {
		return 0, err
	}
	integer := func(tag ber.Tag, n int64) *ber.Packet {
		return ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, tag, n, "")
	}
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, goldap.ApplicationSearchRequest, nil, "search")
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, base, "base"))
	op.AppendChild(integer(ber.TagEnumerated, int64(scope)))
	op.AppendChild(integer(ber.TagEnumerated, goldap.NeverDerefAliases))
	op.AppendChild(integer(ber.TagInteger, 0)) // as many entries
	op.AppendChild(integer(ber.TagInteger, 0)) // and for as long as the server lets us
	op.AppendChild(ber.NewBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, false, "types only"))
	op.AppendChild(compiled)
	names := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "attributes")
	for _, a := range attributes {
		names.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, a, "attribute"))
	}
	op.AppendChild(names)
	return w.send(op, controls...)
}

func (w *wire) send(op *ber.Packet, controls ...goldap.Control) (int64, error) {
	w.last++
	packet := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "LDAPMessage")
	packet.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, w.last, "messageID"))
	packet.AppendChild(op)
	if len(controls) > 0 {
		list := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "controls")
		for _, c := range controls {
			list.AppendChild(c.Encode())
		}
		packet.AppendChild(list)
	}
	if err := w.raw.SetWriteDeadline(time.Now().Add(w.answer)); err != nil {
		return 0, w.why(err)
	}
	if _, err := w.raw.Write(packet.Bytes()); err != nil {
		return 0, w.why(err)
	}
	return w.last, nil
}

// next waits for the server's next message. Sending heartbeats is its own affair.
func (w *wire) next() (message, error) {
	for {
		if err := w.wait(); err != nil {
			return message{}, w.why(err)
		}
		m, err := w.read()
		switch {
		case err != nil:
			return message{}, w.why(err)
		case m.id == 0: // RFC 4511, section 4.4.1: the server says goodbye
			return message{}, fmt.Errorf("the server ends the connection: %w", m.err())
		case m.id != w.beating:
			return m, nil
		case m.op.Tag != goldap.ApplicationSearchResultDone: // the root DSE itself
			continue
		}
		if err := m.err(); err != nil {
			return message{}, fmt.Errorf("the server does not answer as it did: %w", err)
		}
		w.beating, w.due = 0, time.Now().Add(w.beat)
		m.beat = true
		return m, nil
	}
}

// hurry sends the next heartbeat no later than at that time, if it is one.
func (w *wire) hurry(at time.Time) {
	if !at.IsZero() && at.Before(w.due) {
		w.due = at
	}
}

// wait returns when there is something to be read.
func (w *wire) wait() error {
	for {
		patience := w.answer
		if w.beating == 0 {
			if patience = time.Until(w.due); patience <= 0 {
				var err error
				if w.beating, err = w.search("", goldap.ScopeBaseObject, "(objectClass=*)", []string{"1.1"}); err != nil {
					return err
				}
				patience = w.answer
			}
		}
		if w.in.Buffered() > 0 {
			return nil
		}
		if err := w.raw.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		_, err := w.in.Peek(1)
		var timeout net.Error
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &timeout) || !timeout.Timeout():
			return err
		case w.beating != 0:
			return errSilent
		}
	}
}

// read takes one message off the line, of which the first byte is there or about to be.
func (w *wire) read() (message, error) {
	if err := w.raw.SetReadDeadline(time.Now().Add(w.answer)); err != nil {
		return message{}, err
	}
	packet, err := ber.ReadPacket(w.in)
	if err != nil {
		return message{}, err
	}
	if len(packet.Children) < 2 {
		return message{}, errors.New("the server does not speak LDAP")
	}
	id, ok := packet.Children[0].Value.(int64)
	if !ok {
		return message{}, errors.New("the server does not speak LDAP")
	}
	m := message{id: id, packet: packet, op: packet.Children[1]}
	if len(packet.Children) > 2 {
		m.controls = packet.Children[2].Children
	}
	return m, nil
}

// why is why the connection failed: because the caller has given up, if so.
func (w *wire) why(err error) error {
	if given := w.ctx(); given != nil {
		return errors.Join(given, err)
	}
	return err
}

// err is what the result says that a message is.
func (m message) err() error { return goldap.GetLDAPError(m.packet) }

// control returns the control of that type in the message, or nil.
func (m message) control(oid string) (goldap.Control, error) {
	for _, c := range m.controls {
		if len(c.Children) > 0 && c.Children[0].Value == oid {
			return goldap.DecodeControl(c)
		}
	}
	return nil, nil
}

var errEntry = errors.New("the server sent an entry that is none")

// entry reads an entry (RFC 4511, section 4.5.2).
func (m message) entry() (dn string, a directory.Attributes, err error) {
	if len(m.op.Children) < 2 {
		return "", nil, errEntry
	}
	dn, ok := m.op.Children[0].Value.(string)
	if !ok {
		return "", nil, errEntry
	}
	a = make(directory.Attributes, len(m.op.Children[1].Children))
	for _, attribute := range m.op.Children[1].Children {
		if len(attribute.Children) < 2 {
			return "", nil, errEntry
		}
		name, ok := attribute.Children[0].Value.(string)
		if !ok {
			return "", nil, errEntry
		}
		name = strings.ToLower(name)
		for _, value := range attribute.Children[1].Children {
			a[name] = append(a[name], string(value.ByteValue))
		}
	}
	return dn, a, nil
}
