package main

import (
	"os"
	"syscall"
)

// signedIn says whether the user sits at this machine: the console is hers then. Root has it while nobody is signed in.
// Of several who are signed in at a time (fast user switching) it is the one who sees the screen.
func signedIn(user account) bool {
	if user == "" || user == root {
		return false
	}
	info, err := os.Stat("/dev/console")
	if err != nil {
		return false
	}
	console, ok := info.Sys().(*syscall.Stat_t)
	return ok && unixPeer(int(console.Uid)).account == user
}
