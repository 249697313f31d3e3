package hostnet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/vishvananda/netlink"
)

// dnsManager is who is told of name servers.
type dnsManager string

const (
	// byResolved is systemd-resolved, which keeps servers and domains for each interface.
	byResolved dnsManager = "systemd-resolved"
	// byResolvconf is resolvconf(8), Debian's or openresolv, which makes the file of what it is told by each interface.
	byResolvconf dnsManager = "resolvconf"
	// byFile is the file resolv.conf itself.
	byFile dnsManager = "resolv.conf"
)

// world is what the host's name resolution looks like, as answers to questions.
type world struct {
	// target is where resolv.conf points if it is a symbolic link.
	target string
	// ours says that resolv.conf was written by this package.
	ours bool
	// servers are the ones in resolv.conf.
	servers []netip.Addr
	// resolvconf says that there is a program of that name, and that it has written resolv.conf.
	resolvconf bool
	// resolvedRuns says that systemd-resolved answers on the bus.
	resolvedRuns bool
}

// manager decides who is told. resolved is told only if programs ask it: it may well run while resolv.conf names other
// servers, and nothing would come of telling it then.
func (w world) manager() dnsManager {
	switch {
	case w.ours:
		return byFile
	case w.resolvconf:
		return byResolvconf
	case !w.resolvedRuns:
		return byFile
	}
	// The links are /run/systemd/resolve/stub-resolv.conf, resolv.conf beside it, in which resolved lists the servers
	// itself, and /usr/lib/systemd/resolv.conf.
	dir := filepath.Dir(w.target)
	if filepath.Base(dir) == "resolve" {
		dir = filepath.Dir(dir)
	}
	if filepath.Base(dir) == "systemd" {
		return byResolved
	}
	for _, server := range w.servers {
		if server.String() != stubListener && server.String() != stubProxy {
			return byFile
		}
	}
	if len(w.servers) == 0 {
		return byFile
	}
	return byResolved
}

// stubListener and stubProxy are where systemd-resolved listens for programs that ask a name server themselves.
const (
	stubListener = "127.0.0.53"
	stubProxy    = "127.0.0.54"
)

// look asks the questions.
func (h *Host) look(ctx context.Context) (world, error) {
	now, err := readFormer(h.options.ResolvConf)
	if err != nil {
		return world{}, fmt.Errorf("looking at the host's name resolution: %w", err)
	}
	return world{
		target: now.Link, ours: isOurs([]byte(now.Content)), servers: parseResolvConf([]byte(now.Content)).servers,
		resolvconf:   h.resolvconf() != "" && writtenByResolvconf(now),
		resolvedRuns: resolvedRuns(ctx, h.options.Bus),
	}, nil
}

// setDNS tells the name servers to whom it concerns, and takes them back from whom it concerned before.
func (h *Host) setDNS(ctx context.Context, link netlink.Link, want DNS) error {
	if len(want.Servers) == 0 {
		return h.clearDNS(ctx, link)
	}
	w, err := h.look(ctx)
	if err != nil {
		return err
	}
	manager := w.manager()
	if h.done.DNS != "" && h.done.DNS != manager {
		if err := h.clearDNS(ctx, link); err != nil {
			return err
		}
		// What is there now is not what was there when manager was decided.
		if w, err = h.look(ctx); err != nil {
			return err
		}
		manager = w.manager()
	}
	next := h.done
	next.DNS = manager
	if err := h.record(next); err != nil {
		return err
	}
	switch manager {
	case byResolved:
		err = tellResolved(ctx, h.options.Bus, link.Attrs().Index, want, h.options.Logger)
	case byResolvconf:
		err = h.tellResolvconf(ctx, link.Attrs().Name, want)
	default:
		err = h.writeResolvConf(want)
	}
	if err != nil {
		return fmt.Errorf("setting the name servers by %s: %w", manager, err)
	}
	return nil
}

// leaveDNS takes the name servers back from a former interface: all names are asked in the present tunnel.
func (h *Host) leaveDNS(ctx context.Context) error {
	if h.done.Former == "" {
		return nil
	}
	var err error
	switch h.done.DNS {
	case byResolved:
		if link, gone := netlink.LinkByName(h.done.Former); gone == nil {
			err = revertResolved(ctx, h.options.Bus, link.Attrs().Index)
		}
	case byResolvconf:
		err = h.revertResolvconf(ctx, h.done.Former)
	}
	if err != nil {
		return fmt.Errorf("taking the name servers of %s back: %w", h.done.Former, err)
	}
	return nil
}

// clearDNS takes back what setDNS did, and notes it.
func (h *Host) clearDNS(ctx context.Context, link netlink.Link) error {
	if h.done.DNS == "" {
		return nil
	}
	if err := h.undoDNS(ctx, link); err != nil {
		return err
	}
	next := h.done
	next.DNS, next.ResolvConf = "", nil
	return h.record(next)
}

// undoDNS takes back what setDNS did, and writes nothing of its own: it works on a full disk too, as far as the file
// itself can be put back.
func (h *Host) undoDNS(ctx context.Context, link netlink.Link) (err error) {
	switch h.done.DNS {
	case "":
		return nil
	case byResolved:
		if link != nil { // it forgets an interface that is gone by itself
			err = revertResolved(ctx, h.options.Bus, link.Attrs().Index)
		}
	case byResolvconf:
		err = errors.Join(h.revertResolvconf(ctx, h.done.Interface), h.leaveDNS(ctx))
	case byFile:
		err = h.restoreResolvConf()
	default:
		err = errors.New("the journal names a manager that this version does not know")
	}
	if err != nil {
		return fmt.Errorf("giving the name servers of %s back: %w", h.done.DNS, err)
	}
	return nil
}
