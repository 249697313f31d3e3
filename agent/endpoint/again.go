package endpoint

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// SignInAgain has the person of this laptop prove who she is once more, as her tenant wants from time to time. An
// empty login is the one with which she enrolled. It tells for how long that is good; zero: nobody said. A connection
// that waited for it comes back by itself, and so does one with an expired certificate, which is renewed.
//
// The error is a *control.Problem.
func (e *Endpoint) SignInAgain(ctx context.Context, p control.Proof) (goodFor time.Duration, err error) {
	e.enrolling.Lock()
	defer e.enrolling.Unlock()
	ctx, cancel := context.WithTimeout(ctx, enrolWithin)
	defer cancel()
	e.mu.Lock()
	identity, device := e.identity, e.device
	e.mu.Unlock()
	if identity == nil {
		return 0, notEnrolled()
	}
	p.Login = cmp.Or(strings.TrimSpace(p.Login), device.Login)
	if err := checkTyped(p.Login, p.Password); err != nil {
		return 0, err
	}
	if identity.Expired() {
		_, err := e.renewExpired(ctx, p)
		return 0, inTime(err)
	}
	goodFor, err = e.askAgain(ctx, p)
	if problem, ok := control.AsProblem(err); ok && problem.Code == codeCertificateExpired { // by the server's clock
		_, err = e.renewExpired(ctx, p)
	}
	if err != nil {
		return 0, inTime(err)
	}
	e.signedIn()
	return goodFor, nil
}

func (e *Endpoint) askAgain(ctx context.Context, p control.Proof) (time.Duration, error) {
	conn, err := e.connect(ctx)
	if err != nil {
		return 0, err
	}
	// What was answered counts; the connection is of no more use.
	defer func() { _ = conn.Close() }()
	answer, err := heimdrahtv1.NewEnrolmentServiceClient(conn).SignInAgain(ctx, &heimdrahtv1.SignInAgainRequest{
		Login: p.Login, Password: p.Password, Code: p.Code,
	})
	if err != nil {
		return 0, fmt.Errorf("signing in again: %w", control.FromStatus(err))
	}
	return time.Duration(max(answer.GetGoodForMs(), 0)) * time.Millisecond, nil
}

// signedIn lets go on what waited for the person to sign in.
func (e *Endpoint) signedIn() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.end != nil && e.end.why.Code == codeSignInNeeded {
		e.end = nil
	}
	if e.problem != nil && e.problem.Code == codeSignInNeeded {
		e.halted, e.problem = nil, nil
	}
	e.touch()
}
