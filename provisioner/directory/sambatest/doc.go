// Package sambatest gives tests a real Active Directory: a Samba domain controller with a policy that locks accounts, two
// service accounts, and hands that change people and groups as an administrator does.
//
// What always holds: the server is an ordinary process on a loopback address of its own, with its files in the
// test's temporary directory and certificates from an authority made on the fly; it ends with the test, also when
// the test is killed. Provisioning a domain takes half a minute, so that is done once a machine, in the user's
// cache, and copied. Samba needs root's rights. A machine without Samba skips the test, with its reason (package
// testneed).
//
// Nothing outside of tests imports it.
package sambatest
