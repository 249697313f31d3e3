package gateway

import (
	"crypto/rand"
	"encoding/binary"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/blake2s"

	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/internal/testneed"
)

// TestFlood has somebody who knows nothing but the gateway's public key, and that is no
// secret, send whatever makes a gateway work: handshakes that begin, each of which would cost it a
// multiplication on the curve, and what has only the first bytes of messages. People who are connected go on,
// others connect at the latest when it is over, and the gateway does what it is told meanwhile.
func TestFlood(t *testing.T) {
	testneed.Root(t)
	testneed.File(t, "/dev/net/tun")
	inNamespace(t, func(t *testing.T) { flooded(t, wireguard.Userspace) })
}

func flooded(t *testing.T, mode wireguard.Mode) {
	newIntranet(t)
	plane, g := gatewayOfPackets(t, mode)
	early := newTraveller(t, g, "s-early", "10.80.1.1", "fd80:1::1:1")
	plane.grant(t, early, "stadt", "10.1.0.0/16", "fd00:1::/64")
	conn, err := early.dial(t, "10.1.0.9", 10*time.Second)
	check(t, err)
	defer closing(t, conn)

	flood := newFlood(t, g.key.PublicKey())
	flood.wait(2000)
	late := newTraveller(t, g, "s-late", "10.80.1.2", "fd80:1::1:2")
	plane.grant(t, late, "stadt", "10.1.0.0/16", "fd00:1::/64")
	if err := late.says(t, "10.1.0.9", 30*time.Second); err != nil {
		t.Errorf("nobody can connect any more: %v", err)
	}
	for range 20 {
		if err := echoes(conn, 10*time.Second); err != nil {
			t.Fatalf("a connection that stood broke: %v", err)
		}
	}
	flood.end()
	if peers := g.Status().Peers; peers != 2 {
		t.Errorf("%d peers after the flood, want those of two sessions", peers)
	}
}

// flood sends from an address that nobody else has, twenty thousand packets a second for five seconds.
type flood struct {
	conn  *net.UDPConn
	mu    sync.Mutex
	sent  int
	stop  chan struct{}
	ended chan struct{}
	once  sync.Once
}

func newFlood(t *testing.T, gateway wireguard.Key) *flood {
	t.Helper()
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 66)}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 51820})
	check(t, err)
	f := &flood{conn: conn, stop: make(chan struct{}), ended: make(chan struct{})}
	t.Cleanup(f.end)
	go f.run(gateway)
	return f
}

func (f *flood) run(gateway wireguard.Key) {
	defer close(f.ended)
	key := blake2s.Sum256(append([]byte("mac1----"), gateway[:]...))
	// Bursts are longer than the queue beyond which WireGuard answers with cookies instead of reckoning.
	const most, burst = 100_000, 1000
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for f.count(0) < most {
		select {
		case <-f.stop:
			return
		case <-pace.C:
		}
		for i := range burst {
			// Whether it still listens shows elsewhere.
			_, _ = f.conn.Write(hostile(i, key[:]))
		}
		f.count(burst)
	}
}

// hostile makes a packet: half of them a handshake's beginning whose first code is
// right (WireGuard: mac1), with everything behind it drawn; else some type of message, of any length.
func hostile(i int, key []byte) []byte {
	const initiation, sizeOfInitiation, beforeMAC = 1, 148, 116
	b := make([]byte, sizeOfInitiation)
	_, _ = rand.Read(b) // never fails
	if i%2 == 0 {
		binary.LittleEndian.PutUint32(b, initiation)
		mac, err := blake2s.New128(key)
		if err != nil {
			panic(err) // the key has a fixed length
		}
		mac.Write(b[:beforeMAC])
		mac.Sum(b[:beforeMAC])
		clear(b[beforeMAC+blake2s.Size128:])
		return b
	}
	binary.LittleEndian.PutUint32(b, uint32(i%6))
	return b[:int(b[7])%len(b)]
}

// count counts packets that were sent, and tells how many were.
func (f *flood) count(more int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent += more
	return f.sent
}

// wait waits until so many packets were sent.
func (f *flood) wait(packets int) {
	for f.count(0) < packets {
		select {
		case <-f.ended:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (f *flood) end() {
	f.once.Do(func() {
		close(f.stop)
		<-f.ended
		_ = f.conn.Close()
	})
}
