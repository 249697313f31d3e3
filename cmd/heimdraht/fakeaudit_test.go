package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/audit"
)

// ListRecords has two pages.
func (f *fake) ListRecords(_ context.Context, r *heimdrahtv1.ListRecordsRequest) (*heimdrahtv1.ListRecordsResponse, error) {
	if r.GetPerson() == "nobody" {
		return &heimdrahtv1.ListRecordsResponse{}, nil
	}
	if r.GetPageToken() == "" {
		return &heimdrahtv1.ListRecordsResponse{NextPageToken: "more", Records: []*heimdrahtv1.ListedRecord{{
			Chain: "stadt", Seq: 7, At: at("2026-11-22T09:30:00Z"), Tenant: "stadt", Role: "helpdesk", ActorId: "philde", ActorName: "Hilde \x1b[31mHelfer",
			Action: "revoke device", ObjectKind: "device", ObjectId: "dlost", ObjectName: "nb-09", Reason: "=lost", Source: "192.0.2.7", Result: "done",
			Details: map[string]string{"revision": "12", "person": "perika"},
		}}}, nil
	}
	return &heimdrahtv1.ListRecordsResponse{Records: []*heimdrahtv1.ListedRecord{
		{Chain: "", Seq: 3, At: at("2026-11-21T09:30:00Z"), Erased: true},
		{Chain: "stadt", Seq: 6, At: at("2026-11-20T09:30:00Z"), Tenant: "stadt", Role: "planner", ActorId: "ppaul", Action: "read person", Result: "not-allowed"},
	}}, nil
}

func auditKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)) }

func (f *fake) GetKey(context.Context, *heimdrahtv1.GetKeyRequest) (*heimdrahtv1.GetKeyResponse, error) {
	return &heimdrahtv1.GetKeyResponse{PublicKeys: [][]byte{auditKey().Public().(ed25519.PublicKey)}}, nil
}

// Export gives three records of a tenant, of which one is erased, and breaks off if that is asked for.
func (f *fake) Export(r *heimdrahtv1.ExportRequest, stream grpc.ServerStreamingServer[heimdrahtv1.ExportResponse]) error {
	if r.GetTenant() == "nachbar" {
		return refuse(stream.Context(), codes.PermissionDenied, "not-allowed", "Das dürfen Sie nicht.", "Fragen Sie.", "You may not do that.", "Ask.")
	}
	var head audit.Head
	part := &heimdrahtv1.ExportRecords{Chain: "stadt"}
	for i := range 3 {
		r, next, err := head.Append(audit.Event{
			At: time.Date(2026, 11, 22, 9, 30, i, 0, time.UTC), Tenant: "stadt", Action: "revoke device", Reason: "lost", Result: audit.ResultDone,
		}, audit.Salt{byte(i)})
		if err != nil {
			return err
		}
		if i == 1 {
			r = r.Erased()
		}
		head = next
		part.Records = append(part.Records, &heimdrahtv1.RawRecord{
			Seq: r.Seq, AtMs: r.At.UnixMilli(), Tenant: r.Tenant, Payload: r.Payload, Salt: r.Salt, Commitment: r.Commitment[:], Hash: r.Hash[:],
		})
	}
	c := audit.Sign(auditKey(), audit.Checkpoint{
		Installation: "inst", At: time.Date(2026, 11, 22, 9, 31, 0, 0, time.UTC), Heads: []audit.ChainHead{{Chain: "stadt", Head: head}},
	})
	for _, p := range []*heimdrahtv1.ExportResponse{
		{Part: &heimdrahtv1.ExportResponse_Begin{Begin: &heimdrahtv1.ExportBegin{
			Installation: "inst", PublicKeys: [][]byte{auditKey().Public().(ed25519.PublicKey)},
			Checkpoint: &heimdrahtv1.AuditCheckpoint{
				Installation: c.Installation, AtMs: c.At.UnixMilli(), Heads: []*heimdrahtv1.AuditHead{{Chain: "stadt", Seq: head.Seq, Hash: head.Hash[:]}},
				KeyId: string(c.Key), Signature: c.Signature,
			},
		}}},
		{Part: &heimdrahtv1.ExportResponse_Records{Records: part}},
	} {
		if err := stream.Send(p); err != nil {
			return err
		}
	}
	if r.GetTenant() == "broken" {
		return nil
	}
	return stream.Send(&heimdrahtv1.ExportResponse{Part: &heimdrahtv1.ExportResponse_End{End: &heimdrahtv1.ExportEnd{}}})
}
