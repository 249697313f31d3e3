package rpc

import (
	"context"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/warning"
)

// ListWarnings lists what is warned of.
func (h *capacityHandler) ListWarnings(ctx context.Context, r *heimdrahtv1.ListWarningsRequest) (*heimdrahtv1.ListWarningsResponse, error) {
	actor := actorOf(ctx)
	l, err := h.warning.List(ctx, actor, r.GetAll())
	if err != nil {
		return nil, err
	}
	answer := new(heimdrahtv1.ListWarningsResponse)
	for _, w := range l.Warnings {
		answer.Warnings = append(answer.Warnings, &heimdrahtv1.CapacityWarning{
			Id: w.ID, Kind: fromWarningKind(warning.Kind(w.Kind)), Of: fromWarningOf(warning.Of(w.Of)), Name: w.Name, Percent: w.Percent,
			RaisedAt: stamp(w.RaisedAt), SeenAt: stamp(w.SeenAt), Value: w.Value, Capacity: w.Capacity, ExpectedAt: stamp(w.Expected),
			EndedAt: stamp(w.EndedAt), EndedWhy: fromWarningEnd(warning.End(w.EndedWhy)), Sentence: warning.Sentence(w, actor.Language),
		})
	}
	if v := l.Receiving; v != nil {
		answer.Receiver = &heimdrahtv1.WarningReceiver{Waiting: v.Waiting, FailingSince: stamp(v.FailingSince), GivenUp: v.GivenUp}
	}
	return answer, nil
}

// TestWarnings sends a message to the webhook's receiver.
func (h *capacityHandler) TestWarnings(ctx context.Context, _ *heimdrahtv1.TestWarningsRequest) (*heimdrahtv1.TestWarningsResponse, error) {
	id, err := h.warning.Test(ctx, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.TestWarningsResponse{MessageId: id}, nil
}

func fromWarningKind(k warning.Kind) heimdrahtv1.WarningKind {
	switch k {
	case warning.Seats:
		return heimdrahtv1.WarningKind_WARNING_KIND_SEATS
	case warning.Forecast:
		return heimdrahtv1.WarningKind_WARNING_KIND_FORECAST
	case warning.Queue:
		return heimdrahtv1.WarningKind_WARNING_KIND_QUEUE
	case warning.Refused:
		return heimdrahtv1.WarningKind_WARNING_KIND_REFUSED
	case warning.Sessions:
		return heimdrahtv1.WarningKind_WARNING_KIND_SESSIONS
	case warning.Addresses:
		return heimdrahtv1.WarningKind_WARNING_KIND_ADDRESSES
	default:
		return heimdrahtv1.WarningKind_WARNING_KIND_UNSPECIFIED
	}
}

func fromWarningOf(o warning.Of) heimdrahtv1.WarningOf {
	switch o {
	case warning.Tenant:
		return heimdrahtv1.WarningOf_WARNING_OF_TENANT
	case warning.Pool:
		return heimdrahtv1.WarningOf_WARNING_OF_POOL
	case warning.Gateway:
		return heimdrahtv1.WarningOf_WARNING_OF_GATEWAY
	case warning.Provider:
		return heimdrahtv1.WarningOf_WARNING_OF_PROVIDER
	default:
		return heimdrahtv1.WarningOf_WARNING_OF_UNSPECIFIED
	}
}

func fromWarningEnd(e warning.End) heimdrahtv1.WarningEnd {
	switch e {
	case warning.EndQuiet:
		return heimdrahtv1.WarningEnd_WARNING_END_QUIET
	case warning.EndGone:
		return heimdrahtv1.WarningEnd_WARNING_END_GONE
	case warning.EndThreshold:
		return heimdrahtv1.WarningEnd_WARNING_END_THRESHOLD
	default:
		return heimdrahtv1.WarningEnd_WARNING_END_UNSPECIFIED
	}
}
