// Package packaged tests the packages for Debian and RPM as administrators meet them: in a small Debian of the
// distribution's own packages, with a real dpkg, and with the real systemd as its first process. They are installed, upgraded
// over a changed configuration, reloaded, removed and purged, and what lies in the tree is compared before and after.
//
// What always holds: nothing outside the tree is touched, and nothing of it outlives the test.
//
// What the programs do is the business of other tests; the kernel's WireGuard, of those in agent/gateway.
package packaged
