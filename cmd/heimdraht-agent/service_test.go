package main

import (
	"log/slog"
	"strings"
	"testing"
)

func TestNewsOf(t *testing.T) {
	for _, test := range []struct {
		what           string
		control, event uint32
		want           news
	}{
		{"stop", 1, 0, stop},
		{"shutdown", 5, 0, stop},
		{"asked how it is", 4, 0, noNews},
		{"on battery", 13, 10, noNews},
		{"going to sleep", 13, 4, noNews},
		{"awake", 13, 18, resumed},
		{"awake, and somebody sits there", 13, 7, resumed},
		{"signed out", 14, 6, logins},
		{"unlocked", 14, 8, logins},
		{"of its own", 128, 0, noNews},
	} {
		if got := newsOf(test.control, test.event); got != test.want {
			t.Errorf("%s: %d, want %d", test.what, got, test.want)
		}
	}
}

// eventList is an event log.
type eventList []string

func (l *eventList) add(level, text string) error {
	*l = append(*l, level+": "+text)
	return nil
}
func (l *eventList) Info(_ uint32, text string) error    { return l.add("info", text) }
func (l *eventList) Warning(_ uint32, text string) error { return l.add("warning", text) }
func (l *eventList) Error(_ uint32, text string) error   { return l.add("error", text) }

func TestEvents(t *testing.T) {
	var got eventList
	log := slog.New(newEventHandler(&got, slog.LevelInfo))
	log.Debug("not told")
	log.With("part", "door").WithGroup("call").Info("heard", "path", "/v1/up")
	log.Warn("odd")
	log.Error("broken", "error", "disk full")
	(&app{world: world{err: faultWriter{&got}}}).fail(daemonRunning(`\\.\pipe\heimdraht-agent`))
	want := []string{"info: ", "part=door call.path=/v1/up", "warning: ", "msg=odd", "error: ", `msg=broken error="disk full"`, "error: ", "(service-running)"}
	if len(got) != 4 {
		t.Fatalf("events: %q", got)
	}
	for i, entry := range got {
		if !strings.HasPrefix(entry, want[2*i]) || !strings.HasSuffix(entry, want[2*i+1]) {
			t.Errorf("%q, want %q … %q", entry, want[2*i], want[2*i+1])
		}
	}
}

func TestPipe(t *testing.T) {
	const her account = "S-1-5-21-1-2-3-1001"
	for path, want := range map[string]bool{
		`\\.\pipe\heimdraht-agent`: true, `\\.\PIPE\x`: true, `\\.\pipe\`: false, `C:\agent.sock`: false, `\\server\pipe\x`: false, "": false,
	} {
		if isPipe(path) != want {
			t.Errorf("%q is a pipe: %v", path, !want)
		}
	}
	for owner, admin := range map[account]bool{"S-1-5-18": true, "S-1-5-32-544": true, her: false, "": false, "S-1-5-32-545": false} {
		if got := pipeOwner(owner); got.admin != admin || got.account != owner {
			t.Errorf("a pipe of %s: %+v", owner, got)
		}
	}
	if got := pipeDescriptor(peer{account: "S-1-5-18", admin: true}); got != "O:BAD:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;0x12019b;;;IU)" {
		t.Errorf("the service's pipe: %s", got)
	}
	if got := pipeDescriptor(peer{account: her}); strings.Contains(got, "IU") || !strings.HasPrefix(got, "O:"+string(her)+"D:P") {
		t.Errorf("a person's own pipe: %s", got)
	}
}

// TestOwnerOfBothKinds: an owner is kept as earlier versions read her, and a SID beside it.
func TestOwnerOfBothKinds(t *testing.T) {
	for _, who := range []account{"0", "1234", "S-1-5-21-1-2-3-1001"} {
		if got := saved(who).account(); got != who {
			t.Errorf("%s is kept as %s", who, got)
		}
	}
	if kept := saved("1234"); kept.UID == nil || *kept.UID != 1234 || kept.SID != "" {
		t.Errorf("kept as %+v", kept)
	}
	if none := (savedOwner{}).account(); none != "" {
		t.Errorf("nobody is %s", none)
	}
}
