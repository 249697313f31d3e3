package enrolment

import (
	"context"
	"log/slog"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Certificates issues client certificates. A request (PKCS #10, RFC 2986) that
// is no good is the refusal certificate-request-invalid. It must not block:
// it is called in a transaction.
type Certificates interface {
	Issue(request []byte, holder provisioner.Holder, now time.Time) (provisioner.Certificate, error)
	// Check gives the refusal that Issue would give for the request.
	Check(request []byte) error
}

// Confirmations waits for gateways until ctx ends.
type Confirmations interface {
	Wait(ctx context.Context, epoch string, debts []store.Debt) []provisioner.Confirmation
}

// Journal keeps what was taken beside the backups. Await waits a moment until
// everything up to a revision is in it, and says itself if it is not.
type Journal interface {
	Await(ctx context.Context, revision int64) bool
}

// Options are what a Service needs.
type Options struct {
	Store         *store.Store
	SignIn        *signin.Service
	Certificates  Certificates
	Confirmations Confirmations
	Journal       Journal // nil: nobody keeps one
	Logger        *slog.Logger
}

// Service is the use cases of enrolment.
type Service struct {
	Options

	asking asking // laptops that wait to be approved
}

// New makes the service.
func New(o Options) *Service { return &Service{Options: o} }

// kept waits until what was taken is in the journal as well: what was answered
// must not come back with a restored backup.
func (s *Service) kept(ctx context.Context, revision int64) {
	if s.Journal != nil {
		s.Journal.Await(context.WithoutCancel(ctx), revision)
	}
}
