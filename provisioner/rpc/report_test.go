package rpc_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// metered is the declaration of a tenant that meters two products.
func metered() *heimdrahtv1.Declaration {
	d := provisionertest.Declaration()
	d.Tenants[0].Products = []*heimdrahtv1.ProductDeclaration{{Name: "citrix", Processes: []string{"wfica", "wfica32.exe"}}, {Name: "phone", Processes: []string{"sipp"}}}
	d.Tenants[0].WorksAgreement = &heimdrahtv1.WorksAgreement{Reference: "DV 2026-03", Date: "2026-03-01"}
	return d
}

// A laptop learns what it is to say with its session, and of what it says that was not
// taken, in a sentence; its lease moves on all the same.
func TestReportsThatLie(t *testing.T) {
	s := provisionertest.StartWith(t, provisionertest.Options{People: 1})
	s.JoinGateway("gw1").Run()
	s.Apply(metered())
	laptop, other := s.Enrol(provisionertest.Staff, "SN1"), s.Enrol(provisionertest.Login(0), "SN2")
	foreign := open(t, s.Attach(english(), other)).GetSessionId()
	stream := s.Attach(english(), laptop)
	opened := open(t, stream)
	want := &heimdrahtv1.Metering{AgreementReference: "DV 2026-03", AgreementDate: "2026-03-01", Products: []*heimdrahtv1.MeteredProduct{
		{Name: "citrix", Processes: []string{"wfica", "wfica32.exe"}}, {Name: "phone", Processes: []string{"sipp"}}}}
	if !proto.Equal(opened.GetMetering(), want) {
		t.Fatalf("told to say %v", opened.GetMetering())
	}

	renew := func(r *heimdrahtv1.RenewSession) *heimdrahtv1.AttachResponse {
		t.Helper()
		if err := stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Renew{Renew: r}}); err != nil {
			t.Fatal(err)
		}
		order, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return order
	}
	products := func(list ...*heimdrahtv1.ProductInUse) *heimdrahtv1.Usage {
		return &heimdrahtv1.Usage{ReceivedBytes: 1000, SentBytes: 1000, Products: list}
	}
	citrix := &heimdrahtv1.ProductInUse{Name: "citrix", InUse: true, Version: "24.1"}
	var many []*heimdrahtv1.ProductInUse
	for range 2000 {
		many = append(many, &heimdrahtv1.ProductInUse{Name: "x"})
	}
	for _, c := range []struct {
		name  string
		usage *heimdrahtv1.Usage
		clock *timestamppb.Timestamp
		want  string
	}{
		{"honest", products(citrix, &heimdrahtv1.ProductInUse{Name: "phone"}), timestamppb.Now(), ""},
		{"nothing", nil, nil, ""},
		{"unlisted", products(citrix, &heimdrahtv1.ProductInUse{Name: "solitaire.exe", InUse: true}), nil, "products that are not metered: 1"},
		{"a text for a version", products(&heimdrahtv1.ProductInUse{Name: "citrix", InUse: true, Version: strings.Repeat("x", 1000)}), nil, "unusable versions: 1"},
		{"thousands", products(many...), nil, "950 products too many; products that are not metered: 50"},
		{"bytes that fall", &heimdrahtv1.Usage{ReceivedBytes: 999, SentBytes: 5000}, nil, "fewer bytes than before"},
		{"absurd bytes", &heimdrahtv1.Usage{ReceivedBytes: math.MaxUint64, SentBytes: math.MaxUint64}, nil, ""},
		{"a sign of life in the future", &heimdrahtv1.Usage{ReceivedBytes: math.MaxUint64, SentBytes: math.MaxUint64, LastHandshakeAgeMs: proto.Int64(-1)}, nil, "the last sign of life is in the future"},
		{"a clock beyond all times", &heimdrahtv1.Usage{ReceivedBytes: math.MaxUint64, SentBytes: math.MaxUint64}, &timestamppb.Timestamp{Seconds: math.MaxInt64}, "the clock shows no time"},
	} {
		order := renew(&heimdrahtv1.RenewSession{SessionId: opened.GetSessionId(), Usage: c.usage, Clock: c.clock}).GetRenewed()
		if order.GetSessionId() != opened.GetSessionId() || order.GetLeaseUntil().AsTime().Before(time.Now().Add(time.Minute)) {
			t.Fatalf("%s: answered by %v", c.name, order)
		}
		clipped := order.GetClipped()
		if (clipped != nil) != (c.want != "") || clipped != nil && clipped.GetCode() != "report-clipped" || !strings.Contains(clipped.GetSentence(), c.want) {
			t.Errorf("%s: %v", c.name, clipped)
		}
		if strings.Contains(clipped.GetSentence(), "solitaire") {
			t.Errorf("%s: repeats the name", c.name)
		}
		if order.GetMetering() != nil {
			t.Errorf("%s: told again what to say", c.name)
		}
	}
	order := renew(&heimdrahtv1.RenewSession{SessionId: foreign, Usage: products(citrix)})
	if order.GetClosed().GetWhy().GetCode() != "session-unknown" {
		t.Errorf("for another's session: %v", order)
	}
}
