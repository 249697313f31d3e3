package hostnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// journalName is the file in the state directory that says what was changed.
const journalName = "hostnet.json"

// system is one operating system: it looks, and does what it is told. It decides nothing.
type system interface {
	// traits are what it does differently.
	traits() traits
	// look sees the host, and the interface of that name if there is one.
	look(ctx context.Context, name string) (sight, error)
	// act does one step to the interface of that name. A step that was done already is none to do.
	act(ctx context.Context, name string, s step) error
	// lead makes a socket send by one interface alone.
	lead(fd uintptr, ipv4 bool, index uint32) error
}

// planned is a Host on a system for which the steps are planned.
type planned struct {
	options Options
	system  system

	mu   sync.Mutex
	left laid // Interface is empty when there is nothing to undo
	// searched says that our marks were looked for without a journal, which somebody may have deleted.
	searched bool
}

// openPlanned reads what a process before this one has laid down.
func openPlanned(options Options, s system) (*planned, error) {
	p := &planned{options: options.withDefaults(), system: s}
	if p.options.StateDir == "" {
		return p, nil
	}
	b, err := os.ReadFile(p.journalPath())
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was changed on this host: %w", err)
	}
	if err := json.Unmarshal(b, &p.left); err != nil {
		return nil, fmt.Errorf("reading what was changed on this host from %s: %w", p.journalPath(), err)
	}
	return p, nil
}

func (p *planned) journalPath() string { return filepath.Join(p.options.StateDir, journalName) }

// record notes what will be laid down, durably, before it is done.
func (p *planned) record(next laid) error {
	same := p.left.equal(next)
	p.left = next
	if p.options.StateDir == "" || same {
		return nil
	}
	b, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return fmt.Errorf("noting what changes on this host: %w", err)
	}
	if err := replaceFile(p.journalPath(), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("noting what changes on this host: %w", err)
	}
	return nil
}

// forget ends the journal.
func (p *planned) forget() error {
	p.left = laid{}
	if p.options.StateDir == "" {
		return nil
	}
	if err := os.Remove(p.journalPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the note of what was changed: %w", err)
	}
	return nil
}

// Set makes the host as the configuration says; what was set before and is not wanted any more goes. It may be
// called again at any time, for example because the laptop is in another network now.
//
// Errors: fs.ErrPermission without the rights of an administrator, *ConflictError for each network that is reached in
// another way. It does as much as it can; after an error, Clear undoes what was done.
func (p *planned) Set(ctx context.Context, config Config) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := config.validate()
	if err == nil && config.Forward {
		err = fmt.Errorf("being a gateway: %w", errors.ErrUnsupported)
	}
	if err == nil && config.Former.Interface != "" {
		err = fmt.Errorf("two tunnels at once: %w", errors.ErrUnsupported)
	}
	if err != nil {
		return fmt.Errorf("setting up the network of %s: %w", config.Interface, err)
	}
	if p.left.Interface != "" && p.left.Interface != config.Interface {
		if err := p.clear(ctx); err != nil {
			return fmt.Errorf("leaving the interface %s: %w", p.left.Interface, err)
		}
	}
	if err := p.approach(ctx, config); err != nil {
		return fmt.Errorf("setting up the network of %s: %w", config.Interface, err)
	}
	return nil
}

// HoldsTwo says that a former tunnel can go on beside the present one: there is one table of routes here, and none by the
// sender's address.
func (*planned) HoldsTwo() bool { return false }

// Interface is what was set up last, perhaps by a process before this one. Empty: nothing.
func (p *planned) Interface() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left.Interface
}

// Reserve is for those that hold two tunnels.
func (*planned) Reserve(string) error {
	return fmt.Errorf("two tunnels at once: %w", errors.ErrUnsupported)
}

// Connections is for those that hold two tunnels.
func (*planned) Connections([]netip.Addr) (int, error) {
	return 0, fmt.Errorf("listing the connections of this machine: %w", errors.ErrUnsupported)
}

// rounds is how often the host is looked at: with an address that goes, some systems take routes along that are
// wanted, which the next look shows.
const rounds = 3

// approach does steps until none is left. A system that shows something else than it was told is not argued with.
func (p *planned) approach(ctx context.Context, config Config) error {
	for round := 1; ; round++ {
		have, err := p.system.look(ctx, config.Interface)
		if err != nil {
			return fmt.Errorf("looking at the host's network: %w", err)
		}
		if !have.there {
			return fmt.Errorf("finding the interface: %w", fs.ErrNotExist)
		}
		steps, conflicts := plan(p.system.traits(), config, have, p.left)
		if round > rounds {
			p.options.Logger.Warn("the system shows other settings than it was given", "interface", config.Interface, "left", len(steps), "first", steps[0].verb)
			steps = nil
		}
		if len(steps) == 0 {
			kept := laid{Interface: config.Interface, Refused: have.refusing(p.left)}
			return errors.Join(append(asErrors(conflicts), p.record(kept))...)
		}
		if err := p.record(p.left.noting(config.Interface, steps)); err != nil {
			return err
		}
		if err := p.do(ctx, config.Interface, steps); err != nil {
			return errors.Join(append(asErrors(conflicts), err)...)
		}
	}
}

func asErrors(conflicts []*ConflictError) []error {
	errs := make([]error, len(conflicts))
	for i, c := range conflicts {
		errs[i] = c
	}
	return errs
}

// do does as many of the steps as it can.
func (p *planned) do(ctx context.Context, name string, steps []step) error {
	var errs []error
	for _, s := range steps {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if err := p.system.act(ctx, name, s); err != nil {
			if s.prefix.IsValid() {
				err = fmt.Errorf("%s %v: %w", s.verb, s.prefix, err)
			} else {
				err = fmt.Errorf("%s: %w", s.verb, err)
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Clear takes away all that Set did, also in a process before this one: name servers, routes and addresses.
// If there is nothing, or the interface is gone, it is content. After an error, call it again.
func (p *planned) Clear(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left.Interface == "" && p.searched {
		return nil
	}
	if err := p.clear(ctx); err != nil {
		return fmt.Errorf("taking back the tunnel's place on this host: %w", err)
	}
	return nil
}

func (p *planned) clear(ctx context.Context) error {
	name := p.left.Interface
	have, err := p.system.look(ctx, name)
	if err != nil {
		return fmt.Errorf("looking at the host's network: %w", err)
	}
	steps, _ := plan(p.system.traits(), Config{Interface: name}, have, p.left)
	if err := p.do(ctx, name, steps); err != nil {
		return err
	}
	p.searched = true
	return p.forget()
}

// Outside is the number of the interface by which packets to an address leave this machine past the tunnel. Zero:
// they need not be led, because there is no tunnel or the address is this machine's own. Without a way past the
// tunnel the error is syscall.ENETUNREACH.
func (p *planned) Outside(ctx context.Context, to netip.Addr) (uint32, error) {
	p.mu.Lock()
	name := p.left.Interface
	p.mu.Unlock()
	if name == "" || to.IsLoopback() {
		return 0, nil
	}
	have, err := p.system.look(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("looking for a way around the tunnel: %w", err)
	}
	w, ok := leave(have.ways, to.Unmap(), name)
	if !ok {
		return 0, fmt.Errorf("looking for a way around the tunnel to %v: %w", to, syscall.ENETUNREACH)
	}
	return w.index, nil
}

// Around is a net.Dialer.ControlContext that lets a connection go around the tunnel, as the connection to the control
// plane must: it is needed when the tunnel is dead.
func (p *planned) Around(ctx context.Context, _, address string, conn syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("leading a connection around the tunnel: %w", err)
	}
	index, err := p.Outside(ctx, to.Addr())
	if err != nil || index == 0 {
		return err
	}
	var leading error
	err = conn.Control(func(fd uintptr) { leading = p.system.lead(fd, to.Addr().Unmap().Is4(), index) })
	if err := errors.Join(err, leading); err != nil {
		return fmt.Errorf("leading a connection around the tunnel: %w", err)
	}
	return nil
}
