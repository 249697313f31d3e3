package firewall

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The kernel remembers connections by addresses, and knows nothing of sessions. Whoever gets an address after somebody else
// would be sent what still comes on that one's connections, and each of those packets keeps the memory alive: a stream of
// video for hours. So the connections of an address end before somebody else has it.

const (
	// connectionBuffer is room for what the kernel tells at a time.
	connectionBuffer = 64 << 10
	// patience is how long a kernel that does not answer is waited for before
	// it is looked whether anybody still wants the answer.
	patience = time.Second
)

// What connections are told by (linux/netfilter/nfnetlink_conntrack.h).
const (
	subsystem        = unix.NFNL_SUBSYS_CTNETLINK << 8
	getConnection    = subsystem | 1
	deleteConnection = subsystem | 2

	attributeOriginal, attributeReply, attributeID, attributeZone = 1, 2, 12, 18

	attributeAddresses = 1 // of a tuple
)

// connections speaks with the kernel about those that it remembers in the network namespace in which it was opened.
type connections struct {
	fd       int
	sequence uint32
	buffer   []byte
}

func openConnections() (*connections, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("reaching the memory of connections: %w", err)
	}
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)); err != nil {
		return nil, errors.Join(fmt.Errorf("reaching the memory of connections: %w", err), unix.Close(fd))
	}
	return &connections{fd: fd, buffer: make([]byte, connectionBuffer)}, nil
}

func (c *connections) close() error { return unix.Close(c.fd) }

// end has the kernel forget those that have to do with an address of which among says so. It reads all of them, once: the kernel
// passes over what it is asked to hardly faster than it tells of it, and would have to for each address.
func (c *connections) end(ctx context.Context, among func(netip.Addr) bool) error {
	if err := c.send(getConnection, netlink.Dump, unix.AF_UNSPEC, nil); err != nil {
		return err
	}
	var doomed []connection
	err := c.answers(ctx, func(b []byte) {
		if found, ok := concerned(b, among); ok {
			doomed = append(doomed, found)
		}
	})
	if err != nil {
		return err
	}
	return c.delete(ctx, doomed)
}

// connection is what the kernel knows one by.
type connection struct {
	family     byte
	attributes []netlink.Attribute // the original direction, and what else makes it that one
}

// concerned reads a connection, if one of its four addresses is among those that are looked for.
func concerned(message []byte, among func(netip.Addr) bool) (c connection, found bool) {
	const headerSize = 4 // of nfnetlink
	if len(message) < headerSize {
		return c, false
	}
	c.family = message[0]
	for rest := message[headerSize:]; ; {
		kind, value, next, ok := attribute(rest)
		if !ok {
			return c, found
		}
		rest = next
		switch kind {
		case attributeOriginal, attributeReply:
			found = found || slices.ContainsFunc(addressesOf(value), among)
			if kind == attributeReply && !found {
				return c, false // the original direction goes before
			}
			if kind == attributeReply {
				continue
			}
			kind |= unix.NLA_F_NESTED
		case attributeID, attributeZone:
		default:
			continue
		}
		c.attributes = append(c.attributes, netlink.Attribute{Type: kind, Data: bytes.Clone(value)})
	}
}

// addressesOf reads those of a tuple.
func addressesOf(tuple []byte) (list []netip.Addr) {
	for kind, value, rest, ok := attribute(tuple); ok; kind, value, rest, ok = attribute(rest) {
		if kind != attributeAddresses {
			continue
		}
		for _, one, more, ok := attribute(value); ok; _, one, more, ok = attribute(more) {
			if a, ok := netip.AddrFromSlice(one); ok {
				list = append(list, a)
			}
		}
	}
	return list
}

// attribute reads the first of a list. A hundred thousand connections are not worth an allocation each.
func attribute(b []byte) (kind uint16, value, rest []byte, ok bool) {
	const headerSize = 4
	if len(b) < headerSize {
		return 0, nil, nil, false
	}
	size := int(binary.NativeEndian.Uint16(b))
	if size < headerSize || size > len(b) {
		return 0, nil, nil, false
	}
	kind = binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
	return kind, b[headerSize:size], b[min((size+3)&^3, len(b)):], true
}

// delete has connections forgotten. One that has ended by itself is no error.
func (c *connections) delete(ctx context.Context, list []connection) error {
	for _, one := range list {
		content, err := netlink.MarshalAttributes(one.attributes)
		if err == nil {
			err = c.send(deleteConnection, netlink.Acknowledge, one.family, content)
		}
		if err == nil {
			err = c.answers(ctx, func([]byte) {})
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("ending a connection: %w", err)
		}
	}
	return nil
}

func (c *connections) send(kind uint16, flags netlink.HeaderFlags, family byte, content []byte) error {
	c.sequence++
	m := netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request | flags, Sequence: c.sequence},
		Data:   append([]byte{family, unix.NFNETLINK_V0, 0, 0}, content...),
	}
	m.Header.Length = uint32(unix.SizeofNlMsghdr + len(m.Data)) // a multiple of four, as attributes are
	b, err := m.MarshalBinary()
	if err == nil {
		err = unix.Sendto(c.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}
	if err != nil {
		return fmt.Errorf("asking for connections: %w", err)
	}
	return nil
}

// answers hands over what the kernel answers to what was sent last, until it is done.
func (c *connections) answers(ctx context.Context, each func([]byte)) error {
	for end := time.Now().Add(answerTime); time.Now().Before(end); {
		if ctx.Err() != nil {
			return fmt.Errorf("reading connections: %w", ctx.Err())
		}
		n, _, err := unix.Recvfrom(c.fd, c.buffer, 0)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading connections: %w", err)
		}
		for b := c.buffer[:n]; len(b) >= unix.SizeofNlMsghdr; {
			size := int(binary.NativeEndian.Uint32(b))
			if size < unix.SizeofNlMsghdr || size > len(b) {
				break
			}
			kind, sequence, content := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:]), b[unix.SizeofNlMsghdr:size]
			b = b[min((size+3)&^3, len(b)):]
			switch {
			case sequence != c.sequence: // to what was given up
			case kind == unix.NLMSG_DONE, kind == unix.NLMSG_ERROR:
				return errorOf(content)
			default:
				each(content)
			}
		}
	}
	return fmt.Errorf("reading connections: %w", unix.ETIMEDOUT)
}

// errorOf reads an acknowledgement.
func errorOf(content []byte) error {
	if len(content) < 4 {
		return fmt.Errorf("reading connections: %w", unix.EBADMSG)
	}
	if code := int32(binary.NativeEndian.Uint32(content)); code != 0 {
		return fmt.Errorf("the memory of connections: %w", unix.Errno(-code))
	}
	return nil
}

// Forget prepares to end the connections of addresses that nobody has, so that somebody else can have them; the first time,
// those of all addresses of laptops that nobody has. What it returns has to be called, once. It takes its time, and may take it
// in any goroutine, beside the other methods. If it returns no error, Forgotten is to be called; else nothing is done, and Forget
// begins anew.
func (f *Filter) Forget(addresses []netip.Addr) (end func(context.Context) error, err error) {
	c, err := openConnections() // here, in the network of this thread
	if err != nil {
		return nil, err
	}
	ending := maps.Clone(f.book.end(addresses))
	among := func(a netip.Addr) bool { _, ok := ending[a]; return ok }
	if !f.swept {
		among = f.idle()
	}
	return func(ctx context.Context) error { return errors.Join(c.end(ctx, among), c.close()) }, nil
}

// Forgotten enters that what Forget has prepared is done.
func (f *Filter) Forgotten() {
	f.swept = true
	f.book.ended()
}

// idle gives who says whether an address is one of laptops, and nobody's now.
func (f *Filter) idle() func(netip.Addr) bool {
	held := make(map[netip.Addr]struct{}, len(f.book.elements))
	for a := range f.book.elements {
		held[a] = struct{}{}
	}
	prefixes := f.setup.Addresses
	return func(a netip.Addr) bool {
		_, taken := held[a]
		return !taken && slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Masked().Contains(a) && p.Addr() != a })
	}
}

// Inherits says whether somebody else than this session had an address last, and the kernel may remember her connections:
// then the session is to have it only after Forget. Of who had an address before the table was made nothing is known; what is
// applied before Configure is taken to be as it was.
func (f *Filter) Inherits(session string, address netip.Addr) bool {
	last := f.book.last(address)
	return last != session && (last != "" || f.made && !f.swept)
}
