package ldap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
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
	buffer []byte            // of the last message
	names  map[string]string // of attributes, as sent: in lower case
	stop   func() bool
	ctx    func() error // why the caller has given up, if so
	beat   time.Duration
	answer time.Duration

	last    int64     // number of the last request
	beating int64     // number of the heartbeat that is not answered yet; 0: none
	due     time.Time // when the next heartbeat is sent
}

// message is one message of the server, about the request that id names. It holds until the next one is read.
type message struct {
	id       int64
	beat     bool // it is the answer to a heartbeat
	tag      byte // of op
	op       tlv
	controls tlv
}

// Tags of what a server sends (RFC 4511, section 4.2 and on).
const (
	opEntry        = 0x64
	opDone         = 0x65
	opIntermediate = 0x79
)

var errSilent = errors.New("the server has stopped answering")

// openWire connects and binds as the service account. The wire is closed when ctx ends, or by close.
func (f *feed) openWire(ctx context.Context, on site) (*wire, error) {
	setup, cancel := context.WithTimeout(ctx, on.answer)
	defer cancel()
	raw, err := on.connect(setup)
	if err != nil {
		return nil, err
	}
	w := &wire{raw: raw, in: bufio.NewReaderSize(raw, 64<<10), names: map[string]string{}, beat: on.pace.beat, answer: on.answer}
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
		case m.tag != opDone: // the root DSE itself
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
	return w.message()
}

func (w *wire) message() (message, error) {
	content, err := readMessage(w.in, w.buffer)
	if err != nil {
		return message{}, err
	}
	w.buffer = content[:0]
	b := tlv(content)
	var m message
	var idOK, opOK bool
	m.id, idOK = b.number(tagInteger)
	m.tag, m.op, opOK = b.next()
	if !idOK || !opOK {
		return message{}, errMalformed
	}
	m.controls, _ = b.want(tagControls)
	return m, nil
}

// why is why the connection failed: because the caller has given up, if so.
func (w *wire) why(err error) error {
	if given := w.ctx(); given != nil {
		return errors.Join(given, err)
	}
	return err
}

// err is what the result says that a message is (RFC 4511, section 4.1.9).
func (m message) err() error {
	b := m.op
	code, ok := b.number(tagEnumerated)
	_, ok2 := b.want(tagString) // matched DN
	text, ok3 := b.want(tagString)
	switch {
	case !ok || !ok2 || !ok3 || code < 0 || code > math.MaxUint16:
		return errMalformed
	case code == goldap.LDAPResultSuccess:
		return nil
	}
	return goldap.NewError(uint16(code), errors.New(string(text)))
}

// control returns the value of a control of the message. False: there is none.
func (m message) control(oid string) (tlv, bool) {
	b := m.controls
	for {
		control, ok := b.want(tagSequence)
		if !ok {
			return nil, false
		}
		if kind, ok := control.want(tagString); !ok || string(kind) != oid {
			continue
		}
		_, _ = control.want(tagBoolean) // criticality means nothing in an answer
		return control.want(tagString)
	}
}

// entry reads an entry (RFC 4511, section 4.5.2).
func (w *wire) entry(m message) (dn string, a directory.Attributes, err error) {
	b := m.op
	name, ok := b.want(tagString)
	list, ok2 := b.want(tagSequence)
	if !ok || !ok2 {
		return "", nil, errMalformed
	}
	a = directory.Attributes{}
	for len(list) > 0 {
		attribute, ok := list.want(tagSequence)
		kind, ok2 := attribute.want(tagString)
		values, ok3 := attribute.want(tagSet)
		if !ok || !ok2 || !ok3 {
			return "", nil, errMalformed
		}
		key := w.name(kind)
		for len(values) > 0 {
			value, ok := values.want(tagString)
			if !ok {
				return "", nil, errMalformed
			}
			a[key] = append(a[key], string(value))
		}
	}
	return string(name), a, nil
}

// name is an attribute's name in lower case. There are few, and they come again and again.
func (w *wire) name(raw []byte) string {
	name, ok := w.names[string(raw)]
	if !ok {
		name = strings.ToLower(string(raw))
		if len(w.names) < 1000 {
			w.names[string(raw)] = name
		}
	}
	return name
}
