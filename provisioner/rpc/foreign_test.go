package rpc_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/directory/memory"
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

// filled is a request that names things: of each kind the one that names has, also
// in what is nested and in lists, which have one element. A kind is a field's name, or
// message and field: "TenantDeclaration.name".
func filled(t *testing.T, m protoreflect.MessageDescriptor, names map[string]string) protoreflect.Message {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(m.FullName())
	if err != nil {
		t.Fatal(err)
	}
	request := kind.New()
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if f.IsMap() { // a kind of map names nothing
			continue
		}
		value, ok := valueOf(t, f, names)
		switch {
		case !ok:
		case f.IsList():
			list := request.NewField(f).List()
			list.Append(value)
			request.Set(f, protoreflect.ValueOfList(list))
		default:
			request.Set(f, value)
		}
	}
	return request
}

func valueOf(t *testing.T, f protoreflect.FieldDescriptor, names map[string]string) (protoreflect.Value, bool) {
	t.Helper()
	switch f.Kind() {
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1), true
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(90), true // days, or how many at most
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(3600), f.Name() == "step_seconds"
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(bytes.Repeat([]byte{7}, 32)), true
	case protoreflect.StringKind:
		name, ok := names[string(f.Parent().Name())+"."+string(f.Name())]
		if !ok {
			name, ok = names[string(f.Name())]
		}
		return protoreflect.ValueOfString(name), ok
	case protoreflect.MessageKind:
		if f.Message().FullName() != "google.protobuf.Timestamp" {
			return protoreflect.ValueOfMessage(filled(t, f.Message(), names)), true
		}
		if f.Name() == "ends_at" { // of what is revoked nothing ends
			return protoreflect.Value{}, false
		}
		at := time.Now().Add(time.Hour)
		if f.Name() == "since" || f.Name() == "from" {
			at = time.Now().Add(-time.Hour)
		}
		return protoreflect.ValueOfMessage(timestamppb.New(at).ProtoReflect()), true
	}
	return protoreflect.Value{}, false
}

// hasKind reports whether a message, or what is nested in it, names things of a kind.
func hasKind(m protoreflect.MessageDescriptor, kind string) bool {
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if f.Kind() == protoreflect.StringKind && (kind == string(f.Name()) || kind == string(m.Name())+"."+string(f.Name())) {
			return true
		}
		if f.Kind() == protoreflect.MessageKind && !f.IsMap() && hasKind(f.Message(), kind) {
			return true
		}
	}
	return false
}

// answered is how a call was answered, in words.
func answered(ctx context.Context, t *testing.T, conn *grpc.ClientConn, m protoreflect.MethodDescriptor, request protoreflect.Message) string {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
	if err != nil {
		t.Fatal(err)
	}
	method := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err == nil {
		err = errors.Join(stream.SendMsg(request.Interface()), stream.CloseSend())
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

// townsID is the stable id of the first of the town's people.
const townsID = "6d1e3a52-0f4b-4c57-9d0e-2f1a00000000"

// foreignIDs are those of the town of everything that has one, by kind; the last one
// made may change how the town stands.
func foreignIDs(t *testing.T, s *provisionertest.Server, ours *memory.Directory) (foreign map[string][]string, secrets []string) {
	t.Helper()
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	s.Enrol(provisionertest.Login(0), "SN2")
	session := open(t, s.Attach(t.Context(), laptop)).GetSessionId()
	desk := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	hilde := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	boss, eva := staffOf(t, s, provisionertest.Helpdesk), staffOf(t, s, provisionertest.Staff)
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
	foreign = map[string][]string{
		"device_id": {laptop.ID}, "person_id": {eva}, "tenant": {provisionertest.Tenant}, "gateway": {"gw1"}, "sponsor_id": {boss, provisionertest.Helpdesk},
		"proposal_id": {proposed.GetProposal().GetProposalId()}, "taking_id": {suspended.GetTakingId()}, "login": {provisionertest.Staff},
		"user_code": {waits.GetUserCode()}, "invitation_id": {invited.GetResults()[0].GetInvitation().GetInvitationId()},
		"page_token": {session}, "pool": {"vpn"}, "device": {laptop.ID}, "person": {eva}, "query": {session, laptop.ID}, "fingerprint": {waits.GetFingerprint()},
		"directory": {"stadt-ldap"}, "to_directory": {"neu-ldap"}, "from": {townsID}, "to": {townsID},
		"TenantDeclaration.name": {provisionertest.Tenant}, "TenantDeclaration.directory": {"stadt-ldap"}, "GetUsageRequest.name": {provisionertest.Tenant}, "GetForecastRequest.name": {provisionertest.Tenant},
		"hash": {movesTo(t, s, "neu-ldap"), pendingOf(t, s, ours)},
	}
	return foreign, []string{laptop.ID, session, eva, boss, "Muster", "SN-WAITS", "stadt-ldap", townsID}
}

// movesTo proposes that the town goes on with another directory.
func movesTo(t *testing.T, s *provisionertest.Server, to string) (hash string) {
	t.Helper()
	moved := proto.CloneOf(neighbourly().GetTenants()[0])
	moved.Directory = to
	operator := deskOf(t, s, s.Operator)
	answer, err := operator.ProposeIdentities(operator.ctx, &heimdrahtv1.ProposeIdentitiesRequest{
		Tenant: provisionertest.Tenant, ToDirectory: to, Declared: moved, Reason: "x", UnmappedGone: true,
		Lines: []*heimdrahtv1.IdentityLine{{Line: 1, From: townsID, To: townsID}},
	})
	if err != nil || answer.GetProposal().GetHash() == "" {
		t.Fatal("proposing another directory: ", answer, err)
	}
	return answer.GetProposal().GetHash()
}

// pendingOf has the brake hold people of the town, and gives their list's hash.
func pendingOf(t *testing.T, s *provisionertest.Server, ours *memory.Directory) (hash string) {
	t.Helper()
	for n := 1; n <= 20; n++ {
		if err := ours.Leave(provisionertest.GroupDN("Homeoffice"), provisionertest.DN(provisionertest.Login(n))); err != nil {
			t.Fatal(err)
		}
	}
	operator := deskOf(t, s, s.Operator)
	eventually(t, "people are held", func() bool {
		r, err := operator.ListPending(operator.ctx, &heimdrahtv1.ListPendingRequest{Tenant: provisionertest.Tenant})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range r.GetLists() {
			hash = l.GetHash()
		}
		return hash != ""
	})
	return hash
}

// neighboursLaptop is one of theirs.
func neighboursLaptop(t *testing.T, s *provisionertest.Server) string {
	t.Helper()
	_, request := provisionertest.NewRequest(t)
	answer, err := heimdrahtv1.NewEnrolmentServiceClient(s.Dial(nil)).Enrol(t.Context(), &heimdrahtv1.EnrolRequest{
		Tenant: provisionertest.Other, Login: provisionertest.Stranger, Password: provisionertest.Password, CertificateRequest: request,
		WireguardPublicKey: provisionertest.NewWireGuardKey(), DeviceName: "theirs", SerialNumber: "SN-THEIRS", Platform: "linux", AgentVersion: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetDeviceId()
}

// Every call but those of declarations, by everybody who can be signed in, with every kind of id of another
// tenant is answered as it is with ids that nobody has: nothing leaks, not even
// that something exists.
func TestNothingIsToldOfForeignIDs(t *testing.T) {
	ours, theirs := provisionertest.Directory(t, 30), neighbourhood(t)
	s := provisionertest.StartWith(t, provisionertest.Options{Declaration: neighbourly(), OpenDirectory: opening(ours, theirs)})
	s.JoinGateway("gw1").Run()
	roles := map[string]context.Context{
		"nobody":                     provisionertest.As(t.Context(), "x"),
		"another tenant's helpdesk":  provisionertest.As(t.Context(), s.Login(provisionertest.Other, provisionertest.Stranger)),
		"another tenant's admin":     provisionertest.As(t.Context(), s.Login(provisionertest.Other, neighboursAdmin)),
		"a helpdesk of some tenants": provisionertest.As(t.Context(), s.Login(provisionertest.Other, villagesHelp)),
		"staff":                      provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Second)),
		"planner":                    provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Planner)),
	}
	foreign, secrets := foreignIDs(t, s, ours)
	nobodys := map[string]string{
		"tenant": "nirgends", "TenantDeclaration.name": "nirgends", "GetUsageRequest.name": "nirgends", "GetForecastRequest.name": "nirgends", "gateway": "gw9",
		"user_code": "BBBB-BBBB", "directory": "nirgends-ldap", "to_directory": "nirgends-ldap", "TenantDeclaration.directory": "nirgends-ldap", "from": "0a0b0c0d-0000-4000-8000-000000000000",
		"to": "0a0b0c0d-0000-4000-8000-000000000000", "fingerprint": "AAAA-AAAA-AAAA-AAAA", "hash": strings.Repeat("0", 64),
	}
	common := map[string]string{"reason": "x", "identity_checked": "x", "query": "x", "password": "x", "code": "123456", "device_name": "phone"}
	nora, norasLaptop := staffOf(t, s, provisionertest.Stranger), neighboursLaptop(t, s)
	theirOwn := map[string]string{"person_id": nora, "tenant": provisionertest.Other}
	// What else a request has to name, of the caller's own, before it comes to what is foreign.
	beside := map[string]map[string]string{
		"sponsor_id": theirOwn, "gateway": theirOwn, "tenant": {"person_id": nora}, "hash": {"tenant": provisionertest.Other}, "to_directory": {"tenant": provisionertest.Other},
		"login": {"device_id": norasLaptop, "serial_number": "SN-OWN", "tenant": provisionertest.Other},
		"from":  {"directory": "nachbar-ldap", "to": neighboursID + "0"}, "to": {"directory": "nachbar-ldap", "from": neighboursID + "0"},
		"TenantDeclaration.name": {"directory": "nachbar-ldap"}, "TenantDeclaration.directory": {"directory": "nachbar-ldap"}, "fingerprint": {"user_code": foreign["user_code"][0]},
	}
	conn := s.Dial(nil)
	calls := 0
	for role, ctx := range roles {
		for _, m := range methodsOfStaff(t) {
			for kind, list := range foreign {
				own := kind == "tenant" || kind == "TenantDeclaration.name" || kind == "GetUsageRequest.name" || kind == "GetForecastRequest.name"
				if m.Parent().Name() == "AdminService" || !hasKind(m.Input(), kind) || (role == "planner" || role == "staff") && own || role == "staff" && (kind == "user_code" || kind == "fingerprint") { // their own
					continue
				}
				ask := func(id string) string {
					all := map[string]string{kind: id}
					for _, more := range []map[string]string{common, beside[kind]} {
						for k, v := range more {
							if k != kind {
								all[k] = v
							}
						}
					}
					calls++
					return strings.ReplaceAll(answered(ctx, t, conn, m, filled(t, m.Input(), all)), id, "ID")
				}
				missing := ask(cmp.Or(nobodys[kind], strings.Repeat("a", 26)))
				for _, id := range list {
					there := ask(id)
					if there != missing {
						t.Errorf("%s, %s, with a %s of another tenant:\n%s\nwith one that nobody has:\n%s", role, m.FullName(), kind, there, missing)
					}
					for _, secret := range secrets {
						if strings.Contains(there, secret) {
							t.Errorf("%s, %s, with a %s of another tenant, is told %q: %s", role, m.FullName(), kind, secret, there)
						}
					}
				}
			}
		}
	}
	if calls < 800 {
		t.Errorf("only %d calls were made", calls)
	}
}
