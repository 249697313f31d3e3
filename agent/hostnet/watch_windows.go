package hostnet

import (
	"context"
	"errors"
	"fmt"

	"golang.zx2c4.com/wireguard/windows/tunnel/winipcfg"
)

// Watch tells, by each value, that addresses or routes have changed, those of one interface excepted. It ends with the
// context.
func Watch(ctx context.Context, except string) (<-chan struct{}, error) {
	changed := make(chan struct{}, 1)
	tell := func(luid winipcfg.LUID) {
		if all, err := adapters(); err == nil && all[luid].name == except {
			return
		}
		select {
		case changed <- struct{}{}:
		default: // it is known already
		}
	}
	addresses, err := winipcfg.RegisterUnicastAddressChangeCallback(func(_ winipcfg.MibNotificationType, row *winipcfg.MibUnicastIPAddressRow) {
		tell(row.InterfaceLUID)
	})
	if err != nil {
		return changed, fmt.Errorf("watching the addresses: %w", err)
	}
	routes, err := winipcfg.RegisterRouteChangeCallback(func(_ winipcfg.MibNotificationType, row *winipcfg.MibIPforwardRow2) {
		tell(row.InterfaceLUID)
	})
	if err != nil {
		return changed, errors.Join(fmt.Errorf("watching the routes: %w", err), addresses.Unregister())
	}
	context.AfterFunc(ctx, func() {
		// The process ends: what is not taken back ends with it.
		_ = addresses.Unregister()
		_ = routes.Unregister()
	})
	return changed, nil
}
