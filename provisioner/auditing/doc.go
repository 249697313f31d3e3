// Package auditing keeps the audit log in use: who may read and export it,
// checkpoints, the way to a collector, and the records that no change makes by itself
// (refusals).
//
// What always holds here:
//   - Nothing is shown of tenants outside the caller's scope, and whoever looks is
//     recorded himself, once a call.
//   - A checkpoint is signed only if the records since the one before follow from it:
//     a chain that was changed in the database does not get our word. The log says so,
//     once, and a metric does.
//   - A collector gets every record of a chain in order, at least once, over outages and
//     crashes on both sides.
//
// Not its business: the chains themselves (audit), writing what happens (each use case
// in its own transaction), how a message looks on the wire (syslog).
package auditing
