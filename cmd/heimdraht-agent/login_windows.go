package main

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// signedIn says whether the user has a session on this machine that is in use, at its screen or from afar. A service may
// ask; a daemon of a person's own may not, and sees nobody.
func signedIn(user account) bool {
	if user == "" {
		return false
	}
	var first *windows.WTS_SESSION_INFO
	var count uint32
	if err := windows.WTSEnumerateSessions(0, 0, 1, &first, &count); err != nil {
		return false
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(first)))
	for _, session := range unsafe.Slice(first, count) {
		if session.State == windows.WTSActive && sessionOf(session.SessionID) == user {
			return true
		}
	}
	return false
}

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
