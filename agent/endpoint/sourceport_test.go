package endpoint

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// homeRouter hands packets on between a laptop and a gateway, from a port of its own, as one with network address translation does.
type homeRouter struct {
	t      *testing.T
	inside *net.UDPConn

	mu      sync.Mutex
	gateway netip.AddrPort
	laptop  netip.AddrPort
	outside *net.UDPConn
}

func newHomeRouter(t *testing.T) *homeRouter {
	r := &homeRouter{t: t}
	r.inside = r.listen()
	r.forget()
	go func() { // ends with the socket
		packet := make([]byte, 2048)
		for {
			n, from, err := r.inside.ReadFromUDPAddrPort(packet)
			if err != nil {
				return
			}
			r.mu.Lock()
			r.laptop = from
			_, _ = r.outside.WriteToUDPAddrPort(packet[:n], r.gateway)
			r.mu.Unlock()
		}
	}()
	return r
}

func (r *homeRouter) listen() *net.UDPConn {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	check(r.t, err)
	r.t.Cleanup(func() { _ = conn.Close() }) // some are closed before
	return conn
}

// forget gives the laptop another port.
func (r *homeRouter) forget() {
	next := r.listen()
	r.mu.Lock()
	if r.outside != nil {
		_ = r.outside.Close()
	}
	r.outside = next
	r.mu.Unlock()
	go func() { // ends with the socket
		packet := make([]byte, 2048)
		for {
			n, _, err := next.ReadFromUDPAddrPort(packet)
			if err != nil {
				return
			}
			r.mu.Lock()
			_, _ = r.inside.WriteToUDPAddrPort(packet[:n], r.laptop)
			r.mu.Unlock()
		}
	}()
}

// leadsTo says where the gateway is, and gives the address by which the laptop reaches it.
func (r *homeRouter) leadsTo(gateway string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gateway = netip.MustParseAddrPort(gateway)
	return r.inside.LocalAddr().String()
}

// TestAnotherSourcePort: the router at home forgets the laptop and gives it another port. What is under way goes on, without another
// session.
func TestAnotherSourcePort(t *testing.T) {
	t.Parallel()
	router := newHomeRouter(t)
	s, e := of(t, nil)
	s.Script(func(x *endpointtest.Script) {
		x.Configure = func(c *heimdrahtv1.TunnelConfiguration) { c.GatewayEndpoint = router.leadsTo(c.GetGatewayEndpoint()) }
	})
	s.up(e)
	dials := 0
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials++
		return e.DialContext(ctx, network, address)
	}}}
	defer client.CloseIdleConnections()
	for range 4 {
		response, err := client.Get("http://" + endpointtest.Inside + "/")
		check(t, err)
		if body, err := io.ReadAll(response.Body); err != nil || string(body) != endpointtest.Page {
			t.Errorf("fetched %q, %v", body, err)
		}
		check(t, response.Body.Close())
		router.forget()
	}
	if sessions := len(s.Seen().Openings); dials != 1 || sessions != 1 {
		t.Errorf("%d connections over %d sessions", dials, sessions)
	}
}
