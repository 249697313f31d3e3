package enrolment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// AgainRequest is what the person of a laptop typed to sign in again.
type AgainRequest struct {
	Login    string
	Password signin.Password
	Code     signin.Password // of the second factor, where policy wants it
}

// SignInAgain has the person of the calling device prove who she is once more, and
// tells for how long that is good; zero: it has no end. Refusals are those of
// signin.Service.Prove and Confirm, and other-person for somebody else's right
// password.
//
// That it was done has no audit record. It gives nobody a right, and where policy
// wants it each day, the records would say when people begin to work. The device
// keeps the last time alone. What was refused is kept as for every sign-in.
func (s *Service) SignInAgain(ctx context.Context, actor provisioner.Actor, r AgainRequest) (goodFor time.Duration, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionSignInAgain, provisioner.Object{Device: actor.ID}); refusal != nil {
		return 0, refusal
	}
	device, err := store.Read(ctx, s.Store, func(tx *store.Reader) (provisioner.Device, error) { return tx.OwnDevice(actor) })
	if err != nil {
		return 0, err
	}
	proof, err := s.SignIn.Prove(ctx, actor, signin.Credentials{Tenant: device.Tenant, Login: r.Login, Password: r.Password})
	if err != nil {
		return 0, err
	}
	if proof.Person.ID != device.Person {
		refusal := provisioner.Refuse(provisioner.CodeOtherPerson)
		s.remember(ctx, actor, proof, refusal)
		return 0, refusal
	}
	if err := s.SignIn.Confirm(ctx, actor, proof, r.Code, signin.SigningInAgain); err != nil {
		return 0, err
	}
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		device, err := tx.OwnDevice(actor)
		if err != nil {
			return err
		}
		goodFor, err = signedIn(tx, device)
		return err
	})
	return goodFor, err
}

// signedIn notes that the person of a device has proved who she is: an open session
// goes on for as long as policy lets one of hers last.
func signedIn(tx *store.Writer, device provisioner.Device) (goodFor time.Duration, err error) {
	tenant, err := tx.Tenant(device.Tenant)
	if err != nil {
		return 0, fmt.Errorf("reading a tenant: %w", err)
	}
	if err := tx.NoteSignIn(device.ID, tx.Now); err != nil {
		return 0, fmt.Errorf("noting a sign-in: %w", err)
	}
	session, err := tx.OpenSessionOf(device.ID)
	switch {
	case err == nil:
		err = tx.SetEnding(session, tenant.Policy.Ending(session.OpenedAt, tx.Now, tx.Now))
	case errors.Is(err, store.ErrNone):
		err = nil
	}
	return tenant.Policy.SignInEvery, err
}
