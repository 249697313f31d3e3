package hostnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

const (
	resolvedName = "org.freedesktop.resolve1"
	resolvedPath = dbus.ObjectPath("/org/freedesktop/resolve1")
	// busTime bounds what is asked of the bus. resolved answers in milliseconds, or hangs.
	busTime = 5 * time.Second
)

// linkServer and linkDomain are how resolved takes them: (iay) and (sb).
type linkServer struct {
	Family  int32
	Address []byte
}

type linkDomain struct {
	Domain      string
	RoutingOnly bool
}

// withBus calls f with a connection to the bus, which is closed again: this happens some times a day.
func withBus(ctx context.Context, address string, f func(ctx context.Context, bus *dbus.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, busTime)
	defer cancel()
	var bus *dbus.Conn
	var err error
	if address == "" {
		bus, err = dbus.ConnectSystemBus(dbus.WithContext(ctx))
	} else {
		bus, err = dbus.Connect(address, dbus.WithContext(ctx))
	}
	if err != nil {
		return fmt.Errorf("connecting to the system bus: %w", err)
	}
	defer func() { _ = bus.Close() }() // everything asked has been answered
	return f(ctx, bus)
}

// resolvedRuns says whether systemd-resolved is on the bus. No bus, no resolved.
func resolvedRuns(ctx context.Context, address string) bool {
	var runs bool
	err := withBus(ctx, address, func(ctx context.Context, bus *dbus.Conn) error {
		return bus.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, resolvedName).Store(&runs)
	})
	return err == nil && runs
}

func callResolved(ctx context.Context, bus *dbus.Conn, method string, args ...any) error {
	err := bus.Object(resolvedName, resolvedPath).CallWithContext(ctx, resolvedName+".Manager."+method, 0, args...).Err
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// tellResolved gives the interface its servers and domains.
func tellResolved(ctx context.Context, address string, index int, want DNS, log *slog.Logger) error {
	servers := make([]linkServer, len(want.Servers))
	for i, server := range want.Servers {
		servers[i] = linkServer{Family: unix.AF_INET6, Address: server.AsSlice()}
		if server.Is4() {
			servers[i].Family = unix.AF_INET
		}
	}
	domains := []linkDomain{{Domain: ".", RoutingOnly: true}} // every name
	if len(want.Domains) > 0 {
		domains = domains[:0]
		for _, domain := range want.Domains {
			domains = append(domains, linkDomain{Domain: domain})
		}
	}
	return withBus(ctx, address, func(ctx context.Context, bus *dbus.Conn) error {
		if err := callResolved(ctx, bus, "SetLinkDNS", int32(index), servers); err != nil {
			return err
		}
		if err := callResolved(ctx, bus, "SetLinkDomains", int32(index), domains); err != nil {
			return err
		}
		// What follows makes it better where resolved is new enough or is set up strictly, and is not worth a failure.
		// The name servers of an administration seldom speak TLS, nor do they sign inside zones; the tunnel
		// protects both. LLMNR and mDNS ask neighbours, of whom a tunnel has none.
		for _, extra := range []struct {
			method string
			value  any
		}{
			{"SetLinkDefaultRoute", len(want.Domains) == 0},
			{"SetLinkLLMNR", "no"}, {"SetLinkMulticastDNS", "no"}, {"SetLinkDNSSEC", "no"}, {"SetLinkDNSOverTLS", "no"},
		} {
			if err := callResolved(ctx, bus, extra.method, int32(index), extra.value); err != nil {
				log.Debug("systemd-resolved does not take a setting", "reason", err)
			}
		}
		if err := callResolved(ctx, bus, "FlushCaches"); err != nil {
			log.Debug("systemd-resolved keeps its cache", "reason", err)
		}
		return nil
	})
}

// revertResolved makes resolved forget what it was told of the interface.
func revertResolved(ctx context.Context, address string, index int) error {
	err := withBus(ctx, address, func(ctx context.Context, bus *dbus.Conn) error {
		return callResolved(ctx, bus, "RevertLink", int32(index))
	})
	// It forgets everything when it stops, and an interface when that goes.
	var refused dbus.Error
	if errors.As(err, &refused) {
		switch refused.Name {
		case resolvedName + ".NoSuchLink", "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner":
			return nil
		}
	}
	return err
}
