package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner/config"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

func (a *App) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return (*a.shown.Load())(hello)
}

// Reload takes up what may change while it serves: `names` and `tls`, for connections from now on; those that stand
// stay. (`log_level` is the business of who gave the logger.) An error names the keys that are read at the start only,
// or what is wrong with a certificate; then nothing has changed.
func (a *App) Reload(c config.ControlPlane) error {
	if keys := restartKeys(a.config, c); len(keys) > 0 {
		return &SetupError{
			Code: "restart-needed", What: "changing " + strings.Join(keys, ", ") + " takes a restart",
			Next: "Restart heimdrahtd: tunnels that stand do not notice.",
		}
	}
	certificate, err := a.keys.serverCertificate(c)
	if err != nil {
		return err
	}
	a.shown.Store(&certificate)
	return nil
}

// restartKeys are the keys of the configuration that differ and are read at the start only.
func restartKeys(before, after config.ControlPlane) []string {
	var keys []string
	for _, k := range []struct {
		key  string
		same bool
	}{
		{"listen", before.Listen == after.Listen},
		{"metrics_listen", before.MetricsListen == after.MetricsListen},
		{"profiling", before.Profiling == after.Profiling},
		{"state_dir", before.StateDir == after.StateDir},
		{"database", before.Database == after.Database},
		{"database_password_file", before.DatabasePasswordFile == after.DatabasePasswordFile},
		{"master_key_file", before.MasterKeyFile == after.MasterKeyFile},
		{"revocation_journal", before.RevocationJournal == after.RevocationJournal},
		{"revocation_journal_days", before.RevocationJournalDays == after.RevocationJournalDays},
		{"audit", before.Audit == after.Audit},
		{"warnings", before.Webhook == after.Webhook},
	} {
		if !k.same {
			keys = append(keys, k.key)
		}
	}
	return keys
}

// errTurn ends a turn of the writer's in which there was nothing to write.
var errTurn = errors.New("only a turn was asked for")

// Alive returns when the store's writer has had a turn, whatever came of it: that a database refuses is no reason to end a
// process that can say so.
func (a *App) Alive(ctx context.Context) error {
	err := a.store.Update(ctx, func(*store.Writer) error { return errTurn })
	if ended := ctx.Err(); ended != nil || errors.Is(err, store.ErrClosed) {
		return fmt.Errorf("waiting for a turn of the writer: %w", errors.Join(err, ended))
	}
	return nil
}
