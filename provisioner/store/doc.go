// Package store is the one door to the control plane's database.
//
// What always holds here:
//   - What Update returned without an error is durable (SQLite with
//     synchronous=FULL): it survives kill -9 and power loss.
//   - Every Update holds the allocation row, so that all of them stand in one
//     order. The changes they record get revisions in that order, without
//     gaps; a reader never sees revision n without everything up to n.
//   - View reads one consistent state and never changes anything.
//   - Queries on tenants' data take a provisioner.Scope.
//
// Updates that wait together share one transaction (group commit), each in a
// savepoint of its own: one that fails takes nothing back from the others.
// Revocations go ahead of the rest (UpdateUrgent), and no transaction takes
// in new work for longer than 20 ms.
//
// Not its business: deciding. A function given to Update reads, asks the pure
// rules of other packages, and writes.
package store
