package rpc

import (
	"cmp"
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/helpdesk"
)

type helpdeskHandler struct {
	heimdrahtv1.UnimplementedHelpdeskServiceServer
	helpdesk  *helpdesk.Service
	enrolment *enrolment.Service
}

func (h *helpdeskHandler) FindPeople(ctx context.Context, r *heimdrahtv1.FindPeopleRequest) (*heimdrahtv1.FindPeopleResponse, error) {
	found, more, err := h.helpdesk.FindPeople(ctx, actorOf(ctx), r.GetQuery(), int(r.GetLimit()))
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.FindPeopleResponse{More: more}
	for _, p := range found {
		answer.People = append(answer.People, fromPerson(p))
	}
	return answer, nil
}

func (h *helpdeskHandler) GetPerson(ctx context.Context, r *heimdrahtv1.GetPersonRequest) (*heimdrahtv1.GetPersonResponse, error) {
	p, err := h.helpdesk.Person(ctx, actorOf(ctx), r.GetTenant(), r.GetPersonId())
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.GetPersonResponse{
		Person: fromPerson(p.Found), DirectoryStatus: statusText(p.Standing), DirectoryReadAt: stamp(p.Standing.ReadAt),
	}
	if v := p.Rests; v != nil {
		answer.Suspension = &heimdrahtv1.PersonSuspension{Reason: v.Reason, Since: stamp(v.Since), EndsAt: stamp(v.EndsAt)}
	}
	for _, d := range p.Devices {
		answer.Devices = append(answer.Devices, fromDevice(d))
	}
	for _, v := range p.Refusals {
		answer.Refusals = append(answer.Refusals, &heimdrahtv1.RecentRefusal{
			At: stamp(v.At), Code: string(v.Code), Cause: v.Cause, Source: v.Source,
		})
	}
	return answer, nil
}

func (h *helpdeskHandler) GetDevice(ctx context.Context, r *heimdrahtv1.GetDeviceRequest) (*heimdrahtv1.GetDeviceResponse, error) {
	d, err := h.helpdesk.Device(ctx, actorOf(ctx), r.GetDeviceId())
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.GetDeviceResponse{Device: fromDevice(d)}, nil
}

func (h *helpdeskHandler) Explain(ctx context.Context, r *heimdrahtv1.ExplainRequest) (*heimdrahtv1.ExplainResponse, error) {
	actor := actorOf(ctx)
	e, err := h.helpdesk.Explain(ctx, actor, helpdesk.ExplainRequest{
		Device: r.GetDeviceId(), Person: r.GetPersonId(), Query: r.GetQuery(), Tenant: r.GetTenant(),
	})
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.ExplainResponse{}
	for _, p := range e.Candidates {
		answer.Candidates = append(answer.Candidates, fromPerson(p))
	}
	if len(answer.GetCandidates()) > 0 {
		return answer, nil
	}
	answer.Person = fromPerson(e.Person)
	if e.Device != nil {
		answer.Device = fromDevice(*e.Device)
	}
	for _, d := range e.Others {
		answer.OtherDevices = append(answer.OtherDevices, fromDevice(d))
	}
	answer.Links, answer.Cause = fromFinding(e.Finding, actor.Language)
	return answer, nil
}

func (h *helpdeskHandler) ListSessions(ctx context.Context, r *heimdrahtv1.ListSessionsRequest) (*heimdrahtv1.ListSessionsResponse, error) {
	list, next, err := h.helpdesk.Sessions(ctx, actorOf(ctx), helpdesk.SessionsRequest{
		Tenant: r.GetTenant(), Gateway: r.GetGateway(), Limit: int(r.GetLimit()), After: r.GetPageToken(),
	})
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.ListSessionsResponse{NextPageToken: next}
	for _, s := range list {
		answer.Sessions = append(answer.Sessions, fromSession(&s))
	}
	return answer, nil
}

func fromPerson(p helpdesk.Found) *heimdrahtv1.Person {
	return &heimdrahtv1.Person{
		PersonId: p.Person.ID, Tenant: p.Tenant, DisplayName: p.Person.DisplayName, Login: p.Person.Login, Mail: p.Person.Mail,
		Devices: uint32(p.Devices), Connected: p.Connected, MatchedBy: string(p.MatchedBy),
	}
}

// wait is how long a caller wants to wait for gateways; zero: as long as is
// usual. How long it may be is the use case's to say.
func wait(ms int64) time.Duration {
	return time.Duration(min(max(0, ms), time.Hour.Milliseconds())) * time.Millisecond
}

func fromConfirmations(list []provisioner.Confirmation) []*heimdrahtv1.GatewayConfirmation {
	out := make([]*heimdrahtv1.GatewayConfirmation, len(list))
	for i, c := range list {
		out[i] = &heimdrahtv1.GatewayConfirmation{
			Gateway: c.Gateway, Confirmed: c.Confirmed, AfterMs: c.After.Milliseconds(), GraceUntil: stamp(c.GraceUntil),
		}
	}
	return out
}

// statusText is what the directory said: "active", or why it ended.
func statusText(s provisioner.Standing) string {
	if s.Ended == "" {
		return "active"
	}
	return string(s.Ended)
}

// stamp is a time; unset for the zero time.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func fromDevice(d helpdesk.Device) *heimdrahtv1.Device {
	out := &heimdrahtv1.Device{
		DeviceId: d.ID, Tenant: d.Tenant, PersonId: d.Person, PersonName: d.PersonName, Name: d.Name, SerialNumber: d.SerialNumber,
		Platform: d.Platform, State: stateOf(d.State()), StateReason: d.RevokedWhy, WireguardPublicKey: d.PublicKey.String(),
		EnrolledAt: stamp(d.EnrolledAt), CertificateNotAfter: stamp(d.CertificateNotAfter), AgentVersion: d.AgentVersion,
		AwaitsApproval: d.Awaits(),
		StaticUntil:    stamp(d.StaticUntil),
	}
	if out.StateReason == "" && len(d.SuspendedBy) > 0 {
		out.StateReason = d.SuspendedBy[0].Reason
	}
	if d.Session != nil {
		out.Session = fromSession(d.Session)
	}
	for _, c := range d.Conditions {
		shown := &heimdrahtv1.DeviceCondition{Name: string(c.Condition), Answer: string(c.Answer)}
		if !c.RefusedFrom.IsZero() {
			shown.UnmetSince, shown.RefusedFrom = provisioner.ISODay(cmp.Or(c.Since, time.Now())), provisioner.ISODay(c.RefusedFrom)
		}
		out.Conditions = append(out.Conditions, shown)
	}
	return out
}

func stateOf(s provisioner.DeviceState) heimdrahtv1.DeviceState {
	switch s {
	case provisioner.DeviceActive:
		return heimdrahtv1.DeviceState_DEVICE_STATE_ACTIVE
	case provisioner.DeviceSuspended:
		return heimdrahtv1.DeviceState_DEVICE_STATE_SUSPENDED
	case provisioner.DeviceRevoked:
		return heimdrahtv1.DeviceState_DEVICE_STATE_REVOKED
	default:
		return heimdrahtv1.DeviceState_DEVICE_STATE_UNSPECIFIED
	}
}

func fromSession(s *helpdesk.Session) *heimdrahtv1.Session {
	out := &heimdrahtv1.Session{
		SessionId: s.ID, DeviceId: s.Device, Tenant: s.Tenant, PersonId: s.Person, PersonName: s.PersonName, DeviceName: s.DeviceName,
		Gateway: s.Gateway, LeaseUntil: stamp(s.LeaseUntil), Online: s.Online, LicencePool: s.Pool,
	}
	if s.Leaving() {
		out.Leaving, out.LicencePool = true, ""
	}
	for _, a := range s.Addresses {
		out.Addresses = append(out.Addresses, a.Addr().String())
	}
	return out
}
