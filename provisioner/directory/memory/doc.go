// Package memory is a directory read from an LDIF text and held in memory: for the demo and for tests, also
// inside of synctest bubbles.
//
// It fulfils the contract of package directory in two ways. Called directly it answers without input or output,
// goroutines or locks held while waiting; Serve puts the same people behind a real LDAPS port, so that the demo
// goes the way that an administration's directory does.
//
// What always holds: what a test changes (a status, a membership, being reachable at all) is seen by the next
// call, in both ways alike. No password leaves it, and none is logged.
//
// Not its business: being anybody's real directory. It keeps nothing, counts no wrong passwords, and knows as
// much of LDAP's schema as telling people from groups takes.
package memory
