// Package wireguard opens one WireGuard interface and keeps its peers as it is told. It is the one place
// that knows wgctrl (the kernel's WireGuard), wireguard-go (a TUN device in user space) and a network
// stack in the process itself (netstack: no TUN, no root), and it makes the three look alike.
//
// What always holds:
//
//   - A peer is changed by itself. The peers of a running device are never replaced as a whole, which
//     would break every session on it.
//   - An address belongs to one peer. WireGuard lets a peer take the address of another one and says
//     nothing; [Plan] gives it back before it hands it on, and [Device.Apply] refuses what would steal.
//   - A peer that cannot be installed whole is not installed at all.
//   - Once Apply has returned, the traffic of a removed peer is dead.
//   - Calls are small and there is one at a time, so that a removal waits for one call, never for a list.
//   - Private and preshared keys print as a placeholder, whatever prints them.
//
// Not its business: which peers there should be and when they go, addresses, routes and DNS of the host
// (package hostnet), packet filters.
package wireguard
