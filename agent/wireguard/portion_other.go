//go:build !linux

package wireguard

import (
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/tun"
)

// portioned changes nothing: interface and sockets take one packet at a time.
func portioned(link tun.Device, bind conn.Bind, _ int) (tun.Device, conn.Bind, error) {
	return link, bind, nil
}
