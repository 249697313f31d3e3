package rpc

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // so that the codec below has one to ask
	"google.golang.org/grpc/mem"

	"github.com/heimdraht/heimdraht/provisioner"
)

// The library answers a message that it cannot read by itself, before any
// handler or interceptor, and with words for programmers. So what we read is put
// into an envelope: the codec notes there what is wrong, and who opens it refuses.
type envelope struct {
	message any
	refusal *provisioner.Refusal // nil: the message is whole
}

// codec is the library's own, but for envelopes.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	e, ok := v.(*envelope)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	if data.Len() > maxMessage {
		e.refusal = provisioner.Refuse(provisioner.CodeTooLarge)
	} else if err := c.CodecV2.Unmarshal(data, e.message); err != nil {
		e.refusal = provisioner.Refuse(provisioner.CodeProtocol).With("why", "sie ist nicht lesbar", "it cannot be read").Because(err)
	}
	return nil
}

// open reads one message through an envelope.
func open(receive func(any) error, message any) error {
	e := &envelope{message: message}
	if err := receive(e); err != nil {
		return err
	}
	if e.refusal != nil {
		return e.refusal
	}
	return nil
}

// RecvMsg refuses what cannot be read. Where the caller has but one thing to say it
// also ends with the context: nobody else waits for that then.
func (a *admitted) RecvMsg(message any) error {
	receive := func() error { return open(a.ServerStream.RecvMsg, message) }
	if a.asksOnce {
		all := receive
		receive = func() error {
			received := make(chan error, 1)
			go func() { received <- all() }()
			select {
			case err := <-received:
				return err
			case <-a.ctx.Done(): // whoever receives ends with the call
				return context.Cause(a.ctx)
			}
		}
	}
	err := receive()
	if err == nil {
		a.call.took()
	}
	return err
}

// registrar registers services whose unary methods ask who calls before they
// take in what is said, and refuse what cannot be read.
type registrar struct {
	grpc.ServiceRegistrar
	gate gate
}

// RegisterService implements grpc.ServiceRegistrar.
func (r registrar) RegisterService(description *grpc.ServiceDesc, server any) {
	d := *description
	d.Methods = slices.Clone(d.Methods)
	for i, m := range d.Methods {
		method := "/" + d.ServiceName + "/" + m.MethodName
		d.Methods[i].Handler = func(server any, ctx context.Context, receive func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			ctx, action, err := r.gate.admit(ctx, method)
			if err != nil {
				return nil, r.gate.refuse(ctx, method, err)
			}
			return m.Handler(server, ctx, func(message any) error {
				err := takeIn(ctx, opensFor(action), func() error { return open(receive, message) })
				return toStatus(ctx, r.gate.log, method, err)
			}, interceptor)
		}
	}
	r.ServiceRegistrar.RegisterService(&d, server)
}
