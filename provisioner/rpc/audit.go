package rpc

import (
	"context"
	"crypto/ed25519"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/auditing"
)

type auditHandler struct {
	heimdrahtv1.UnimplementedAuditServiceServer
	auditing *auditing.Service
}

func (h *auditHandler) ListRecords(ctx context.Context, r *heimdrahtv1.ListRecordsRequest) (*heimdrahtv1.ListRecordsResponse, error) {
	list, next, err := h.auditing.List(ctx, actorOf(ctx), auditing.Query{
		Tenant: r.GetTenant(), Since: timeOf(r.GetSince()), Until: timeOf(r.GetUntil()), Actor: r.GetActor(), Person: r.GetPerson(),
		Device: r.GetDevice(), Action: r.GetAction(), Limit: int(r.GetLimit()), After: r.GetPageToken(),
	})
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.ListRecordsResponse{NextPageToken: next}
	for _, l := range list {
		e := l.Event
		answer.Records = append(answer.Records, &heimdrahtv1.ListedRecord{
			Chain: l.Chain, Seq: l.Seq, At: timestamppb.New(l.At), Tenant: l.Tenant, Erased: l.Erased,
			Role: e.Actor.Kind, ActorId: e.Actor.ID, ActorName: e.Actor.Name, Action: e.Action,
			ObjectKind: e.Object.Kind, ObjectId: e.Object.ID, ObjectName: e.Object.Name,
			Reason: e.Reason, Source: e.Source, Result: e.Result, Details: e.Details,
		})
	}
	return answer, nil
}

// timeOf is a time that may be unset.
func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func (h *auditHandler) GetKey(ctx context.Context, _ *heimdrahtv1.GetKeyRequest) (*heimdrahtv1.GetKeyResponse, error) {
	keys, err := h.auditing.Key(actorOf(ctx))
	return &heimdrahtv1.GetKeyResponse{PublicKeys: fromKeys(keys)}, err
}

func (h *auditHandler) Export(r *heimdrahtv1.ExportRequest, stream grpc.ServerStreamingServer[heimdrahtv1.ExportResponse]) error {
	ctx := stream.Context()
	if err := h.auditing.Export(ctx, actorOf(ctx), r.GetTenant(), r.GetReason(), exporting{stream}); err != nil {
		return err
	}
	return stream.Send(&heimdrahtv1.ExportResponse{Part: &heimdrahtv1.ExportResponse_End{End: &heimdrahtv1.ExportEnd{}}})
}

// exporting puts an export on the wire.
type exporting struct {
	stream grpc.ServerStreamingServer[heimdrahtv1.ExportResponse]
}

// Begin implements auditing.Receiver.
func (e exporting) Begin(installation string, keys []ed25519.PublicKey, c audit.Checkpoint) error {
	check := &heimdrahtv1.AuditCheckpoint{
		Installation: c.Installation, AtMs: c.At.UnixMilli(), Complete: c.Complete, KeyId: string(c.Key), Signature: c.Signature,
	}
	for _, h := range c.Heads {
		check.Heads = append(check.Heads, &heimdrahtv1.AuditHead{Chain: h.Chain, Seq: h.Seq, Hash: h.Hash[:]})
	}
	return e.stream.Send(&heimdrahtv1.ExportResponse{Part: &heimdrahtv1.ExportResponse_Begin{Begin: &heimdrahtv1.ExportBegin{
		Installation: installation, PublicKeys: fromKeys(keys), Checkpoint: check,
	}}})
}

// Records implements auditing.Receiver.
func (e exporting) Records(chain string, list []audit.Record) error {
	part := &heimdrahtv1.ExportRecords{Chain: chain}
	for _, r := range list {
		part.Records = append(part.Records, fromRecord(r))
	}
	return e.send(part)
}

// Earlier implements auditing.Receiver.
func (e exporting) Earlier(list []auditing.Earlier) error {
	part := &heimdrahtv1.ExportRecords{Earlier: true}
	for _, v := range list {
		r := fromRecord(v.Record)
		if v.Before != (audit.Hash{}) {
			r.Before = v.Before[:]
		}
		part.Records = append(part.Records, r)
	}
	return e.send(part)
}

func (e exporting) send(part *heimdrahtv1.ExportRecords) error {
	return e.stream.Send(&heimdrahtv1.ExportResponse{Part: &heimdrahtv1.ExportResponse_Records{Records: part}})
}

func fromRecord(r audit.Record) *heimdrahtv1.RawRecord {
	return &heimdrahtv1.RawRecord{
		Seq: r.Seq, AtMs: r.At.UnixMilli(), Tenant: r.Tenant, Payload: r.Payload, Salt: r.Salt, Commitment: r.Commitment[:], Hash: r.Hash[:],
	}
}

func fromKeys(keys []ed25519.PublicKey) [][]byte {
	list := make([][]byte, len(keys))
	for i, k := range keys {
		list[i] = k
	}
	return list
}
