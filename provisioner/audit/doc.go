// Package audit is the tamper-evident log: who did what to whom, why and when,
// as a chain of records in which each one names the hash of the one before.
//
// What always holds here:
//   - Verify finds every record that was changed, taken out, moved, put in or
//     cut off, given only the head that the chain had.
//   - What is personal lies in the payload alone, and the chain goes over a
//     salted commitment to it: when its time is over, payload and salt are
//     dropped, nobody can guess the payload from what stays, and the chain
//     still verifies.
//   - What stays (number, time, tenant) is covered by the hash.
//   - Everything is pure but NewSalt.
//
// The format, version 1, for those who verify without this program. Integers
// are 8 bytes, big endian; times are milliseconds since 1970 UTC; + joins
// bytes; the quoted tags are ASCII:
//
//	commitment = SHA-256("heimdraht audit payload 1\n" + salt (16 bytes) + payload)
//	hash       = SHA-256("heimdraht audit record 1\n" + hash of the record before +
//	                     number + time + length of tenant + tenant + commitment)
//
// The first record has number 1, and 32 zero bytes stand for the hash before
// it. The payload is a JSON object (see Event), whose bytes count as they are
// stored.
//
// Whoever can write all of the log and its head can make another chain that
// verifies. Against that helps only a head kept where he cannot write: an
// export, a printout.
//
// Not its business: where records are kept (store), and who may read them.
package audit
