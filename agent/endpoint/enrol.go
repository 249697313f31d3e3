package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

const (
	// deviceFile is the name under which the store keeps who this laptop is.
	deviceFile = "device"
	// enrolWithin is longer than a directory may take.
	enrolWithin       = 60 * time.Second
	maxLoginLength    = 256
	maxPasswordLength = 1024
	// maxInvitationLength is far longer than a token.
	maxInvitationLength = 256
	maxShownName        = 200
)

// EnrolRequest is what a person states to enrol her laptop. It does not print its password or invitation.
type EnrolRequest struct {
	// Address is HOST[:PORT][#FINGERPRINT]. Empty: the servers that this machine was configured with.
	Address string
	// Tenant empty: the configured one; without one, it follows from the mail domain of the login.
	Tenant string
	// Login is a login name or mail address, as typed.
	Login    string
	Password string
	// Code is from the person's phone, or a recovery code, where her tenant wants one. Empty: none.
	Code string
	// Invitation is the token of an invitation, in place of tenant, login and password. Empty: there is none.
	Invitation string
	// HouseRules is the version of the administration's house rules that the person acknowledges with this. Empty: none.
	HouseRules string
	// Over is a connection to the server of Address that has proved itself, and stays open. Nil: one is made.
	Over grpc.ClientConnInterface
}

// String leaves the password out.
func (r EnrolRequest) String() string { return "enrolment of " + quote(r.Login) }

// Format leaves the password out, whatever the verb.
func (r EnrolRequest) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue leaves the password out.
func (r EnrolRequest) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Enrolled is what an enrolment has led to.
type Enrolled struct {
	DeviceID string `json:"device_id"`
	Tenant   string `json:"tenant"`
	// Person is the name to greet the person by. Empty after a renewal that did not tell it.
	Person string `json:"person"`
	// Replaced: an earlier enrolment of this laptop was replaced; its keys are dead.
	Replaced bool `json:"replaced"`
	// Renewed: the certificate had expired and was renewed; device, keys and address stay.
	Renewed bool `json:"renewed"`
	// AwaitsApproval: it rests until the helpdesk has approved it.
	AwaitsApproval bool `json:"awaits_approval,omitempty"`
}

// savedDevice is who this laptop is, as the store keeps it.
type savedDevice struct {
	DeviceID string `json:"device_id"`
	Tenant   string `json:"tenant"`
	Person   string `json:"person"`
	Login    string `json:"login"`
	// Server is the one named at the enrolment. Empty: the configured ones.
	Server string `json:"server,omitempty"`
	// PrivateKey is WireGuard's, in base64.
	PrivateKey string `json:"private_key"`
}

// Format leaves the key out.
func (d savedDevice) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "device "+d.DeviceID) }

// load reads who this laptop is. That it is nobody yet is no error.
func (e *Endpoint) load() error {
	var device savedDevice
	err := e.options.Store.Load(deviceFile, &device)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return e.loadProblem(err)
	}
	key, err := wireguard.ParsePrivateKey(device.PrivateKey)
	if err != nil {
		return e.loadProblem(err)
	}
	identity, err := control.LoadIdentity(e.options.Store)
	if control.IsMissing(err) {
		return nil // the enrolment was cut short; the person types it again
	}
	if err != nil {
		return e.loadProblem(err)
	}
	e.device, e.key, e.identity = device, key, identity
	return nil
}

// stateProblem is a failure to write the laptop's own files.
func (e *Endpoint) stateProblem(err error) error {
	if p, ok := control.AsProblem(err); ok {
		return p
	}
	return control.StateUnusable(e.storePath(), err)
}

// loadProblem is a failure to read them.
func (e *Endpoint) loadProblem(err error) error { return StateDamaged(e.storePath(), err) }

func (e *Endpoint) storePath() string {
	if dir, ok := e.options.Store.(interface{ Path() string }); ok {
		return dir.Path()
	}
	return "state"
}

// servers are those to connect to. The caller holds the lock, or has the Endpoint to itself.
func (e *Endpoint) servers() []control.Server {
	if e.device.Server == "" {
		return e.options.Servers
	}
	server, err := control.ParseServer(e.device.Server)
	if err != nil {
		return e.options.Servers
	}
	return []control.Server{server}
}

// Enrol proves the person by her password or an invitation and registers this laptop's keys. If the laptop's certificate has
// expired, the same device goes on with its keys, id and address; otherwise new keys are made, and the old
// ones are dead. A connection ends, and comes back by itself if it is still wanted.
//
// Who has not acknowledged the house rules is told what they are: the *control.Problem has them.
//
// Password and invitation are sent only to a server that has proved itself. The error is a *control.Problem.
func (e *Endpoint) Enrol(ctx context.Context, r EnrolRequest) (Enrolled, error) {
	e.enrolling.Lock()
	defer e.enrolling.Unlock()
	ctx, cancel := context.WithTimeout(ctx, enrolWithin)
	defer cancel()

	r.Login = strings.TrimSpace(r.Login)
	if r.Invitation = strings.TrimSpace(r.Invitation); r.Invitation != "" {
		r.Login, r.Password = "", "" // one of the two
	}
	contact, err := e.firstContact(r)
	if err != nil {
		return Enrolled{}, err
	}
	if r.Tenant == "" {
		r.Tenant = e.options.Tenant
	}
	if e.renewable(r, contact) {
		enrolled, err := e.renewExpired(ctx, control.Proof{Login: r.Login, Password: r.Password, Code: r.Code})
		if !enrolAnew(err) {
			return enrolled, inTime(err)
		}
	}
	enrolled, err := e.enrolNew(ctx, r, contact)
	return enrolled, inTime(err)
}

// contact is with whom to enrol, and how to know them.
type contact struct {
	servers []control.Server
	trust   control.Trust
	named   string // the server, if the person named one
}

// firstContact checks what the person typed.
func (e *Endpoint) firstContact(r EnrolRequest) (contact, error) {
	if r.Invitation != "" {
		if len(r.Invitation) > maxInvitationLength || strings.ContainsAny(r.Invitation, "\x00\r\n \t") {
			return contact{}, invitationInvalid()
		}
	} else if err := checkTyped(r.Login, r.Password); err != nil {
		return contact{}, err
	}
	return e.contactAt(r.Address)
}

// contactAt is with whom to enrol at an enrolment address.
func (e *Endpoint) contactAt(address string) (contact, error) {
	if address != "" {
		a, err := control.ParseAddress(address)
		if err != nil {
			return contact{}, addressInvalid(err)
		}
		c := contact{servers: []control.Server{a.Server}, named: a.Server.String(), trust: control.Trust{Pin: a.Pin}}
		if a.Pin.IsZero() && slices.Contains(e.options.Servers, a.Server) {
			c.trust.Pin = e.options.Pin // typed without the fingerprint that the machine was given
		}
		return c, nil
	}
	if len(e.options.Servers) == 0 {
		return contact{}, serverMissing()
	}
	return contact{servers: e.options.Servers, trust: control.Trust{Pin: e.options.Pin}}, nil
}

// checkTyped checks what cannot be a login or a password.
func checkTyped(login, password string) error {
	switch {
	case login == "" || len(login) > maxLoginLength || strings.ContainsFunc(login, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return loginMissing()
	case password == "":
		return passwordMissing()
	case len(password) > maxPasswordLength || strings.ContainsAny(password, "\x00\r\n"):
		return passwordLong()
	}
	return nil
}

// renewable says whether this is the person of a laptop whose certificate has expired: back from leave.
func (e *Endpoint) renewable(r EnrolRequest, c contact) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return r.Invitation == "" && e.identity != nil && e.identity.Expired() &&
		(e.device.Login == "" || strings.EqualFold(r.Login, e.device.Login)) && // it is not known of who was invited
		(r.Tenant == "" || r.Tenant == e.device.Tenant) && (c.named == "" || slices.Contains(e.servers(), c.servers[0]))
}

// enrolAnew says whether a renewal failed because the device is no more, so that a new one is to be made. A
// wrong password is no such reason: to send it twice would count twice.
func enrolAnew(err error) bool {
	p, ok := control.AsProblem(err)
	return ok && p.Refused && slices.Contains([]string{
		codeDeviceRevoked, codeDeviceReplaced, codeDeviceUnknown, codeCertificateForeign, codeNotAllowed,
	}, p.Code)
}

func (e *Endpoint) renewExpired(ctx context.Context, p control.Proof) (Enrolled, error) {
	e.mu.Lock()
	identity, device := e.identity, e.device
	e.mu.Unlock()
	conn, err := e.connect(ctx)
	if err != nil {
		return Enrolled{}, err
	}
	err = identity.Renew(ctx, conn, p)
	// What was answered counts; the connection is of no more use.
	_ = conn.Close()
	if err != nil {
		return Enrolled{}, err
	}
	e.become(identity, device, nil)
	return Enrolled{DeviceID: device.DeviceID, Tenant: device.Tenant, Person: device.Person, Renewed: true}, nil
}

func (e *Endpoint) enrolNew(ctx context.Context, r EnrolRequest, c contact) (Enrolled, error) {
	key, err := wireguard.GeneratePrivateKey()
	if err != nil {
		return Enrolled{}, err
	}
	request, err := control.NewKeyRequest()
	if err != nil {
		return Enrolled{}, err
	}
	// Before the control plane counts a device: could it be kept here?
	const probe = deviceFile + "-probe"
	if err := errors.Join(e.options.Store.Save(probe, savedDevice{}), e.options.Store.Remove(probe)); err != nil {
		return Enrolled{}, e.stateProblem(err)
	}
	answer, err := e.askToEnrol(ctx, r, c, request, key)
	if err != nil {
		return Enrolled{}, err
	}
	return e.adopt(answer, request, key, c, r.Login)
}

// adopt keeps who this laptop is from now on, and becomes that. A code that it waits with is of no more use.
func (e *Endpoint) adopt(answer *heimdrahtv1.EnrolResponse, request *control.KeyRequest, key wireguard.PrivateKey, c contact, login string) (Enrolled, error) {
	next := savedDevice{
		DeviceID: presentable(answer.GetDeviceId()), Tenant: presentable(answer.GetTenant()),
		Person: presentable(answer.GetPersonName()), Login: login, Server: c.named, PrivateKey: key.Base64(),
	}
	if err := e.options.Store.Save(deviceFile, next); err != nil {
		return Enrolled{}, e.stateProblem(err)
	}
	identity, err := control.SaveIdentity(e.options.Store, request, answer.GetCertificate(), c.trust)
	if err != nil {
		return Enrolled{}, e.stateProblem(err)
	}
	e.become(identity, next, &key)
	if err := e.options.Store.Remove(waitingFile); err != nil {
		return Enrolled{}, e.stateProblem(err)
	}
	return Enrolled{
		DeviceID: next.DeviceID, Tenant: next.Tenant, Person: next.Person, Replaced: answer.GetReplaced(),
		AwaitsApproval: answer.GetAwaitsApproval(),
	}, nil
}

func (e *Endpoint) askToEnrol(ctx context.Context, r EnrolRequest, c contact, request *control.KeyRequest, key wireguard.PrivateKey) (*heimdrahtv1.EnrolResponse, error) {
	if r.Over == nil {
		conn, err := e.connectFirst(ctx, c)
		if err != nil {
			return nil, err
		}
		// What was answered counts; the connection is of no more use.
		defer func() { _ = conn.Close() }()
		r.Over = conn
	}
	public := key.PublicKey()
	answer, err := heimdrahtv1.NewEnrolmentServiceClient(r.Over).Enrol(ctx, &heimdrahtv1.EnrolRequest{
		Tenant: r.Tenant, Login: r.Login, Password: r.Password, Code: r.Code,
		CertificateRequest: request.CSR, WireguardPublicKey: public[:],
		DeviceName: e.options.DeviceName, SerialNumber: e.options.SerialNumber,
		Platform: e.options.Platform, AgentVersion: e.options.Version,
		Invitation: r.Invitation, HouseRulesVersion: r.HouseRules,
	})
	if err != nil {
		return nil, fmt.Errorf("enrolling: %w", control.FromStatus(err))
	}
	return answer, nil
}

// connectFirst connects without a certificate.
func (e *Endpoint) connectFirst(ctx context.Context, c contact) (*control.Conn, error) {
	e.mu.Lock()
	language := e.language
	e.mu.Unlock()
	return control.Connect(ctx, control.Options{
		Servers: c.servers, Trust: c.trust, Agent: "heimdraht-agent/" + e.options.Version,
		Language: language, Dial: e.options.Dial, Logger: e.log,
	})
}

// become makes this the laptop's identity. key nil: the WireGuard key stays.
func (e *Endpoint) become(identity *control.Identity, device savedDevice, key *wireguard.PrivateKey) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.endIdentity != nil {
		e.endIdentity()
	}
	e.identity, e.device = identity, device
	if key != nil {
		e.key = *key
	}
	e.halted, e.problem = nil, nil
	e.renewWish()
	e.touch()
}

// inTime puts a deadline that was missed into words; every error that is a *control.Problem becomes just that.
func inTime(err error) error {
	if err == nil {
		return nil
	}
	if p, ok := control.AsProblem(err); ok {
		return askedOnce(p)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		status.Code(err) == codes.DeadlineExceeded || status.Code(err) == codes.Canceled {
		return serverSilent().Because(err)
	}
	return err
}

// presentable makes a foreign name fit for a terminal: one line, printable, not endless.
func presentable(s string) string {
	s = strings.Map(func(r rune) rune {
		if plainText(string(r)) {
			return r
		}
		return -1
	}, s)
	if r := []rune(s); len(r) > maxShownName {
		s = string(r[:maxShownName])
	}
	return strings.TrimSpace(s)
}
