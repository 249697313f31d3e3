//go:build !linux

package wireguard

// linkUp does nothing: these systems switch the interface on as it gets its addresses.
func linkUp(string) error { return nil }
