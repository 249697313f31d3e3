package main

import (
	"context"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// notOperator is what planners are told who ask for what operators alone may know.
func notOperator(ctx context.Context) error {
	return refuse(ctx, codes.PermissionDenied, "not-allowed", "Das dürfen Sie nicht.", "Fragen Sie.", "You may not do that.", "Ask.")
}

// GetForecast plays a Friday and a Saturday of a pool of 450 seats that are not enough for long.
func (f *fake) GetForecast(ctx context.Context, r *heimdrahtv1.GetForecastRequest) (*heimdrahtv1.GetForecastResponse, error) {
	if r.GetBy() == heimdrahtv1.UsageBy_USAGE_BY_PROVIDER {
		return nil, notOperator(ctx)
	}
	begins := at("2026-11-20T00:00:00+01:00").AsTime()
	after := func(hours int) *timestamppb.Timestamp {
		return timestamppb.New(begins.Add(time.Duration(hours) * time.Hour))
	}
	answer := &heimdrahtv1.GetForecastResponse{
		By: r.GetBy(), Name: r.GetName(), Of: 450, Land: "HE", Since: after(-24 * 84), KnownHours: 2000, WithheldHours: 16,
		Weeks: []*heimdrahtv1.ForecastPeak{{From: after(0), Until: after(int(24 * r.GetDays())), Median: 430.4, High: 501.6, Method: heimdrahtv1.ForecastMethod_FORECAST_METHOD_PROFILE}},
	}
	for i := range 48 {
		h := &heimdrahtv1.ForecastHour{At: after(i), Low: 2, Median: 4.5, High: 9.333, Method: heimdrahtv1.ForecastMethod_FORECAST_METHOD_PROFILE}
		if i >= 7 && i < 17 {
			h.Low, h.Median, h.High = 380, 430, 500
		}
		answer.Hours = append(answer.Hours, h)
	}
	switch r.GetName() {
	case "roomy":
		answer.Of = 900
		return answer, nil
	case "young":
		answer.Land = ""
		return answer, nil
	}
	if r.GetName() == "ending" {
		answer.Exhausted = []*heimdrahtv1.ForecastExhaustion{{Probability: .95, At: after(24 * 14), Of: proto.Int64(0)}}
		return answer, nil
	}
	answer.Exhausted = []*heimdrahtv1.ForecastExhaustion{{Probability: .05, At: after(7)}, {Probability: .5, At: after(24 * 14)}}
	answer.Changes = []*heimdrahtv1.ForecastChange{{At: after(-24 * 10), Before: 190.2, After: 240.7}}
	answer.Backtest = []*heimdrahtv1.ForecastComparison{
		{
			Hours: 168, Origins: 12, Better: heimdrahtv1.ForecastMethod_FORECAST_METHOD_PROFILE, BetterAtPeaks: heimdrahtv1.ForecastMethod_FORECAST_METHOD_NAIVE,
			Profile: &heimdrahtv1.ForecastScore{Error: 16.1, Mase: proto.Float64(.71), Pinball: 2.85, Covered: .892, PeakError: proto.Float64(18.2)},
			Naive:   &heimdrahtv1.ForecastScore{Error: 19.1, Mase: proto.Float64(.838), Pinball: 2.68, Covered: .897, PeakError: proto.Float64(18.1)},
		},
		{
			Hours: 672, Origins: 1, Better: heimdrahtv1.ForecastMethod_FORECAST_METHOD_NAIVE, BetterAtPeaks: heimdrahtv1.ForecastMethod_FORECAST_METHOD_NAIVE,
			Profile: &heimdrahtv1.ForecastScore{Error: 1}, Naive: &heimdrahtv1.ForecastScore{},
		},
	}
	return answer, nil
}
