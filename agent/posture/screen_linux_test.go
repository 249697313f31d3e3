package posture

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// The person's own settings, by gsettings itself and by KDE's file.
func TestOwnScreen(t *testing.T) {
	testneed.Program(t, "gsettings")
	testneed.File(t, "/usr/share/glib-2.0/schemas/gschemas.compiled")
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	t.Setenv("DCONF_PROFILE", filepath.Join(home, "none"))
	t.Setenv("GSETTINGS_BACKEND", "memory") // the defaults
	t.Setenv("XDG_CURRENT_DESKTOP", "ubuntu:GNOME")
	if s := OwnScreen(t.Context()); s == nil || !s.Locks || s.After != 5*time.Minute {
		t.Errorf("GNOME: %+v", s)
	}
	t.Setenv("XDG_CURRENT_DESKTOP", "KDE")
	if err := os.MkdirAll(filepath.Join(home, "config"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "config", "kscreenlockerrc"), []byte("[Daemon]\nAutolock=false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := OwnScreen(t.Context()); s == nil || s.Locks {
		t.Errorf("KDE: %+v", s)
	}
	t.Setenv("XDG_CURRENT_DESKTOP", "i3")
	if s := OwnScreen(t.Context()); s != nil {
		t.Errorf("another desktop: %+v", s)
	}
}

// Who sits at this machine's own screens, by the notes of logind: neither who came from elsewhere, nor the sign-in screen.
func TestPeopleAtScreens(t *testing.T) {
	t.Parallel()
	sessions := t.TempDir()
	if people := peopleIn(sessions); people == nil || len(people) > 0 {
		t.Errorf("nobody is there: %#v", people)
	}
	for name, note := range map[string]string{
		"c1": "UID=120\nUSER=gdm\nSTATE=online\nREMOTE=0\nTYPE=wayland\nCLASS=greeter\nSEAT=seat0\n",
		"2":  "# This is private data. Do not parse.\nUID=1000\nUSER=eva\nACTIVE=1\nSTATE=active\nREMOTE=0\nTYPE=wayland\nCLASS=user\nSEAT=seat0\n",
		"3":  "UID=1000\nSTATE=online\nTYPE=tty\nCLASS=user\nSEAT=seat0\n",
		"4":  "UID=1001\nSTATE=active\nREMOTE=1\nTYPE=tty\nCLASS=user\nREMOTE_HOST=192.0.2.7\n",
		"5":  "UID=1002\nSTATE=closing\nCLASS=user\nSEAT=seat0\n",
		"6":  "UID=1003\nSTATE=active\nCLASS=manager\n",
		"7":  "UID=0\nSTATE=active\nTYPE=tty\nCLASS=user\nSEAT=seat0\n",
		"8":  "UID=1004\nSTATE=online\nTYPE=x11\nCLASS=user-early\nSEAT=seat0\n",
		"9":  "",
	} {
		if err := os.WriteFile(filepath.Join(sessions, name), []byte(note), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(sessions, "2.ref"), 0o700); err != nil { // a pipe, there
		t.Fatal(err)
	}
	if people := peopleIn(sessions); !slices.Equal(people, []string{"1000", "1004"}) {
		t.Errorf("%q", people)
	}
	if people := peopleIn(filepath.Join(sessions, "none")); people != nil {
		t.Errorf("without logind: %#v", people)
	}
}
