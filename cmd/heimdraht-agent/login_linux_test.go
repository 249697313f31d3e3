package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

func TestSignedIn(t *testing.T) {
	logins := t.TempDir()
	for name, note := range map[string]string{
		"0": "STATE=active\n", "1000": "# private\nNAME=erika\nSTATE=active\nSTOPPING=no\n", "1001": "NAME=kim\nSTATE=online\n",
		"1002": "STATE=lingering\n", "1003": "STATE=closing\n", "1004": "", "1005": "NAME=STATE=active\n",
	} {
		check(t, os.WriteFile(filepath.Join(logins, name), []byte(note), 0o644))
	}
	for user, want := range map[account]bool{"": false, "0": false, "1000": true, "1001": true, "1002": false, "1003": false, "1004": false, "1005": false, "1006": false} {
		if got := signedInBy(logins, user); got != want {
			t.Errorf("user %s: %v, want %v", user, got, want)
		}
	}
}

// TestStartAtLogin: the laptop connects when its person signs in, does as she says, and disconnects when she is gone.
func TestStartAtLogin(t *testing.T) {
	const person, often = 1234, 5 * time.Millisecond
	logins := t.TempDir()
	set := func(user, state string) {
		file := filepath.Join(logins, user)
		check(t, os.WriteFile(file+".new", []byte("STATE="+state+"\n"), 0o644))
		check(t, os.Rename(file+".new", file))
	}
	door := openDoor(t, endpointtest.New(t), &control.MemoryStore{}, person)
	d := door.sole
	d.logins = func(user account) bool { return signedInBy(logins, user) }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.followLogins(ctx, often) }()
	t.Cleanup(func() { cancel(); check(t, <-done) })
	is := func(what string, state endpoint.State) {
		t.Helper()
		patience := time.After(15 * time.Second)
		for d.laptop.Status("en").State != state {
			select {
			case <-patience:
				t.Fatalf("%s: %+v", what, d.laptop.Status("en"))
			case <-time.After(often):
			}
		}
	}

	_, err := door.ask().enrol(t.Context(), enrolment())
	check(t, err)
	set("999", "active") // somebody else
	is("nobody of matter is there", endpoint.Disconnected)
	set("1234", "online")
	is("she has signed in", endpoint.Connected)
	set("1234", "active")
	_, err = door.ask().down(t.Context(), speech.English)
	check(t, err)
	is("she has disconnected", endpoint.Disconnected)
	set("1234", "online") // another window; she stays disconnected
	_, err = door.ask().up(t.Context(), speech.English)
	check(t, err)
	set("1234", "closing")
	is("she has signed out", endpoint.Disconnected)
	set("1234", "active")
	is("she is back", endpoint.Connected)
	check(t, os.Remove(filepath.Join(logins, "1234")))
	is("she is gone", endpoint.Disconnected)
}
