package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
)

const (
	// loginsDir is where systemd-logind notes who is signed in (sd-login(3) reads it too). Where there is none, nobody is
	// seen to sign in, and `start: login` is like `start: manual`.
	loginsDir = "/run/systemd/users"
	// lookEvery is how soon a connection is wanted after its person has signed in. One look costs one small file.
	lookEvery = 2 * time.Second
)

// followLogins connects when the laptop's person signs in, and disconnects when she has signed out: the next one at a
// shared laptop must not find a way into the office that is hers. What she asks for in between stays.
func (d *daemon) followLogins(ctx context.Context, every time.Duration) error {
	last, was := -1, false
	for {
		user := d.door.owner.user()
		is := signedIn(d.logins, user)
		switch {
		case is && (!was || user != last):
			d.laptop.Want()
		case was && !is:
			leaving, cancel := context.WithTimeout(ctx, downWithin)
			if err := d.laptop.Down(leaving); err != nil && ctx.Err() == nil {
				d.door.log.Warn("could not disconnect after its person signed out", "error", err)
			}
			cancel()
		}
		last, was = user, is
		if err := control.Sleep(ctx, control.Jitter(every, 0.2)); err != nil {
			return nil //nolint:nilerr // the daemon ends
		}
	}
}

// signedIn says whether the user has a session on this machine. Root's are not a person's.
func signedIn(logins string, user int) bool {
	if user <= 0 {
		return false
	}
	note, err := os.ReadFile(filepath.Join(logins, strconv.Itoa(user)))
	if err != nil {
		return false
	}
	// Others are: opening, closing, lingering (programs of hers run on without her), offline.
	lines := strings.Split(string(note), "\n")
	return slices.Contains(lines, "STATE=active") || slices.Contains(lines, "STATE=online")
}
