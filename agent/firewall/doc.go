// Package firewall keeps one table of its own in the host's packet filter, for
// gateways whose inside network has no route back to the laptops.
//
// What always holds: only the table "heimdraht" is touched, and it is replaced
// in one step, so that no packet meets half of it. Calls are idempotent.
//
// Rules of others, and whether packets are forwarded at all (package hostnet),
// are not its business.
package firewall
