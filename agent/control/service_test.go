package control

import "testing"

func TestServiceCommand(t *testing.T) {
	for _, test := range []struct {
		system string
		again  bool
		want   string
	}{
		{"linux", false, "systemctl start heimdraht-agent"},
		{"linux", true, "systemctl restart heimdraht-agent"},
		{"windows", false, "Start-Service heimdraht-agent"},
		{"windows", true, "Restart-Service heimdraht-agent"},
		{"darwin", false, "sudo launchctl kickstart system/heimdraht-agent"},
		{"darwin", true, "sudo launchctl kickstart -k system/heimdraht-agent"},
	} {
		if got := serviceCommand(test.system, test.again); got != test.want {
			t.Errorf("%s, %v: %s", test.system, test.again, got)
		}
	}
}
