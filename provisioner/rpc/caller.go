package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Certificates tells whose client certificate it is. A certificate that is no
// good gives a refusal; an expired one of ours gives an Actor with Expired.
type Certificates interface {
	Identify(chain []*x509.Certificate, now time.Time) (provisioner.Actor, error)
}

// Tokens tells who is signed in by a bearer token.
type Tokens interface {
	Authenticate(ctx context.Context, token string) (provisioner.Actor, error)
}

// Refusals takes note of who was refused what.
type Refusals interface {
	Staff(ctx context.Context, actor provisioner.Actor, action provisioner.Action, refusal *provisioner.Refusal)
}

type actorKey struct{}

// actorOf is who calls; anonymous where the interceptor was not passed.
func actorOf(ctx context.Context) provisioner.Actor {
	a, _ := ctx.Value(actorKey{}).(provisioner.Actor)
	return a
}

type tokenKey struct{}

// tokenOf is the bearer token of the call, for signing out.
func tokenOf(ctx context.Context) string {
	t, _ := ctx.Value(tokenKey{}).(string)
	return t
}

// gate authenticates every call and asks Allow before a use case is reached.
type gate struct {
	certificates Certificates
	tokens       Tokens
	refusals     Refusals
	log          *slog.Logger
}

// admit gives the context with the Actor, and what is asked for, or the refusal.
func (g gate) admit(ctx context.Context, method string) (context.Context, provisioner.Action, error) {
	actor, token, err := g.identify(ctx)
	actor.Language = language(ctx)
	actor.Source = source(ctx)
	ctx = context.WithValue(context.WithValue(ctx, actorKey{}, actor), tokenKey{}, token)
	action, known := actionOf(method)
	if !known {
		return ctx, action, provisioner.Refuse(provisioner.CodeNotAllowed)
	}
	if provisioner.Allow(provisioner.Actor{}, action, provisioner.Object{}) == nil {
		// Open to anybody: a bad certificate does not matter, so that an
		// agent can enrol anew while it still shows the old one.
		return ctx, action, nil
	}
	if err != nil {
		return ctx, action, err
	}
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return ctx, action, refusal
	}
	return ctx, action, nil
}

func (g gate) identify(ctx context.Context) (provisioner.Actor, string, error) {
	if token := bearer(ctx); token != "" {
		actor, err := g.tokens.Authenticate(ctx, token)
		return actor, token, err
	}
	c, err := connectionOf(ctx)
	if err != nil {
		return provisioner.Actor{}, "", err
	}
	actor, err := c.identify(g.certificates)
	return actor, "", err
}

func bearer(ctx context.Context) string {
	for _, v := range metadata.ValueFromIncomingContext(ctx, "authorization") {
		if scheme, token, ok := strings.Cut(v, " "); ok && strings.EqualFold(scheme, "bearer") {
			return token
		}
	}
	return ""
}

// language is "en" if the caller prefers it, else "de".
func language(ctx context.Context) string {
	for _, v := range metadata.ValueFromIncomingContext(ctx, "accept-language") {
		if strings.HasPrefix(strings.ToLower(v), "en") {
			return "en"
		}
	}
	return "de"
}

// source is the network address of the caller, without port.
func source(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	if a, err := netip.ParseAddrPort(p.Addr.String()); err == nil {
		return a.Addr().Unmap().WithZone("").String()
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		return ""
	}
	return host
}

// unary is reached by whom registrar has let in.
func (g gate) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	resp, err := handler(ctx, req)
	if err != nil {
		return nil, g.refuse(ctx, info.FullMethod, err)
	}
	return resp, nil
}

func (g gate) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, _, err := g.admit(ss.Context(), info.FullMethod)
	if err == nil {
		signedIn, stop := g.whileSignedIn(ctx)
		err = because(signedIn, g.streamOf(signedIn, func(a *admitted) error {
			a.ServerStream, a.asksOnce = ss, !info.IsClientStream
			return handler(srv, a)
		}))
		stop()
	}
	return g.refuse(ctx, info.FullMethod, err)
}

// refuse turns an error of a call into the wire's; a refusal that matters is recorded.
func (g gate) refuse(ctx context.Context, method string, err error) error {
	if refusal, ok := provisioner.AsRefusal(err); ok && g.refusals != nil {
		action, _ := actionOf(method)
		g.refusals.Staff(ctx, actorOf(ctx), action, refusal)
	}
	return toStatus(ctx, g.log, method, err)
}

// streamOf serves a stream whose context ends, with the refusal as its cause,
// when its messages are too large.
func (g gate) streamOf(ctx context.Context, serve func(*admitted) error) error {
	c, err := callOf(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer c.takes(0, func() { cancel(provisioner.Refuse(provisioner.CodeTooLarge)) })()
	return because(ctx, serve(&admitted{ctx: ctx, call: c, log: g.log}))
}

// clientCertificates asks for a certificate and lets every one through: which
// are good is judged with a refusal that says what is wrong, where a failed
// handshake would say nothing. The handshake itself has proved that the caller
// holds the key.
func clientCertificates(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.MinVersion = tls.VersionTLS13
	c.ClientAuth = tls.RequestClientCert
	c.NextProtos = []string{"h2"}
	return c
}
