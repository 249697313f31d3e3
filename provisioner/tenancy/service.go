// Package tenancy compares and applies what reviewed files declare, and lets
// gateways in.
//
// What always holds here:
//   - A declaration is refused whole, before anything of it is written. What it
//     does not name is left alone. Applied again it changes nothing: no revision,
//     no record, no transaction.
//   - What is applied is written in one transaction, or, where that would keep
//     revocations waiting (some hundred rows), in slices. After each of them
//     what is stored could have been declared just so: an import that was
//     interrupted leaves the beginning of it, sound, and is finished by applying
//     it again.
//   - Whatever a client has checked is checked again, and against what is
//     stored: names that are meant must exist, addresses must not overlap.
//   - Every change has its record in the audit log, in the same transaction.
//
// Not its business: files and their lines (config).
package tenancy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Certificates issues client certificates; see enrolment.Certificates.
type Certificates interface {
	Issue(request []byte, holder provisioner.Holder, now time.Time) (provisioner.Certificate, error)
}

// Journal keeps what was taken beside the backups. Await waits a moment until
// everything up to a revision is in it, and says itself if it is not.
type Journal interface {
	Await(ctx context.Context, revision int64) bool
}

// Directories lends declared directories.
type Directories interface {
	Use(d provisioner.Directory, use func(directory.Directory) error) error
}

// Options are what a Service needs.
type Options struct {
	Store        *store.Store
	Directories  Directories // nil: nobody looks whether groups are there
	Certificates Certificates
	Journal      Journal // nil: nobody keeps one
	Declared     func()  // nil; called when something else is declared than before; must not block
	Logger       *slog.Logger
}

// Service is the use cases of declaring and joining.
type Service struct{ Options }

// New makes the service.
func New(o Options) *Service { return &Service{o} }

// GatewayState is a gateway with what it last said.
type GatewayState = store.GatewayState

// Gateways lists all gateways, and the revision that they should reach.
func (s *Service) Gateways(ctx context.Context, actor provisioner.Actor) (list []GatewayState, revision int64, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionListGateways, provisioner.Object{}); refusal != nil {
		return nil, 0, refusal
	}
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		position, err := tx.Position()
		if err != nil {
			return err
		}
		revision = position.Revision
		list, err = tx.Gateways()
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("listing gateways: %w", err)
	}
	return list, revision, nil
}

// gatewayTokenLife is how long a gateway's token waits to be used.
const gatewayTokenLife = 24 * time.Hour

// CreateGatewayToken makes the one-time token with which a declared gateway
// joins. A former one that was not used dies.
func (s *Service) CreateGatewayToken(ctx context.Context, actor provisioner.Actor, name string) (token string, expires time.Time, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionCreateGatewayToken, provisioner.Object{Gateway: name}); refusal != nil {
		return "", expires, refusal
	}
	token = provisioner.NewSecret()
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		if _, err := tx.Gateway(name); errors.Is(err, store.ErrNone) {
			return provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(name, 64)).With("what", "Einen solchen Zugangsserver", "gateway")
		} else if err != nil {
			return err
		}
		expires = tx.Now.Add(gatewayTokenLife)
		if err := tx.AddOneTimeToken(token, store.TokenGateway, name, expires); err != nil {
			return err
		}
		return tx.Audit(store.Event{Actor: actor, Action: string(provisioner.ActionCreateGatewayToken), Object: audit.Object{Kind: "gateway", ID: name}})
	})
	if err != nil {
		return "", expires, fmt.Errorf("making a gateway's token: %w", err)
	}
	return token, expires, nil
}

// JoinRequest asks for a gateway to be let in.
type JoinRequest struct {
	Token              string
	CertificateRequest []byte // PKCS #10 with an Ed25519 key
	PublicKey          []byte // WireGuard's, 32 bytes
	AgentVersion       string
}

// Joined is a gateway that is let in.
type Joined struct {
	Gateway     string
	Certificate provisioner.Certificate
}

// maxVersion is how long an agent's version may be, in bytes.
const maxVersion = 64

// JoinGateway trades a token for a certificate. The token is used up only if
// everything else was right. A gateway that joins again gets the next
// generation: its former certificate is dead, and the sessions that ended at
// its former key are closed, so that laptops open new ones.
func (s *Service) JoinGateway(ctx context.Context, actor provisioner.Actor, r JoinRequest) (Joined, error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionJoinGateway, provisioner.Object{}); refusal != nil {
		return Joined{}, refusal
	}
	key, err := provisioner.AcceptKey(r.PublicKey)
	if err != nil {
		return Joined{}, provisioner.Refuse(provisioner.CodeKeyInvalid).Because(err)
	}
	if len(r.AgentVersion) > maxVersion {
		return Joined{}, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Version", "agent_version").With("why", "sie ist zu lang", "it is too long")
	}
	var joined Joined
	var revision int64
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		name, err := tx.UseOneTimeToken(r.Token, store.TokenGateway)
		if err != nil {
			return err
		}
		g, err := tx.Gateway(name)
		if err != nil {
			return fmt.Errorf("reading the gateway: %w", err)
		}
		holder := provisioner.Holder{Role: provisioner.RoleGateway, ID: name, Generation: g.Generation + 1}
		joined.Gateway = name
		if joined.Certificate, err = s.Certificates.Issue(r.CertificateRequest, holder, tx.Now); err != nil {
			return err
		}
		if err := tx.ClaimKey(key, "gateway "+name); err != nil {
			return err
		}
		if err := tx.JoinGateway(name, key, joined.Certificate.NotAfter, audit.CleanText(r.AgentVersion, maxVersion)); err != nil {
			return err
		}
		revision = tx.Revision()
		actor := provisioner.Actor{ID: name, Name: name, Source: actor.Source, Grants: []provisioner.Grant{{Role: provisioner.RoleGateway}}}
		return tx.Audit(store.Event{
			Actor: actor, Action: string(provisioner.ActionJoinGateway), Object: audit.Object{Kind: "gateway", ID: name},
			Details: map[string]string{"generation": strconv.FormatInt(holder.Generation, 10)},
		})
	})
	if err != nil {
		return Joined{}, fmt.Errorf("letting a gateway join: %w", err)
	}
	if s.Journal != nil {
		s.Journal.Await(context.WithoutCancel(ctx), revision) // its former keys are dead
	}
	if err := s.closeSessions(ctx, func(tx *store.Writer) ([]provisioner.Session, error) {
		g, err := tx.Gateway(joined.Gateway)
		if err != nil || g.PublicKey != key {
			return nil, err // it has joined once more meanwhile, and that one closes
		}
		return tx.SessionsOpenedBefore(joined.Gateway, revision, slice)
	}); err != nil {
		// It has joined: sessions that are left end when nobody is heard on them.
		s.Logger.Error("after a gateway has joined anew", "gateway", joined.Gateway, "error", err)
	}
	return joined, nil
}

// slice is how many sessions one transaction closes.
const slice = 100

// closeSessions ends the sessions that next lists, in slices, so that laptops
// open new ones.
func (s *Service) closeSessions(ctx context.Context, next func(*store.Writer) ([]provisioner.Session, error)) error {
	for {
		var n int
		err := s.Store.Update(context.WithoutCancel(ctx), func(tx *store.Writer) error {
			list, err := next(tx)
			n = len(list)
			for _, v := range list {
				if _, err := tx.CloseSession(v, provisioner.CodeGatewayMoved); err != nil {
					return err
				}
				if v.Static() { // its file leads nowhere any more
					if err := tx.EndStatic(provisioner.Device{ID: v.Device, Tenant: v.Tenant}); err != nil {
						return err
					}
				}
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("closing sessions: %w", err)
		}
		if n < slice {
			return nil
		}
	}
}
