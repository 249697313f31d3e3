package main

import (
	"context"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"

	"google.golang.org/grpc/codes"
)

// ListWarnings has a warning that stands, one by a forecast, and one that ended.
func (f *fake) ListWarnings(_ context.Context, r *heimdrahtv1.ListWarningsRequest) (*heimdrahtv1.ListWarningsResponse, error) {
	answer := &heimdrahtv1.ListWarningsResponse{
		Warnings: []*heimdrahtv1.CapacityWarning{
			{
				Id: "w2", Kind: heimdrahtv1.WarningKind_WARNING_KIND_FORECAST, Of: heimdrahtv1.WarningOf_WARNING_OF_POOL, Name: "vpn", Percent: 50, Capacity: 1200,
				RaisedAt: at("2026-11-25T23:20:00Z"), SeenAt: at("2026-11-25T23:00:00Z"), ExpectedAt: at("2026-12-14T07:00:00Z"),
				Sentence: "vpn: from 2026-12-14 on, 1200 seats are no longer enough, with a probability of 50 %.",
			},
			{
				Id: "w1", Kind: heimdrahtv1.WarningKind_WARNING_KIND_SEATS, Of: heimdrahtv1.WarningOf_WARNING_OF_POOL, Name: "vpn", Percent: 80, Value: 965, Capacity: 1200,
				RaisedAt: at("2026-11-23T09:00:30Z"), SeenAt: at("2026-11-23T08:15:00Z"), Sentence: "vpn: of 1200 seats, 965 were held at one time (threshold 80 %).",
			},
		},
		Receiver: &heimdrahtv1.WarningReceiver{Waiting: 2, FailingSince: at("2026-11-26T08:00:00Z"), GivenUp: 1},
	}
	if r.GetAll() {
		answer.Receiver = nil
		answer.Warnings = append(answer.Warnings, &heimdrahtv1.CapacityWarning{
			Id: "w0", Kind: heimdrahtv1.WarningKind_WARNING_KIND_REFUSED, Of: heimdrahtv1.WarningOf_WARNING_OF_PROVIDER, Value: 12,
			RaisedAt: at("2026-09-01T07:00:30Z"), SeenAt: at("2026-09-01T06:00:00Z"), EndedAt: at("2026-09-16T00:00:30Z"), EndedWhy: heimdrahtv1.WarningEnd_WARNING_END_QUIET,
			Sentence: "all together: within an hour, 12 sessions were refused for want of a seat or a gateway. Ended: two weeks were quiet.",
		})
	}
	return answer, nil
}

// TestWarnings is taken the first time.
func (f *fake) TestWarnings(ctx context.Context, _ *heimdrahtv1.TestWarningsRequest) (*heimdrahtv1.TestWarningsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tests++; f.tests > 1 {
		return nil, refuse(ctx, codes.Unavailable, "webhook-failed", "Der Empfänger hat die Nachricht nicht angenommen: it answered with status 500.", "Prüfen Sie die Adresse.",
			"The receiver has not taken the message: it answered with status 500.", "Check the address.")
	}
	return &heimdrahtv1.TestWarningsResponse{MessageId: "msg_0c3f"}, nil
}
