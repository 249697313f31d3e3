package rpc

import (
	"context"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/signin"
)

type enrolmentHandler struct {
	heimdrahtv1.UnimplementedEnrolmentServiceServer
	enrolment *enrolment.Service
	streams   *streams
}

func (h *enrolmentHandler) Enrol(ctx context.Context, r *heimdrahtv1.EnrolRequest) (*heimdrahtv1.EnrolResponse, error) {
	laptop := enrolment.Laptop{
		CertificateRequest: r.GetCertificateRequest(), PublicKey: r.GetWireguardPublicKey(),
		DeviceName: r.GetDeviceName(), SerialNumber: r.GetSerialNumber(), Platform: r.GetPlatform(), AgentVersion: r.GetAgentVersion(),
		Acknowledges: r.GetHouseRulesVersion(),
	}
	e, err := h.enrol(ctx, r, laptop)
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.EnrolResponse{
		DeviceId: e.Device.ID, Tenant: e.Device.Tenant, PersonName: e.PersonName, Certificate: fromCertificate(e.Certificate), Replaced: e.Replaced,
		AwaitsApproval: e.AwaitsApproval,
	}, nil
}

func (h *enrolmentHandler) BeginEnrolment(ctx context.Context, r *heimdrahtv1.BeginEnrolmentRequest) (*heimdrahtv1.BeginEnrolmentResponse, error) {
	b, err := h.enrolment.Begin(ctx, actorOf(ctx), enrolment.BeginRequest{
		Tenant: r.GetTenant(),
		Laptop: enrolment.Laptop{
			CertificateRequest: r.GetCertificateRequest(), PublicKey: r.GetWireguardPublicKey(),
			DeviceName: r.GetDeviceName(), SerialNumber: r.GetSerialNumber(), Platform: r.GetPlatform(), AgentVersion: r.GetAgentVersion(),
		},
	})
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.BeginEnrolmentResponse{
		UserCode: b.UserCode, DeviceCode: b.DeviceCode, Fingerprint: b.Fingerprint, ExpiresAt: stamp(b.ExpiresAt),
		IntervalMs: uint32(b.AskEvery.Milliseconds()),
	}, nil
}

func (h *enrolmentHandler) AwaitEnrolment(ctx context.Context, r *heimdrahtv1.AwaitEnrolmentRequest) (*heimdrahtv1.AwaitEnrolmentResponse, error) {
	// A server that stops waits for nobody who waits for people.
	ctx, release := h.streams.hold(ctx, "await "+provisioner.NewID(), time.Time{})
	defer release()
	a, err := h.enrolment.Await(ctx, actorOf(ctx), r.GetDeviceCode())
	err = because(ctx, err)
	if err != nil || a == nil {
		return &heimdrahtv1.AwaitEnrolmentResponse{}, err
	}
	return &heimdrahtv1.AwaitEnrolmentResponse{Enrolled: &heimdrahtv1.EnrolResponse{
		DeviceId: a.Device, Tenant: a.Tenant, PersonName: a.PersonName, Certificate: fromCertificate(a.Certificate), Replaced: a.Replaced,
		AwaitsApproval: a.AwaitsApproval,
	}}, nil
}

// enrol goes by the way that the person has taken.
func (h *enrolmentHandler) enrol(ctx context.Context, r *heimdrahtv1.EnrolRequest, laptop enrolment.Laptop) (enrolment.Enrolled, error) {
	if r.GetInvitation() != "" {
		return h.enrolment.EnrolInvited(ctx, actorOf(ctx), enrolment.InvitedRequest{Laptop: laptop, Invitation: signin.Password(r.GetInvitation())})
	}
	return h.enrolment.Enrol(ctx, actorOf(ctx), enrolment.EnrolRequest{
		Laptop:      laptop,
		Credentials: signin.Credentials{Tenant: r.GetTenant(), Login: r.GetLogin(), Password: signin.Password(r.GetPassword()), Code: signin.Password(r.GetCode())},
	})
}

func (h *enrolmentHandler) GetHouseRules(ctx context.Context, _ *heimdrahtv1.GetHouseRulesRequest) (*heimdrahtv1.GetHouseRulesResponse, error) {
	actor := actorOf(ctx)
	rules, err := h.enrolment.HouseRules(ctx, actor)
	if err != nil || rules.Version == "" {
		return &heimdrahtv1.GetHouseRulesResponse{}, err
	}
	return &heimdrahtv1.GetHouseRulesResponse{HouseRules: fromHouseRules(rules.HouseRules, actor.Language), AcknowledgedAt: stamp(rules.AcknowledgedAt)}, nil
}

func (h *enrolmentHandler) AcknowledgeHouseRules(ctx context.Context, r *heimdrahtv1.AcknowledgeHouseRulesRequest) (*heimdrahtv1.AcknowledgeHouseRulesResponse, error) {
	_, err := h.enrolment.Acknowledge(ctx, actorOf(ctx), r.GetVersion())
	return &heimdrahtv1.AcknowledgeHouseRulesResponse{}, err
}

func (h *enrolmentHandler) RenewCertificate(ctx context.Context, r *heimdrahtv1.RenewCertificateRequest) (*heimdrahtv1.RenewCertificateResponse, error) {
	c, err := h.enrolment.RenewCertificate(ctx, actorOf(ctx), enrolment.RenewRequest{
		CertificateRequest: r.GetCertificateRequest(), Login: r.GetLogin(), Password: signin.Password(r.GetPassword()),
		Code: signin.Password(r.GetCode()),
	})
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.RenewCertificateResponse{Certificate: fromCertificate(c)}, nil
}

func (h *enrolmentHandler) SignInAgain(ctx context.Context, r *heimdrahtv1.SignInAgainRequest) (*heimdrahtv1.SignInAgainResponse, error) {
	goodFor, err := h.enrolment.SignInAgain(ctx, actorOf(ctx), enrolment.AgainRequest{
		Login: r.GetLogin(), Password: signin.Password(r.GetPassword()), Code: signin.Password(r.GetCode()),
	})
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.SignInAgainResponse{GoodForMs: goodFor.Milliseconds()}, nil
}

func fromCertificate(c provisioner.Certificate) *heimdrahtv1.Certificate {
	return &heimdrahtv1.Certificate{Leaf: c.Leaf, Authorities: c.Authorities, NotAfter: stamp(c.NotAfter), RenewAt: stamp(c.RenewAt)}
}

func (h *helpdeskHandler) RevokeDevice(ctx context.Context, r *heimdrahtv1.RevokeDeviceRequest) (*heimdrahtv1.RevokeDeviceResponse, error) {
	taken, err := h.enrolment.Revoke(ctx, actorOf(ctx), enrolment.TakeRequest{
		Device: r.GetDeviceId(), Reason: r.GetReason(), Wait: wait(r.GetWaitMs()), Emergency: r.GetEmergency(),
	})
	if err != nil {
		return nil, err
	}
	d, err := h.device(ctx, taken.Device)
	return &heimdrahtv1.RevokeDeviceResponse{Device: d, Confirmations: fromConfirmations(taken.Confirmations)}, err
}

func (h *helpdeskHandler) SuspendDevice(ctx context.Context, r *heimdrahtv1.SuspendDeviceRequest) (*heimdrahtv1.SuspendDeviceResponse, error) {
	taken, err := h.enrolment.Suspend(ctx, actorOf(ctx), enrolment.TakeRequest{
		Device: r.GetDeviceId(), Reason: r.GetReason(), Wait: wait(r.GetWaitMs()), Emergency: r.GetEmergency(),
	})
	if err != nil {
		return nil, err
	}
	d, err := h.device(ctx, taken.Device)
	return &heimdrahtv1.SuspendDeviceResponse{Device: d, Confirmations: fromConfirmations(taken.Confirmations)}, err
}

func (h *helpdeskHandler) RestoreDevice(ctx context.Context, r *heimdrahtv1.RestoreDeviceRequest) (*heimdrahtv1.RestoreDeviceResponse, error) {
	device, err := h.enrolment.Restore(ctx, actorOf(ctx), enrolment.RestoreRequest{Device: r.GetDeviceId(), Reason: r.GetReason(), Emergency: r.GetEmergency()})
	if err != nil {
		return nil, err
	}
	d, err := h.device(ctx, device)
	return &heimdrahtv1.RestoreDeviceResponse{Device: d}, err
}

func (h *helpdeskHandler) RevokePerson(ctx context.Context, r *heimdrahtv1.RevokePersonRequest) (*heimdrahtv1.RevokePersonResponse, error) {
	taken, err := h.enrolment.RevokePerson(ctx, actorOf(ctx), enrolment.RevokePersonRequest{
		Person: r.GetPersonId(), Tenant: r.GetTenant(), Reason: r.GetReason(), Wait: wait(r.GetWaitMs()), Emergency: r.GetEmergency(),
	})
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.RevokePersonResponse{Confirmations: fromConfirmations(taken.Confirmations)}
	for _, device := range taken.Devices {
		d, err := h.device(ctx, device)
		if err != nil {
			return nil, err
		}
		answer.Devices = append(answer.Devices, d)
	}
	return answer, nil
}

// device shows a device that the caller has just dealt with, with its person.
func (h *helpdeskHandler) device(ctx context.Context, d provisioner.Device) (*heimdrahtv1.Device, error) {
	shown, err := h.helpdesk.Device(ctx, actorOf(ctx), d.ID)
	if err != nil {
		return nil, err
	}
	return fromDevice(shown), nil
}
