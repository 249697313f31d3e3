//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/heimdraht/heimdraht/cmd/internal/ldaps"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory/memory"
)

// directory is an LDAPS server in this process that answers at once.
type directory struct {
	url, ca      string
	passwordFile string // of the service account, for the control plane to read
	password     string // everybody's
}

// startDirectory serves the town's people until the run ends.
func (r *runner) startDirectory(ctx context.Context) error {
	p := r.say.phase("making the directory of %d people", 0, r.town.people)
	defer p.end()
	service := provisioner.NewSecret()
	r.directory.password = provisioner.NewSecret()
	m, err := memory.New(memory.Options{Name: directoryName, Base: peopleIn, LDIF: []byte(r.town.ldif(service, r.directory.password))})
	if err != nil {
		return fmt.Errorf("making the directory: %w", err)
	}
	server, err := ldaps.Listen(ctx, m)
	if err != nil {
		return err
	}
	r.directory.url, r.directory.ca = server.URL, server.CA
	r.background("directory", server.Serve)
	r.directory.passwordFile = filepath.Join(r.dir, "ldap.pw")
	return os.WriteFile(r.directory.passwordFile, []byte(service+"\n"), 0o600)
}
