// Package firewall replaces tables in the host's packet filter. It has one of
// its own, for gateways whose inside network has no route back to the laptops.
//
// What always holds: only the table that is named is touched ("heimdraht" is
// this package's own), and it is replaced in one step, so that no packet meets
// half of it. Calls are idempotent.
//
// Rules of others, and whether packets are forwarded at all (package hostnet),
// are not its business.
package firewall
