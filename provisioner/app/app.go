// Package app wires the control plane together and runs it: New, Run, and
// nothing left behind after Run has returned. It is embeddable: the demo, the
// load generator and tests run a whole control plane in their own process.
//
// What always holds here: what Run starts, it ends. A control plane without
// its master key refuses to start.
//
// Not its business: deciding anything.
package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/auditing"
	"github.com/heimdraht/heimdraht/provisioner/config"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/ldap"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/entitlement"
	"github.com/heimdraht/heimdraht/provisioner/helpdesk"
	"github.com/heimdraht/heimdraht/provisioner/journal"
	"github.com/heimdraht/heimdraht/provisioner/licensing"
	"github.com/heimdraht/heimdraht/provisioner/metering"
	"github.com/heimdraht/heimdraht/provisioner/planning"
	"github.com/heimdraht/heimdraht/provisioner/privacy"
	"github.com/heimdraht/heimdraht/provisioner/rpc"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/tenancy"
	"github.com/heimdraht/heimdraht/provisioner/usage"
	"github.com/heimdraht/heimdraht/provisioner/warning"
	"github.com/heimdraht/heimdraht/provisioner/watch"
)

// drainTime is how long calls under way may take when the control plane stops.
const drainTime = 10 * time.Second

// Config is the process's configuration, for those who embed a control plane
// without a file.
type Config = config.ControlPlane

// DefaultConfig is what holds where a file is silent.
func DefaultConfig() Config { return config.DefaultControlPlane() }

// Options say which control plane to run.
type Options struct {
	Config Config
	Logger *slog.Logger // nil: slog.Default
	// OpenDirectory opens a declared directory. Nil: over LDAP.
	OpenDirectory signin.Opener
	Version       string // empty: what the Go toolchain recorded of the source
}

// App is a control plane.
type App struct {
	config   config.ControlPlane
	log      *slog.Logger
	lock     *os.File // of the database
	store    *store.Store
	hub      *watch.Hub
	contacts *watch.Contacts
	keys     *liveKeys
	journal  *journal.Follower
	signIn   *signin.Service
	desk     *helpdesk.Service
	registry *signin.Registry
	sessions *session.Service
	rights   *entitlement.Service
	auditing *auditing.Service
	metering *metering.Service
	usage    *usage.Service
	warning  *warning.Service
	shown    atomic.Pointer[certificateOf] // changed by Reload
	server   *rpc.Server
	listener net.Listener
	metrics  net.Listener
}

// New opens everything and listens, so that what is wrong is known before
// anything runs. Run must follow; if it does not, Close.
func New(ctx context.Context, o Options) (_ *App, err error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.OpenDirectory == nil {
		o.OpenDirectory = func(d provisioner.Directory) (directory.Directory, error) {
			return ldap.New(directory.ConfigOf(d), o.Logger.With("directory", d.Name))
		}
	}
	a := &App{config: o.Config, log: o.Logger, hub: watch.NewHub(o.Logger)}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	master, err := loadMaster(o.Config.MasterKeyFile)
	if err != nil {
		return nil, err
	}
	if noRestoreUnfinished(o.Config) == nil {
		if err := databaseThere(o.Config); err != nil {
			return nil, err
		}
	}
	if a.lock, err = lockDatabase(o.Config); err != nil {
		return nil, err
	}
	if err := finishRestore(o.Config); err != nil {
		return nil, err
	}
	a.journal = journal.New(journal.Options{
		Dir: journalDir(o.Config), Name: journalName(), Logger: o.Logger,
		Keep: time.Duration(o.Config.RevocationJournalDays) * 24 * time.Hour,
	})
	changed := func(c store.Commit) { a.hub.Poke(c); a.journal.Poke() }
	if a.store, err = openStore(ctx, o.Config, store.Options{Changed: changed, Logger: o.Logger}); err != nil {
		return nil, err
	}
	a.journal.Store = a.store
	if a.keys, err = openLiveKeys(ctx, a.store, master, o.Logger); err != nil {
		return nil, err
	}
	clock, err := lookAtClock(ctx, a.store)
	if err != nil {
		return nil, fmt.Errorf("comparing the clock with the database: %w", err)
	}
	if !clock.OK { // and goes on: who is connected must not lose her tunnel over it
		o.Logger.Error("the clock is wrong", "why", clock.Detail, "next", clock.Next)
	}
	mixed, err := lookAtProductPools(ctx, a.store)
	if err != nil {
		return nil, err
	}
	for _, f := range mixed {
		o.Logger.Warn("sessions take seats of a product's licence pool", "what", f.What, "code", f.Code, "why", f.Detail, "next", f.Next)
	}
	if err := a.store.Update(ctx, func(tx *store.Writer) error { return tx.DisconnectGateways() }); err != nil {
		return nil, fmt.Errorf("noting that no gateway is connected yet: %w", err)
	}
	if err := a.wire(o); err != nil {
		return nil, err
	}
	if a.listener, err = listen(ctx, "listen", o.Config.Listen); err != nil {
		return nil, err
	}
	if a.metrics, err = listen(ctx, "metrics_listen", o.Config.MetricsListen); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *App) wire(o Options) error {
	a.contacts = watch.NewContacts(a.store, a.hub, a.log)
	a.registry = signin.NewRegistry(o.OpenDirectory)
	a.signIn = signin.New(signin.Options{Store: a.store, Directories: a.registry, Factors: a.keys, Logger: a.log})
	a.rights = entitlement.New(entitlement.Options{Store: a.store, Directories: a.registry, Logger: a.log})
	a.usage = usage.New(usage.Options{Store: a.store, Logger: a.log})
	a.sessions = session.New(session.Options{
		Store: a.store, Standings: a.signIn, Confirmations: a.contacts, Keys: a.keys, Journal: a.journal,
		Freed: a.hub.Listen(watch.Closings()).C, Refused: a.usage.Refused, Logger: a.log,
	})
	collector, err := collectorOf(a.config)
	if err != nil {
		return err
	}
	receiver, err := receiverOf(a.config)
	if err != nil {
		return err
	}
	a.warning = warning.New(warning.Options{Store: a.store, Usage: a.usage, Webhook: receiver, Logger: a.log})
	a.auditing = auditing.New(auditing.Options{Store: a.store, Keys: a.keys, Collector: collector, Logger: a.log})
	a.desk = helpdesk.New(helpdesk.Options{Store: a.store, Confirmations: a.contacts, Journal: a.journal, Version: versionOf(o), Logger: a.log})
	a.metering = metering.New(metering.Options{Store: a.store, Logger: a.log})
	certificate, err := a.keys.serverCertificate(a.config)
	if err != nil {
		return err
	}
	a.shown.Store(&certificate)
	a.server = rpc.New(rpc.Options{
		TLS: &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: a.certificate}, Certificates: a.keys, SignIn: a.signIn,
		Enrolment: enrolment.New(enrolment.Options{
			Store: a.store, SignIn: a.signIn, Certificates: a.keys, Confirmations: a.contacts, Journal: a.journal, Logger: a.log,
		}),
		Sessions: a.sessions,
		Tenancy:  tenancy.New(tenancy.Options{Store: a.store, Directories: a.registry, Certificates: a.keys, Journal: a.journal, Declared: a.rights.Declared, Logger: a.log}),
		Helpdesk: a.desk, Entitlement: a.rights, Metering: a.metering, Usage: a.usage, Warning: a.warning,
		Privacy: privacy.New(privacy.Options{
			Store: a.store, Confirmations: a.contacts, Journal: a.journal, SecurityDays: a.config.Audit.SecurityDays,
		}),
		Licensing: licensing.New(a.store), Planning: planning.New(a.store),
		Auditing: a.auditing, Refusals: auditing.NewRefusals(a.store, a.log),
		Hub: a.hub, Contacts: a.contacts, Logger: a.log,
	})
	return nil
}

func versionOf(o Options) string {
	if info, ok := debug.ReadBuildInfo(); o.Version == "" && ok {
		return info.Main.Version
	}
	return o.Version
}

// Close gives back what New opened, for those who do not call Run.
func (a *App) Close() error {
	var errs []error
	for _, l := range []net.Listener{a.listener, a.metrics} {
		if l != nil {
			if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	if a.registry != nil {
		errs = append(errs, a.registry.Close())
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	if a.lock != nil {
		errs = append(errs, a.lock.Close()) // last: until now the database was in use
		a.lock = nil
	}
	return errors.Join(errs...)
}

// Run serves until ctx ends, then drains: streams are told, calls under way
// may end, tunnels stay. It returns nil after an orderly end.
func (a *App) Run(ctx context.Context) error {
	a.log.Info("control plane serves", "address", a.Address(), "fingerprint", a.Fingerprint())
	// Duties outlive the server's last calls: they write down what those said.
	duties, endDuties := context.WithCancel(context.WithoutCancel(ctx))
	defer endDuties()
	group, ctx := errgroup.WithContext(ctx)
	for _, duty := range []func(context.Context) error{
		func(ctx context.Context) error { return a.hub.Run(ctx, a.store) },
		a.contacts.Run, a.rights.Run, a.sessions.RunExpiry, a.sessions.RunFleet, a.sessions.RunQueue, a.sessions.RunLine, a.signIn.RunForgetting, a.desk.RunTakings, a.tidy, a.keys.run, a.journal.Run,
		a.auditing.RunCheckpoints, a.auditing.RunCollecting, a.metering.RunCounts, a.metering.RunPeaks,
		a.usage.RunRollups, a.usage.RunRefusals, a.warning.RunJudging, a.warning.RunDelivering,
	} {
		group.Go(func() error { return duty(duties) })
	}
	group.Go(func() error { return a.server.Serve(a.listener) })
	group.Go(func() error { return a.serveMetrics(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		a.server.Stop(drain)
		endDuties()
		return nil
	})
	err := errors.Join(group.Wait(), a.Close())
	a.log.Info("control plane has stopped")
	return err
}

// Address is where it listens, host and port.
func (a *App) Address() string { return a.listener.Addr().String() }

// MetricsAddress is where metrics and health are served, host and port.
func (a *App) MetricsAddress() string { return a.metrics.Addr().String() }

// Fingerprint is the pin by which laptops and gateways know the control plane:
// SHA-256 of the CA certificate that issues, in hexadecimal digits.
func (a *App) Fingerprint() string { return a.keys.now().fingerprint() }

// NewOperatorToken makes a one-time token with which an operator signs in.
func (a *App) NewOperatorToken(ctx context.Context) (token string, expires time.Time, err error) {
	return a.signIn.NewOperatorToken(ctx)
}

// How long is kept what has an end, and how much goes in one transaction.
const (
	keepSessions = privacy.HistoryDays * 24 * time.Hour
	keepChanges  = 100_000
	tidyEvery    = 10 * time.Minute
	tidySlice    = 500
)

// tidy deletes in slices what has been kept long enough: one replica at a time
// does.
func (a *App) tidy(ctx context.Context) error { return a.store.Hold(ctx, "tidying", a.runTidying) }

func (a *App) runTidying(ctx context.Context, duty *store.Duty) error {
	for {
		timer := time.NewTimer(tidyEvery/2 + rand.N(tidyEvery))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		if err := a.tidyOnce(ctx, duty); err != nil && ctx.Err() == nil {
			a.log.Error("deleting what has been kept long enough", "error", err)
		}
	}
}

func (a *App) tidyOnce(ctx context.Context, duty *store.Duty) error {
	for _, slice := range append(a.auditSlices(), []func(*store.Writer) (int64, error){
		func(tx *store.Writer) (int64, error) { return tx.ForgetSessions(tx.Now.Add(-keepSessions), tidySlice) },
		func(tx *store.Writer) (int64, error) {
			return tx.ForgetLost(tx.Now.Add(-privacy.KeepLost), tidySlice)
		},
		func(tx *store.Writer) (int64, error) {
			return tx.ForgetDiagnoses(tx.Now.Add(-helpdesk.KeepDiagnoses), tidySlice)
		},
		func(tx *store.Writer) (int64, error) {
			return tx.ForgetProductPeaks(tx.Now.Add(-metering.Keep), tidySlice)
		},
		func(tx *store.Writer) (int64, error) {
			return tx.ForgetWarnings(tx.Now.Add(-warning.Keep), tidySlice)
		},
		func(tx *store.Writer) (int64, error) {
			return tx.ForgetWarningMessages(tx.Now.Add(-warning.KeepGivenUp), tidySlice)
		},
		func(tx *store.Writer) (int64, error) { return tx.TrimChanges(tx.Revision()-keepChanges, tidySlice) },
	}...) {
		for {
			var n int64
			err := duty.Update(ctx, func(tx *store.Writer) (err error) { n, err = slice(tx); return err })
			if err != nil {
				return err
			}
			if n < tidySlice {
				break
			}
		}
	}
	return nil
}
