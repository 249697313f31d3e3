package endpoint

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
)

const (
	// portalWithin bounds how long a network may take to say that it wants a sign-in first.
	portalWithin = 3 * time.Second
	// portalEvery keeps laptops whose server is away from knocking at two doors instead of one.
	portalEvery = time.Minute
	// portalAgain is the pause while a network wants a sign-in: who has signed in waits for it, and nobody is bothered but
	// the network.
	portalAgain = 5 * time.Second
	// longestPage is how much is shown of the name of a network's page.
	longestPage = 100
)

// refine looks why the control plane was not reached, as far as that can be told from here: because there is no
// network, or because the network wants a sign-in in the browser first.
func (e *Endpoint) refine(ctx context.Context, out outcome) outcome {
	p := out.problem
	if p == nil || p.Refused || e.options.Carrier != nil { // thousands of simulated laptops are in no such network
		return out
	}
	switch p.Code {
	case control.CodeServerUnreachable, control.CodeServerUntrusted, control.CodeWrongPin:
	default:
		return out
	}
	if p.Code == control.CodeServerUnreachable && !errors.Is(p, syscall.ECONNREFUSED) && !e.options.Online() {
		return outcome{problem: noNetwork(p), after: slowly}
	}
	if time.Since(e.portalAsked) < portalEvery {
		return out
	}
	e.portalAsked = time.Now()
	if page := e.portal(ctx); page != "" {
		e.portalAsked = time.Time{}
		e.backoff.Reset()
		return outcome{problem: captivePortal(page, e.closesBrowser(), p), after: portalAgain}
	}
	return out
}

// closesBrowser says whether a tunnel keeps the browser from the network that the laptop is in.
func (e *Endpoint) closesBrowser() bool {
	held := e.heldSession()
	return held != nil && held.settings.FullTunnel
}

// portal asks for a page of the control plane's own host, where there is none: a network that answers in its place,
// and sends the browser elsewhere, wants something first. It names the page's host; empty: nobody answers so.
func (e *Endpoint) portal(ctx context.Context) string {
	e.mu.Lock()
	servers := e.servers()
	e.mu.Unlock()
	if len(servers) == 0 {
		return ""
	}
	host := servers[0].Host
	ctx, cancel := context.WithTimeout(ctx, portalWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, (&url.URL{Scheme: "http", Host: net.JoinHostPort(host, "80"), Path: "/"}).String(), nil)
	if err != nil {
		return ""
	}
	transport := &http.Transport{DialContext: e.options.Dial, DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10}
	answer, err := transport.RoundTrip(request) // follows nothing
	if err != nil {
		return ""
	}
	if err := answer.Body.Close(); err != nil {
		return ""
	}
	page, err := answer.Location()
	switch {
	case err == nil && answer.StatusCode/100 == 3 && !strings.EqualFold(page.Hostname(), host):
		return page.Hostname()[:min(len(page.Hostname()), longestPage)]
	case answer.StatusCode == http.StatusNetworkAuthenticationRequired:
		return host
	}
	return ""
}

// isOnline says whether this machine has an address by which it reaches others. An interface that cannot be asked
// is no sign that there is none.
func isOnline(own string) func() bool {
	return func() bool {
		list, err := net.Interfaces()
		if err != nil {
			return true
		}
		for _, i := range list {
			if isTunnel(i.Name, own) || i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
				continue
			}
			addrs, err := i.Addrs()
			if err != nil || slices.ContainsFunc(addrs, isGlobal) {
				return true
			}
		}
		return false
	}
}

// isTunnel says whether an interface is that of the tunnel. On macOS all tunnels are called utun with a number, which the
// system chooses.
func isTunnel(name, own string) bool {
	return name == own || name == secondName(own) || runtime.GOOS == "darwin" && strings.HasPrefix(name, "utun")
}

func isGlobal(a net.Addr) bool {
	p, err := netip.ParsePrefix(a.String())
	return err == nil && p.Addr().IsGlobalUnicast()
}

// leads names the other tunnel by whose interface packets to an address leave; empty: by none. Nothing is sent.
func leads(ctx context.Context, to netip.AddrPort, own string) string {
	conn, err := new(net.Dialer).DialContext(ctx, "udp", to.String())
	if err != nil {
		return ""
	}
	from, ok := conn.LocalAddr().(*net.UDPAddr)
	if err := conn.Close(); err != nil || !ok {
		return ""
	}
	list, err := net.Interfaces()
	if err != nil {
		return ""
	}
	for _, i := range list {
		if i.Name == own || i.Flags&net.FlagPointToPoint == 0 || isLine(i.Name) {
			continue
		}
		addrs, err := i.Addrs()
		if err == nil && slices.ContainsFunc(addrs, func(a net.Addr) bool {
			p, err := netip.ParsePrefix(a.String())
			return err == nil && p.Addr().Unmap() == from.AddrPort().Addr().Unmap()
		}) {
			return i.Name
		}
	}
	return ""
}

// isLine tells modems, which are point-to-point too.
func isLine(name string) bool {
	return slices.ContainsFunc([]string{"ppp", "wwan", "rmnet", "wwp"}, func(p string) bool { return strings.HasPrefix(name, p) })
}
