package enrolment

import (
	"context"
	"errors"
	"fmt"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/access"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// RenewRequest asks for the next certificate of the caller.
type RenewRequest struct {
	CertificateRequest []byte
	// Only of a device whose certificate has expired; the tenant is the
	// device's.
	Login    string
	Password signin.Password
	Code     signin.Password // of the second factor, where policy wants it for signing in again
}

// RenewCertificate issues the next certificate of the calling device or
// gateway. A device whose certificate has expired proves its person by
// password and keeps id and address; without a password the refusal is
// certificate-expired, with another person's not-allowed. A gateway whose
// certificate has expired has to join again.
func (s *Service) RenewCertificate(ctx context.Context, actor provisioner.Actor, r RenewRequest) (provisioner.Certificate, error) {
	if actor.Has(provisioner.RoleGateway) {
		return s.renewGateway(ctx, actor, r)
	}
	if refusal := provisioner.Allow(actor, provisioner.ActionRenewCertificate, provisioner.Object{Device: actor.ID}); refusal != nil {
		return provisioner.Certificate{}, refusal
	}
	if actor.Expired {
		if err := s.proveOwner(ctx, actor, r); err != nil {
			return provisioner.Certificate{}, err
		}
	}
	var certificate provisioner.Certificate
	err := s.Store.Update(ctx, func(tx *store.Writer) error {
		device, err := tx.OwnDevice(actor)
		if err != nil {
			return err
		}
		if certificate, err = s.Certificates.Issue(r.CertificateRequest, holderOf(device), tx.Now); err != nil {
			return err
		}
		if err := tx.NoteCertificate(device.ID, certificate.NotAfter); err != nil {
			return fmt.Errorf("noting the certificate: %w", err)
		}
		if !actor.Expired {
			return nil // no change of rights
		}
		if _, err := signedIn(tx, device); err != nil {
			return err
		}
		return tx.Audit(store.Event{
			Actor: actor, Tenant: device.Tenant, Action: string(provisioner.ActionRenewCertificate), Object: access.Object(device),
			Reason: "the former one had expired; renewed by password",
		})
	})
	if err != nil {
		return provisioner.Certificate{}, fmt.Errorf("renewing a device's certificate: %w", err)
	}
	return certificate, nil
}

// proveOwner has the person prove her password, to whom the device belongs.
func (s *Service) proveOwner(ctx context.Context, actor provisioner.Actor, r RenewRequest) error {
	device, err := store.Read(ctx, s.Store, func(tx *store.Reader) (provisioner.Device, error) { return tx.OwnDevice(actor) })
	if err != nil {
		return err
	}
	if r.Login == "" && r.Password == "" {
		return provisioner.Refuse(provisioner.CodeCertificateExpired)
	}
	proof, err := s.SignIn.Prove(ctx, actor, signin.Credentials{Tenant: device.Tenant, Login: r.Login, Password: r.Password})
	if err != nil {
		return err
	}
	if proof.Person.ID != device.Person {
		refusal := provisioner.Refuse(provisioner.CodeNotAllowed).Because(errors.New("the device belongs to another person"))
		s.remember(ctx, actor, proof, refusal)
		return refusal
	}
	return s.SignIn.Confirm(ctx, actor, proof, r.Code, signin.SigningInAgain)
}

func (s *Service) renewGateway(ctx context.Context, actor provisioner.Actor, r RenewRequest) (provisioner.Certificate, error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionRenewCertificate, provisioner.Object{Gateway: actor.ID}); refusal != nil {
		return provisioner.Certificate{}, refusal
	}
	if actor.Expired {
		return provisioner.Certificate{}, provisioner.Refuse(provisioner.CodeGatewayExpired)
	}
	var certificate provisioner.Certificate
	err := s.Store.Update(ctx, func(tx *store.Writer) error {
		gateway, err := tx.Gateway(actor.ID)
		if err != nil && !errors.Is(err, store.ErrNone) {
			return fmt.Errorf("reading the gateway: %w", err)
		}
		if err != nil || gateway.Generation != actor.Generation {
			return provisioner.Refuse(provisioner.CodeGatewayReplaced)
		}
		holder := provisioner.Holder{Role: provisioner.RoleGateway, ID: gateway.Name, Generation: gateway.Generation}
		if certificate, err = s.Certificates.Issue(r.CertificateRequest, holder, tx.Now); err != nil {
			return err
		}
		return tx.NoteGatewayCertificate(gateway.Name, certificate.NotAfter)
	})
	if err != nil {
		return provisioner.Certificate{}, fmt.Errorf("renewing a gateway's certificate: %w", err)
	}
	return certificate, nil
}
