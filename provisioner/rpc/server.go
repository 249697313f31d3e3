package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/admission"
	"github.com/heimdraht/heimdraht/provisioner/auditing"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/entitlement"
	"github.com/heimdraht/heimdraht/provisioner/helpdesk"
	"github.com/heimdraht/heimdraht/provisioner/licensing"
	"github.com/heimdraht/heimdraht/provisioner/metering"
	"github.com/heimdraht/heimdraht/provisioner/planning"
	"github.com/heimdraht/heimdraht/provisioner/privacy"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/tenancy"
	"github.com/heimdraht/heimdraht/provisioner/usage"
	"github.com/heimdraht/heimdraht/provisioner/warning"
	"github.com/heimdraht/heimdraht/provisioner/watch"
)

// Options are what a Server needs.
type Options struct {
	TLS          *tls.Config // with the server's certificate
	Certificates Certificates
	SignIn       *signin.Service
	Enrolment    *enrolment.Service
	Sessions     *session.Service
	Tenancy      *tenancy.Service
	Helpdesk     *helpdesk.Service
	Metering     *metering.Service
	Usage        *usage.Service
	Warning      *warning.Service
	Entitlement  *entitlement.Service
	Auditing     *auditing.Service
	Privacy      *privacy.Service
	Licensing    *licensing.Service
	Planning     *planning.Service
	Refusals     *auditing.Refusals // where refusals of staff are recorded
	Hub          *watch.Hub
	Contacts     *watch.Contacts
	Logger       *slog.Logger
}

// What a connection may cost. A laptop holds one for as long as it is on, so
// buffers are small; none may ping more often than once a minute.
const (
	maxMessage  = 4 << 20 // bytes: a declaration of 500 tenants fits
	maxUnread   = 8 << 20 // bytes: beyond, a message is not even taken in to be refused, whoever it comes from
	maxStreams  = 16      // calls at once on one connection
	maxHeaders  = 16 << 10
	writeBuffer = 4096
	// arriveWithin is longer than the door lets anybody wait.
	arriveWithin    = 2 * time.Minute
	pingNoMoreOften = 50 * time.Second
	pingIdle        = 2 * time.Minute
	pingAnswer      = 30 * time.Second
	// idleConnection is how long a connection may stand without a call:
	// agents hold a stream, commands come and go.
	idleConnection = 5 * time.Minute
)

// Server serves the protocol.
type Server struct {
	grpc    *grpc.Server
	door    *admission.Door
	health  *health.Server
	streams *streams
}

// New makes a server; Serve makes it listen.
func New(o Options) *Server {
	g := gate{certificates: o.Certificates, tokens: o.SignIn, refusals: o.Refusals, log: o.Logger}
	recovered := recovery.WithRecoveryHandlerContext(func(_ context.Context, p any) error {
		return fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	})
	s := &Server{
		streams: newStreams(), health: health.NewServer(),
		door: admission.NewDoor(admission.Options{TLS: clientCertificates(o.TLS), Limits: admission.DefaultLimits()}),
	}
	s.grpc = grpc.NewServer(
		grpc.Creds(entrance{s.door, o.Certificates}),
		grpc.InTapHandle(pace),
		grpc.ChainUnaryInterceptor(g.unary, recovery.UnaryServerInterceptor(recovered)),
		grpc.ChainStreamInterceptor(g.stream, recovery.StreamServerInterceptor(recovered)),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(maxUnread),
		grpc.StaticStreamWindowSize(window),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.ConnectionTimeout(arriveWithin),
		grpc.ReadBufferSize(0),
		grpc.WriteBufferSize(writeBuffer),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleConnection, Time: pingIdle, Timeout: pingAnswer}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingNoMoreOften, PermitWithoutStream: true}),
	)
	services := registrar{s.grpc, g}
	heimdrahtv1.RegisterAuthServiceServer(services, &authHandler{signIn: o.SignIn})
	heimdrahtv1.RegisterEnrolmentServiceServer(services, &enrolmentHandler{enrolment: o.Enrolment, streams: s.streams})
	heimdrahtv1.RegisterSessionServiceServer(services, &sessionHandler{sessions: o.Sessions, helpdesk: o.Helpdesk, metering: o.Metering, hub: o.Hub, streams: s.streams})
	heimdrahtv1.RegisterGatewayServiceServer(services, &gatewayHandler{
		tenancy: o.Tenancy, sessions: o.Sessions, hub: o.Hub, contacts: o.Contacts, streams: s.streams, log: o.Logger,
	})
	heimdrahtv1.RegisterApprovalServiceServer(services, &approvalHandler{enrolment: o.Enrolment})
	desk := &helpdeskHandler{helpdesk: o.Helpdesk, enrolment: o.Enrolment}
	heimdrahtv1.RegisterHelpdeskServiceServer(services, desk)
	heimdrahtv1.RegisterInvitationServiceServer(services, &invitationHandler{helpdeskHandler: desk})
	heimdrahtv1.RegisterStaticServiceServer(services, &staticHandler{sessions: o.Sessions})
	heimdrahtv1.RegisterExternalServiceServer(services, &externalHandler{enrolment: o.Enrolment})
	heimdrahtv1.RegisterCapacityServiceServer(services, &capacityHandler{metering: o.Metering, planning: o.Planning, usage: o.Usage, warning: o.Warning})
	heimdrahtv1.RegisterLicenceServiceServer(services, &licenceHandler{licensing: o.Licensing})
	heimdrahtv1.RegisterAdminServiceServer(services, &adminHandler{tenancy: o.Tenancy})
	heimdrahtv1.RegisterDirectoryServiceServer(services, &directoryHandler{entitlement: o.Entitlement})
	heimdrahtv1.RegisterAuditServiceServer(services, &auditHandler{auditing: o.Auditing})
	heimdrahtv1.RegisterPrivacyServiceServer(services, &privacyHandler{privacy: o.Privacy})
	heimdrahtv1.RegisterReportServiceServer(services, &reportHandler{privacy: o.Privacy, helpdesk: o.Helpdesk})
	healthpb.RegisterHealthServer(services, s.health)
	reflection.RegisterV1(s.grpc)
	return s
}

// Serve listens until Stop. The listener is closed then.
func (s *Server) Serve(l net.Listener) error {
	if err := s.grpc.Serve(s.door.Listen(l)); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serving on %s: %w", l.Addr(), err)
	}
	return nil
}

// Door counts who comes in.
func (s *Server) Door() admission.Stats { return s.door.Stats() }

// Stop takes no new calls, tells the streams that the server goes, waits for
// the calls under way until ctx ends, and cuts off what is left. Tunnels stay.
func (s *Server) Stop(ctx context.Context) {
	s.health.Shutdown()
	s.door.Close() // gRPC would wait for who is still in line
	s.streams.end()
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.grpc.Stop()
		<-done
	}
}
