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

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// journal is what must be undone, as it stands in journalName. It is on the disk before anything is done.
type journal struct {
	Interface string `json:"interface"`
	// Former is the interface beside it, or one that a killed process has left. Empty: none.
	Former string `json:"former,omitempty"`
	// Routed says that there are routes, rules and the filter for the mark.
	Routed bool `json:"routed,omitempty"`
	// ValidMark is the kernel's setting src_valid_mark as it was. Empty: it was right already.
	ValidMark string `json:"src_valid_mark,omitempty"`
	// DNS says who was told of the name servers.
	DNS dnsManager `json:"dns,omitempty"`
	// ResolvConf is the file as it was before.
	ResolvConf *former `json:"resolv_conf,omitempty"`
}

// Host is the network of this machine, as far as one interface, and perhaps a former one, is concerned. It is safe for concurrent use.
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
// another way, *TakenError if somebody else uses the routing table. It does as much as it can; after an error,
// Clear undoes what was done.
func (h *Host) Set(ctx context.Context, config Config) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := config.validate(); err != nil {
		return fmt.Errorf("setting up the network of %s: %w", config.Interface, err)
	}
	if h.done.Former == config.Interface && h.done.Interface != config.Former.Interface {
		// Back to the former one, as where the other comes to nothing, which is the one to leave then.
		h.done.Interface, h.done.Former = h.done.Former, h.done.Interface
	}
	if h.done.Interface != "" && h.done.Interface != config.Interface && h.done.Interface != config.Former.Interface {
		if err := h.clear(ctx); err != nil {
			return fmt.Errorf("leaving the interface %s: %w", h.done.Interface, err)
		}
	}
	next := h.done
	next.Interface = config.Interface
	if config.Former.Interface != "" {
		next.Former = config.Former.Interface
	}
	if config.routed() && !next.Routed {
		next.Routed, next.ValidMark = true, formerValidMark()
	}
	if err := h.record(next); err != nil {
		return err
	}
	err := h.set(ctx, config)
	if config.Former.Interface == "" && h.done.Former != "" {
		// Last, so that nothing goes past both of them meanwhile.
		err = errors.Join(err, h.dropFormer())
	}
	if err != nil {
		return fmt.Errorf("setting up the network of %s: %w", config.Interface, err)
	}
	return nil
}

func (h *Host) set(ctx context.Context, config Config) error {
	link, err := netlink.LinkByName(config.Interface)
	if err != nil {
		return fmt.Errorf("finding the interface: %w", err)
	}
	if !hasIPv6(config.Interface) && config.dropIPv6() {
		h.options.Logger.Info("IPv6 is switched off on this machine: its addresses are left out", "interface", config.Interface)
	}
	if config.Forward {
		if err := forward(); err != nil {
			return err
		}
	}
	if err := setLink(link, config); err != nil {
		return err
	}
	var errs []error
	switch {
	case config.routed():
		errs = append(errs, h.setTunnel(link, config))
	case h.done.Routed:
		errs = append(errs, h.clearTunnel(link), h.noteUnrouted())
	}
	if err := ctx.Err(); err != nil {
		return errors.Join(append(errs, err)...)
	}
	return errors.Join(append(errs, h.setDNS(ctx, link, config.DNS), h.leaveDNS(ctx))...)
}

// HoldsTwo says that a former tunnel can go on beside the present one.
func (*Host) HoldsTwo() bool { return true }

// Interface is what was set up last, perhaps by a process before this one. Empty: nothing.
func (h *Host) Interface() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.done.Interface
}

// Reserve notes, durably, that an interface of this name is about to be made for Set, so that it does not stay if the
// process is killed before. The next Set without it takes it away.
func (h *Host) Reserve(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := h.done
	next.Former = name
	return h.record(next)
}

// dropFormer takes away what is left of the former interface, and notes it.
func (h *Host) dropFormer() error {
	if err := removeLink(h.done.Former); err != nil {
		return err
	}
	next := h.done
	next.Former = ""
	return h.record(next)
}

// removeLink takes an interface away, and with it its addresses and routes.
func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil && !errors.As(err, &netlink.LinkNotFoundError{}) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("taking the interface %s away: %w", name, err)
	}
	return nil
}

// setTunnel leads the configured networks through the interface, and what carries the mark around it.
func (h *Host) setTunnel(link netlink.Link, config Config) error {
	former, err := linkIfThere(config.Former.Interface)
	if err != nil {
		return err
	}
	if former == nil {
		config.Former = Former{}
	}
	left, err := linkIfThere(h.done.Former)
	if err != nil {
		return err
	}
	if err := checkTable(tunnelTable, link, left); err != nil {
		return err
	}
	if former != nil {
		if err := checkTable(formerTable, link, former); err != nil {
			return err
		}
	}
	if err := checkHalves(link, config); err != nil {
		return err
	}
	if err := sysctl(validMark, "1"); err != nil {
		return err
	}
	switch err := setFilter(config); {
	case err != nil && config.LocalDenied:
		return fmt.Errorf("closing the local networks: %w", err)
	case err != nil:
		// Most hosts do without; those whose kernel checks strictly from where packets come do not.
		h.options.Logger.Warn("no packet filter: if net.ipv4.conf.*.rp_filter is 1, answers of the gateway are dropped", "error", err)
	}
	return setRoutes(link, former, config)
}

// clearTunnel undoes setTunnel. The interface may be gone (nil).
func (h *Host) clearTunnel(link netlink.Link) error {
	errs := []error{clearRoutes(link)}
	if err := clearFilter(); err != nil {
		// Where there is no packet filter, nothing is left in it.
		h.options.Logger.Debug("no packet filter to take back", "error", err)
	}
	return errors.Join(append(errs, restoreValidMark(h.done.ValidMark))...)
}

// noteUnrouted notes that clearTunnel has been done.
func (h *Host) noteUnrouted() error {
	next := h.done
	next.Routed, next.ValidMark = false, ""
	return h.record(next)
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
	errs := []error{h.undoDNS(ctx, link)}
	if h.done.Routed {
		errs = append(errs, h.clearTunnel(link))
	}
	if link != nil {
		errs = append(errs, setAddresses(link, nil))
	}
	if h.done.Former != "" {
		errs = append(errs, removeLink(h.done.Former))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return h.forget()
}

// routed says whether anything is to go through the interface that the kernel does not know from its addresses.
func (c Config) routed() bool { return c.FullTunnel || len(c.Routes) > 0 }
