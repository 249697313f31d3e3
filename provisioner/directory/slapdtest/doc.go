// Package slapdtest gives tests a real directory: an OpenLDAP server with as many people as they like, and the
// same people as an LDIF text for directories held in memory.
//
// What always holds: the server is an ordinary process on loopback ports of its own, with files in the test's
// temporary directory and certificates from an authority made on the fly; it ends with the test, also when the
// test is killed. A machine without slapd skips the test, with its reason (package testneed).
//
// Nothing outside of tests imports it.
package slapdtest
