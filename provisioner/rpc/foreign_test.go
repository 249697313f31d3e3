package rpc_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// methodsOfStaff are the methods that people call who are signed in, of every
// service that there is.
func methodsOfStaff(t *testing.T) (list []protoreflect.MethodDescriptor) {
	t.Helper()
	protoregistry.GlobalFiles.RangeFilesByPackage("heimdraht.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			switch service.Name() {
			case "EnrolmentService", "SessionService", "GatewayService": // of laptops and gateways
				continue
			case "AuthService": // of people who are not signed in yet: see package signin
				continue
			}
			for j := range service.Methods().Len() {
				if m := service.Methods().Get(j); !m.IsStreamingClient() {
					list = append(list, m)
				}
			}
		}
		return true
	})
	if len(list) < 20 {
		t.Fatalf("only %d methods were found", len(list))
	}
	return list
}

// filled is a request that names things: of each kind the one that names has.
func filled(t *testing.T, m protoreflect.MethodDescriptor, names map[string]string) proto.Message {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(m.Input().FullName())
	if err != nil {
		t.Fatal(err)
	}
	request := kind.New()
	for i := range m.Input().Fields().Len() {
		f := m.Input().Fields().Get(i)
		switch {
		case f.IsList() || f.IsMap():
		case f.Kind() == protoreflect.EnumKind:
			request.Set(f, protoreflect.ValueOfEnum(1))
		case f.Kind() == protoreflect.StringKind:
			if name, ok := names[string(f.Name())]; ok {
				request.Set(f, protoreflect.ValueOfString(name))
			}
		}
	}
	return request.Interface()
}

// answered is how a call was answered, in words.
func answered(ctx context.Context, t *testing.T, conn *grpc.ClientConn, m protoreflect.MethodDescriptor, request proto.Message) string {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
	if err != nil {
		t.Fatal(err)
	}
	method := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err == nil {
		err = errors.Join(stream.SendMsg(request), stream.CloseSend())
	}
	var said []string
	for err == nil {
		answer := kind.New().Interface()
		if err = stream.RecvMsg(answer); err == nil {
			said = append(said, protojson.Format(answer))
		}
	}
	if !errors.Is(err, io.EOF) {
		r := refusalOf(err)
		said = append(said, r.GetCode()+": "+r.GetSentence()+" "+r.GetNextStep())
		if r == nil {
			t.Errorf("%s ends with %v, which is no refusal", m.FullName(), err)
		}
	}
	return strings.Join(said, "\n")
}

// Every call, by everybody who can be signed in, with every kind of id of another
// tenant is answered as it is with ids that nobody has: nothing leaks, not even
// that something exists.
func TestNothingIsToldOfForeignIDs(t *testing.T) {
	s := provisionertest.StartWith(t, provisionertest.Options{People: 1})
	s.JoinGateway("gw1").Run()
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	s.Enrol(provisionertest.Login(0), "SN2")
	session := open(t, s.Attach(t.Context(), laptop)).GetSessionId()
	desk := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	hilde := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	boss := staffOf(t, s, provisionertest.Helpdesk)
	proposed, err := desk.ResetFactor(hilde, &heimdrahtv1.ResetFactorRequest{PersonId: boss, Reason: "x", IdentityChecked: "x"})
	if err != nil {
		t.Fatal(err)
	}
	suspended, err := desk.Take(hilde, &heimdrahtv1.TakeRequest{Action: takeSuspend, PersonId: staffOf(t, s, provisionertest.Login(0)), Reason: "x"})
	if err != nil || suspended.GetTakingId() == "" {
		t.Fatal(suspended, err)
	}
	waits, err := heimdrahtv1.NewEnrolmentServiceClient(s.Dial(nil)).BeginEnrolment(t.Context(), waitingFor(t, provisionertest.Tenant))
	if err != nil {
		t.Fatal(err)
	}
	invited, err := heimdrahtv1.NewInvitationServiceClient(s.Dial(nil)).Invite(hilde, &heimdrahtv1.InviteRequest{
		Lines: []*heimdrahtv1.InviteLine{{Login: provisionertest.Staff, SerialNumber: "SN3"}},
	})
	if err != nil || invited.GetResults()[0].GetToken() == "" {
		t.Fatal(invited, err)
	}
	common := map[string]string{"reason": "x", "identity_checked": "x", "query": session, "password": "x", "code": "123456", "fingerprint": waits.GetFingerprint()}
	foreign := map[string]string{
		"device_id": laptop.ID, "person_id": staffOf(t, s, provisionertest.Staff), "tenant": provisionertest.Tenant, "gateway": "gw1",
		"proposal_id": proposed.GetProposal().GetProposalId(), "taking_id": suspended.GetTakingId(), "login": provisionertest.Staff,
		"user_code": waits.GetUserCode(), "invitation_id": invited.GetResults()[0].GetInvitation().GetInvitationId(),
		"page_token": session, "device": laptop.ID, "person": staffOf(t, s, provisionertest.Staff),
	}
	nobodys := make(map[string]string)
	for kind := range foreign {
		nobodys[kind] = strings.Repeat("a", 26)
	}
	nobodys["tenant"], nobodys["gateway"], nobodys["user_code"] = "nirgends", "gw9", "BBBB-BBBB"
	secrets := []string{laptop.ID, session, foreign["person_id"], "Muster", "SN-WAITS"}

	stranger := s.Login(provisionertest.Other, provisionertest.Stranger)
	conn := s.Dial(nil)
	for role, ctx := range map[string]context.Context{
		"nobody": provisionertest.As(t.Context(), "x"), "another tenant's helpdesk": provisionertest.As(t.Context(), stranger),
		"staff":   provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Second)),
		"planner": provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Planner)),
	} {
		for _, m := range methodsOfStaff(t) {
			for kind := range foreign {
				ask := func(names map[string]string) string {
					all := map[string]string{kind: names[kind]}
					for k, v := range common {
						all[k] = v
					}
					return strings.ReplaceAll(answered(ctx, t, conn, m, filled(t, m, all)), names[kind], "ID")
				}
				if m.Input().Fields().ByName(protoreflect.Name(kind)) == nil ||
					(role == "planner" || role == "staff") && kind == "tenant" || role == "staff" && kind == "user_code" { // their own
					continue
				}
				there, missing := ask(foreign), ask(nobodys)
				if there != missing {
					t.Errorf("%s, %s, with a %s of another tenant:\n%s\nwith one that nobody has:\n%s", role, m.FullName(), kind, there, missing)
				}
				for _, secret := range secrets {
					if strings.Contains(there, secret) {
						t.Errorf("%s, %s, is told %q: %s", role, m.FullName(), secret, there)
					}
				}
			}
		}
	}
}
