package rpc

import (
	"context"
	"math"

	"google.golang.org/protobuf/proto"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/usage"
)

// GetForecast says what is to be expected.
func (h *capacityHandler) GetForecast(ctx context.Context, r *heimdrahtv1.GetForecastRequest) (*heimdrahtv1.GetForecastResponse, error) {
	if len(r.GetName()) > maxText {
		return nil, provisioner.Refuse(provisioner.CodeInvalid).With("field", "Name", "name").With("why", "er ist zu lang", "it is too long")
	}
	days := int(min(max(r.GetDays(), 0), usage.MostDays+1))
	f, err := h.usage.Forecast(ctx, actorOf(ctx), usage.ForecastQuery{By: kindOf(r.GetBy()), Name: r.GetName(), Days: days})
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.GetForecastResponse{
		By: r.GetBy(), Name: f.Name, Of: f.Of, Land: f.Land, Since: stamp(f.Since), KnownHours: int64(f.Known), WithheldHours: int64(f.Withheld),
	}
	for _, v := range f.Hours {
		answer.Hours = append(answer.Hours, &heimdrahtv1.ForecastHour{At: stamp(v.At), Low: v.Low, Median: v.Median, High: v.High, Method: fromMethod(v.Method)})
	}
	for _, v := range f.Weeks {
		answer.Weeks = append(answer.Weeks, &heimdrahtv1.ForecastPeak{From: stamp(v.From), Until: stamp(v.Until), Median: v.Median, High: v.High, Method: fromMethod(v.Method)})
	}
	for _, v := range f.Exhausted {
		answer.Exhausted = append(answer.Exhausted, &heimdrahtv1.ForecastExhaustion{Probability: v.Probability, At: stamp(v.At), Of: proto.Int64(v.Of)})
	}
	for _, v := range f.Changes {
		answer.Changes = append(answer.Changes, &heimdrahtv1.ForecastChange{At: stamp(v.At), Before: v.Before, After: v.After})
	}
	for _, v := range f.Backtest {
		answer.Backtest = append(answer.Backtest, &heimdrahtv1.ForecastComparison{
			Hours: int64(v.Hours), Origins: int64(v.Origins), Profile: fromScore(v.Profile), Naive: fromScore(v.Naive),
			Better: fromMethod(v.Better()), BetterAtPeaks: fromMethod(v.BetterAtPeaks()),
		})
	}
	return answer, nil
}

func fromMethod(m capacity.Method) heimdrahtv1.ForecastMethod {
	if m == capacity.ByProfile {
		return heimdrahtv1.ForecastMethod_FORECAST_METHOD_PROFILE
	}
	return heimdrahtv1.ForecastMethod_FORECAST_METHOD_NAIVE
}

func fromScore(s capacity.Score) *heimdrahtv1.ForecastScore {
	m := &heimdrahtv1.ForecastScore{Error: s.Error, Pinball: s.Pinball, Covered: s.Covered}
	if !math.IsNaN(s.MASE) {
		m.Mase = proto.Float64(s.MASE)
	}
	if s.PeakWeeks > 0 {
		m.PeakError = proto.Float64(s.PeakError)
	}
	return m
}
