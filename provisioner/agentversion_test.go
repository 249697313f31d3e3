package provisioner_test

import (
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

func TestMinimumAgent(t *testing.T) {
	from := time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		minimum, version  string
		outdated, refused bool
	}{
		{"", "v0.0.1", false, false},
		{"v1.4.0", "v1.4.0", false, false},
		{"v1.4.0", "v1.10.0", false, false},
		{"v1.4.0", "v2.0.0", false, false},
		{"v1.4.0", "v1.4.1-0.20261126221500-0123456789ab+dirty", false, false},
		{"v1.4.0", "v1.3.9", true, true},
		{"v1.10.0", "v1.9.0", true, true},
		{"v1.4.0", "v1.4.0-rc.1", true, true},
		{"v1.4.0", "v0.0.0-20261126221500-0123456789ab", true, true},
		{"v1.4.0", "(devel)", false, false}, // somebody's own
		{"v1.4.0", "unknown", false, false},
		{"v1.4.0", "", false, false},
	} {
		m := provisioner.MinimumAgent{Version: c.minimum, From: from}
		if got := m.Outdated(c.version); got != c.outdated {
			t.Errorf("%q against %q is outdated: %v", c.version, c.minimum, got)
		}
		if m.Refuse(c.version, from.Add(-1)) != nil {
			t.Errorf("%q is refused before its day", c.version)
		}
		refusal := m.Refuse(c.version, from)
		if (refusal != nil) != c.refused || refusal != nil && refusal.Code != provisioner.CodeAgentTooOld {
			t.Errorf("%q against %q on the day: %v", c.version, c.minimum, refusal)
		}
		m.From = time.Time{}
		if (m.Refuse(c.version, from) != nil) != c.refused {
			t.Errorf("%q against %q without a day", c.version, c.minimum)
		}
	}
	for typed, want := range map[string]string{"1.4.0": "v1.4.0", "v1.4.0": "v1.4.0", " 1.4.0 ": "v1.4.0", "1.4": "", "latest": "", "1.4.0-rc.1": "", "1.4.0+x": "", "": "", "01.4.0": ""} {
		if got, ok := provisioner.ParseAgentVersion(typed); ok != (want != "") || ok && got != want {
			t.Errorf("%q is %q, %v", typed, got, ok)
		}
	}
}
