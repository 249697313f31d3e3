// Package firewall holds laptops to what they may reach: a gateway's packet
// filter, in one table of nftables of its own, "heimdraht".
//
// What always holds:
//
//   - A packet that comes out of the tunnels is dropped unless it goes to
//     where its session's access list lets it, or is an echo request to the
//     gateway's own inside address. Nothing goes from laptop to laptop, and
//     only the list's callers begin connections to a laptop.
//   - Every packet of a connection is judged by the list that its session has
//     now, in both directions: what is taken away ends at once, also for
//     connections that stand.
//   - An address of the tunnels is believed only on the tunnels' interface,
//     and there only while it is a session's.
//   - An address that comes to another session brings none of the former
//     one's connections along, if it was forgotten first: Inherits says for
//     whom, and Forget takes its time beside everything else.
//   - Rules grow with the lists, not with the sessions: a session is one
//     element of a map for each of its addresses.
//   - Only the own table is touched, and no packet meets half of a change. If
//     somebody else changes or removes the table, Lost tells, and Restore
//     makes it anew.
//
// Calls are idempotent. Rules of others, and whether packets are forwarded at
// all (package hostnet), are not its business. ReplaceTable is for other
// tables of ours.
package firewall
