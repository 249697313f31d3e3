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
//
// Not its business: rules, SQL, files.
package rpc
