package endpoint

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// house is a whole control plane with a laptop that is enrolled there. No packet
// passes its gateway: it only speaks the protocol.
type house struct {
	*provisionertest.Server

	t       *testing.T
	gateway *provisionertest.Gateway
	store   *control.MemoryStore
	laptop  *Endpoint
	stop    func()
}

// silentLog is an address where nobody answers what comes by UDP.
func silentLog(t *testing.T) string {
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { _ = conn.Close() }) // nobody reads from it
	return conn.LocalAddr().String()
}

func newHouse(t *testing.T, declare func(*heimdrahtv1.Declaration)) *house {
	t.Helper()
	d := provisionertest.Declaration()
	d.Gateways[0].Endpoint = silentLog(t)
	if declare != nil {
		declare(d)
	}
	h := &house{Server: provisionertest.StartWith(t, provisionertest.Options{Declaration: d}), t: t, store: &control.MemoryStore{}}
	h.gateway = h.JoinGateway("gw1")
	h.gateway.Run()
	h.laptop, h.stop = h.start(h.store)
	_, err := h.laptop.Enrol(t.Context(), EnrolRequest{Tenant: provisionertest.Tenant, Login: provisionertest.Staff, Password: provisionertest.Password})
	check(t, err)
	return h
}

// start runs a laptop with the keys in a store.
func (h *house) start(store *control.MemoryStore) (*Endpoint, func()) {
	h.t.Helper()
	server, err := control.ParseServer(h.Address())
	check(h.t, err)
	pin, err := control.ParseFingerprint(h.Fingerprint())
	check(h.t, err)
	e, err := New(Options{
		Store: store, Servers: []control.Server{server}, Pin: pin, Device: wireguard.Options{Mode: wireguard.Netstack, SmallFootprint: true},
		DeviceName: "laptop", SerialNumber: "SN1", Platform: "linux", Version: "test", Logger: slog.New(slog.DiscardHandler),
	})
	check(h.t, err)
	return e, (&harness{t: h.t}).run(e)
}

// open waits until the laptop holds a session.
func (h *house) open() {
	h.t.Helper()
	h.laptop.Want()
	eventually(h.t, h.laptop, "a session", func(s Status) bool { return s.Gateway != "" })
}

func (h *house) desk() (heimdrahtv1.HelpdeskServiceClient, context.Context) {
	return heimdrahtv1.NewHelpdeskServiceClient(h.Dial(nil)), provisionertest.As(h.t.Context(), h.Operator)
}

func (h *house) device() string { return h.laptop.Status("en").DeviceID }

// of is a laptop of the control plane that a test plays, which carries packets.
func of(t *testing.T, change func(*Options)) (*harness, *Endpoint) {
	t.Helper()
	s := newHarness(t)
	e := s.laptop(func(o *Options) {
		o.Online = func() bool { return true }
		if change != nil {
			change(o)
		}
	})
	s.enrol(e)
	return s, e
}

// laptopFault is one thing that is wrong, and what the employee is told.
type laptopFault struct {
	name   string
	inject func(*testing.T) *Endpoint
	house  func(*testing.T) *house // in place of inject, with a whole control plane
	code   string
	note   bool // beside a connection that stands
	who    control.Who
	// why is what the control plane says when it is asked, to her and to the helpdesk. Empty: it knows nothing of it.
	why string
}

func faultsOfLaptops() []laptopFault {
	// away dials in vain once a laptop is enrolled, but for what with answers.
	away := func(err error, with func(network, address string) (net.Conn, error)) (func(*Options), *atomic.Bool) {
		gone := new(atomic.Bool)
		return func(o *Options) {
			o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				switch {
				case !gone.Load():
					return new(net.Dialer).DialContext(ctx, network, address)
				case with != nil && strings.HasSuffix(address, ":80"):
					return with(network, address)
				}
				return nil, &net.OpError{Op: "dial", Err: err}
			}
		}, gone
	}
	unreachable := func(t *testing.T, err error, more func(*Options), with func(string, string) (net.Conn, error)) *Endpoint {
		change, gone := away(err, with)
		_, e := of(t, func(o *Options) {
			change(o)
			if more != nil {
				more(o)
			}
		})
		gone.Store(true)
		e.Want()
		return e
	}
	portal := func(status int, location string) func(t *testing.T) *Endpoint {
		return func(t *testing.T) *Endpoint {
			page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if location != "" {
					w.Header().Set("Location", location)
				}
				w.WriteHeader(status)
			}))
			t.Cleanup(page.Close)
			return unreachable(t, syscall.ETIMEDOUT, nil, func(network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(t.Context(), network, page.Listener.Addr().String())
			})
		}
	}
	takes := func(do func(*house) error) func(*testing.T) *house {
		return func(t *testing.T) *house {
			h := newHouse(t, nil)
			h.open()
			check(t, do(h))
			return h
		}
	}
	refused := func(declare func(*heimdrahtv1.Declaration), do func(*house)) func(*testing.T) *house {
		return func(t *testing.T) *house {
			h := newHouse(t, declare)
			if do != nil {
				do(h)
			}
			h.laptop.Want()
			return h
		}
	}
	return []laptopFault{
		{name: "not enrolled", code: "not-enrolled", who: control.Employee, inject: func(t *testing.T) *Endpoint { return newHarness(t).laptop(nil) }},
		{name: "the server is down", code: "server-unreachable", who: control.Employee, inject: func(t *testing.T) *Endpoint {
			s, e := of(t, nil)
			s.Kill()
			e.Want()
			return e
		}},
		{name: "the server's name is not found", code: "server-unreachable", who: control.Employee, inject: func(t *testing.T) *Endpoint {
			return unreachable(t, &net.DNSError{Err: "no such host", Name: "vpn.stadt.example", IsNotFound: true}, nil, nil)
		}},
		{name: "no network", code: "no-network", who: control.Employee, inject: func(t *testing.T) *Endpoint {
			return unreachable(t, syscall.ENETUNREACH, func(o *Options) { o.Online = func() bool { return false } }, nil)
		}},
		{name: "a hotel's page comes first", code: "captive-portal", who: control.Employee, inject: portal(http.StatusFound, "http://login.hotel.example/?then=x")},
		{name: "a network says that it wants a sign-in", code: "captive-portal", who: control.Employee, inject: portal(http.StatusNetworkAuthenticationRequired, "")},
		{name: "a web server that wants nothing", code: "server-unreachable", who: control.Employee, inject: portal(http.StatusOK, "")},
		{name: "another server in its place", code: "server-untrusted", who: control.Operator, inject: func(t *testing.T) *Endpoint {
			other := endpointtest.New(t)
			elsewhere := new(atomic.Bool)
			_, e := of(t, func(o *Options) {
				o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
					if elsewhere.Load() {
						address = other.Server.String()
					}
					return new(net.Dialer).DialContext(ctx, network, address)
				}
			})
			elsewhere.Store(true)
			e.Want()
			return e
		}},
		{name: "the clock is an hour off", code: "clock-wrong", note: true, inject: func(t *testing.T) *Endpoint {
			s, e := of(t, nil)
			s.Script(func(script *endpointtest.Script) {
				script.ClockAhead, script.RenewEvery = time.Hour, 200*time.Millisecond
			})
			s.up(e)
			return e
		}},

		{name: "UDP is blocked, while the gateway has the peer", code: "gateway-silent", why: "gateway-silent", who: control.Employee, house: takes(func(h *house) error {
			eventually(h.t, h.laptop, "no answer", func(s Status) bool { return s.State == NoAnswer })
			for _, id := range h.gateway.Sessions() {
				h.gateway.Observe(&heimdrahtv1.PeerObservation{SessionId: id}) // it is there, and has heard nothing either
			}
			h.laptop.Want() // which tells the control plane at once
			return nil
		})},
		{name: "the gateway's name is not found", code: "gateway-not-found", who: control.Employee, inject: func(t *testing.T) *Endpoint {
			s, e := of(t, func(o *Options) {
				o.Resolve = func(context.Context, string, string) ([]netip.Addr, error) { return nil, errors.New("no such host") }
			})
			s.Script(func(script *endpointtest.Script) {
				script.Configure = func(c *heimdrahtv1.TunnelConfiguration) { c.GatewayEndpoint = "vpn1.stadt.example:51820" }
			})
			e.Want()
			return e
		}},
		{name: "revoked", code: "device-revoked", why: "device-revoked", who: control.Employee, house: takes(func(h *house) error {
			desk, ctx := h.desk()
			_, err := desk.RevokeDevice(ctx, &heimdrahtv1.RevokeDeviceRequest{DeviceId: h.device(), Reason: "lost"})
			return err
		})},
		{name: "suspended", code: "device-suspended", why: "device-suspended", who: control.Helpdesk, house: takes(func(h *house) error {
			desk, ctx := h.desk()
			_, err := desk.SuspendDevice(ctx, &heimdrahtv1.SuspendDeviceRequest{DeviceId: h.device(), Reason: "leave"})
			return err
		})},
		{name: "opened by a copy of the laptop", code: "stream-replaced", who: control.Employee, house: takes(func(h *house) error {
			copied, _ := h.start(h.store)
			copied.Want()
			return nil
		})},
		{name: "left the group", code: "device-suspended", why: "not-in-group", who: control.Helpdesk, house: takes(func(h *house) error {
			return h.Directory.Leave(provisionertest.GroupDN("Homeoffice"), provisionertest.DN(provisionertest.Staff))
		})},
		{name: "the account is deleted", code: "device-suspended", why: "account-deleted", who: control.Helpdesk, house: takes(func(h *house) error {
			return h.Directory.Delete(provisionertest.DN(provisionertest.Staff))
		})},
		{name: "the house rules have changed", code: "house-rules", why: "house-rules", who: control.Employee, house: refused(nil, func(h *house) {
			d := provisionertest.Declaration()
			d.Tenants[0].HouseRules = &heimdrahtv1.HouseRulesDeclaration{German: "Nicht mitlesen lassen."}
			h.Apply(d)
		})},
		{name: "outside of the hours", code: "outside-hours", why: "outside-hours", who: control.Nobody, house: refused(func(d *heimdrahtv1.Declaration) {
			d.Tenants[0].Policy.Access = []*heimdrahtv1.AccessTime{{Group: "all", Until: "2020-12-31"}}
		}, nil)},
		{name: "waits for the helpdesk's approval", code: "approval-awaited", why: "approval-awaited", who: control.Helpdesk, house: refused(func(d *heimdrahtv1.Declaration) {
			d.Tenants[0].Policy.Approval = "helpdesk"
		}, nil)},
		{name: "the gateway does not confirm", code: "gateway-not-ready", why: "gateway-behind", who: control.Nobody, house: refused(nil, func(h *house) { h.gateway.Mute(true) })},
		{name: "the pool is full", code: "seat-awaited", why: "seat-awaited", who: control.Nobody, house: refused(func(d *heimdrahtv1.Declaration) { d.LicencePools[0].Contracts[0].Seats = 1 }, func(h *house) {
			_, err := provisionertest.Open(h.Attach(h.t.Context(), h.Enrol(provisionertest.Second, "SN2")), "")
			check(h.t, err)
		})},
		{name: "the contract is over", code: "no-licence", why: "licence-over", who: control.TenantAdmin, house: refused(func(d *heimdrahtv1.Declaration) { d.LicencePools[0].Contracts[0].Until = "2020-12-31" }, nil)},
		{name: "no gateway is there", code: "no-gateway", why: "gateway-away", who: control.Nobody, house: refused(nil, func(h *house) { h.gateway.Stop() })},
	}
}

// TestWhyOnTheLaptop injects one fault after the other on the laptop's side, and
// what the control plane says no to, and holds what the employee is told; and that
// it is what the helpdesk is told, where both know it.
func TestWhyOnTheLaptop(t *testing.T) {
	for _, f := range faultsOfLaptops() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			var h *house
			var e *Endpoint
			if f.house != nil {
				h = f.house(t)
				e = h.laptop
			} else {
				e = f.inject(t)
			}
			status := eventually(t, e, f.code, func(s Status) bool {
				if f.note {
					return len(s.Notes) > 0 && s.Notes[0].Code == f.code
				}
				return s.Code == f.code
			})
			if !f.note && (status.Who != f.who || status.Sentence == "" || status.Next == "") {
				t.Errorf("told %+v, want somebody who can act: %s", status, f.who)
			}
			want := cmp.Or(f.why, f.code)
			status = e.Explain(t.Context(), "en")
			for began := time.Now(); !f.note && status.Code != want && time.Since(began) < 10*time.Second; {
				time.Sleep(50 * time.Millisecond) // real: the directory and the gateways take their time
				status = e.Explain(t.Context(), "en")
			}
			switch {
			case f.note:
			case status.Code != want, status.Sentence == "", status.Next == "", status.Who == "":
				t.Errorf("explained as %+v, want %s", status, want)
			case f.why != "":
				h.isWhatTheHelpdeskIsTold(status)
			case f.code != "not-enrolled" && f.code != "stream-replaced" && !blames(status.Links, want):
				t.Errorf("no link of the chain has %s: %+v", want, status.Links)
			}
		})
	}
}

func blames(links []Link, code string) bool {
	return slices.ContainsFunc(links, func(l Link) bool { return l.Code == code && (l.State == LinkWrong || l.State == LinkNoted) })
}

// isWhatTheHelpdeskIsTold asks in the operator's name, and compares codes and chains.
func (h *house) isWhatTheHelpdeskIsTold(status Status) {
	t := h.t
	t.Helper()
	desk, ctx := h.desk()
	var told *heimdrahtv1.ExplainResponse
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) { // real: what a gateway observes takes its way
		var err error
		told, err = desk.Explain(ctx, &heimdrahtv1.ExplainRequest{DeviceId: h.device()})
		check(t, err)
		if told.GetCause().GetCode() == status.Code || time.Since(began) > 10*time.Second {
			break
		}
	}
	if told.GetCause().GetCode() != status.Code || told.GetCause().GetWho() != string(status.Who) {
		t.Errorf("the helpdesk is told %v, she %s (%s)", told.GetCause(), status.Code, status.Who)
	}
	status = h.laptop.Explain(t.Context(), "en")
	if status.Code == codeDeviceRevoked { // who is told that, and nothing else
		return
	}
	for i, l := range told.GetLinks() {
		if own := status.Links[i]; own.Name != l.GetLink() || own.Code != l.GetCode() {
			t.Errorf("the helpdesk is shown %v, she %+v", l, own)
		}
	}
	if last := status.Links[len(status.Links)-1]; last.Name != "laptop-answer" {
		t.Errorf("the chain ends with %+v", last)
	}
}

// TestLeads: packets over the loopback interface are led by no other tunnel.
func TestLeads(t *testing.T) {
	if name := leads(t.Context(), netip.MustParseAddrPort("127.0.0.1:9"), DefaultInterface); name != "" {
		t.Errorf("led by %s", name)
	}
}
