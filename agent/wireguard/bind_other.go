//go:build !darwin

package wireguard

import "golang.zx2c4.com/wireguard/conn"

// newBind is wireguard-go's own socket, unless ours is asked for.
func newBind(o Options) conn.Bind {
	if o.SmallFootprint || o.Source.IsValid() {
		return newSmallBind(o.Source)
	}
	return conn.NewDefaultBind()
}
