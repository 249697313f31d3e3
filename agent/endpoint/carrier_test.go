package endpoint

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// ledger is a Carrier that remembers what it was told.
type ledger struct {
	mu       sync.Mutex
	gateway  wireguard.Peer
	addrs    []netip.Addr
	fresh    int
	removals int
}

func (l *ledger) Install(gateway wireguard.Peer, addresses []netip.Addr, fresh bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gateway, l.addrs = gateway, addresses
	if fresh {
		l.fresh++
	}
	return nil
}

func (l *ledger) Count() Count { return Count{Received: 7, Sent: 9, LastHandshake: time.Now()} }

func (l *ledger) Remove() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gateway = wireguard.Peer{}
	l.removals++
}

func (l *ledger) installed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.gateway.PublicKey.IsZero() && !l.gateway.PresharedKey.IsZero() && l.gateway.Endpoint.IsValid() && len(l.addrs) > 0 && l.fresh == 1
}

// TestCarrier: a laptop without a device enrols over a connection of somebody else's, holds its session, reports
// what its carrier counts, and lets go of it.
func TestCarrier(t *testing.T) {
	h := newHarness(t)
	l := new(ledger)
	e := h.laptop(func(o *Options) { o.Device, o.Carrier = wireguard.Options{}, l })
	conn, err := control.Connect(t.Context(), control.Options{
		Servers: []control.Server{h.Server}, Trust: control.Trust{Pin: h.Pin()}, Agent: "test",
	})
	check(t, err)
	for range 2 { // it stays open
		_, err = e.Enrol(t.Context(), EnrolRequest{Login: "beispiel", Password: endpointtest.Password, Over: conn})
		check(t, err)
	}
	check(t, conn.Close())
	if _, err := e.Enrol(t.Context(), EnrolRequest{Login: "beispiel", Password: endpointtest.Password, Over: conn}); err == nil {
		t.Error("enrolled over a connection that is closed")
	}
	h.up(e)
	if !l.installed() {
		t.Errorf("installed: %+v", l)
	}
	if !e.Attached() {
		t.Error("not attached")
	}
	if s := e.Status("en"); s.State != Connected || s.ReceivedBytes != 7 || s.SentBytes != 9 {
		t.Errorf("status %+v", s)
	}
	if _, err := e.DialContext(t.Context(), "tcp", "10.1.0.10:80"); err == nil {
		t.Error("dialled through a tunnel that is none")
	}
	check(t, e.Down(t.Context()))
	if l.installed() || e.Attached() {
		t.Error("still installed")
	}
}
