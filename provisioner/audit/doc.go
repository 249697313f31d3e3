// Package audit is the tamper-evident log: who did what to whom, why and when,
// as chains of records in which each one names the hash of the one before: one
// chain for each tenant, and one for what concerns the whole installation.
//
// What always holds here:
//   - Verify finds every record that was changed, taken out, moved, put in or
//     cut off, given only the head that the chain had. VerifyExport does so for
//     an exported file, given only the public key.
//   - What is personal lies in the payload alone, and the chain goes over a
//     salted commitment to it: when its time is over, payload and salt are
//     dropped, nobody can guess the payload from what stays, and the chain
//     still verifies.
//   - What stays (number, time, tenant) is covered by the hash.
//   - Everything is pure but NewSalt.
//
// The format, version 1, for those who verify without this program. Integers
// are 8 bytes, big endian; times are milliseconds since 1970 UTC; + joins
// bytes; a text is its length in bytes + its bytes in UTF-8; the quoted tags are
// ASCII:
//
//	commitment = SHA-256("heimdraht audit payload 1\n" + salt (16 bytes) + payload)
//	hash       = SHA-256("heimdraht audit record 1\n" + hash of the record before +
//	                     number + time + text of the tenant + commitment)
//
// The first record has number 1, and 32 zero bytes stand for the hash before
// it. The payload is a JSON object (see Event), whose bytes count as they are
// stored.
//
// A checkpoint is signed with Ed25519 (RFC 8032) over these bytes, its heads in
// the order of the bytes of their chains' names:
//
//	"heimdraht audit checkpoint 1\n" + text of the installation + time +
//	complete (1 or 0) + number of heads +
//	for each head: text of the chain + number + hash (32 bytes)
//
// A chain is named by its tenant; the installation's has the empty name. The
// form of an exported file stands at Export.
//
// Whoever can write all of the log, and has the key that signs checkpoints, can
// make another log that verifies. Against that helps only a checkpoint kept
// where he cannot write: at a collector, in an export, on paper.
//
// Not its business: where records are kept (store), who may read them, and when
// a checkpoint is due (auditing).
package audit
