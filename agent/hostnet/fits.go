package hostnet

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	// fitsWithin is how long the first answer may take, the tunnel's handshake included. It bounds what comes after it too.
	fitsWithin = 2 * time.Second
	// fitsLeast is the least time that the larger packets have after the first answer. They left together.
	fitsLeast = 150 * time.Millisecond
	// fitsRounds: what is lost by chance is not lost twice, mostly.
	fitsRounds = 2
	// tokenBytes tell the own echoes from those of others.
	tokenBytes = 8
)

// The headers before the data of an echo request.
const (
	echoHeader4 = 20 + 8
	echoHeader6 = 40 + 8
)

// Fits is the largest of these sizes in which packets come to an address and back: echo requests of each size are sent
// at once and never in parts, and those that are not answered once more. Zero: nothing was answered. It takes the rights
// of an administrator, and 2 s at most where nobody answers.
func Fits(ctx context.Context, to netip.Addr, sizes []int) (best int, err error) {
	if len(sizes) == 0 {
		return 0, nil
	}
	e, err := newEchoes(ctx, to)
	if err != nil {
		return 0, fmt.Errorf("looking what fits on the way to %s: %w", to, err)
	}
	defer func() { err = errors.Join(err, e.conn.Close()) }()
	defer context.AfterFunc(ctx, func() { _ = e.conn.SetDeadline(time.Unix(1, 0)) })()
	largest := slices.Max(sizes)
	for range fitsRounds {
		if err := e.send(sizes, best); err != nil {
			return best, fmt.Errorf("looking what fits on the way to %s: %w", to, err)
		}
		if best = max(best, e.listen(largest)); best == largest || ctx.Err() != nil {
			break
		}
	}
	return best, ctx.Err()
}

// echoes is a socket for echo requests that are told by their token.
type echoes struct {
	conn   net.PacketConn
	to     netip.Addr
	kind   icmp.Type
	answer icmp.Type
	proto  int
	header int
	token  [tokenBytes]byte
	// patience is how long is listened after sending: until something is answered, long.
	patience time.Duration
}

func newEchoes(ctx context.Context, to netip.Addr) (*echoes, error) {
	e := &echoes{to: to, kind: ipv4.ICMPTypeEcho, answer: ipv4.ICMPTypeEchoReply, proto: 1, header: echoHeader4, patience: fitsWithin}
	network, any := "ip4:icmp", "0.0.0.0"
	if to.Is6() {
		e.kind, e.answer, e.proto, e.header = ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, 58, echoHeader6
		network, any = "ip6:ipv6-icmp", "::"
	}
	rand.Read(e.token[:]) // it never fails
	var err error
	e.conn, err = (&net.ListenConfig{Control: whole}).ListenPacket(ctx, network, any)
	return e, err
}

// send sends one request of each size above what fits already. What the interface does not take does not fit.
func (e *echoes) send(sizes []int, above int) error {
	if err := e.conn.SetWriteDeadline(time.Now().Add(echoWithin)); err != nil {
		return err
	}
	var failed error
	sent := false
	for i, size := range sizes {
		if size <= above || size < e.header+tokenBytes {
			continue
		}
		data := append(e.token[:], make([]byte, size-e.header-tokenBytes)...)
		// The kernel fills in the checksum of ICMPv6, of which the own address is a part.
		message, err := (&icmp.Message{Type: e.kind, Body: &icmp.Echo{Seq: i + 1, Data: data}}).Marshal(nil)
		if err != nil {
			return err
		}
		if _, err := e.conn.WriteTo(message, &net.IPAddr{IP: e.to.AsSlice()}); err != nil {
			failed = err
		} else {
			sent = true
		}
	}
	if sent {
		return nil
	}
	return failed
}

// listen is the largest size that was answered; it returns when that is the one looked for.
func (e *echoes) listen(largest int) (best int) {
	began := time.Now()
	buffer := make([]byte, 64<<10)
	for best < largest {
		if e.conn.SetReadDeadline(began.Add(e.patience)) != nil {
			return best
		}
		n, from, err := e.conn.ReadFrom(buffer)
		if err != nil {
			return best
		}
		size, ok := e.answered(buffer[:n], from)
		if !ok {
			continue
		}
		if took := time.Since(began); e.patience == fitsWithin {
			e.patience = min(max(3*took, took+fitsLeast), fitsWithin-1)
		}
		best = max(best, size)
	}
	return best
}

// answered is the size of an answer to one of the requests.
func (e *echoes) answered(raw []byte, from net.Addr) (size int, ok bool) {
	if ip, isIP := from.(*net.IPAddr); !isIP || !ip.IP.Equal(e.to.AsSlice()) {
		return 0, false
	}
	m, err := icmp.ParseMessage(e.proto, raw)
	if err != nil || m.Type != e.answer {
		return 0, false
	}
	echo, ok := m.Body.(*icmp.Echo)
	if !ok || !bytes.HasPrefix(echo.Data, e.token[:]) {
		return 0, false
	}
	return e.header + len(echo.Data), true
}
