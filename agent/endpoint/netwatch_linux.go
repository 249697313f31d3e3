package endpoint

import (
	"context"
	"log/slog"

	"github.com/vishvananda/netlink"
)

// WatchNetwork tells, by each value, that the laptop's addresses or routes have changed, those of the tunnel's own
// interface excepted. It ends with the context. If the system does not tell, nor does it.
func WatchNetwork(ctx context.Context, own string, log *slog.Logger) <-chan struct{} {
	changed := make(chan struct{}, 1)
	addresses, routes := make(chan netlink.AddrUpdate, 64), make(chan netlink.RouteUpdate, 64)
	ignore := func(err error) { log.Debug("the system's news of the network has a gap", "error", err) }
	err := netlink.AddrSubscribeWithOptions(addresses, ctx.Done(), netlink.AddrSubscribeOptions{ErrorCallback: ignore})
	if err == nil {
		err = netlink.RouteSubscribeWithOptions(routes, ctx.Done(), netlink.RouteSubscribeOptions{ErrorCallback: ignore})
	}
	if err != nil {
		log.Warn("changes of the network are not noticed at once", "error", err)
		return changed
	}
	go func() {
		for {
			var link int
			select {
			case <-ctx.Done():
				return
			case update, ok := <-addresses:
				if !ok {
					return
				}
				link = update.LinkIndex
			case update, ok := <-routes:
				if !ok {
					return
				}
				link = update.LinkIndex
			}
			if name, err := netlink.LinkByIndex(link); err == nil && (isTunnel(name.Attrs().Name, own) || name.Attrs().Name == "lo") {
				continue
			}
			select {
			case changed <- struct{}{}:
			default: // it is known already
			}
		}
	}()
	return changed
}
