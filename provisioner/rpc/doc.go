// Package rpc serves the protocol over gRPC: it authenticates callers,
// translates messages into calls of use cases, and their answers and errors
// back.
//
// What always holds here:
//   - Who calls is established once a call, by the interceptor: by client
//     certificate, or by bearer token. Use cases decide what the caller may do.
//   - A refusal leaves as a status with its code, sentence and next step in the
//     caller's language; its cause stays here. A fault leaves as an id, and the
//     log has the rest under that id.
//   - No stream waits for another one.
//   - Who calls is found out before a message is taken in, and how much is taken
//     in depends on who it is. A connection is read only as far as the calls
//     under way on it have room (intake): 32 KB in all for whoever has shown no
//     certificate of ours, 128 KB for a laptop, 256 KB for a gateway, and 8 MB
//     more for each declaration that somebody sends who may apply one. It is
//     counted where bytes come in, because the library has one limit for all
//     messages, and reads a message from the moment on at which it is asked for
//     one. The door lets 2,048 strangers in: together they have 64 MB of the wire.
//     In memory that is as much when it comes in large pieces, and some ten
//     times as much when it comes byte by byte.
//
// Not its business: rules, SQL, files.
package rpc
