package rpc

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/usage"
)

// GetUsage tells how much was used.
func (h *capacityHandler) GetUsage(ctx context.Context, r *heimdrahtv1.GetUsageRequest) (*heimdrahtv1.GetUsageResponse, error) {
	if len(r.GetName()) > maxText || len(r.GetMeasures()) > maxText {
		return nil, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Name", "name").With("why", "er ist zu lang", "it is too long")
	}
	if r.GetStepSeconds() < 0 || r.GetStepSeconds() > int64(usage.Day/time.Second) {
		return nil, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Schritt", "step_seconds").
			With("why", "er ist negativ oder länger als ein Tag", "it is negative or longer than a day")
	}
	u, err := h.usage.Usage(ctx, actorOf(ctx), usage.Query{
		From: toTime(r.GetFrom()), To: toTime(r.GetTo()), By: kindOf(r.GetBy()), Name: r.GetName(), Step: time.Duration(r.GetStepSeconds()) * time.Second,
	})
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.GetUsageResponse{From: stamp(u.From), To: stamp(u.To), StepSeconds: r.GetStepSeconds()}
	wanted := func(m heimdrahtv1.UsageMeasure) bool {
		return len(r.GetMeasures()) == 0 || slices.Contains(r.GetMeasures(), m)
	}
	for _, s := range u.Series {
		series := &heimdrahtv1.UsageSeries{By: r.GetBy(), Name: s.Name, Of: s.Of}
		for _, p := range s.Points {
			series.Points = append(series.Points, fromPoint(p, wanted))
		}
		answer.Series = append(answer.Series, series)
	}
	return answer, nil
}

func kindOf(by heimdrahtv1.UsageBy) usage.Kind {
	switch by {
	case heimdrahtv1.UsageBy_USAGE_BY_TENANT:
		return usage.Tenants
	case heimdrahtv1.UsageBy_USAGE_BY_POOL:
		return usage.Pools
	case heimdrahtv1.UsageBy_USAGE_BY_GATEWAY:
		return usage.Gateways
	case heimdrahtv1.UsageBy_USAGE_BY_PROVIDER:
		return usage.Provider
	default:
		return ""
	}
}

func fromPoint(p usage.Point, wanted func(heimdrahtv1.UsageMeasure) bool) *heimdrahtv1.UsagePoint {
	m := &heimdrahtv1.UsagePoint{At: stamp(p.At), Minutes: p.Minutes, Incomplete: p.Incomplete, Partly: p.Partly}
	if p.Minutes == 0 {
		return m
	}
	if wanted(heimdrahtv1.UsageMeasure_USAGE_MEASURE_SESSIONS) {
		m.Sessions = fromFigures(p.Sessions)
	}
	if wanted(heimdrahtv1.UsageMeasure_USAGE_MEASURE_QUEUE) {
		m.Queue = fromFigures(p.Queue)
	}
	if wanted(heimdrahtv1.UsageMeasure_USAGE_MEASURE_OPENED) {
		m.Opened = fromCount(p.Opened)
	}
	if wanted(heimdrahtv1.UsageMeasure_USAGE_MEASURE_BYTES) {
		m.ReceivedBytes, m.SentBytes = fromCount(p.Received), fromCount(p.Sent)
	}
	if wanted(heimdrahtv1.UsageMeasure_USAGE_MEASURE_REFUSED) {
		for i, n := range p.Refused {
			m.Refused = append(m.Refused, &heimdrahtv1.UsageRefused{Reason: fromReason(capacity.Reason(i)), Attempts: fromCount(n)})
		}
	}
	return m
}

func fromFigures(f usage.Figures) *heimdrahtv1.UsageGauge {
	switch {
	case f.Withheld:
		return &heimdrahtv1.UsageGauge{Withheld: true}
	case f.OnlyMax:
		return &heimdrahtv1.UsageGauge{Max: f.Max}
	default:
		return &heimdrahtv1.UsageGauge{Max: f.Max, Mean: proto.Float64(float64(f.Mean) / 100), P95: proto.Int64(f.P95)}
	}
}

func fromReason(r capacity.Reason) heimdrahtv1.RefusalReason {
	switch r {
	case capacity.NoSeat:
		return heimdrahtv1.RefusalReason_REFUSAL_REASON_NO_SEAT
	case capacity.NoGateway:
		return heimdrahtv1.RefusalReason_REFUSAL_REASON_NO_GATEWAY
	case capacity.NotNow:
		return heimdrahtv1.RefusalReason_REFUSAL_REASON_NOT_NOW
	default:
		return heimdrahtv1.RefusalReason_REFUSAL_REASON_OTHERWISE
	}
}
