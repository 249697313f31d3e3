package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// The numbers of RFC 1928.
const (
	version = 5

	methodNone         = 0
	methodUnacceptable = 0xff

	commandConnect = 1

	addressIPv4 = 1
	addressName = 3
	addressIPv6 = 4
)

// reply is the answer to a request (RFC 1928, section 6).
type reply byte

const (
	replyDone                 reply = 0
	replyFailure              reply = 1
	replyNetworkUnreachable   reply = 3
	replyHostUnreachable      reply = 4
	replyRefused              reply = 5
	replyCommandNotSupported  reply = 7
	replyAddressNotRecognised reply = 8
)

// badRequest is a request that is answered with a refusal.
type badRequest struct {
	reply  reply
	reason string
}

func (e *badRequest) Error() string { return e.reason }

// errNotSOCKS5 says that a client speaks something else. There is no answer that it would understand.
var errNotSOCKS5 = errors.New("not SOCKS version 5")

// readGreeting reads the methods by which the client would prove who it is, and says whether none is among them.
func readGreeting(r io.Reader) (none bool, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return false, fmt.Errorf("reading the greeting: %w", err)
	}
	if head[0] != version {
		return false, errNotSOCKS5
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(r, methods); err != nil {
		return false, fmt.Errorf("reading the greeting: %w", err)
	}
	return slices.Contains(methods, methodNone), nil
}

// readRequest reads where the client wants to go, as host:port. The error is a *badRequest if an answer is due.
func readRequest(r io.Reader) (address string, err error) {
	var head [4]byte // version, command, reserved, address type
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", fmt.Errorf("reading the request: %w", err)
	}
	if head[0] != version {
		return "", errNotSOCKS5
	}
	// The whole request is read before it is refused: a connection that is closed on unread bytes is reset, and the
	// client might never see the answer.
	host, err := readHost(r, head[3])
	if err != nil {
		return "", err
	}
	var port [2]byte
	if _, err := io.ReadFull(r, port[:]); err != nil {
		return "", fmt.Errorf("reading the request: %w", err)
	}
	switch {
	case head[1] != commandConnect:
		return "", &badRequest{replyCommandNotSupported, fmt.Sprintf("the command %d is not CONNECT", head[1])}
	case !isHost(host):
		return "", &badRequest{replyAddressNotRecognised, "the request names no host"}
	}
	return net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(port[:])))), nil
}

// readHost reads an address of the given type as text.
func readHost(r io.Reader, kind byte) (string, error) {
	length := make([]byte, 1)
	switch kind {
	case addressIPv4:
		length[0] = 4
	case addressIPv6:
		length[0] = 16
	case addressName:
		if _, err := io.ReadFull(r, length); err != nil {
			return "", fmt.Errorf("reading the request: %w", err)
		}
	default:
		return "", &badRequest{replyAddressNotRecognised, fmt.Sprintf("there is no address type %d", kind)}
	}
	host := make([]byte, length[0])
	if _, err := io.ReadFull(r, host); err != nil {
		return "", fmt.Errorf("reading the request: %w", err)
	}
	if kind == addressName {
		return string(host), nil
	}
	ip, _ := netip.AddrFromSlice(host) // of 4 or 16 bytes: always one
	return ip.Unmap().String(), nil
}

// isHost says whether the text can be a name or an address. Clients that resolve nothing themselves send addresses as
// names too.
func isHost(host string) bool {
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("[]/%@", r) })
}

// encodeReply writes an answer with the local address of the connection that was made, or none.
func encodeReply(answer reply, bound net.Addr) []byte {
	address := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	if bound != nil {
		if parsed, err := netip.ParseAddrPort(bound.String()); err == nil {
			address = netip.AddrPortFrom(parsed.Addr().Unmap(), parsed.Port())
		}
	}
	kind := byte(addressIPv6)
	if address.Addr().Is4() {
		kind = addressIPv4
	}
	b := []byte{version, byte(answer), 0, kind}
	b = append(b, address.Addr().AsSlice()...)
	return binary.BigEndian.AppendUint16(b, address.Port())
}

// replyFor tells a client why it got no connection, as precisely as the protocol can.
func replyFor(err error) reply {
	var bad *badRequest
	var name *net.DNSError
	switch {
	case errors.As(err, &bad):
		return bad.reply
	case errors.Is(err, syscall.ECONNREFUSED):
		return replyRefused
	case errors.Is(err, syscall.ENETUNREACH):
		return replyNetworkUnreachable
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, context.DeadlineExceeded), errors.As(err, &name):
		return replyHostUnreachable
	}
	return replyFailure
}
