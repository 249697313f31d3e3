package plan_test

import (
	"testing"

	"github.com/heimdraht/heimdraht/provisioner/capacity/plan"
)

func TestShares(t *testing.T) {
	for _, c := range []struct {
		read func(string) (int64, error)
		in   string
		want int64
		err  string
	}{
		{plan.ParseShare, "60%", 600_000, ""},
		{plan.ParseShare, "60 %", 600_000, ""},
		{plan.ParseShare, "12.3456%", 123_456, ""},
		{plan.ParseShare, "100%", 1_000_000, ""},
		{plan.ParseShare, "101%", 0, "101% is above 100%"},
		{plan.ParseShare, "-1%", 0, "-1% is below 0%"},
		{plan.ParseShare, "60", 0, "60 has no per cent sign: write it as 60%"},
		{plan.ParseShare, "0.6", 0, "0.6 has no per cent sign: write it as 60%"},
		{plan.ParseShare, "12,5%", 0, `"12,5%": write it with a point, such as 12.5%`},
		{plan.ParseShare, "12.34567%", 0, "12.34567% has more than four decimals"},
		{plan.ParseShare, "many", 0, `"many" is no share such as 60%`},
		{plan.ParseShare, "", 0, `"" is no share such as 60%`},
		{plan.ParseShare, "1.%", 0, `"1.%" is no share such as 60%`},
		{plan.ParseShare, "1.2.3%", 0, `"1.2.3%" is no share such as 60%`},
		{plan.ParseGrowth, "-2.5%", -25_000, ""},
		{plan.ParseGrowth, "-60%", 0, "-60% is out of range: from -50% to 100%"},
		{plan.ParseRefused, "1/1000", 1000, ""},
		{plan.ParseRefused, "0.1%", 1000, ""},
		{plan.ParseRefused, "1/3", 333_333, ""},
		{plan.ParseRefused, "1/999999999", 1, ""},
		{plan.ParseRefused, "1/1", 0, "1/1 is out of range: above 0, at most 1/2"},
		{plan.ParseRefused, "0/5", 0, "0/5 is out of range: above 0, at most 1/2"},
		{plan.ParseRefused, "1/x", 0, `"1/x" is no fraction such as 1/1000`},
		{plan.ParseRefused, "0%", 0, "0% is out of range: above 0%, at most 50%"},
	} {
		got, err := c.read(c.in)
		said := ""
		if err != nil {
			said = err.Error()
		}
		if said != c.err || err == nil && got != c.want {
			t.Errorf("%q: %d, %q, want %d, %q", c.in, got, said, c.want, c.err)
		}
	}
}

func FuzzShares(f *testing.F) {
	for _, s := range []string{"60%", "1/1000", "-2.5 %", "0.0001%", "9999.9999%", "1/0", "٣%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := plan.ParseShare(s); err == nil && (n < 0 || n > 1_000_000) {
			t.Errorf("share %q: %d", s, n)
		}
		if n, err := plan.ParseGrowth(s); err == nil && (n < -500_000 || n > 1_000_000) {
			t.Errorf("growth %q: %d", s, n)
		}
		if n, err := plan.ParseRefused(s); err == nil && (n < 1 || n > 500_000) {
			t.Errorf("refused %q: %d", s, n)
		}
	})
}
