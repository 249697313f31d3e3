package rpc_test

import (
	"regexp"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

func planFor(people int64) *heimdrahtv1.PlanRequest {
	return &heimdrahtv1.PlanRequest{
		People: []*heimdrahtv1.PlanPeople{{Tenant: provisionertest.Tenant, People: people}}, Tenant: []string{provisionertest.Tenant},
		From: time.Now().AddDate(0, 2, 0).Format(time.DateOnly), Years: 3, HomeShare: 600_000, OnlineAtPeak: 1_000_000, Refused: 10_000, KbitsAPerson: 150,
		Offers: []*heimdrahtv1.PlanOffer{
			{Name: "kauf", Kind: "perpetual", Price: &heimdrahtv1.PlanPrice{NetCents: 7000}, Maintenance: &heimdrahtv1.PlanPrice{NetCents: 1200}, Until: "2099-12-31"},
			{Name: "server", Kind: "server", Price: &heimdrahtv1.PlanPrice{NetCents: 2_100_000}, Sessions: 10},
		},
	}
}

func TestPlans(t *testing.T) {
	s := provisionertest.Start(t, nil)
	client := heimdrahtv1.NewCapacityServiceClient(s.Dial(nil))
	planner := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Planner))
	find := func(r *heimdrahtv1.PlanResponse, name, of string, year int64) *heimdrahtv1.PlanFigure {
		for _, f := range r.GetFigures() {
			if f.GetName() == name && f.GetOf() == of && f.GetTenant() == "" && f.GetYear() == year && f.GetStep() == 0 {
				return f
			}
		}
		return nil
	}
	r := planFor(210)
	short, err := client.Plan(planner, r)
	if err != nil {
		t.Fatal(err)
	}
	seats, owned, missing := find(short, "seats", "", 1), find(short, "seats-owned", "", 1), find(short, "seats-to-buy", "", 1)
	if seats.GetValue() < 126 || seats.GetFormula() != "" || missing.GetValue() != max(0, seats.GetValue()-owned.GetValue()) || find(short, "cost-net", "kauf", 0).GetValue() != missing.GetValue()*10_600 {
		t.Errorf("%v\n%v\n%v", seats, missing, find(short, "cost-net", "kauf", 0))
	}
	if find(short, "gateways-to-add", "gw1", 0) != nil || find(short, "cost-net", "server", 0) != nil {
		t.Error("a planner is told of gateways")
	}
	r.Explain = true
	long, err := client.Plan(planner, r)
	if err != nil || len(long.GetFigures()) != len(short.GetFigures()) || find(long, "seats-to-buy", "", 1).GetFormula() != "max(0, a − b)" {
		t.Fatal(err, find(long, "seats-to-buy", "", 1))
	}
	for i, f := range long.GetFigures() {
		for _, in := range f.GetInputs() {
			if int(in) >= i {
				t.Fatalf("%v follows from what stands behind it", f)
			}
		}
	}
	operator := provisionertest.As(t.Context(), s.Operator)
	all, err := client.Plan(operator, r)
	if add := find(all, "gateways-to-add", "server", 0); err != nil || add == nil || find(all, "cost-net", "server", 0).GetValue() != add.GetValue()*2_100_000 {
		t.Errorf("an operator is told %v, %v", add, err)
	}
}

func TestBadPlansAreRefused(t *testing.T) {
	s := provisionertest.Start(t, nil)
	client := heimdrahtv1.NewCapacityServiceClient(s.Dial(nil))
	planner := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Planner))
	for name, change := range map[string]func(*heimdrahtv1.PlanRequest){
		"no date":             func(r *heimdrahtv1.PlanRequest) { r.From = "" },
		"a date that is none": func(r *heimdrahtv1.PlanRequest) { r.From = "2027-02-30" },
		"a share above all":   func(r *heimdrahtv1.PlanRequest) { r.HomeShare = 1_000_001 },
		"a negative price":    func(r *heimdrahtv1.PlanRequest) { r.Offers[0].Price.NetCents = -1 },
		"no price":            func(r *heimdrahtv1.PlanRequest) { r.Offers[0].Price = nil },
		"a period":            func(r *heimdrahtv1.PlanRequest) { r.Offers[0].Price.Period = "century" },
		"an offer's day":      func(r *heimdrahtv1.PlanRequest) { r.Offers[0].Until = "x" },
		"for ever":            func(r *heimdrahtv1.PlanRequest) { r.Years = 1 << 60 },
		"for no time":         func(r *heimdrahtv1.PlanRequest) { r.Years = -1 },
		"nobody":              func(r *heimdrahtv1.PlanRequest) { r.People[0].People = 0 },
		"fewer":               func(r *heimdrahtv1.PlanRequest) { r.People[0].People = -1 << 63 },
		"empty":               func(r *heimdrahtv1.PlanRequest) { proto.Reset(r) },
	} {
		r := planFor(210)
		change(r)
		_, err := client.Plan(planner, r)
		expect(t, name, err, "invalid")
	}
	admin := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Admin))
	_, err := client.Plan(admin, planFor(210))
	expect(t, "an administrator", err, "not-allowed")
}

// No message of a plan has a place for who somebody is, or what is hers.
func TestPlansNameNobody(t *testing.T) {
	somebody := regexp.MustCompile(`person|device|login|mail|serial|fingerprint|address|session_id|_key|_id$`)
	seen := make(map[protoreflect.FullName]bool)
	var walk func(protoreflect.MessageDescriptor)
	walk = func(m protoreflect.MessageDescriptor) {
		if seen[m.FullName()] {
			return
		}
		seen[m.FullName()] = true
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			if somebody.MatchString(string(f.Name())) && f.Kind() != protoreflect.Int64Kind {
				t.Errorf("%s may name somebody", f.FullName())
			}
			if f.Kind() == protoreflect.MessageKind {
				walk(f.Message())
			}
		}
	}
	walk((&heimdrahtv1.PlanRequest{}).ProtoReflect().Descriptor())
	walk((&heimdrahtv1.PlanResponse{}).ProtoReflect().Descriptor())
	if len(seen) < 6 {
		t.Errorf("only %d messages were looked at", len(seen))
	}
}
