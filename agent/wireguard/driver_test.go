package wireguard

import (
	"errors"
	"testing"
)

func TestDriverBeside(t *testing.T) {
	folders := []string{`C:\Program Files`}
	for _, test := range []struct{ program, want string }{ // want empty: misplaced
		{`C:\Program Files\Heimdraht\heimdraht-agent.exe`, `C:\Program Files\Heimdraht\wintun.dll`},
		{`c:\PROGRAM FILES\Heimdraht\heimdraht-agent.exe`, `c:\PROGRAM FILES\Heimdraht\wintun.dll`},
		{`C:\Users\erika\Downloads\heimdraht-agent.exe`, ""},
		{`C:\Program Files (x86)\Heimdraht\heimdraht-agent.exe`, ""},
		{`C:\Program Files Of Mine\heimdraht-agent.exe`, ""},
		{`C:\Program Files\..\Users\Public\heimdraht-agent.exe`, ""},
		{`heimdraht-agent.exe`, ""},
		{``, ""},
	} {
		got, err := driverBeside(test.program, folders)
		var wrong *DriverError
		if got != test.want || (test.want == "") != (errors.As(err, &wrong) && wrong.Problem == DriverMisplaced) {
			t.Errorf("%s: %s, %v", test.program, got, err)
		}
	}
	if got, err := driverBeside(`C:\heimdraht-agent.exe`, []string{"", `\`}); err == nil {
		t.Errorf("a folder without a name: %s", got)
	}
}

func TestJudgeSigner(t *testing.T) {
	untrusted := errors.New("the subject has no signature")
	for _, test := range []struct {
		trust  error
		signer string
		want   DriverProblem // empty: none
	}{
		{nil, "WireGuard LLC", ""},
		{untrusted, "WireGuard LLC", DriverUnsigned},
		{untrusted, "", DriverUnsigned},
		{nil, "WireGuard LLC ", DriverForeign},
		{nil, "Example GmbH", DriverForeign},
		{nil, "", DriverForeign},
	} {
		var wrong *DriverError
		err := judgeSigner(`C:\Program Files\Heimdraht\wintun.dll`, test.trust, test.signer)
		if got := errors.As(err, &wrong); got != (test.want != "") || got && wrong.Problem != test.want {
			t.Errorf("%v, %q: %v", test.trust, test.signer, err)
		}
	}
}
