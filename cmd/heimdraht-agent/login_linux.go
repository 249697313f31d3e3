package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// loginsDir is where systemd-logind notes who is signed in (sd-login(3) reads it too). Where there is none, nobody is
// seen to sign in, and `start: login` is like `start: manual`.
const loginsDir = "/run/systemd/users"

// signedIn says whether the user has a session on this machine. Root's are not a person's.
func signedIn(user account) bool { return signedInBy(loginsDir, user) }

func signedInBy(logins string, user account) bool {
	if user == "" || user == root {
		return false
	}
	note, err := os.ReadFile(filepath.Join(logins, string(user)))
	if err != nil {
		return false
	}
	// Others are: opening, closing, lingering (programs of hers run on without her), offline.
	lines := strings.Split(string(note), "\n")
	return slices.Contains(lines, "STATE=active") || slices.Contains(lines, "STATE=online")
}
