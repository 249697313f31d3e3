package wireguard

import "golang.zx2c4.com/wireguard/tun"

// createTUN makes the interface.
func createTUN(o Options) (tun.Device, error) { return tun.CreateTUN(o.Name, o.MTU) }
