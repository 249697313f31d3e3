package memory

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
)

const (
	maxMessage     = 1 << 20          // bytes
	maxConnections = 256              // more are closed at once
	handshakeTime  = 10 * time.Second // for TLS
	idleTime       = 15 * time.Minute // between two requests
	answerTime     = 10 * time.Second // for a client to take an answer
)

// Serve answers LDAP (RFC 4511) on a listener until the context ends, and then returns nil with all connections
// closed. It closes the listener. With a TLS configuration it speaks LDAPS; without one, plain LDAP.
//
// It knows simple binds with the password policy control, searches, persistent ones too, and unbinding. Service accounts, that is
// entries with a password that are not people, may search; nobody sees a password; nobody may change anything.
//
// It is written on the BER library alone: the LDAP server library at hand (gldap) takes no listener, and its
// stopping waits until the last client has gone.
func (d *Directory) Serve(ctx context.Context, l net.Listener, config *tls.Config) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	free := make(chan struct{}, maxConnections)
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accepting connections to the directory: %w", err)
		}
		select {
		case free <- struct{}{}:
		default:
			c.Close()
			continue
		}
		conns.Go(func() {
			defer func() { <-free }()
			d.serveConn(ctx, c, config)
		})
	}
}

// serveConn answers one client. What is wrong with a client ends its connection and concerns nobody else.
func (d *Directory) serveConn(ctx context.Context, c net.Conn, config *tls.Config) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	defer c.Close()
	if config != nil {
		secure := tls.Server(c, config)
		handshake, cancel := context.WithTimeout(ctx, handshakeTime)
		err := secure.HandshakeContext(handshake)
		cancel()
		if err != nil {
			return
		}
		c = secure
	}
	s := &session{directory: d, conn: c}
	defer s.end()
	in := bufio.NewReader(c)
	for {
		if err := c.SetReadDeadline(time.Now().Add(idleTime)); err != nil {
			return
		}
		message, err := ber.ReadPacket(io.LimitReader(in, maxMessage))
		if err != nil {
			return
		}
		s.out.Reset()
		if err := s.answer(message); err != nil {
			return
		}
		if err := s.sendAllChanges(); err != nil {
			return
		}
		if err := s.send(s.out.Bytes()); err != nil {
			return
		}
		s.begin(ctx)
	}
}

// send sends whole messages.
func (s *session) send(out []byte) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	_, err := s.conn.Write(out)
	return err
}

// Operations (RFC 4511, section 4.2 and on).
const (
	bindRequest      ber.Tag = 0
	bindResponse     ber.Tag = 1
	unbindRequest    ber.Tag = 2
	searchRequest    ber.Tag = 3
	searchEntry      ber.Tag = 4
	searchDone       ber.Tag = 5
	abandonRequest   ber.Tag = 16
	extendedRequest  ber.Tag = 23
	extendedResponse ber.Tag = 24
)

// Result codes (RFC 4511, section 4.1.9).
const (
	success               = 0
	protocolError         = 2
	sizeLimitExceeded     = 4
	authMethodUnsupported = 7
	criticalExtension     = 12
	noSuchObject          = 32
	insufficientAccess    = 50
	invalidCredentials    = 49
	unavailable           = 52
	unwillingToPerform    = 53
)

// responseTo says which answer belongs to a request that is not done here.
func responseTo(request ber.Tag) ber.Tag {
	switch request {
	case searchRequest:
		return searchDone
	case extendedRequest:
		return extendedResponse
	}
	return request + 1
}

var (
	errMessage = errors.New("not an LDAP message")
	errUnbind  = errors.New("the client said goodbye")
)

// session is one client's connection. Requests are answered in order; persistent searches go on beside them.
type session struct {
	directory *Directory
	out       bytes.Buffer // the answer, sent when the directory's lock is free again: clients may be slow
	service   bool         // bound as somebody who may search

	conn       net.Conn
	sending    sync.Mutex            // one sends at a time
	persistent map[int64]*persistent // by the number of the request
	begun      []*persistent         // of this request
	running    sync.WaitGroup
}

// answer does one request. An error ends the connection.
func (s *session) answer(message *ber.Packet) error {
	if len(message.Children) < 2 || message.Tag != ber.TagSequence || message.Children[1].ClassType != ber.ClassApplication {
		return errMessage
	}
	id, ok := message.Children[0].Value.(int64)
	if !ok || id < 0 || id > 1<<31-1 {
		return errMessage
	}
	op := message.Children[1]
	switch op.Tag {
	case unbindRequest:
		return errUnbind
	case abandonRequest:
		return s.abandon(op)
	}
	reply := func(code int64, text string, controls ...*ber.Packet) error {
		return s.write(id, result(responseTo(op.Tag), code, text), controls...)
	}
	if len(message.Children) > 2 {
		if oid, bad := unknownCritical(message.Children[2], op.Tag); bad {
			return reply(criticalExtension, "the control "+oid+" is not known")
		}
	}
	d := s.directory
	d.mu.RLock()
	defer d.mu.RUnlock()
	switch {
	case d.unavailable || d.closed:
		return reply(unavailable, "the directory is switched off")
	case op.Tag == bindRequest:
		return s.bind(op, reply)
	case op.Tag == searchRequest:
		return s.search(message, id, op, reply)
	case op.Tag == extendedRequest:
		return reply(protocolError, "extended operations are not known")
	}
	return reply(unwillingToPerform, "nothing can be changed here")
}

// unknownCritical finds a control that must be understood and is not. Only that of persistent searches is: the password
// policy control is never critical.
func unknownCritical(controls *ber.Packet, request ber.Tag) (oid string, found bool) {
	for _, c := range controls.Children {
		if len(c.Children) > 1 && (request != searchRequest || text(c.Children[0]) != oidPersistentSearch) {
			if critical, ok := c.Children[1].Value.(bool); ok && critical {
				return text(c.Children[0]), true
			}
		}
	}
	return "", false
}

func (s *session) write(id int64, op *ber.Packet, controls ...*ber.Packet) error {
	return writeMessage(&s.out, id, op, controls...)
}

func writeMessage(out *bytes.Buffer, id int64, op *ber.Packet, controls ...*ber.Packet) error {
	message := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "LDAPMessage")
	message.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, "messageID"))
	message.AppendChild(op)
	if len(controls) > 0 {
		list := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "controls")
		for _, c := range controls {
			list.AppendChild(c)
		}
		message.AppendChild(list)
	}
	_, err := out.Write(message.Bytes())
	return err
}

func result(tag ber.Tag, code int64, text string) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "result")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, "resultCode"))
	p.AppendChild(octets("", "matchedDN"))
	p.AppendChild(octets(text, "diagnosticMessage"))
	return p
}

func octets(s, what string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, what)
}
