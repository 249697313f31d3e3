// Package dirsrvtest gives tests a real 389 Directory Server.
//
// What always holds: the server is a process of the test's own on a loopback port, made from the package's own template
// in the test's temporary directory, without systemd and without a trace in /etc or /var; it ends with the test. It starts
// only for root, as whom it then does not run. A machine without it skips the test, with its reason (package testneed).
//
// Nothing outside of tests imports it.
package dirsrvtest
