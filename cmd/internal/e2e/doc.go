// Package e2e holds the end-to-end tests: the real programs on several
// machines, with a real directory, real TUN devices and an intranet behind the
// gateway.
//
// What always holds: each machine is a set of Linux namespaces (network,
// mounts, host name) below one namespace of processes, whose end ends them
// all, also when the test is killed. /etc, /run, /var/lib and /usr/local of the
// machine that runs the test are never written; nothing leaves it, and nothing
// is left on it. Waiting is polling with a deadline, never a fixed time.
//
// Rules of the parts are not its business: they have tests of their own. Here
// counts what only the whole can show.
package e2e
