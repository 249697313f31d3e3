//go:build !nonetstack

package wireguard

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// The standard library's resolver reads the host's resolv.conf, hosts file and search list even if it is told
// whom to ask. Inside the tunnel only the tunnel's name servers count, so this is a small one of our own.

const (
	// nameServerTime is how long a server has for an answer before the question is repeated or put to the next.
	nameServerTime = 2 * time.Second
	// nameServerRounds is how often each server is asked.
	nameServerRounds = 2
	// maxUDPAnswer is the largest answer without EDNS (RFC 1035, section 4.2.1). Longer ones come over TCP.
	maxUDPAnswer = 512
)

// errNoAnswer says that a server gave no usable answer, and that the next one may be asked.
var errNoAnswer = errors.New("no usable answer")

// LookupNetIP asks the name servers inside the tunnel for the addresses of a fully qualified name, IPv4 first. If
// the name does not exist, or has no address, the error is a *net.DNSError with IsNotFound.
func (n *Net) LookupNetIP(ctx context.Context, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	servers := slices.Clone(n.nameServers)
	n.mu.Unlock()
	name, err := dnsmessage.NewName(strings.TrimSuffix(host, ".") + ".")
	if err != nil || host == "" {
		return nil, &net.DNSError{Err: "not a name", Name: host, IsNotFound: true}
	}
	if len(servers) == 0 {
		return nil, &net.DNSError{Err: "the tunnel has no name server", Name: host}
	}
	type answer struct {
		ips []netip.Addr
		err error
	}
	ask := func(kind dnsmessage.Type) <-chan answer {
		c := make(chan answer, 1)
		go func() { // ends with the questions, which have deadlines
			ips, err := n.askAll(ctx, servers, name, kind)
			c <- answer{ips, err}
		}()
		return c
	}
	v4, v6 := ask(dnsmessage.TypeA), ask(dnsmessage.TypeAAAA)
	first, second := <-v4, <-v6
	ips := append(first.ips, second.ips...)
	if len(ips) > 0 {
		return ips, nil
	}
	if err := errors.Join(first.err, second.err); err != nil {
		return nil, fmt.Errorf("asking for %s inside the tunnel: %w", host, &net.DNSError{
			UnwrapErr: err, Err: err.Error(), Name: host, IsTimeout: errors.Is(err, context.DeadlineExceeded), IsTemporary: true,
		})
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// askAll asks one server after the other. A name without such a record gives no addresses and no error.
func (n *Net) askAll(ctx context.Context, servers []netip.Addr, name dnsmessage.Name, kind dnsmessage.Type) ([]netip.Addr, error) {
	var last error
	for range nameServerRounds {
		for _, server := range servers {
			ips, err := n.askOne(ctx, server, name, kind)
			if err == nil {
				return ips, nil
			}
			last = fmt.Errorf("name server %v: %w", server, err)
			if ctx.Err() != nil {
				return nil, last
			}
		}
	}
	return nil, last
}

// askOne asks one server, over TCP if its answer is too long for UDP.
func (n *Net) askOne(ctx context.Context, server netip.Addr, name dnsmessage.Name, kind dnsmessage.Type) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, nameServerTime)
	defer cancel()
	var id [2]byte
	if _, err := io.ReadFull(rand.Reader, id[:]); err != nil {
		return nil, fmt.Errorf("drawing a number for the question: %w", err)
	}
	question := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: binary.BigEndian.Uint16(id[:]), RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: kind, Class: dnsmessage.ClassINET}},
	}
	for _, network := range []string{"udp", "tcp"} {
		ips, truncated, err := n.exchange(ctx, network, server, question)
		if err != nil || !truncated {
			return ips, err
		}
	}
	return nil, fmt.Errorf("%w: truncated over TCP too", errNoAnswer)
}

// exchange sends the question and waits for its answer.
func (n *Net) exchange(ctx context.Context, network string, server netip.Addr, question dnsmessage.Message) (ips []netip.Addr, truncated bool, err error) {
	conn, err := n.dialAddress(ctx, network, netip.AddrPortFrom(server.Unmap(), 53))
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = conn.Close() }() // the answer is here, or there is a better error
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	packed, err := question.Pack()
	if err != nil {
		return nil, false, fmt.Errorf("writing the question: %w", err)
	}
	if network == "tcp" {
		packed = append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)
	}
	if _, err := conn.Write(packed); err != nil {
		return nil, false, errors.Join(err, ctx.Err())
	}
	for {
		message, err := readAnswer(conn, network)
		if err != nil {
			return nil, false, errors.Join(err, ctx.Err())
		}
		ips, truncated, err := parseAnswer(message, question)
		if errors.Is(err, errOtherAnswer) && network == "udp" {
			continue // a late answer to an earlier question, or a forged one: ours may still come
		}
		return ips, truncated, err
	}
}

// readAnswer reads one message.
func readAnswer(conn io.Reader, network string) ([]byte, error) {
	if network == "udp" {
		message := make([]byte, maxUDPAnswer)
		n, err := conn.Read(message)
		return message[:n], err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(conn, message)
	return message, err
}

// errOtherAnswer says that a message does not answer our question.
var errOtherAnswer = fmt.Errorf("%w: the message answers another question", errNoAnswer)

// parseAnswer reads the addresses from the answer to the question. No address and no error: the name has none.
func parseAnswer(message []byte, question dnsmessage.Message) (ips []netip.Addr, truncated bool, err error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(message)
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", errOtherAnswer, err)
	}
	asked, err := parser.Question()
	want := question.Questions[0]
	if err != nil || !header.Response || header.ID != question.ID || asked.Type != want.Type || asked.Class != want.Class ||
		!strings.EqualFold(asked.Name.String(), want.Name.String()) {
		return nil, false, errOtherAnswer
	}
	if header.Truncated {
		return nil, true, nil
	}
	if header.RCode != dnsmessage.RCodeSuccess && header.RCode != dnsmessage.RCodeNameError {
		return nil, false, fmt.Errorf("%w: %v", errNoAnswer, header.RCode)
	}
	if err := parser.SkipAllQuestions(); err != nil {
		return nil, false, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	for {
		ip, err := nextAddress(&parser)
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return ips, false, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("%w: %w", errNoAnswer, err)
		}
		if ip.IsValid() {
			ips = append(ips, ip)
		}
	}
}

// nextAddress reads the next record, which gives no address if it is of another type: the aliases on the way to
// the name that has the addresses come in the same answer.
func nextAddress(parser *dnsmessage.Parser) (netip.Addr, error) {
	header, err := parser.AnswerHeader()
	if err != nil {
		return netip.Addr{}, err
	}
	switch {
	case header.Class == dnsmessage.ClassINET && header.Type == dnsmessage.TypeA:
		record, err := parser.AResource()
		return netip.AddrFrom4(record.A), err
	case header.Class == dnsmessage.ClassINET && header.Type == dnsmessage.TypeAAAA:
		record, err := parser.AAAAResource()
		return netip.AddrFrom16(record.AAAA).Unmap(), err
	}
	return netip.Addr{}, parser.SkipAnswer()
}
