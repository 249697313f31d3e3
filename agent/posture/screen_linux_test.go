package posture

import (
	"os"
	"path/filepath"
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
