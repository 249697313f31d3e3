package rpc_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// No message of CapacityService has a field that an identifier of a person or a laptop
// fits into: texts are the names of what is declared, a version of a product and an
// agreement, and there are no bytes, maps or messages of anything.
func TestCapacityCanNamePeopleNowhere(t *testing.T) {
	texts := []string{
		"tenant", "pool", "gateway", "product", "licence_pool", "GetUsageRequest.name", "UsageSeries.name", "GetForecastRequest.name", "GetForecastResponse.name", "GetForecastResponse.land",
		"CapacityWarning.id", "CapacityWarning.name", "CapacityWarning.sentence", "TestWarningsResponse.message_id",
		"agreement_reference", "agreement_date", "version",
		// Of plans: days, what a caller put in of his offers, names of figures and the tenants or pools that they are of.
		"PlanRequest.from", "PlanOffer.name", "PlanOffer.kind", "PlanOffer.from", "PlanOffer.until", "PlanPrice.period", "PlanFigure.name", "PlanFigure.of",
		"PlanFigure.unit", "PlanFigure.formula", "PlanWarning.code", "PlanWarning.of", "PlanResponse.reason", "PlanResponse.left_out", "PlanResponse.people_known", "PlanResponse.laptops_withheld",
	}
	seen := make(map[protoreflect.FullName]bool)
	var walk func(protoreflect.MessageDescriptor)
	walk = func(m protoreflect.MessageDescriptor) {
		if seen[m.FullName()] {
			return
		}
		seen[m.FullName()] = true
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			switch f.Kind() {
			case protoreflect.BoolKind, protoreflect.EnumKind, protoreflect.DoubleKind, protoreflect.Int32Kind, protoreflect.Uint32Kind, protoreflect.Int64Kind:
			case protoreflect.StringKind:
				if !slices.Contains(texts, string(f.Name())) && !slices.Contains(texts, string(m.Name())+"."+string(f.Name())) {
					t.Errorf("%s is a text that could name somebody", f.FullName())
				}
			case protoreflect.MessageKind:
				if f.IsMap() || f.Message().FullName() == "google.protobuf.Any" || f.Message().FullName() == "google.protobuf.Struct" {
					t.Errorf("%s takes anything", f.FullName())
				}
				walk(f.Message())
			default:
				t.Errorf("%s is of the kind %s, which could name somebody", f.FullName(), f.Kind())
			}
		}
	}
	service := heimdrahtv1.File_heimdraht_v1_capacity_proto.Services().ByName("CapacityService")
	for i := range service.Methods().Len() {
		walk(service.Methods().Get(i).Input())
		walk(service.Methods().Get(i).Output())
	}
	if len(seen) < 12 {
		t.Errorf("only %d messages were looked at", len(seen))
	}
}

// What can be asked for, and the words for what cannot.
func TestUsageIsAskedForProperly(t *testing.T) {
	s := provisionertest.Start(t, nil)
	client := heimdrahtv1.NewCapacityServiceClient(s.Dial(nil))
	planner := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Planner))
	operator := provisionertest.As(t.Context(), s.Operator)
	now := time.Now()
	ask := func(change func(*heimdrahtv1.GetUsageRequest)) *heimdrahtv1.GetUsageRequest {
		r := &heimdrahtv1.GetUsageRequest{By: heimdrahtv1.UsageBy_USAGE_BY_TENANT, From: timestamppb.New(now.Add(-time.Hour)), To: timestamppb.New(now), StepSeconds: 3600}
		change(r)
		return r
	}
	gateways := func(r *heimdrahtv1.GetUsageRequest) { r.By, r.StepSeconds = heimdrahtv1.UsageBy_USAGE_BY_GATEWAY, 60 }
	for _, c := range []struct {
		name   string
		change func(*heimdrahtv1.GetUsageRequest)
		code   string
	}{
		{"well", func(*heimdrahtv1.GetUsageRequest) {}, ""},
		{"her own tenant", func(r *heimdrahtv1.GetUsageRequest) { r.Name = provisionertest.Tenant }, ""},
		{"another tenant", func(r *heimdrahtv1.GetUsageRequest) { r.Name = "nirgends" }, "not-allowed"},
		{"a pool that is not there", func(r *heimdrahtv1.GetUsageRequest) { r.By, r.Name = heimdrahtv1.UsageBy_USAGE_BY_POOL, "nirgends" }, "not-found"},
		{"of nothing", func(r *heimdrahtv1.GetUsageRequest) { r.By = 0 }, "invalid"},
		{"by something else", func(r *heimdrahtv1.GetUsageRequest) { r.By = 17 }, "invalid"},
		{"gateways", gateways, "not-allowed"},
		{"the provider", func(r *heimdrahtv1.GetUsageRequest) { r.By = heimdrahtv1.UsageBy_USAGE_BY_PROVIDER }, "not-allowed"},
		{"reversed", func(r *heimdrahtv1.GetUsageRequest) { r.From, r.To = r.To, r.From }, "invalid"},
		{"from the future", func(r *heimdrahtv1.GetUsageRequest) {
			r.From, r.To = timestamppb.New(now.Add(time.Hour)), timestamppb.New(now.Add(2*time.Hour))
		}, "invalid"},
		{"no beginning", func(r *heimdrahtv1.GetUsageRequest) { r.From = nil }, "invalid"},
		{"an absurd time", func(r *heimdrahtv1.GetUsageRequest) { r.From = &timestamppb.Timestamp{Seconds: 1 << 60} }, "invalid"},
		{"five minutes", func(r *heimdrahtv1.GetUsageRequest) { r.StepSeconds = 300 }, "invalid"},
		{"no step", func(r *heimdrahtv1.GetUsageRequest) { r.StepSeconds = 0 }, "invalid"},
		{"a negative step", func(r *heimdrahtv1.GetUsageRequest) { r.StepSeconds = -1 << 62 }, "invalid"},
		{"all of three years", func(r *heimdrahtv1.GetUsageRequest) { r.From = timestamppb.New(now.AddDate(-3, 0, 0)) }, ""},
		{"of long ago", func(r *heimdrahtv1.GetUsageRequest) {
			r.From, r.To, r.StepSeconds = timestamppb.New(now.AddDate(-2, 0, 0)), timestamppb.New(now.AddDate(-1, 0, 0)), 900
		}, "invalid"},
	} {
		_, err := client.GetUsage(planner, ask(c.change))
		if got := codeOf(err); got != c.code {
			t.Errorf("%s: %q, want %q (%v)", c.name, got, c.code, err)
		}
	}
	r, err := client.GetUsage(operator, ask(gateways))
	if err != nil || r.GetStepSeconds() != 60 {
		t.Errorf("an operator is told %v, %v", r, err)
	}
}
