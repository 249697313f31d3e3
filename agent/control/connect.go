package control

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
)

const (
	// dialTimeout is for TCP alone: after it the next server has its turn.
	dialTimeout = 10 * time.Second
	// handshakeTimeout is long, because a server that 29,000 laptops return
	// to admits them a few at a time; one that gives up early has made the
	// server work for nothing.
	handshakeTimeout = 75 * time.Second
	// keepaliveTime is the shortest that servers put up with.
	keepaliveTime    = time.Minute
	keepaliveTimeout = 20 * time.Second
	// callTimeout is for calls whose caller set no deadline.
	callTimeout = 30 * time.Second
	// precedence is the protocol (ALPN) by which control planes know who goes
	// first. It is never spoken.
	precedence = "heimdraht-first"
)

// Options say whom to connect to, and as whom.
type Options struct {
	// Servers are control planes of equal right, tried in random order, so that
	// agents spread over them. At least one.
	Servers []Server
	// First asks to be let in before laptops where many stand in line, for
	// gateways and staff.
	First bool
	// Trust zero: the identity's; without an identity, publicly trusted
	// certificates.
	Trust Trust
	// Identity nil: without a client certificate.
	Identity *Identity
	// Agent is the name and version that the server's log shows:
	// "heimdraht-gateway/1.2.0".
	Agent string
	// Language in which the server should speak, "de" or "en". Empty: its
	// own choice.
	Language string
	// Dial nil: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Logger nil: slog.Default.
	Logger *slog.Logger
}

// Conn is one established connection. When it breaks, calls and streams fail
// with a status that FromStatus explains; it never reconnects.
type Conn struct {
	*grpc.ClientConn
	// Server is the one that answered.
	Server Server
}

// Connect tries the servers and returns a connection over which the
// server has proved itself. The error is a *Problem, or that of the context.
// If several servers failed, it is the problem that a person can do most
// about.
func Connect(ctx context.Context, o Options) (*Conn, error) {
	if len(o.Servers) == 0 {
		return nil, errors.New("connecting to the control plane: no server is configured")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	var worst error
	var warum, why []string // unreachable, in both languages
	var causes []error
	servers := slices.Clone(o.Servers)
	rand.Shuffle(len(servers), func(i, j int) { servers[i], servers[j] = servers[j], servers[i] })
	for _, server := range servers {
		conn, err := o.connectOne(ctx, server)
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("connecting to %v: %w", server, ctx.Err())
		}
		if _, isProblem := AsProblem(err); isProblem {
			if worst == nil {
				worst = err
			}
			continue
		}
		german, english := SystemSays(brief(err))
		warum = append(warum, fmt.Sprintf("%v: %s", server, german))
		why = append(why, fmt.Sprintf("%v: %s", server, english))
		causes = append(causes, err)
		o.Logger.Debug("control plane not reached", "server", server.String(), "error", err)
	}
	if worst != nil {
		return nil, worst
	}
	return nil, serverUnreachable(warum, why).Because(errors.Join(causes...))
}

// brief leaves out what an error of the net package repeats.
func brief(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}

func (o Options) connectOne(ctx context.Context, server Server) (*Conn, error) {
	dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
	raw, err := o.Dial(dialCtx, "tcp", server.String())
	cancel()
	if err != nil {
		return nil, err
	}
	creds := &handshake{server: server, config: o.tlsConfig(server)}
	client, err := grpc.NewClient("passthrough:///"+server.String(), append(o.dialOptions(),
		grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(once(raw)))...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("preparing the connection: %w", err), raw.Close())
	}
	if err := waitReady(ctx, client); err != nil {
		// The handshake knows more than the state of the connection.
		err = cmp.Or(creds.failure(), err)
		return nil, errors.Join(err, client.Close())
	}
	return &Conn{ClientConn: client, Server: server}, nil
}

// once hands out one connection, so that a broken Conn stays broken.
func once(raw net.Conn) func(context.Context, string) (net.Conn, error) {
	var mu sync.Mutex
	return func(context.Context, string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if raw == nil {
			return nil, errors.New("the connection is over")
		}
		c := raw
		raw = nil
		return c, nil
	}
}

func waitReady(ctx context.Context, client *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	client.Connect()
	for {
		state := client.GetState()
		switch state {
		case connectivity.Ready:
			return nil
		case connectivity.TransientFailure, connectivity.Shutdown:
			return errors.New("the server closed the connection after the handshake")
		}
		if !client.WaitForStateChange(ctx, state) {
			return errors.New("the server took too long over the handshake")
		}
	}
}

func (o Options) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithUserAgent(o.Agent),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: handshakeTimeout}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.WithIdleTimeout(0),
		grpc.WithDisableServiceConfig(),
		grpc.WithUnaryInterceptor(o.unary),
		grpc.WithStreamInterceptor(o.stream),
	}
}

func (o Options) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	return call(o.withLanguage(ctx), method, req, reply, cc, opts...)
}

func (o Options) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return open(o.withLanguage(ctx), desc, cc, method, opts...)
}

func (o Options) withLanguage(ctx context.Context) context.Context {
	if o.Language == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "accept-language", o.Language)
}

// tlsConfig leaves the verification to Trust.verify, which runs before the
// handshake ends and so before anything is sent.
func (o Options) tlsConfig(server Server) *tls.Config {
	trust := o.Trust
	if trust.isZero() && o.Identity != nil {
		trust = o.Identity.Trust()
	}
	config := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		ServerName:         server.Host,
		NextProtos:         []string{"h2"},
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection does it, by pin
		VerifyConnection: func(state tls.ConnectionState) error {
			return trust.verify(server, state, time.Now())
		},
	}
	if o.First {
		config.NextProtos = []string{precedence, "h2"}
	}
	if o.Identity != nil {
		config.GetClientCertificate = o.Identity.clientCertificate
	}
	return config
}

// handshake is gRPC's view of the TLS handshake. It keeps the error, which
// gRPC would turn into a string.
type handshake struct {
	server Server
	config *tls.Config

	mu  sync.Mutex
	err error
}

func (h *handshake) failure() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// ClientHandshake implements credentials.TransportCredentials.
func (h *handshake) ClientHandshake(ctx context.Context, _ string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn := tls.Client(raw, h.config)
	err := conn.HandshakeContext(ctx)
	if err == nil && conn.ConnectionState().NegotiatedProtocol != "h2" {
		err = serverUntrusted(h.server.String(), "er spricht kein gRPC", "it does not speak gRPC")
	}
	if err != nil {
		err = h.explain(err)
		h.mu.Lock()
		h.err = err
		h.mu.Unlock()
		return nil, nil, errors.Join(err, raw.Close())
	}
	return conn, credentials.TLSInfo{
		State:          conn.ConnectionState(),
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}, nil
}

// explain tells a server that does not speak TLS 1.3 from one that is away.
func (h *handshake) explain(err error) error {
	if _, ok := AsProblem(err); ok {
		return err
	}
	var record tls.RecordHeaderError
	var remote *net.OpError
	switch {
	case errors.As(err, &record):
		return serverUntrusted(h.server.String(), "er spricht kein TLS", "it does not speak TLS").Because(err)
	case errors.As(err, &remote) && remote.Op == "remote error", strings.Contains(err.Error(), "protocol version"):
		return serverUntrusted(h.server.String(), "er lehnt TLS 1.3 oder das Zertifikat dieses Geräts ab", "it refuses TLS 1.3 or this machine's certificate").Because(err)
	}
	return err
}

// Info implements credentials.TransportCredentials.
func (h *handshake) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials. One connection has one
// handshake, so that there is nothing to copy.
func (h *handshake) Clone() credentials.TransportCredentials { return h }

// OverrideServerName implements credentials.TransportCredentials. The name is
// the server's own.
func (h *handshake) OverrideServerName(string) error { return nil }

// ServerHandshake implements credentials.TransportCredentials.
func (h *handshake) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these credentials are a client's")
}
