// Package journal keeps, beside the backups, what was taken: revoked and
// suspended devices, keys that were replaced, gateways that joined anew. A
// restored backup is held against it, so that nothing comes back that was taken
// after the backup was made.
//
// What always holds here:
//   - A frame says what held as of a revision, not what was done: frames may be
//     read twice, and of two the later one counts.
//   - A frame is on disk when Append returns. A file that was cut off in the
//     middle of one is read without it; damage in front of whole frames is never
//     passed over in silence.
//   - Ids, keys' public halves and keys that only the master key opens, and no
//     names: not of people, not of laptops, not the reasons that were given.
//   - Revocation waits for nobody here for longer than a moment: a journal that
//     cannot be written is said loudly, and access is taken regardless.
//
// Not its business: deciding what a restore does (app).
package journal
