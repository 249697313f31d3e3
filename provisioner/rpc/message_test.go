package rpc_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

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

// Every call answers a message that is too large, and one that is none, with a
// refusal that says so, and goes on serving.
func TestEveryCallRefusesWhatItCannotRead(t *testing.T) {
	s := provisionertest.Start(t, nil)
	laptop, gateway := s.Enrol(provisionertest.Staff, "SN1"), s.JoinGateway("gw1")
	certificates := map[string]*tls.Certificate{"Attach": &laptop.Certificate, "Sync": &gateway.Certificate}
	for _, m := range methods(t) {
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
				err := say(t.Context(), conn, m, c.message)
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
