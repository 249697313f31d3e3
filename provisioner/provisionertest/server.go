// Package provisionertest runs a whole control plane in the test's own
// process: real SQLite, real TLS and gRPC on loopback, a directory in memory,
// and gateways that speak the protocol and do at once what they are told.
//
// What always holds here: what Start starts ends with the test, and everything
// is the real thing but the directory and the gateways' data path.
//
// Not its business: asserting.
package provisionertest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/app"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/memory"
	"github.com/heimdraht/heimdraht/provisioner/keyring"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

// The town's people: who they are stands in their names. Every password is
// Password.
const (
	Tenant   = "stadt"
	Other    = "nachbar"      // another tenant, with the same directory
	Password = "Rathaus-2027" //nolint:gosec // of people who do not exist

	Staff    = "eva"
	Second   = "emil" // staff too
	Outsider = "max"  // in no group
	Helpdesk = "hilde"
	Planner  = "paul"
	Admin    = "anna"
	Stranger = "nora" // helpdesk of the other tenant
	Disabled = "dora" // her account is disabled
)

// Server is a running control plane with one declared tenant and gateway, and
// a client of it.
type Server struct {
	*Client

	App       *app.App
	Directory *memory.Directory
	Config    app.Config

	log  *slog.Logger
	open signin.Opener
	as   string // its version
	stop context.CancelFunc
	done chan error
}

// Options say what to start beyond the town's own people.
type Options struct {
	Logger *slog.Logger // nil: the log goes nowhere
	People int          // more staff, with the logins that Login gives
	// Declaration is what is applied. Nil: Declaration().
	Declaration *heimdrahtv1.Declaration
	// OpenDirectory opens a declared directory. Nil: the town's, in memory.
	OpenDirectory signin.Opener
	Version       string // of the control plane; empty: that of the tests
	Flavour       string // of the town's directory; empty: OpenLDAP
}

// Start starts one. Its log goes nowhere; set log for another place.
func Start(t testing.TB, log *slog.Logger) *Server {
	t.Helper()
	return StartWith(t, Options{Logger: log})
}

// StartWith starts one.
func StartWith(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Declaration == nil {
		o.Declaration = Declaration()
	}
	dir := t.TempDir()
	c := app.DefaultConfig()
	c.Listen, c.MetricsListen, c.Names = "127.0.0.1:0", "127.0.0.1:0", []string{"127.0.0.1", "localhost"}
	c.StateDir = filepath.Join(dir, "state")
	c.Database, c.MasterKeyFile = filepath.Join(c.StateDir, "heimdraht.db"), filepath.Join(dir, "master.key")
	if err := os.Mkdir(c.StateDir, 0o700); err != nil {
		t.Fatal("making a control plane: ", err)
	}
	storetest.File(t, c.Database)
	if _, err := keyring.Create(c.MasterKeyFile); err != nil { // a database without one was begun elsewhere
		t.Fatal("making a control plane: ", err)
	}
	made, err := app.Init(context.Background(), c)
	if err != nil {
		t.Fatal("making a control plane: ", err)
	}
	s := &Server{Client: Connect(t, "", made.Fingerprint), log: o.Logger, as: o.Version, Config: c, Directory: playing(t, o.People, o.Flavour)}
	if s.open = o.OpenDirectory; s.open == nil {
		s.open = func(provisioner.Directory) (directory.Directory, error) { return unclosed{s.Directory}, nil }
	}
	s.Run()
	t.Cleanup(s.Stop)
	s.Redeem(made.Token)
	s.Apply(o.Declaration)
	return s
}

// Run starts the control plane again after Stop, on the same port.
func (s *Server) Run() {
	s.t.Helper()
	a, err := app.New(context.Background(), app.Options{Config: s.Config, Logger: s.log, OpenDirectory: s.open, Version: s.as})
	if err != nil {
		s.t.Fatal("starting the control plane: ", err)
	}
	s.App, s.Config.Listen = a, a.Address()
	s.Moved(a.Address())
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.done = stop, make(chan error, 1)
	go func() { s.done <- a.Run(ctx) }()
}

// Stop ends the control plane in order. Idempotent.
func (s *Server) Stop() {
	if s.stop == nil {
		return
	}
	s.stop()
	if err := <-s.done; err != nil {
		s.t.Error("ending the control plane: ", err)
	}
	s.stop = nil
}

// unclosed outlives the control plane, so that it can be started again.
type unclosed struct{ *memory.Directory }

func (unclosed) Close() error { return nil }
