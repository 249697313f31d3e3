package main

import (
	"context"
	"log/slog"
	"os"
	"strconv"
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

// atLaptop is who sees the screen. Who is signed in behind her is not told from who is not.
func atLaptop() map[account]bool {
	info, err := os.Stat("/dev/console")
	if err != nil {
		return nil
	}
	console, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return map[account]bool{unixPeer(int(console.Uid)).account: true}
}

// isPerson says whether an account is one that people sign in with: macOS numbers those from 501.
func isPerson(who account) bool {
	uid, err := strconv.Atoi(string(who))
	return err == nil && uid > 500
}

// watchLogins tells nothing: it is looked.
func watchLogins(context.Context, *slog.Logger) <-chan struct{} { return nil }
