//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/cmd/internal/ldaps"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
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

// awaitDirectory waits until the control plane has read everybody, and follows the directory.
func (r *runner) awaitDirectory(ctx context.Context) error {
	const look = 20 * time.Millisecond
	p := r.say.phase("the control plane reads the directory", 0)
	defer p.end()
	for {
		answer, err := heimdrahtv1.NewDirectoryServiceClient(r.operator.conn).Status(r.operator.as(ctx), &heimdrahtv1.StatusRequest{})
		if err != nil {
			return fmt.Errorf("asking how the directory is followed: %w", control.FromStatus(err))
		}
		if !slices.ContainsFunc(answer.GetDirectories(), func(d *heimdrahtv1.DirectoryStatus) bool {
			return d.GetState() != heimdrahtv1.DirectoryState_DIRECTORY_STATE_FOLLOWING
		}) {
			return nil
		}
		if err := control.Sleep(ctx, look); err != nil {
			return fmt.Errorf("waiting for the directory to be followed: %w", err)
		}
	}
}
