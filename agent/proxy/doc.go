// Package proxy is a SOCKS5 server (RFC 1928) through which programs of one laptop reach the tunnel without a TUN device
// and without root's rights.
//
// What always holds:
//
//   - It listens on loopback only, and asks nobody for a password. Whoever can reach it uses the tunnel, unless the
//     server is told whose programs may: Linux knows whose they are.
//   - It resolves no names: they go to the dial function as they came, and with it to the tunnel's own name servers.
//   - When its context ends, so do all its connections.
//
// Not its business: which addresses may be reached. UDP and incoming connections (the commands UDP ASSOCIATE and BIND) are
// refused, as the RFC provides.
package proxy
