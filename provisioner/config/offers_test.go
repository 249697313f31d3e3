package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity/plan"
)

func TestOffers(t *testing.T) {
	got, err := LoadOffers("../../deploy/offers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := Offers{
		Offers: []plan.Offer{
			{
				Name: "kauf", Kind: plan.Perpetual, Price: provisioner.Price{NetCents: 7000, GrossCents: 8330, Period: provisioner.PerYear},
				Maintenance: provisioner.Price{NetCents: 1200, GrossCents: 1428, Period: provisioner.PerYear}, Pack: 25, DeliveryDays: 14,
			},
			{
				Name: "nutzung", Kind: plan.Used, Price: provisioner.Price{NetCents: 210, GrossCents: 250, Period: provisioner.PerMonth}, UsedShare: 650_000, DeliveryDays: 3,
				From: provisioner.DayBegins(2026, 10, 1), Until: provisioner.DayBegins(2027, 4, 1),
			},
			{
				Name: "grundpreis", Kind: plan.Base, Price: provisioner.Price{NetCents: 50_000, GrossCents: 59_500, Period: provisioner.PerMonth}, Included: 300,
				Overage: provisioner.Price{NetCents: 190, GrossCents: 226, Period: provisioner.PerYear}, DeliveryDays: 3,
			},
			{
				Name: "server", Kind: plan.Server, Price: provisioner.Price{NetCents: 1_780_000, GrossCents: 2_118_200, Period: provisioner.PerYear},
				Maintenance: provisioner.Price{NetCents: 96_000, GrossCents: 114_240, Period: provisioner.PerYear}, Sessions: 1500, Kilobits: 1_000_000, DeliveryDays: 42,
			},
			{Name: "laptop", Kind: plan.Laptop, Price: provisioner.Price{NetCents: 94_000, GrossCents: 111_860, Period: provisioner.PerYear}, Pack: 10, DeliveryDays: 56},
		},
		People: map[string]int64{"dorf": 21},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBadOffers(t *testing.T) {
	of := func(s string) string { return "offers:\n- {name: a,\n  " + s + "}" }
	for _, tt := range []badFile{
		{"empty", "", "f.yaml: the file is empty"},
		{"none", "people: {a: 1}", `f.yaml:1: the file needs "offers"`},
		{"unknown key", of("kind: perpetual, price: {net: 1}, prize: 5"), `f.yaml:3: unknown key "prize" in an offer; did you mean "price"?`},
		{"no kind", of("price: {net: 1}"), `f.yaml:2: an offer needs "kind"`},
		{"kind", of("kind: perpetal, price: {net: 1}"), `f.yaml:3: kind: "perpetal" is not perpetual, used, base, server or laptop; did you mean "perpetual"?`},
		{"no price", of("kind: laptop"), `f.yaml:2: an offer needs "price"`},
		{"a price of nothing", of("kind: laptop, price: {net: 0}"), `f.yaml:3: price: needs an amount above 0 as "price.net"`},
		{"price as a number", of("kind: laptop, price: 5"), "f.yaml:3: price: wanted keys and values, not the number 5"},
		{"negative price", of("kind: laptop, price: {net: -5}"), "f.yaml:3: price.net: -5 is negative\nf.yaml:3: price: needs an amount above 0 as \"price.net\""},
		{"comma", of(`kind: laptop, price: {net: "5,00"}`), "f.yaml:3: price.net: \"5,00\": write the amount with a point, such as 18.50\nf.yaml:3: price: needs an amount above 0 as \"price.net\""},
		{"less than net", of("kind: laptop, price: {net: 5, gross: 4}"), "f.yaml:3: price.gross: is less than net"},
		{"paid once", of("kind: laptop, price: {net: 5, per: month}"), `f.yaml:3: unknown key "per" in price; did you mean "net"?`},
		{"share", of("kind: used, price: {net: 5}, used_share: 120%"), "f.yaml:3: used_share: 120% is above 100%"},
		{"share of nothing", of("kind: used, price: {net: 5}, used_share: 0%"), "f.yaml:3: used_share: is 0%: leave the offer out"},
		{"share as a number", of("kind: used, price: {net: 5}, used_share: 0.6"), "f.yaml:3: used_share: wanted a text, not the number 0.6: put it in quotes"},
		{"reversed", of("kind: used, price: {net: 5}, from: 2027-02-01, until: 2027-01-01"), "f.yaml:3: until: 2027-01-01 is before from"},
		{"no date", of("kind: used, price: {net: 5}, from: 2027-02-30"), `f.yaml:3: from: wanted a date such as 2027-12-31, not the text "2027-02-30"`},
		{"of another kind", of("kind: used, price: {net: 5}, sessions: 5"), "f.yaml:3: sessions: is for offers of the kind server"},
		{"no overage", of("kind: base, price: {net: 5}, included: 5"), `f.yaml:2: an offer of the kind base needs "overage": what a seat beyond costs`},
		{"no sessions", of("kind: server, price: {net: 5}"), `f.yaml:2: an offer of the kind server needs "sessions": how many it carries`},
		{"twice", "offers:\n- {name: a, kind: laptop, price: {net: 1}}\n- {name: a, kind: laptop, price: {net: 1}}", `f.yaml:3: name: "a" is offered twice; the first is in line 2`},
		{"people", "offers: []\npeople: {Stadt: 1}", `f.yaml:2: people: "Stadt" is not a name: 1 to 63 lower-case letters, digits and '-', not at an end`},
		{"people as a text", "offers: []\npeople: {stadt: many}", `f.yaml:2: people.stadt: wanted a whole number, not the text "many"`},
		{"more people than there are", "offers: []\npeople: {stadt: 90000000}", "f.yaml:2: people.stadt: 90000000 is out of range: from 0 to 1000000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseFile("f.yaml", []byte(tt.file), parseOffers)
			if err == nil || err.Error() != tt.want {
				t.Errorf("%v\nwant %s", err, tt.want)
			}
		})
	}
}

// FuzzOffers demands that what is accepted can be planned with.
func FuzzOffers(f *testing.F) {
	example, err := os.ReadFile("../../deploy/offers.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add([]byte("offers:\n- {name: a, kind: base, price: {net: 1}, overage: {net: 0}, until: 1990-01-01}"))
	f.Add([]byte("offers: [{name: a, kind: server, price: {net: 999999.99}, sessions: 1000000, mbits: 1}]"))
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		o, err := LoadOffers(file)
		judge(t, file, err)
		if err != nil {
			return
		}
		now := provisioner.DayBegins(2026, 11, 26)
		_, err = plan.Make(plan.Request{
			At: now, From: now.AddDate(0, 1, 0), Years: 3, HomeShare: 500_000, OnlineAtPeak: 500_000, Refused: 1000, Throughput: 1, Offers: o.Offers,
			Tenants: []plan.Tenant{{Name: "a", People: 40}}, Gateways: []plan.Gateway{{Name: "g", Sessions: 1, Tenants: []string{"a"}}},
		})
		if err != nil {
			t.Errorf("read, and no plan can be made: %v", err)
		}
	})
}
