package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// Enrolment by code is for laptops at which nobody can type a password: it shows a code, and its person approves that
// where she is signed in.

const (
	// waitingFile is the name under which the store keeps a laptop's keys and code until it is approved.
	waitingFile = "waiting"
	// askWithin is longer than the control plane holds a question.
	askWithin = 30 * time.Second
	// askAgain is the least time from one question to the next.
	askAgain = 3 * time.Second
)

// CodeRequest asks for a code. Its fields are those of EnrolRequest.
type CodeRequest struct {
	Address string
	Tenant  string
}

// Waiting is a laptop that waits until its person has approved it.
type Waiting struct {
	// UserCode is for people to read and to type elsewhere.
	UserCode string `json:"user_code"`
	// Fingerprint is of the laptop's key, for people to compare.
	Fingerprint string `json:"fingerprint"`
	// Until is when the code ends.
	Until time.Time `json:"until"`
}

// savedWaiting is a laptop that waits, as the store keeps it.
type savedWaiting struct {
	Waiting

	Request    CodeRequest `json:"request"`
	DeviceCode string      `json:"device_code"`
	// PrivateKey is WireGuard's, in base64; CertificateKey is PKCS #8.
	PrivateKey     string `json:"private_key"`
	CertificateKey []byte `json:"certificate_key"`
}

// Format leaves the keys and the device code out.
func (w savedWaiting) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "a laptop that waits") }

// BeginByCode has the control plane make a code under which the laptop waits. If it waits with one already that is still
// good, also since before a restart, it is that one. The error is a *control.Problem.
func (e *Endpoint) BeginByCode(ctx context.Context, r CodeRequest) (Waiting, error) {
	e.enrolling.Lock()
	defer e.enrolling.Unlock()
	ctx, cancel := context.WithTimeout(ctx, enrolWithin)
	defer cancel()
	if r.Tenant == "" {
		r.Tenant = e.options.Tenant
	}
	c, err := e.contactAt(r.Address)
	if err != nil {
		return Waiting{}, err
	}
	saved, err := e.loadWaiting()
	switch {
	case err != nil:
		return Waiting{}, err
	case saved.DeviceCode != "" && saved.Request == r && time.Now().Before(saved.Until):
		return saved.Waiting, nil
	case saved.DeviceCode != "" && saved.Request == r:
		// Its time is over; it may have been approved all the same.
		if _, err := e.askByCode(ctx, c, saved); err == nil {
			return saved.Waiting, nil
		} else if p, ok := control.AsProblem(err); !ok || !isDecided(p) {
			return Waiting{}, inTime(err)
		}
	}
	saved, err = e.beginAnew(ctx, r, c)
	return saved.Waiting, inTime(err)
}

// loadWaiting reads the code with which the laptop waits; the zero value: it does not.
func (e *Endpoint) loadWaiting() (saved savedWaiting, err error) {
	err = e.options.Store.Load(waitingFile, &saved)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return savedWaiting{}, e.loadProblem(err)
	}
	return saved, nil
}

func (e *Endpoint) beginAnew(ctx context.Context, r CodeRequest, c contact) (savedWaiting, error) {
	key, err := wireguard.GeneratePrivateKey()
	if err != nil {
		return savedWaiting{}, err
	}
	request, err := control.NewKeyRequest()
	if err != nil {
		return savedWaiting{}, err
	}
	kept, err := request.Keep()
	if err != nil {
		return savedWaiting{}, err
	}
	conn, err := e.connectFirst(ctx, c)
	if err != nil {
		return savedWaiting{}, err
	}
	// What was answered counts; the connection is of no more use.
	defer func() { _ = conn.Close() }()
	public := key.PublicKey()
	answer, err := heimdrahtv1.NewEnrolmentServiceClient(conn).BeginEnrolment(ctx, &heimdrahtv1.BeginEnrolmentRequest{
		Tenant: r.Tenant, CertificateRequest: request.CSR, WireguardPublicKey: public[:],
		DeviceName: e.options.DeviceName, SerialNumber: e.options.SerialNumber, Platform: e.options.Platform, AgentVersion: e.options.Version,
	})
	if err != nil {
		return savedWaiting{}, fmt.Errorf("asking for a code: %w", control.FromStatus(err))
	}
	saved := savedWaiting{
		Waiting: Waiting{UserCode: presentable(answer.GetUserCode()), Fingerprint: public.Fingerprint(), Until: asTime(answer.GetExpiresAt())},
		Request: r, DeviceCode: answer.GetDeviceCode(), PrivateKey: key.Base64(), CertificateKey: kept,
	}
	if err := e.options.Store.Save(waitingFile, saved); err != nil {
		return savedWaiting{}, e.stateProblem(err)
	}
	return saved, nil
}

// AwaitByCode waits until the laptop's person has approved it, or the context ends: then nil, and it may be called again,
// also after a restart. Meanwhile connections may break. The error is a *control.Problem: its person has denied it, or
// nobody has decided in time; then a new code is needed.
func (e *Endpoint) AwaitByCode(ctx context.Context) (*Enrolled, error) {
	e.enrolling.Lock()
	defer e.enrolling.Unlock()
	saved, err := e.loadWaiting()
	if err != nil {
		return nil, err
	}
	if saved.DeviceCode == "" {
		return nil, notEnrolled()
	}
	c, err := e.contactAt(saved.Request.Address)
	if err != nil {
		return nil, err
	}
	for {
		asked := time.Now()
		answer, err := e.askByCode(ctx, c, saved)
		pause := askAgain - time.Since(asked) // the control plane holds a question for longer
		switch p, ok := control.AsProblem(err); {
		case answer != nil:
			return e.approved(answer, saved, c)
		case ctx.Err() != nil:
			return nil, nil // it waits on
		case ok && isDecided(p):
			if err := e.options.Store.Remove(waitingFile); err != nil {
				return nil, e.stateProblem(err)
			}
			return nil, p
		case ok && !p.Refused && p.RetryAfter == 0 && p.Code != CodeServerSilent:
			return nil, p // such as another server than the one that is known
		case ok:
			pause = max(askAgain, p.RetryAfter)
		case err != nil:
			pause = askAgain
		}
		if pause > 0 && control.Sleep(ctx, control.Jitter(pause, 0.2)) != nil {
			return nil, nil // it waits on
		}
	}
}

// isDecided says whether a refusal ends the waiting: every one that does not pass by itself.
func isDecided(p *control.Problem) bool { return p.Refused && p.RetryAfter == 0 && !isPassing(p.Code) }

// askByCode asks once whether the laptop is approved; nil: it waits.
func (e *Endpoint) askByCode(ctx context.Context, c contact, saved savedWaiting) (*heimdrahtv1.EnrolResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	conn, err := e.connectFirst(ctx, c)
	if err != nil {
		return nil, inTime(err)
	}
	// What was answered counts; the connection is of no more use.
	defer func() { _ = conn.Close() }()
	answer, err := heimdrahtv1.NewEnrolmentServiceClient(conn).AwaitEnrolment(ctx, &heimdrahtv1.AwaitEnrolmentRequest{DeviceCode: saved.DeviceCode})
	if err != nil {
		return nil, inTime(control.FromStatus(err))
	}
	return answer.GetEnrolled(), nil
}

// approved becomes the device that was approved.
func (e *Endpoint) approved(answer *heimdrahtv1.EnrolResponse, saved savedWaiting, c contact) (*Enrolled, error) {
	key, err := wireguard.ParsePrivateKey(saved.PrivateKey)
	if err != nil {
		return nil, e.loadProblem(err)
	}
	request, err := control.ResumeKeyRequest(saved.CertificateKey)
	if err != nil {
		return nil, e.loadProblem(err)
	}
	enrolled, err := e.adopt(answer, request, key, c, "")
	if err != nil {
		return nil, err
	}
	return &enrolled, nil
}
