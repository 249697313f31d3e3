package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/hostnet"
	"github.com/heimdraht/heimdraht/agent/page"
	"github.com/heimdraht/heimdraht/agent/posture"
	"github.com/heimdraht/heimdraht/agent/proxy"
	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/agent/usage"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/cmd/internal/service"
	"github.com/heimdraht/heimdraht/provisioner/config"
)

type runCommand struct {
	Config         string `placeholder:"FILE" help:"${run_config}"`
	State          string `placeholder:"DIR" help:"${run_state}"`
	UserspaceProxy string `placeholder:"HOST:PORT" help:"${run_proxy}"`
	SerialNumber   string `placeholder:"TEXT" help:"${run_serial}"`
	Verbose        bool   `short:"v" help:"${run_verbose}"`
}

// Run is the daemon. It ends with the context, with the session closed and the tunnel gone.
func (c *runCommand) Run(ctx context.Context, a *app) (err error) {
	settings, err := c.settings()
	if err != nil {
		return err
	}
	var level slog.LevelVar
	if err := c.setLevel(&level, settings); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: &level}))
	if a.handler != nil {
		log = slog.New(a.handler(&level))
	}
	manager := service.New(a.env, log)

	dir, err := openState(a.statePath(c.State, settings))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()

	parts, err := c.assemble(ctx, a, settings, dir, log)
	if err != nil {
		return err
	}
	log.Info("the laptop's agent runs", "version", version(), "socket", parts.door.socket, "proxy", parts.door.proxy)
	return parts.run(ctx, manager, func() error { return c.reload(settings, &level) })
}

// reload takes up how much is logged. Everything else is read at the start: a restart interrupts one person for a second, and
// device management brings one along.
func (c *runCommand) reload(before config.Agent, level *slog.LevelVar) error {
	now, err := c.settings()
	if err != nil {
		return err
	}
	if err := service.NeedsRestart(restartKeys(before, now)...); err != nil {
		return err
	}
	return c.setLevel(level, now)
}

// restartKeys are the keys of agent.yaml that differ and are read at the start only.
func restartKeys(before, after config.Agent) (keys []string) {
	for _, k := range []struct {
		key  string
		same bool
	}{
		{"server", slices.Equal(before.Servers, after.Servers)},
		{"ca_sha256", before.CASHA256 == after.CASHA256},
		{"tenant", before.Tenant == after.Tenant},
		{"start", before.Start == after.Start},
		{"shared", before.Shared == after.Shared},
		{"state_dir", before.StateDir == after.StateDir},
		{"socket", before.Socket == after.Socket},
		{"interface", before.Interface == after.Interface},
		{"user", before.User == after.User},
		{"userspace_proxy", before.UserspaceProxy == after.UserspaceProxy},
	} {
		if !k.same {
			keys = append(keys, k.key)
		}
	}
	return keys
}

func (c *runCommand) setLevel(level *slog.LevelVar, settings config.Agent) error {
	if c.Verbose {
		level.Set(slog.LevelDebug)
		return nil
	}
	if err := level.UnmarshalText([]byte(settings.LogLevel)); err != nil {
		return fmt.Errorf("reading log_level: %w", err)
	}
	return nil
}

// settings reads agent.yaml. Where none is asked for by name, none need be there.
func (c *runCommand) settings() (config.Agent, error) {
	file := c.Config
	if file == "" {
		file = systemPlaces().config
	}
	settings, err := config.LoadAgent(file)
	if err == nil {
		if foreign := state.Trusted(file); foreign != nil {
			return config.Agent{}, fileUnusable(file, words{"sie gehört keinem Administrator", "it belongs to no administrator"}).Because(foreign)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.Config == "":
		settings = config.DefaultAgent()
	case err != nil:
		var invalid config.Problems
		if !errors.As(err, &invalid) {
			err = fileUnusable(file, plain(err))
		}
		return config.Agent{}, err
	}
	if c.UserspaceProxy != "" {
		settings.UserspaceProxy = c.UserspaceProxy
	}
	return settings, nil
}

func openState(path string) (*state.Dir, error) {
	dir, err := state.Open(path)
	switch {
	case err == nil:
		return dir, nil
	case errors.Is(err, state.ErrInUse):
		return nil, control.StateInUse(path, err)
	}
	return nil, control.StateUnusable(path, err)
}

// lookForPeople is how often is looked who is at the screens, where the administration asks how they are locked.
const lookForPeople = 15 * time.Second

// daemon is what runs.
type daemon struct {
	laptop interface { // an *endpoint.Endpoint, or a *sharing
		Run(ctx context.Context) error
		Alive(ctx context.Context) error
	}
	log     *slog.Logger
	door    *door
	calls   net.Listener
	logins  func(context.Context) error // follows who signs in and out; nil: it is of no matter
	proxy   *proxy.Server               // nil: none
	clients net.Listener
}

func (c *runCommand) assemble(ctx context.Context, a *app, settings config.Agent, dir *state.Dir, log *slog.Logger) (*daemon, error) {
	options, err := c.options(a, settings, dir, log)
	if err != nil {
		return nil, err
	}
	d := &daemon{log: log}
	if settings.UserspaceProxy != "" {
		if !wireguard.HasNetstack {
			return nil, proxyMissing()
		}
		if d.clients, err = proxy.Listen(ctx, settings.UserspaceProxy); err != nil {
			return nil, proxyPort(settings.UserspaceProxy, err)
		}
	}
	options.NetworkChanged = endpoint.WatchNetwork(ctx, settings.Interface, log)
	options.Woke = either(ctx, endpoint.WatchSleep(ctx), a.resumed)
	looker := &posture.Looker{Logger: log}
	options.Posture, options.Posed = looker.Look, looker.Watch(ctx, lookForPeople)
	pages, err := page.New(page.Options{AsksServer: len(settings.Servers) == 0, Version: version(), Logger: log})
	if err != nil {
		return nil, errors.Join(err, closeListener(d.clients))
	}
	d.door = &door{self: a.self, socket: a.listenPath(settings), posture: looker, pages: pages, log: log}
	lead := d.leadToSole
	if settings.Shared {
		lead = d.leadToShared
	}
	if err := lead(ctx, a, settings, dir, options); err != nil {
		return nil, errors.Join(err, closeListener(d.clients))
	}
	if d.calls, err = listen(ctx, d.door.socket); err != nil {
		return nil, errors.Join(err, closeListener(d.clients))
	}
	return d, nil
}

// leadToSole makes the laptop that of one account.
func (d *daemon) leadToSole(ctx context.Context, a *app, settings config.Agent, dir *state.Dir, options endpoint.Options) error {
	fixed, err := fixedUser(ctx, settings.User)
	if err != nil {
		return err
	}
	s := &sole{logins: signedIn, poked: a.logins, log: options.Logger}
	if s.owner, err = loadOwnership(dir, a.self, fixed); err != nil {
		return endpoint.StateDamaged(dir.Path(), err)
	}
	if s.laptop, err = endpoint.New(options); err != nil {
		return err
	}
	d.laptop, d.door.laptops = s.laptop, s
	if settings.Start == config.StartLogin {
		d.logins = func(ctx context.Context) error { return s.followLogins(ctx, lookEvery) }
	}
	d.offer(s.laptop.DialContext, func(uid int) bool { return s.owner.may(unixPeer(uid), false) }, options.Logger)
	return nil
}

// leadToShared makes the laptop one that several accounts share.
func (d *daemon) leadToShared(_ context.Context, a *app, settings config.Agent, dir *state.Dir, options endpoint.Options) error {
	if !a.self.admin {
		return sharedNeeds()
	}
	log, looker := options.Logger, d.door.posture
	s, err := share(&sharing{ //nolint:contextcheck // nothing goes on yet
		dir: dir, nameOf: nameOf, seen: atLaptop, poked: a.logins, watch: watchLogins, atOnce: settings.Start == config.StartLogin,
		screens: looker, log: log,
		open: func(of account, store control.Store) (*endpoint.Endpoint, error) {
			o := options
			o.Store, o.Posture, o.Look = store, looker.Of(string(of)), (&usage.Meter{Logger: log, Account: string(of)}).Look
			return endpoint.New(o)
		},
		clear: func(ctx context.Context) error {
			if options.Network == nil {
				return nil
			}
			return clearNetwork(ctx, options.Network, settings.Interface)
		},
	})
	if err != nil {
		return err
	}
	d.laptop, d.door.laptops = s, s
	d.offer(s.DialContext, s.mayDial, log)
	return nil
}

// offer has the proxy, if there is one, lead into the tunnel.
func (d *daemon) offer(dial func(ctx context.Context, network, address string) (net.Conn, error), may func(uid int) bool, log *slog.Logger) {
	if d.clients == nil {
		return
	}
	d.proxy = &proxy.Server{Dial: dial, Logger: log}
	if runtime.GOOS == "linux" { // elsewhere nobody tells whose a program is
		d.proxy.May = may
	}
	d.door.proxy = d.clients.Addr().String()
}

func closeListener(l net.Listener) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

// either hands on what comes on one of two channels, of which either may be nil.
func either(ctx context.Context, a, b <-chan struct{}) <-chan struct{} {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	both := make(chan struct{}, 1)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-a:
			case <-b:
			}
			select {
			case both <- struct{}{}:
			default: // it is known already
			}
		}
	}()
	return both
}

// fixedUser is the account that agent.yaml names. Empty: it names none.
func fixedUser(ctx context.Context, name string) (account, error) {
	if name == "" {
		return "", nil
	}
	fixed, err := accountOf(ctx, name)
	if err != nil {
		return "", noAccount(name).Because(err)
	}
	return fixed, nil
}

// packetPortion is how many packets the embedded WireGuard takes at a time: the fewest with which a download through it
// takes the processor no longer than with all 128.
const packetPortion = 32

// options say what kind of laptop this is.
func (c *runCommand) options(a *app, settings config.Agent, dir *state.Dir, log *slog.Logger) (endpoint.Options, error) {
	o := endpoint.Options{
		Store: dir, Tenant: settings.Tenant, Connect: settings.Start == config.StartBoot,
		DeviceName: hostName(), SerialNumber: c.SerialNumber, Platform: runtime.GOOS, Version: version(),
		Language: string(a.language), Look: (&usage.Meter{Logger: log}).Look, Logger: log,
	}
	if o.SerialNumber == "" {
		o.SerialNumber = serialNumber()
	}
	var err error
	if o.Servers, err = control.ParseServers(settings.Servers); err != nil {
		return o, fmt.Errorf("reading the servers in agent.yaml: %w", err)
	}
	if settings.CASHA256 != "" {
		if o.Pin, err = control.ParseFingerprint(settings.CASHA256); err != nil {
			return o, fmt.Errorf("reading ca_sha256 in agent.yaml: %w", err)
		}
	}
	if settings.UserspaceProxy != "" {
		o.Device = wireguard.Options{Mode: wireguard.Netstack}
		return o, nil
	}
	o.Device = wireguard.Options{Mode: wireguard.Auto, Name: settings.Interface, Portion: packetPortion}
	if o.Network, err = hostnet.Open(hostnet.Options{StateDir: dir.Path(), Logger: log}); err != nil {
		return o, endpoint.StateDamaged(dir.Path(), err)
	}
	return o, nil
}

func (d *daemon) run(ctx context.Context, manager *service.Manager, reload func() error) error {
	g, ctx := errgroup.WithContext(ctx)
	context.AfterFunc(ctx, manager.Stopping)
	g.Go(func() error { return manager.Watch(ctx, d.laptop.Alive) })
	g.Go(func() error { return manager.Reloads(ctx, reload) })
	g.Go(func() error { return giveMemoryBack(ctx, d.log) })
	// The commands are answered until the tunnel is gone, so that nobody is told of a tunnel that is not there.
	open, shut := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error {
		defer shut()
		return d.laptop.Run(ctx)
	})
	g.Go(func() error { return d.door.serve(open, d.calls, manager.Ready) })
	if d.logins != nil {
		g.Go(func() error { return d.logins(ctx) })
	}
	if d.proxy != nil {
		g.Go(func() error { return d.proxy.Serve(ctx, d.clients) })
	}
	if err := errors.Join(g.Wait(), d.door.pages.Close()); err != nil {
		return fmt.Errorf("running the laptop's agent: %w", err)
	}
	return nil
}
