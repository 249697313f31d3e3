package rpc_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// FuzzCalls sends two messages of any bytes to any method, as anybody: whoever
// may call what, the answer is an answer or a refusal with words, never a fault.
func FuzzCalls(f *testing.F) {
	log := new(faults)
	s := provisionertest.Start(f, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError})))
	gateway, laptop := s.JoinGateway("gw1"), s.Enrol(provisionertest.Staff, "SN1")
	callers := []caller{
		{s.Dial(nil), ""}, {s.Dial(&laptop.Certificate), ""}, {s.Dial(&gateway.Certificate), ""},
		{s.Dial(nil), s.Login(provisionertest.Tenant, provisionertest.Helpdesk)}, {s.Dial(nil), s.Operator},
	}
	var list []protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage("heimdraht.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			for j := range file.Services().Get(i).Methods().Len() {
				list = append(list, file.Services().Get(i).Methods().Get(j))
			}
		}
		return true
	})
	hello, err := proto.Marshal(&heimdrahtv1.SyncRequest{Event: &heimdrahtv1.SyncRequest_Hello{Hello: &heimdrahtv1.SyncHello{WireguardPublicKey: gateway.PublicKey}}})
	if err != nil {
		f.Fatal(err)
	}
	for method := range list {
		for who := range callers {
			f.Add(uint(method), uint(who), []byte{}, []byte{})
			f.Add(uint(method), uint(who), []byte{0x0a, 3, 'a', 0xff, 'b'}, []byte{0x12, 1})
			f.Add(uint(method), uint(who), hello, []byte{0x12, 4, 0x10, 0xff, 0x7f, 0x08})
		}
	}
	f.Fuzz(func(t *testing.T, method, who uint, first, second []byte) {
		m, c := list[method%uint(len(list))], callers[who%uint(len(callers))]
		if m.Name() == "Logout" || m.Name() == "Login" || m.Name() == "Enrol" {
			// The first ends the callers' tokens; the others are answered at the next half second.
			return
		}
		err := c.say(t.Context(), m, first, second)
		if code := status.Code(err); code == codes.Internal || code == codes.Unknown {
			t.Errorf("%s: %v", m.FullName(), err)
		}
		if said := log.String(); said != "" {
			t.Fatalf("%s: a fault: %s", m.FullName(), said)
		}
	})
}

type caller struct {
	conn  *grpc.ClientConn
	token string
}

// say sends messages as they are and gives what the call ends with, or nil if it
// would go on.
func (c caller) say(ctx context.Context, m protoreflect.MethodDescriptor, messages ...[]byte) error {
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "accept-language", "en"), 30*time.Second)
	defer cancel()
	if c.token != "" {
		ctx = provisionertest.As(ctx, c.token)
	}
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
		fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name()), grpc.ForceCodec(raw{}))
	if err != nil {
		return err
	}
	if !m.IsStreamingClient() {
		messages = messages[:1]
	}
	for _, b := range messages {
		if err := stream.SendMsg(b); err != nil && err != io.EOF { //nolint:errorlint // documented so
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		if err := stream.RecvMsg(&struct{}{}); err != nil {
			if err == io.EOF { //nolint:errorlint // documented so
				return nil
			}
			return err
		}
	}
}
