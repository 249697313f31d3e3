package main

import (
	"context"
	"log/slog"
	"unsafe"

	"golang.org/x/sys/windows"
)

// signedIn says whether the user has a session on this machine that is in use, at its screen or from afar. A service may
// ask; a daemon of a person's own may not, and sees nobody.
func signedIn(user account) bool {
	return user != "" && atLaptop()[user]
}

// atLaptop is who is signed in, and whether she is in front: at the screen, or connected from afar; fast user switching leaves
// the others' sessions disconnected. Nil: nobody can tell.
func atLaptop() map[account]bool {
	var first *windows.WTS_SESSION_INFO
	var count uint32
	if err := windows.WTSEnumerateSessions(0, 0, 1, &first, &count); err != nil {
		return nil
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(first)))
	seen := make(map[account]bool)
	for _, session := range unsafe.Slice(first, count) {
		front := session.State == windows.WTSActive
		if !front && session.State != windows.WTSDisconnected {
			continue
		}
		if who := sessionOf(session.SessionID); who != "" {
			seen[who] = seen[who] || front
		}
	}
	return seen
}

// isPerson says whether an account is one that people sign in with: no others have sessions with a token.
func isPerson(account) bool { return true }

// watchLogins tells nothing: the service manager tells the service.
func watchLogins(context.Context, *slog.Logger) <-chan struct{} { return nil }

// sessionOf is whose session it is. Empty: nobody's.
func sessionOf(id uint32) account {
	var token windows.Token
	if err := windows.WTSQueryUserToken(id, &token); err != nil {
		return ""
	}
	defer token.Close() //nolint:errcheck // it was read only
	user, err := token.GetTokenUser()
	if err != nil {
		return ""
	}
	return account(user.User.Sid.String())
}
