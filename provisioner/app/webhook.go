package app

import (
	"github.com/heimdraht/heimdraht/provisioner/config"
	"github.com/heimdraht/heimdraht/provisioner/webhook"
)

// receiverOf is where warnings are told to; nil: nowhere.
func receiverOf(c config.ControlPlane) (*webhook.Receiver, error) {
	if c.Webhook.URL == "" {
		return nil, nil
	}
	r := &webhook.Receiver{URL: c.Webhook.URL, SecretFile: c.Webhook.SecretFile, CAFile: c.Webhook.CAFile}
	if err := r.Check(); err != nil {
		return nil, &SetupError{
			Code: "webhook-files", What: "the files for warnings cannot be used",
			Next: "Correct warnings.webhook in the configuration: the secret's file belongs to the user that runs heimdrahtd, with mode 0600, and holds a line whsec_… (docs/operation.md says how to make one).", Err: err,
		}
	}
	return r, nil
}
