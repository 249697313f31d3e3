// Package syslog delivers messages to a collector: RFC 5424 messages over TLS, each
// preceded by its length in bytes (RFC 5425).
//
// What always holds here:
//   - What was delivered has been read to its end by the collector: syslog knows no
//     receipts, so each delivery has a connection of its own, is closed by us, and
//     counts when the collector has closed it too. What was on its way when a
//     collector or a network fell is not taken for delivered, and comes again.
//   - Nothing is sent before the collector's certificate has been verified.
//
// The module's own lines, because the libraries that exist are for parsing, or write to
// a local daemon.
//
// Not its business: what is told, and what has been told already.
package syslog
