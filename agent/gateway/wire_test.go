package gateway

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func TestPeersThatAreLeftOut(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*heimdrahtv1.Peer)
	}{
		{"session id", func(p *heimdrahtv1.Peer) { p.SessionId = "" }},
		{"session id", func(p *heimdrahtv1.Peer) { p.SessionId = "a\nb" }},
		{"session id", func(p *heimdrahtv1.Peer) { p.SessionId = strings.Repeat("a", 129) }},
		{"public key has 0 bytes", func(p *heimdrahtv1.Peer) { p.PublicKey = nil }},
		{"public key has 31 bytes", func(p *heimdrahtv1.Peer) { p.PublicKey = p.PublicKey[:31] }},
		{"public key has 33 bytes", func(p *heimdrahtv1.Peer) { p.PublicKey = append(p.PublicKey, 1) }},
		{"public key is all zeros", func(p *heimdrahtv1.Peer) { p.PublicKey = make([]byte, 32) }},
		{"preshared key has 0 bytes", func(p *heimdrahtv1.Peer) { p.PresharedKey = nil }},
		{"preshared key is all zeros", func(p *heimdrahtv1.Peer) { p.PresharedKey = make([]byte, 32) }},
		{"0 allowed IPs", func(p *heimdrahtv1.Peer) { p.AllowedIps = nil }},
		{"257 allowed IPs", func(p *heimdrahtv1.Peer) { p.AllowedIps = make([]string, 257) }},
		{"no prefix", func(p *heimdrahtv1.Peer) { p.AllowedIps = []string{"10.0.0.1"} }},
		{"no prefix", func(p *heimdrahtv1.Peer) { p.AllowedIps = []string{"10.0.0.1/33"} }},
		{"whole world", func(p *heimdrahtv1.Peer) { p.AllowedIps = []string{"0.0.0.0/0"} }},
		{"whole world", func(p *heimdrahtv1.Peer) { p.AllowedIps = []string{"::/0"} }},
		{"routed", func(p *heimdrahtv1.Peer) { p.AllowedIps = []string{"127.0.0.1/32"} }},
		{"routed", func(p *heimdrahtv1.Peer) { p.AllowedIps = []string{"ff02::1/128"} }},
		{"routed", func(p *heimdrahtv1.Peer) { p.AllowedIps = []string{"::ffff:10.0.0.1/128"} }},
		{"no time", func(p *heimdrahtv1.Peer) { p.NotAfter = &timestamppb.Timestamp{Nanos: -1} }},
	} {
		p := peer(1, 1)
		c.change(p)
		good, bad := parsePeers([]*heimdrahtv1.Peer{p, peer(2, 2)}, nil)
		if len(good) != 1 || len(bad) != 1 || !strings.Contains(bad[0].why.Error(), c.want) {
			t.Errorf("%v: left out %v, want %q", p, bad, c.want)
		}
	}
}

// A list that is no list holds nobody: its peers are left out.
func TestAccessListsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		want string
		list *heimdrahtv1.AccessList
	}{
		{"did not come with it", &heimdrahtv1.AccessList{Id: "another"}},
		{"no network", &heimdrahtv1.AccessList{Id: "list", Grants: []*heimdrahtv1.AccessGrant{{Prefix: "10.0.0.1"}}}},
		{"no network", &heimdrahtv1.AccessList{Id: "list", Grants: []*heimdrahtv1.AccessGrant{{Prefix: "::ffff:10.0.0.1/128"}}}},
		{"port 65536", &heimdrahtv1.AccessList{Id: "list", Grants: []*heimdrahtv1.AccessGrant{{Prefix: "10.0.0.0/8", Port: 65536}}}},
		{"more than 4096", &heimdrahtv1.AccessList{Id: "list", Grants: make([]*heimdrahtv1.AccessGrant, 4097)}},
		{"no chain", &heimdrahtv1.AccessList{Id: "li st"}},
	} {
		p, other := peer(1, 1), peer(2, 2)
		if p.Access = "list"; c.list.GetId() == "li st" {
			p.Access = "li st"
		}
		good, bad := parsePeers([]*heimdrahtv1.Peer{p, other}, []*heimdrahtv1.AccessList{c.list})
		if len(good) != 1 || len(bad) != 1 || !strings.Contains(bad[0].why.Error(), c.want) {
			t.Errorf("%v: left out %v, want %q", c.list, bad, c.want)
		}
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	good := func() *heimdrahtv1.GatewayConfiguration {
		return &heimdrahtv1.GatewayConfiguration{Name: "gw1", Addresses: []string{"10.80.0.1/16"}}
	}
	if c, err := parseConfiguration(good()); err != nil || c.mtu != defaultMTU || c.grace != defaultGrace {
		t.Errorf("got %+v, %v", c, err)
	}
	for _, c := range []struct {
		want   string
		change func(*heimdrahtv1.GatewayConfiguration)
	}{
		{"name", func(c *heimdrahtv1.GatewayConfiguration) { c.Name = "" }},
		{"0 inside addresses", func(c *heimdrahtv1.GatewayConfiguration) { c.Addresses = nil }},
		{"17 inside addresses", func(c *heimdrahtv1.GatewayConfiguration) { c.Addresses = make([]string, 17) }},
		{"none with a prefix length", func(c *heimdrahtv1.GatewayConfiguration) { c.Addresses = []string{"10.80.0.1"} }},
		{"none with a prefix length", func(c *heimdrahtv1.GatewayConfiguration) { c.Addresses = []string{"10.80.0.1/0"} }},
		{"twice", func(c *heimdrahtv1.GatewayConfiguration) { c.Addresses = []string{"10.80.0.1/16", "10.80.0.1/24"} }},
		{"port", func(c *heimdrahtv1.GatewayConfiguration) { c.ListenPort = 65536 }},
		{"MTU", func(c *heimdrahtv1.GatewayConfiguration) { c.Mtu = 1279 }},
		{"MTU", func(c *heimdrahtv1.GatewayConfiguration) { c.Mtu = 1 << 31 }},
		{"grace", func(c *heimdrahtv1.GatewayConfiguration) { c.GraceMs = -1 }},
		{"grace", func(c *heimdrahtv1.GatewayConfiguration) { c.GraceMs = 1 << 60 }},
	} {
		m := good()
		c.change(m)
		if _, err := parseConfiguration(m); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", m, err, c.want)
		}
	}
}

// A hostile control plane can refuse us, but neither break us nor have us
// install nonsense.
func FuzzReceive(f *testing.F) {
	seed := func(list ...*heimdrahtv1.SyncResponse) {
		var all []byte
		for _, m := range list {
			b, err := proto.Marshal(m)
			check(f, err)
			all = append(all, byte(len(b)>>8), byte(len(b)))
			all = append(all, b...)
		}
		f.Add(all)
	}
	seed(beginOrder("e", 1), pageOrder(peer(1, 1)), endOrder("e", 1, 1), removalOrder("e", 2, "s1"))
	seed(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Delta{Delta: &heimdrahtv1.Delta{
		Epoch: "e", Upto: 1, RemovedSessions: []string{"x"}, Peers: []*heimdrahtv1.Peer{peer(1, 1)}}}})
	seed(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Configuration{Configuration: &heimdrahtv1.GatewayConfiguration{
		Name: "gw1", Addresses: []string{"10.80.0.1/16", "fd80::1/48"}, GraceMs: 1}}})
	f.Fuzz(func(t *testing.T, stream []byte) {
		m := newMemory()
		for len(stream) >= 2 {
			n := min(int(stream[0])<<8|int(stream[1]), len(stream)-2)
			var order heimdrahtv1.SyncResponse
			err := proto.Unmarshal(stream[2:2+n], &order)
			stream = stream[2+n:]
			if err != nil {
				continue
			}
			if c := order.GetConfiguration(); c != nil {
				if parsed, err := parseConfiguration(c); err == nil && (len(parsed.addresses) == 0 || parsed.mtu < minMTU || parsed.grace <= 0) {
					t.Fatalf("accepted %+v", parsed)
				}
				continue
			}
			_, _, _ = m.wanted.receive(&order)
			for id, s := range m.wanted.sessions {
				if id != s.id || !isName(id) || s.peer.PublicKey.IsZero() || s.peer.PresharedKey.IsZero() || len(s.peer.AllowedIPs) == 0 {
					t.Fatalf("took in %+v", s)
				}
			}
		}
		m.wanted.collecting = nil
		records, err := m.compacted()
		check(t, err)
		again := newMemory()
		for r := range records {
			check(t, again.replay(r))
		}
		if m.String() != again.String() {
			t.Fatalf("kept\n%s\nread\n%s", m, again)
		}
	})
}

// The journal has its checksum, but a record of another version must not
// break us either.
func FuzzReplay(f *testing.F) {
	f.Add([]byte("O"))
	f.Add([]byte(`C{"at":"2026-01-01T00:00:00Z","epoch":"e","revision":3}`))
	f.Add([]byte(`E{"s1":"192.0.2.1:4500"}`))
	f.Fuzz(func(_ *testing.T, record []byte) {
		m := newMemory()
		_ = m.replay(record)
		_ = m.String()
	})
}
