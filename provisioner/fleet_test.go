package provisioner_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
)

func TestLeaving(t *testing.T) {
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	in := func(hours float64) time.Time { return now.Add(time.Duration(hours * float64(time.Hour))) }
	drain := func(by float64) provisioner.Drain { return provisioner.Drain{Since: in(-1), By: in(by)} }
	maintenance := func(from, until float64) provisioner.Maintenance {
		return provisioner.Maintenance{From: in(from), Until: in(until)}
	}
	for _, c := range []struct {
		name string
		g    provisioner.Gateway
		want provisioner.Leaving // zero: it is not
	}{
		{"nothing", provisioner.Gateway{}, provisioner.Leaving{}},
		{"drained", provisioner.Gateway{Drain: drain(1)}, provisioner.Leaving{By: in(1), Why: provisioner.CodeGatewayDraining}},
		{"drained, and should be empty", provisioner.Gateway{Drain: drain(-1)}, provisioner.Leaving{By: in(-1), Why: provisioner.CodeGatewayDraining}},
		{"maintenance tomorrow", provisioner.Gateway{Maintenance: maintenance(24, 26)}, provisioner.Leaving{}},
		{"maintenance before long", provisioner.Gateway{Maintenance: maintenance(2, 3)}, provisioner.Leaving{By: in(2), Until: in(3), Why: provisioner.CodeGatewayMaintenance}},
		{"maintenance now", provisioner.Gateway{Maintenance: maintenance(-1, 1)}, provisioner.Leaving{By: in(-1), Until: in(1), Why: provisioner.CodeGatewayMaintenance}},
		{"maintenance over", provisioner.Gateway{Maintenance: maintenance(-2, 0)}, provisioner.Leaving{}},
		{"both, the drain first", provisioner.Gateway{Drain: drain(1), Maintenance: maintenance(1.5, 3)}, provisioner.Leaving{By: in(1), Why: provisioner.CodeGatewayDraining}},
		{"both, the maintenance first", provisioner.Gateway{Drain: drain(2), Maintenance: maintenance(1, 3)}, provisioner.Leaving{By: in(1), Why: provisioner.CodeGatewayMaintenance}},
		{"drained, maintenance tomorrow", provisioner.Gateway{Drain: drain(30), Maintenance: maintenance(24, 26)}, provisioner.Leaving{By: in(30), Why: provisioner.CodeGatewayDraining}},
	} {
		got, left := c.g.Leaving(now)
		if got != c.want || left != (c.want != provisioner.Leaving{}) {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, left, c.want)
		}
	}
}

func TestBitRate(t *testing.T) {
	for text, want := range map[string]int64{
		"2Gbit": 2_000_000_000, "500Mbit": 500_000_000, "64kbit": 64_000, "9600bit": 9600, "2 Gbit": 2_000_000_000,
		"": 0, "2": 0, "Gbit": 0, "-1Gbit": 0, "0Mbit": 0, "2gbit": 0, "99999999Gbit": 0, "1.5Gbit": 0,
	} {
		if got, ok := provisioner.ParseBitRate(text); ok != (want > 0) || ok && got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, ok, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Int64Range(1, provisioner.MostThroughput).Draw(t, "rate")
		if got, ok := provisioner.ParseBitRate(provisioner.BitRateText(rate)); !ok || got != rate {
			t.Fatalf("%d is written %s and read %d", rate, provisioner.BitRateText(rate), got)
		}
	})
}
