package rpc_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// methods are all of ours.
func methods(t *testing.T) (list []protoreflect.MethodDescriptor) {
	t.Helper()
	protoregistry.GlobalFiles.RangeFilesByPackage("heimdraht.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			for j := range file.Services().Get(i).Methods().Len() {
				list = append(list, file.Services().Get(i).Methods().Get(j))
			}
		}
		return true
	})
	if len(list) < 20 {
		t.Fatalf("only %d methods were found", len(list))
	}
	return list
}

// callersOf are those who may call a method.
func callersOf(m protoreflect.MethodDescriptor) []heimdrahtv1.Caller {
	list, _ := proto.GetExtension(m.Options(), heimdrahtv1.E_Callers).([]heimdrahtv1.Caller)
	return list
}

// Every call answers a message that is too large, and one that is none, with a
// refusal that says so, and goes on serving.
func TestEveryCallRefusesWhatItCannotRead(t *testing.T) {
	s := provisionertest.Start(t, nil)
	laptop, gateway := s.Enrol(provisionertest.Staff, "SN1"), s.JoinGateway("gw1")
	certificates := map[string]*tls.Certificate{"Attach": &laptop.Certificate, "Sync": &gateway.Certificate, "RenewCertificate": &laptop.Certificate, "SignInAgain": &laptop.Certificate}
	certificates["GetHouseRules"], certificates["AcknowledgeHouseRules"] = &laptop.Certificate, &laptop.Certificate
	certificates["ExplainOwn"], certificates["ReportOwnLost"], certificates["SendDiagnosis"] = &laptop.Certificate, &laptop.Certificate, &laptop.Certificate
	tokens := make(map[string]string)
	for _, m := range methods(t) {
		if anybody := slices.Contains(callersOf(m), heimdrahtv1.Caller_CALLER_ANONYMOUS); !anybody && certificates[string(m.Name())] == nil {
			tokens[string(m.Name())] = s.Operator
			if !slices.Contains(callersOf(m), heimdrahtv1.Caller_CALLER_OPERATOR) {
				tokens[string(m.Name())] = s.Login(provisionertest.Tenant, provisionertest.Staff)
			}
		}
		conn := s.Dial(certificates[string(m.Name())])
		for _, c := range []struct {
			name    string
			message []byte
			code    string
		}{
			{"too large", make([]byte, 4<<20+1), "message-too-large"},
			{"no message", []byte{0xff, 0xff, 0xff}, "protocol"},
			{"a field cut short", []byte{0x0a, 0x7f, 'x'}, "protocol"},
		} {
			t.Run(string(m.Name())+" "+c.name, func(t *testing.T) {
				err := say(provisionertest.As(t.Context(), tokens[string(m.Name())]), conn, m, c.message)
				expect(t, c.name, err, c.code)
			})
		}
	}
	// Nothing is left behind: who was there goes on.
	s.JoinGateway("gw1").Run()
	open(t, s.Attach(t.Context(), laptop))
}

// say calls m with one message and gives the answer's error.
func say(ctx context.Context, conn *grpc.ClientConn, m protoreflect.MethodDescriptor, message []byte) error {
	ctx = metadata.AppendToOutgoingContext(ctx, "accept-language", "en")
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer()},
		fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name()), grpc.ForceCodec(raw{}))
	if err != nil {
		return err
	}
	// The server may answer before it has read everything: the answer counts.
	if err := stream.SendMsg(message); err != nil && err != io.EOF { //nolint:errorlint // documented so
		return err
	}
	for {
		if err := stream.RecvMsg(&struct{}{}); err != nil {
			return err
		}
	}
}

// Whoever shows something wrong is told what is wrong with it, by every call
// that is not open to anybody.
func TestEveryCallSaysWhyTheCallerIsNobody(t *testing.T) {
	s := provisionertest.Start(t, nil)
	laptop, stranger := s.Enrol(provisionertest.Staff, "SN1"), foreign(t, "device")
	over := s.Dated(laptop.Certificate, time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))
	early := s.Dated(laptop.Certificate, time.Now().Add(time.Hour), time.Now().Add(2*time.Hour))
	for _, c := range []struct {
		name        string
		certificate *tls.Certificate
		token       string
		code        string
	}{
		{"nobody", nil, "", "not-signed-in"},
		{"a made-up token", nil, strings.Repeat("A", 43), "not-signed-in"},
		{"an endless token", nil, strings.Repeat("A", 10_000), "not-signed-in"},
		{"a foreign certificate", &stranger, "", "certificate-foreign"},
		{"an expired certificate", &over, "", "certificate-expired"},
		{"a certificate of tomorrow", &early, "", "certificate-not-yet-valid"},
	} {
		conn := s.Dial(c.certificate)
		for _, m := range methods(t) {
			// An expired certificate may be renewed; everything else about that has its own tests.
			if slices.Contains(callersOf(m), heimdrahtv1.Caller_CALLER_ANONYMOUS) || c.certificate == &over && m.Name() == "RenewCertificate" {
				continue
			}
			ctx := t.Context()
			if c.token != "" {
				ctx = provisionertest.As(ctx, c.token)
			}
			expect(t, c.name+": "+string(m.Name()), say(ctx, conn, m, nil), c.code)
		}
	}
}
