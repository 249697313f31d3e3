package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner/config"
	"github.com/heimdraht/heimdraht/provisioner/journal"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// journalDir is where journals of what was taken lie.
func journalDir(c config.ControlPlane) string {
	if c.RevocationJournal != "" {
		return c.RevocationJournal
	}
	return filepath.Join(c.StateDir, "journal")
}

// journalName is this machine's: several may write into one directory.
func journalName() string {
	host, err := os.Hostname()
	if err != nil || host == "" || strings.ContainsAny(host, `/\`) {
		host = "heimdrahtd"
	}
	return host
}

// lookAtJournal says whether what was taken is kept beside the database.
func lookAtJournal(c config.ControlPlane, at store.Position) Finding {
	const what = "journal"
	dir := journalDir(c)
	wrong := func(detail string) Finding {
		return Finding{What: what, Code: "journal-unwritten", Detail: detail, Next: "Look at the log of heimdrahtd run, which writes it, and that the disk of " + dir + " is there and not full."}
	}
	files, err := journal.ReadAll([]string{dir})
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(files) == 0 {
		return Finding{What: what, OK: true, Detail: "none yet in " + dir, Next: "heimdrahtd run begins it."}
	}
	if err != nil {
		return wrong(err.Error())
	}
	taken := journal.Since(files, at.Instance, at.Epoch, map[string]int64{at.Epoch: 0})
	for _, f := range files {
		if len(f.Damage) > 0 {
			return wrong(f.Path + " is damaged: " + f.Damage[0])
		}
	}
	return Finding{What: what, OK: true, Detail: fmt.Sprintf("%s, reaches revision %d", dir, taken.Upto[at.Epoch])}
}
