package hostnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// journalName is the file in the state directory that says what was changed.
const journalName = "hostnet.json"

// journal is what must be undone. It is on the disk before anything is done.
type journal struct {
	Interface  string `json:"interface"`
	FullTunnel bool   `json:"full_tunnel,omitempty"`
	// DNS says who was told of the name servers.
	DNS dnsManager `json:"dns,omitempty"`
	// ResolvConf is the file as it was before.
	ResolvConf *former `json:"resolv_conf,omitempty"`
}

// Host is the network of this machine, as far as one interface is concerned. It is safe for concurrent use.
type Host struct {
	options Options

	mu   sync.Mutex
	done journal // Interface is empty when there is nothing to undo
}

// Open reads the journal. What a killed process left is then known: Set goes on from there, Clear undoes it.
func Open(options Options) (*Host, error) {
	h := &Host{options: options.withDefaults()}
	if h.options.StateDir == "" {
		return h, nil
	}
	b, err := os.ReadFile(h.journalPath())
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was changed on this host: %w", err)
	}
	if err := json.Unmarshal(b, &h.done); err != nil {
		return nil, fmt.Errorf("reading what was changed on this host from %s: %w", h.journalPath(), err)
	}
	return h, nil
}

func (h *Host) journalPath() string { return filepath.Join(h.options.StateDir, journalName) }

// record notes what will be undone, durably, before it is done.
func (h *Host) record(next journal) error {
	h.done = next
	if h.options.StateDir == "" {
		return nil
	}
	b, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return fmt.Errorf("noting what changes on this host: %w", err)
	}
	if err := replaceFile(h.journalPath(), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("noting what changes on this host: %w", err)
	}
	return nil
}

// forget ends the journal.
func (h *Host) forget() error {
	h.done = journal{}
	if h.options.StateDir == "" {
		return nil
	}
	if err := os.Remove(h.journalPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the note of what was changed: %w", err)
	}
	return nil
}

// Set makes the host as the configuration says; what was set before and is not wanted any more goes. It may be
// called again at any time, for example because the laptop is in another network now.
//
// Errors: fs.ErrPermission without the rights of an administrator, *ConflictError for each network that is reached in
// another way. It does as much as it can; after an error, Clear undoes what was done.
func (h *Host) Set(ctx context.Context, config Config) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := config.validate(); err != nil {
		return fmt.Errorf("setting up the network of %s: %w", config.Interface, err)
	}
	if h.done.Interface != "" && h.done.Interface != config.Interface {
		if err := h.clear(ctx); err != nil {
			return fmt.Errorf("leaving the interface %s: %w", h.done.Interface, err)
		}
	}
	next := h.done
	next.Interface, next.FullTunnel = config.Interface, config.FullTunnel || h.done.FullTunnel
	if err := h.record(next); err != nil {
		return err
	}
	if err := h.set(ctx, config); err != nil {
		return fmt.Errorf("setting up the network of %s: %w", config.Interface, err)
	}
	return nil
}

func (h *Host) set(ctx context.Context, config Config) error {
	link, err := netlink.LinkByName(config.Interface)
	if err != nil {
		return fmt.Errorf("finding the interface: %w", err)
	}
	if err := setSysctls(config); err != nil {
		return err
	}
	if err := setLink(link, config); err != nil {
		return err
	}
	errs := []error{setRoutes(link, config.Routes)}
	if config.FullTunnel {
		errs = append(errs, setFullTunnel(link, config))
	} else if h.done.FullTunnel {
		errs = append(errs, clearFullTunnel())
	}
	if err := ctx.Err(); err != nil {
		return errors.Join(append(errs, err)...)
	}
	return errors.Join(append(errs, h.setDNS(ctx, link, config.DNS))...)
}

// Clear takes away all that Set did, also in a process before this one: name servers, routes, rules and addresses.
// If there is nothing, or the interface is gone, it is content. After an error, call it again.
func (h *Host) Clear(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done.Interface == "" {
		return nil
	}
	if err := h.clear(ctx); err != nil {
		return fmt.Errorf("taking back the network of %s: %w", h.done.Interface, err)
	}
	return nil
}

func (h *Host) clear(ctx context.Context) error {
	link, err := netlink.LinkByName(h.done.Interface)
	switch {
	case errors.As(err, &netlink.LinkNotFoundError{}):
		link = nil // with it went its addresses and routes
	case err != nil:
		return fmt.Errorf("finding the interface: %w", err)
	}
	errs := []error{h.clearDNS(ctx, link)}
	if h.done.FullTunnel {
		errs = append(errs, clearFullTunnel())
	}
	if link != nil {
		errs = append(errs, setRoutes(link, nil), setAddresses(link, nil))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return h.forget()
}

// Around is a net.Dialer.Control that lets a connection go around the full tunnel, as the connection to the control
// plane must: it is needed when the tunnel is dead. It takes the rights of an administrator.
func Around(_, _ string, conn syscall.RawConn) error {
	var marking error
	err := conn.Control(func(fd uintptr) {
		marking = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, FirewallMark)
	})
	if err := errors.Join(err, marking); err != nil {
		return fmt.Errorf("marking a connection to go around the tunnel: %w", err)
	}
	return nil
}
