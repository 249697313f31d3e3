package endpoint

import (
	"context"
	"fmt"
	"strings"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// FactorRequest is what a person states to set up a second factor on her phone. It does not print its secrets.
type FactorRequest struct {
	EnrolRequest // where, and who; Code is the first one that the phone shows

	Token string // the one-time token that she was given
}

// NewFactor is what a phone is told once. It does not print its secret.
type NewFactor struct {
	Secret string `json:"secret"` // in base 32
	URI    string `json:"uri"`    // for a QR code
}

// Format leaves the secret out, whatever the verb.
func (n NewFactor) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("a new second factor")) }

// BeginFactor makes the secret of a second factor. It counts once ConfirmFactor was shown a first code.
//
// Password and token are sent only to a server that has proved itself. The error is a *control.Problem.
func (e *Endpoint) BeginFactor(ctx context.Context, r FactorRequest) (n NewFactor, err error) {
	err = e.withAuth(ctx, &r, func(ctx context.Context, auth heimdrahtv1.AuthServiceClient) error {
		begun, err := auth.BeginFactor(ctx, &heimdrahtv1.BeginFactorRequest{Tenant: r.Tenant, Login: r.Login, Password: r.Password, Token: r.Token})
		n = NewFactor{Secret: begun.GetSecret(), URI: begun.GetUri()}
		return err
	})
	return n, err
}

// ConfirmFactor completes it with a first code, and gives recovery codes that are not shown again.
func (e *Endpoint) ConfirmFactor(ctx context.Context, r FactorRequest) (recovery []string, err error) {
	err = e.withAuth(ctx, &r, func(ctx context.Context, auth heimdrahtv1.AuthServiceClient) error {
		// The sign-in at the command line that comes with it is for nobody: its token is forgotten here.
		done, err := auth.ConfirmFactor(ctx, &heimdrahtv1.ConfirmFactorRequest{
			Tenant: r.Tenant, Login: r.Login, Password: r.Password, Token: r.Token, Code: r.Code,
		})
		recovery = done.GetRecoveryCodes()
		return err
	})
	return recovery, err
}

// withAuth connects as for an enrolment, or where the laptop is enrolled already with the server that it knows.
func (e *Endpoint) withAuth(ctx context.Context, r *FactorRequest, call func(context.Context, heimdrahtv1.AuthServiceClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, enrolWithin)
	defer cancel()
	e.mu.Lock()
	enrolled, device := e.identity != nil && !e.identity.Expired(), e.device
	e.mu.Unlock()
	r.Token = strings.TrimSpace(r.Token)
	if r.Login = strings.TrimSpace(r.Login); r.Login == "" {
		r.Login = device.Login
	}
	if r.Tenant == "" {
		if r.Tenant = e.options.Tenant; r.Tenant == "" {
			r.Tenant = device.Tenant
		}
	}
	conn, err := e.connectFor(ctx, *r, enrolled)
	if err != nil {
		return inTime(err)
	}
	// What was answered counts; the connection is of no more use.
	defer func() { _ = conn.Close() }()
	if err := call(ctx, heimdrahtv1.NewAuthServiceClient(conn)); err != nil {
		return inTime(control.FromStatus(err))
	}
	return nil
}

func (e *Endpoint) connectFor(ctx context.Context, r FactorRequest, enrolled bool) (*control.Conn, error) {
	if enrolled && r.Address == "" {
		if err := checkTyped(r.Login, r.Password); err != nil {
			return nil, err
		}
		return e.connect(ctx)
	}
	c, err := e.firstContact(r.EnrolRequest)
	if err != nil {
		return nil, err
	}
	return e.connectFirst(ctx, c)
}
