package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
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

// atLaptop is who is signed in, and whether she is in front: at the screen, or connected from afar. Nil: nobody can tell.
func atLaptop() map[account]bool { return atLaptopBy(loginsDir) }

func atLaptopBy(logins string) map[account]bool {
	notes, err := os.ReadDir(logins)
	if err != nil {
		return nil
	}
	seen := make(map[account]bool)
	for _, note := range notes {
		text, err := os.ReadFile(filepath.Join(logins, note.Name()))
		if err != nil {
			continue // she has just signed out
		}
		lines := strings.Split(string(text), "\n")
		if front := slices.Contains(lines, "STATE=active"); front || slices.Contains(lines, "STATE=online") {
			seen[account(note.Name())] = front
		}
	}
	return seen
}

// isPerson says whether an account is one that people sign in with: the system's own have lower numbers, such as that of its
// sign-in screen (UID_MIN and nobody, login.defs(5)).
func isPerson(who account) bool {
	uid, err := strconv.Atoi(string(who))
	return err == nil && uid >= 1000 && uid != 65534
}

// watchLogins tells, by each value, that somebody may have signed in or out, until the context ends. It is how systemd's own
// library does so (sd_login_monitor_new(3)): no bus to be allowed on, and it also tells who has switched away. Where nothing can be
// watched nobody is told.
func watchLogins(ctx context.Context, log *slog.Logger) <-chan struct{} {
	return watchDir(ctx, loginsDir, log)
}

func watchDir(ctx context.Context, dir string, log *slog.Logger) <-chan struct{} {
	changed := make(chan struct{}, 1)
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		log.Debug("signing in and out is looked for, not told", "error", err)
		return changed
	}
	events := os.NewFile(uintptr(fd), "inotify")
	// logind puts a new note in the place of the former one.
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO|unix.IN_DELETE); err != nil {
		log.Debug("signing in and out is looked for, not told", "error", err)
		_ = events.Close()
		return changed
	}
	context.AfterFunc(ctx, func() { _ = events.Close() })
	go func() { // ends when events is closed
		buffer := make([]byte, 16<<10)
		for {
			if _, err := events.Read(buffer); err != nil {
				return
			}
			poke(changed)
		}
	}()
	return changed
}
