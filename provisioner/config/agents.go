package config

import (
	"net"
	"net/netip"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Gateway is the content of gateway.yaml.
type Gateway struct {
	Servers    []string // of the control plane, host:port, in order of preference
	CASHA256   string   // of the control plane's CA certificate (DER), hexadecimal; empty: publicly trusted
	StateDir   string
	Interface  string
	ListenPort uint16 // UDP; zero: the port of the endpoint that the control plane tells
	Mode       Mode
	LogLevel   string // debug, info, warn or error
}

// Mode says which WireGuard a gateway uses.
type Mode string

// The modes.
const (
	ModeAuto      Mode = "auto"      // the kernel's if it has one, else the embedded
	ModeKernel    Mode = "kernel"    // the kernel's or none
	ModeUserspace Mode = "userspace" // the embedded
)

// ControlPlanePort is the port of a server that is written without one.
const ControlPlanePort = 8443

// DefaultGateway is what holds where gateway.yaml is silent.
func DefaultGateway() Gateway {
	return Gateway{StateDir: "/var/lib/heimdraht-gateway", Interface: "hd0", ListenPort: 51820, Mode: ModeAuto, LogLevel: "info"}
}

// LoadGateway reads gateway.yaml. A file that is wrong gives Problems; one
// that cannot be read an error that wraps the system's.
func LoadGateway(file string) (Gateway, error) { return load(file, parseGatewayFile) }

func parseGatewayFile(m *mapping) Gateway {
	g := DefaultGateway()
	m.servers(&g.Servers)
	m.text("ca_sha256", &g.CASHA256, fingerprint)
	m.text("state_dir", &g.StateDir, absolute)
	m.text("interface", &g.Interface, interfaceName)
	port := int64(g.ListenPort)
	m.whole("listen_port", &port, 0, 65535)
	g.ListenPort = uint16(port)
	mode := string(g.Mode)
	m.text("mode", &mode, oneOf(string(ModeAuto), string(ModeKernel), string(ModeUserspace)))
	g.Mode = Mode(mode)
	m.logLevel(&g.LogLevel)
	m.done()
	return g
}

// Agent is the content of a laptop's agent.yaml. Every field may be missing:
// an enrolment address names the server too.
type Agent struct {
	Servers        []string // of the control plane, host:port, in order of preference; empty: as enrolled
	CASHA256       string   // of the control plane's CA certificate (DER), hexadecimal; empty: publicly trusted, or as enrolled
	Tenant         string   // empty: it follows from the mail domain
	Start          Start
	Shared         bool   // several accounts of the laptop have an enrolment each, one open at a time
	StateDir       string // empty: the usual place of the operating system
	Socket         string // Windows: a named pipe; empty: the usual place
	Interface      string
	User           string // who may use the socket besides root; empty: who enrolled
	UserspaceProxy string // host:port of a SOCKS5 proxy to offer instead of an interface; empty: an interface
	LogLevel       string // debug, info, warn or error
}

// Start says when the laptop connects by itself.
type Start string

// The starts.
const (
	StartBoot   Start = "boot"   // when the laptop starts
	StartLogin  Start = "login"  // when its user signs in
	StartManual Start = "manual" // when asked to
)

// DefaultAgent is what holds where agent.yaml is silent.
func DefaultAgent() Agent {
	return Agent{Start: StartLogin, Interface: "hd0", LogLevel: "info"}
}

// LoadAgent reads agent.yaml. A file that is wrong gives Problems; one that
// cannot be read an error that wraps the system's.
func LoadAgent(file string) (Agent, error) { return load(file, parseAgentFile) }

func parseAgentFile(m *mapping) Agent {
	a := DefaultAgent()
	if _, ok := m.ask("server"); ok {
		m.servers(&a.Servers)
	}
	m.text("ca_sha256", &a.CASHA256, fingerprint)
	m.text("tenant", &a.Tenant, name)
	start := string(a.Start)
	m.text("start", &start, oneOf(string(StartBoot), string(StartLogin), string(StartManual)))
	a.Start = Start(start)
	shared, asked := m.ask("shared")
	a.Shared = asked && shared.boolean()
	if a.Shared && a.Start == StartBoot {
		shared.failf("a laptop that several people share does not connect by itself when it starts, for nobody is signed in yet: set start to login or manual")
	}
	m.text("state_dir", &a.StateDir, absolute)
	m.text("socket", &a.Socket, absolute)
	m.text("interface", &a.Interface, interfaceName)
	m.text("user", &a.User, atMost(64), userName)
	if a.Shared && a.User != "" {
		shared.failf("a laptop that several people share is not one account's: leave user away")
	}
	m.text("userspace_proxy", &a.UserspaceProxy, loopback)
	m.logLevel(&a.LogLevel)
	m.done()
	return a
}

// logLevel reads how much is logged.
func (m *mapping) logLevel(into *string) {
	m.text("log_level", into, oneOf("debug", "info", "warn", "error"))
}

// servers reads one server or a list of them.
func (m *mapping) servers(into *[]string) {
	v, ok := m.need("server")
	if !ok {
		return
	}
	if _, single := v.scalar("!!str"); single {
		var s string
		v.intoText(&s, []func(value, string) (string, bool){hostPort(ControlPlanePort)})
		if s != "" {
			*into = []string{s}
		}
		return
	}
	m.list("server", "servers (host:port)", into, hostPort(ControlPlanePort))
	if v.node.Kind == yaml.SequenceNode && len(v.node.Content) == 0 {
		v.failf("the list is empty: name a server (host:port)")
	}
}

func userName(v value, s string) (string, bool) {
	if strings.ContainsAny(s, " :/") || s[0] == '-' {
		v.failf("%q is not the name of an account", s)
		return "", false
	}
	return s, true
}

// loopback is an address to listen on that no other machine reaches: who uses
// a laptop's proxy has the person's access.
func loopback(v value, s string) (string, bool) {
	s, ok := listen(v, s)
	if !ok {
		return "", false
	}
	h, _, _ := net.SplitHostPort(s)
	if a, err := netip.ParseAddr(h); h == "localhost" || err == nil && a.IsLoopback() {
		return s, true
	}
	v.failf("%q is open to other machines: use 127.0.0.1 or [::1]", s)
	return "", false
}
