package endpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// TestDriverProblems: what is wrong with the driver is told as that, whatever Windows says beneath.
func TestDriverProblems(t *testing.T) {
	const path = `C:\Program Files\Heimdraht\wintun.dll`
	for _, test := range []struct {
		problem wireguard.DriverProblem
		signer  string
		cause   error
		code    string
		german  string
	}{
		{wireguard.DriverMissing, "", fs.ErrNotExist, CodeDriverMissing, "fehlt ein Teil des Programms (" + path + ")"},
		{wireguard.DriverMisplaced, "", nil, CodeDriverMisplaced, "ausgetauscht werden könnte"},
		{wireguard.DriverUnsigned, "", errors.New("no signature"), CodeDriverUntrusted, "ist nicht das Original."},
		{wireguard.DriverForeign, "Example GmbH", nil, CodeDriverUntrusted, "Unterschrieben hat sie Example GmbH"},
		{wireguard.DriverRefused, "", fs.ErrPermission, CodeDriverUnusable, "lässt sich auf diesem Laptop nicht benutzen"},
	} {
		err := fmt.Errorf("opening the WireGuard interface hd0: %w", &wireguard.DriverError{Problem: test.problem, Path: path, Signer: test.signer, Cause: test.cause})
		p := tunnelFailed(err)
		if p.Code != test.code || !strings.Contains(p.German.Sentence, test.german) {
			t.Errorf("%s: %s: %s", test.problem, p.Code, p.German.Sentence)
		}
		if test.cause != nil && !errors.Is(p, test.cause) {
			t.Errorf("%s: the log does not learn of %v", test.problem, test.cause)
		}
	}
	for system, want := range map[string]bool{"linux": true, "windows": false, "darwin": false} {
		if got := strings.Contains(noTunnelDevice(system).German.Next, "modprobe"); got != want {
			t.Errorf("on %s somebody is told of modprobe: %v", system, got)
		}
	}
}
