package app

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner/config"
)

// A control plane that cannot sign warnings says so before it serves, and in a check.
func TestTheFilesForWarnings(t *testing.T) {
	c := DefaultConfig()
	if r, err := receiverOf(c); r != nil || err != nil {
		t.Errorf("without one: %v, %v", r, err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	c.Webhook = config.Webhook{URL: "https://warn.stadt.example/", SecretFile: secret}
	for content, mode := range map[string]os.FileMode{"": 0o600, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n": 0o644} {
		if err := errors.Join(os.WriteFile(secret, []byte(content), mode), os.Chmod(secret, mode)); err != nil {
			t.Fatal(err)
		}
		var setup *SetupError
		if _, err := receiverOf(c); !errors.As(err, &setup) || setup.Code != "webhook-files" {
			t.Errorf("%q with mode %o: %v", content, mode, err)
		}
		checkFiles(c, func(f Finding) {
			if f.OK || f.Code != "webhook-files" || f.Next == "" {
				t.Errorf("%q with mode %o is found to be %+v", content, mode, f)
			}
		})
	}
	if err := os.Chmod(secret, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(secret, []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := receiverOf(c); err != nil || r.URL != c.Webhook.URL {
		t.Errorf("%+v, %v", r, err)
	}
}
