package main

import (
	"context"
	_ "embed" // town.ldif
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/cmd/internal/ldaps"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/app"
	"github.com/heimdraht/heimdraht/provisioner/config"
	"github.com/heimdraht/heimdraht/provisioner/directory/memory"
)

//go:embed town.ldif
var town string

const (
	base      = "dc=stadt,dc=example"
	peopleIn  = "ou=Personal," + base
	groupsIn  = "ou=Gruppen," + base
	serviceDN = "cn=heimdraht," + base

	tenant      = "stadt"
	gatewayName = "gw1"
	seats       = 20
)

// The intranet page lies behind the gateway, inside the tenant's network.
func intranet() netip.AddrPort { return netip.MustParseAddrPort("10.1.0.10:80") }

// demo is everything that runs, and what the steps learn on the way.
type demo struct {
	log    *slog.Logger
	dir    string
	broken chan error // the first part that ended by itself

	ctx  context.Context // of everything that runs
	end  context.CancelFunc
	runs sync.WaitGroup

	service string // the service account's password
	ldap    struct {
		url, ca string
	}
	plane    *app.App
	operator *control.Conn
	token    string   // the operator's
	desk     string   // the helpdesk's
	codes    []string // the helpdesk's recovery codes
	udp      netip.AddrPort
	device   chan *wireguard.Device // the gateway's, once it is open
	gate     *wireguard.Device
	laptop   *endpoint.Endpoint
	enrolled endpoint.Enrolled
}

func newDemo(log *slog.Logger) (*demo, error) {
	dir, err := os.MkdirTemp("", "heimdraht-demo-")
	if err != nil {
		return nil, fmt.Errorf("making a temporary directory: %w", err)
	}
	d := &demo{log: log, dir: dir, broken: make(chan error, 1), service: provisioner.NewSecret(), device: make(chan *wireguard.Device, 1)}
	d.ctx, d.end = context.WithCancel(context.Background())
	return d, nil
}

// start runs a part until the demo ends.
func (d *demo) start(name string, run func(context.Context) error) {
	d.runs.Go(func() {
		err := run(d.ctx)
		if d.ctx.Err() != nil {
			return
		}
		select {
		case d.broken <- fmt.Errorf("the %s has ended: %w", name, err):
		default:
		}
	})
}

// close ends everything and removes what was written.
func (d *demo) close() error {
	var errs []error
	if d.operator != nil {
		errs = append(errs, d.operator.Close())
	}
	d.end()
	d.runs.Wait()
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}

// startDirectory serves the town's LDIF over LDAPS.
func (d *demo) startDirectory(ctx context.Context) (string, error) {
	m, err := memory.New(memory.Options{Name: "stadt-ldap", Base: peopleIn, LDIF: []byte(strings.ReplaceAll(town, "{{service}}", d.service))})
	if err != nil {
		return "", fmt.Errorf("reading the town's LDIF: %w", err)
	}
	server, err := ldaps.Listen(ctx, m)
	if err != nil {
		return "", err
	}
	d.ldap.url, d.ldap.ca = server.URL, server.CA
	d.start("directory", server.Serve)
	return d.ldap.url + ", 4 people", os.WriteFile(filepath.Join(d.dir, "ldap.pw"), []byte(d.service+"\n"), 0o600)
}

// startControlPlane makes a new one, as `heimdrahtd init` and `run` do.
func (d *demo) startControlPlane(ctx context.Context) (string, error) {
	c := config.DefaultControlPlane()
	c.Listen, c.MetricsListen, c.Names = "127.0.0.1:0", "127.0.0.1:0", []string{"127.0.0.1", "localhost"}
	c.StateDir = filepath.Join(d.dir, "control-plane")
	c.Database, c.MasterKeyFile = filepath.Join(c.StateDir, "heimdraht.db"), filepath.Join(d.dir, "master.key")
	made, err := app.Init(ctx, c)
	if err != nil {
		return "", err
	}
	if d.plane, err = app.New(ctx, app.Options{Config: c, Logger: d.log.With("part", "control plane")}); err != nil {
		return "", err
	}
	d.start("control plane", d.plane.Run)
	return d.plane.Address() + ", fingerprint " + made.Fingerprint[:16] + "…", d.signInOperator(ctx, made.Token)
}

// address is how agents and people reach the control plane.
func (d *demo) address() (control.Address, error) {
	return control.ParseAddress(d.plane.Address() + "#" + d.plane.Fingerprint())
}
