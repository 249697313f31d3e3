// Package ldap asks an administration's LDAP servers who somebody is. It is the only package that knows
// go-ldap.
//
// What always holds here:
//   - Nothing waits longer than the configured timeout: dialling, the TLS handshakes, every request and Close.
//     Deadlines lie on the network connection itself, because go-ldap's own do not cover everything.
//   - A connection that a user's password was tried on is never used to search, and the other way round.
//   - Servers are asked in order. The next one is asked when the network fails or a server is busy, never
//     because a password was refused: that would count twice against somebody's lockout. A refused service
//     account is not tried again for a while with the same password, or it gets locked.
//   - Every value in a filter is escaped. Only attributes of the directory at hand appear in filters; whether
//     an account is in order is decided from attributes (package directory).
//   - No password and no unknown login appears in an error or a log line.
package ldap
