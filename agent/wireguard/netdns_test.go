package wireguard

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestNamesInsideTheTunnel(t *testing.T) {
	gateway, laptop := openGateway(t), openLaptop(t, 1)
	apply(t, gateway, Change{Peer: onGateway(laptop, 1)})
	apply(t, laptop, Change{Peer: onLaptop(gateway, 1)})
	serveNames(t, gateway, netip.AddrPortFrom(intranetInside, 53))
	echo(t, gateway, netip.AddrPortFrom(netip.Addr{}, 7))

	says(t, dial(t, laptop, "tcp", "intranet.stadt.example:7"), "by name")
	says(t, dial(t, laptop, "tcp6", "INTRANET.stadt.example.:7"), "by name, over IPv6")
	// The first answer is too long for UDP, so that it is asked for over TCP.
	ips, err := laptop.Net().LookupNetIP(t.Context(), "many.stadt.example")
	if err != nil || len(ips) != 200 {
		t.Errorf("%d addresses, error %v", len(ips), err)
	}
	var dns *net.DNSError
	if _, err := laptop.Net().DialContext(t.Context(), "tcp", "nowhere.stadt.example:7"); !errors.As(err, &dns) || !dns.IsNotFound {
		t.Errorf("error %v, want one that says that there is no such name", err)
	}
	if _, err := laptop.Net().LookupNetIP(t.Context(), "broken.stadt.example"); !errors.As(err, &dns) || dns.IsNotFound || !dns.IsTemporary {
		t.Errorf("error %v, want one that says that the server failed", err)
	}
	// A server that is not there costs time, not the answer.
	laptop.Net().SetNameServers([]netip.Addr{netip.MustParseAddr("10.1.0.99"), intranetInside})
	says(t, dial(t, laptop, "tcp4", "intranet.stadt.example:7"), "by the second server")
}

// serveNames is a small name server, over UDP and TCP.
func serveNames(t testing.TB, gateway *Device, address netip.AddrPort) {
	t.Helper()
	packets, err := gateway.Net().ListenUDP(address)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := gateway.Net().ListenTCP(address)
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		b := make([]byte, 1500)
		for {
			n, from, err := packets.ReadFrom(b)
			if err != nil {
				return
			}
			// First an answer to somebody else's question, as forgers send them.
			for _, answer := range [][]byte{answerName(b[:n], 1, maxUDPAnswer), answerName(b[:n], 0, maxUDPAnswer)} {
				if _, err := packets.WriteTo(answer, from); err != nil {
					t.Errorf("answering: %v", err)
				}
			}
		}
	})
	served.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			question, err := readAnswer(conn, "tcp")
			if err != nil {
				t.Errorf("reading a question: %v", err)
				continue
			}
			answer := answerName(question, 0, 1<<16)
			if _, err := conn.Write(append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer...)); err != nil {
				t.Errorf("answering: %v", err)
			}
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = packets.Close()
		_ = gateway.Close()
		served.Wait()
	})
}

func answerName(question []byte, offset uint16, limit int) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.ID = true, m.ID+offset
	record := func(name dnsmessage.Name, body dnsmessage.ResourceBody) {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Class: q.Class, TTL: 1}, Body: body})
	}
	switch name := string(bytes.ToLower([]byte(q.Name.String()))); {
	case name == "intranet.stadt.example." && q.Type == dnsmessage.TypeA:
		real := dnsmessage.MustNewName("web1.stadt.example.")
		record(q.Name, &dnsmessage.CNAMEResource{CNAME: real})
		record(real, &dnsmessage.AResource{A: intranetInside.As4()})
	case name == "intranet.stadt.example." && q.Type == dnsmessage.TypeAAAA:
		record(q.Name, &dnsmessage.AAAAResource{AAAA: gatewayInside6.As16()})
	case name == "many.stadt.example." && q.Type == dnsmessage.TypeA:
		for i := range 200 {
			record(q.Name, &dnsmessage.AResource{A: [4]byte{10, 1, 1, byte(i)}})
		}
	case name == "many.stadt.example.":
	case name == "broken.stadt.example.":
		m.RCode = dnsmessage.RCodeServerFailure
	default:
		m.RCode = dnsmessage.RCodeNameError
	}
	packed, err := m.Pack()
	if err != nil {
		return nil
	}
	if len(packed) > limit {
		m.Answers, m.Truncated = nil, true
		packed, _ = m.Pack()
	}
	return packed
}

func FuzzParseAnswer(f *testing.F) {
	question := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName("intranet.stadt.example."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	packed, err := question.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(answerName(packed, 0, 512))
	f.Add(answerName(packed, 1, 512))
	f.Add(answerName(packed, 0, 1))
	f.Fuzz(func(t *testing.T, message []byte) {
		ips, truncated, err := parseAnswer(message, question)
		if len(ips) > 0 && (truncated || err != nil) {
			t.Error("addresses beside an error")
		}
	})
}
