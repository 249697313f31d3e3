// Package hostnet gives one tunnel interface its place on the host: addresses, MTU, routes, name servers,
// and on a gateway forwarding.
//
// What always holds:
//
//   - Set makes the host as the configuration says, whatever it was before, and changes nothing that is right
//     already. Clear undoes it. Both may be repeated and both pick up after a process that was killed at any
//     instant: what was changed stands in a journal before it is changed.
//   - Only what is this package's own is ever removed: addresses of the given interface, routes and rules that
//     carry this package's protocol number, a packet filter's table of its name, a resolv.conf with its mark.
//     Routes of others are never replaced; a conflict is an error that names it.
//   - What carries the FirewallMark goes around the tunnel, whatever goes through it, in a split tunnel as in a
//     full one: the tunnel's own encrypted packets and the connection to the control plane. Windows and macOS have no
//     marks: there a socket is bound to the interface that Outside names.
//   - Where a Host HoldsTwo, a former tunnel can go on beside the present one, for the connections that began in it: they are
//     told by their own address.
//   - A full tunnel closes a family that has no address inside the tunnel, so that nothing slips past.
//
// On Linux rules and a table of their own hold the tunnel's routes. Windows and macOS have one table, so what is to be
// done there is found by comparing (plan.go), by the same code for both, which every system tests; a system itself
// looks and does, and decides nothing.
//
// Not its business: making the interface (package wireguard), packet filters beyond what the mark needs.
package hostnet
