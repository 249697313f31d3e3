package posture

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSupported(t *testing.T) {
	t.Parallel()
	day := func(s string) time.Time {
		d, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return d.Add(12 * time.Hour)
	}
	policy := map[string]time.Time{"debian 11": day("2027-06-30"), "windows 19045": day("2028-10-10")}
	for _, c := range []struct {
		system System
		now    string
		policy map[string]time.Time
		want   Answer
	}{
		{parseOSRelease("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n"), "2028-06-30", nil, Yes},
		{parseOSRelease("ID=debian\nVERSION_ID='12'\n"), "2028-07-01", nil, No},
		{parseOSRelease("ID=debian\nVERSION_ID=\"11\"\n"), "2026-11-26", nil, No},
		{parseOSRelease("ID=debian\nVERSION_ID=\"11\"\n"), "2026-11-26", policy, Yes},
		{parseOSRelease("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux trixie/sid\"\n"), "2026-11-26", nil, Unknown},
		{parseOSRelease("NAME=\"Ubuntu\"\nVERSION_ID=\"20.04\"\nID=ubuntu\nID_LIKE=debian\n"), "2026-11-26", nil, No},
		{parseOSRelease("ID=ubuntu\nVERSION_ID=\"24.04\"\n"), "2026-11-26", nil, Yes},
		{parseOSRelease("NAME=\"Fedora Linux\"\nID=fedora\nVERSION_ID=41\nSUPPORT_END=2025-12-15\n"), "2026-11-26", nil, No},
		{parseOSRelease("ID=\"almalinux\"\nVERSION_ID=\"9.4\"\nSUPPORT_END=2032-06-01\n"), "2026-11-26", nil, Yes},
		{parseOSRelease("ID=fedora\nSUPPORT_END=soon\n"), "2026-11-26", nil, Unknown},
		{parseOSRelease("\x00=\nID"), "2026-11-26", nil, Unknown},
		{windowsSystem("19045", "Professional"), "2026-11-26", nil, No},
		{windowsSystem("19045", "Professional"), "2026-11-26", policy, Yes},
		{windowsSystem("22631", "Professional"), "2025-12-01", nil, No},
		{windowsSystem("22631", "Enterprise"), "2025-12-01", nil, Yes},
		{windowsSystem("19044", "EnterpriseS"), "2026-11-26", nil, Unknown},
		{windowsSystem("99999", "Professional"), "2026-11-26", nil, Unknown},
		{macosSystem("15.1.1\n"), "2026-11-26", nil, Yes},
		{macosSystem("12.7.6\n"), "2026-11-26", nil, No},
		{macosSystem("ProductVersion: 15"), "2026-11-26", nil, Unknown},
	} {
		if got := c.system.supported(c.policy, day(c.now)); got != c.want {
			t.Errorf("%+v on %s: %v, want %v", c.system, c.now, got, c.want)
		}
	}
	for _, table := range []map[string]string{ends(), longEnds()} {
		for system, end := range table {
			if _, err := time.Parse(time.DateOnly, end); err != nil || strings.Count(system, " ") != 1 {
				t.Errorf("%s: %s", system, end)
			}
		}
	}
}

func TestScreens(t *testing.T) {
	t.Parallel()
	gnome := func(locks, idle, delay string) (Screen, bool) {
		return gnomeScreen(map[string]string{keyLocks: locks, keyIdle: idle, keyDelay: delay})
	}
	kde := func(text string) (Screen, bool) { return kdeScreen(text), true }
	windows := func(w windowsScreens) (Screen, bool) { return w.judge() }
	for name, c := range map[string]struct {
		read  func() (Screen, bool)
		known bool
		want  Screen
	}{
		"GNOME as it comes":          {func() (Screen, bool) { return gnome("true", "uint32 300", "uint32 0") }, true, Screen{true, 5 * time.Minute}},
		"GNOME, later":               {func() (Screen, bool) { return gnome("true", "uint32 600", "uint32 1800") }, true, Screen{true, 40 * time.Minute}},
		"GNOME, off":                 {func() (Screen, bool) { return gnome("false", "uint32 300", "uint32 0") }, true, Screen{false, 5 * time.Minute}},
		"GNOME, the screen stays on": {func() (Screen, bool) { return gnome("true", "uint32 0", "uint32 0") }, true, Screen{false, 0}},
		"GNOME, no such schema":      {func() (Screen, bool) { return gnome("", "", "") }, false, Screen{}},
		"KDE as it comes":            {func() (Screen, bool) { return kde("") }, true, Screen{true, 5*time.Minute + 5*time.Second}},
		"KDE, off":                   {func() (Screen, bool) { return kde("[Daemon]\nAutolock=false\nTimeout=10\n") }, true, Screen{false, 10*time.Minute + 5*time.Second}},
		"KDE, of another section":    {func() (Screen, bool) { return kde("[Greeter]\nAutolock=false\n[Daemon]\nTimeout=10\nLockGrace=0\n") }, true, Screen{true, 10 * time.Minute}},
		"Windows, by policy":         {func() (Screen, bool) { return windows(windowsScreens{inactivity: 900}) }, true, Screen{true, 15 * time.Minute}},
		"Windows, nobody signed in":  {func() (Screen, bool) { return windows(windowsScreens{}) }, false, Screen{}},
		"Windows, of one's own": {func() (Screen, bool) {
			return windows(windowsScreens{accounts: []windowsScreen{{"1", "1", "600", "scrnsave.scr"}}})
		}, true, Screen{true, 10 * time.Minute}},
		"Windows, without a password": {func() (Screen, bool) {
			return windows(windowsScreens{accounts: []windowsScreen{{"1", "0", "600", "scrnsave.scr"}}})
		}, true, Screen{false, 10 * time.Minute}},
		"Windows, no saver": {func() (Screen, bool) {
			return windows(windowsScreens{accounts: []windowsScreen{{"1", "1", "600", ""}}})
		}, true, Screen{false, 10 * time.Minute}},
		"Windows, two of them": {func() (Screen, bool) {
			return windows(windowsScreens{accounts: []windowsScreen{{"1", "1", "600", "a.scr"}, {"1", "1", "1200", "a.scr"}}})
		}, true, Screen{true, 20 * time.Minute}},
		"macOS": {func() (Screen, bool) {
			return macosScreen("2026-11-26 10:00:00.000 sysadminctl[511:4242] screenLock delay is immediate\n", "System-wide power settings:\nCurrently in use:\n standby              1\n displaysleep         10\n sleep 1 (sleep prevented by powerd)\n", "300\n")
		}, true, Screen{true, 5 * time.Minute}},
		"macOS, a delay": {func() (Screen, bool) {
			return macosScreen("sysadminctl[511:4242] screenLock delay is 300 seconds", " displaysleep 10\n", "")
		}, true, Screen{true, 15 * time.Minute}},
		"macOS, off":               {func() (Screen, bool) { return macosScreen("screenLock is off", " displaysleep 10\n", "") }, true, Screen{}},
		"macOS, it never goes out": {func() (Screen, bool) { return macosScreen("screenLock delay is immediate", " displaysleep 0\n", "") }, true, Screen{false, 0}},
		"macOS, other words":       {func() (Screen, bool) { return macosScreen("usage: sysadminctl", "", "") }, false, Screen{}},
	} {
		if got, known := c.read(); got != c.want || known != c.known {
			t.Errorf("%s: %+v, %v; want %+v, %v", name, got, known, c.want, c.known)
		}
	}
	ten := Screen{Locks: true, After: 10 * time.Minute}
	if ten.locked(0) != Yes || ten.locked(10*time.Minute) != Yes || ten.locked(9*time.Minute) != No || (Screen{}).locked(0) != No {
		t.Error("the limit is judged otherwise")
	}
}

// Only what nobody on the laptop can change is believed of the machine.
func TestLockedGnome(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write := func(name, text string) {
		file := filepath.Join(root, "etc/dconf/db", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, known := lockedGnome(root); known {
		t.Error("it is known of nothing")
	}
	write("local.d/00-screen", "# by the administration\n[org/gnome/desktop/session]\nidle-delay=uint32 600\n\n[org/gnome/desktop/screensaver]\nlock-enabled=true\nlock-delay=uint32 0\n")
	write("local.d/locks/screen", keyLocks+"\n"+keyIdle+"\n")
	if _, known := lockedGnome(root); known {
		t.Error("she may set the delay herself")
	}
	write("local.d/locks/delay", keyDelay+"\n")
	if s, known := lockedGnome(root); !known || s != (Screen{true, 10 * time.Minute}) {
		t.Errorf("%+v, %v", s, known)
	}
}

func TestFirewalls(t *testing.T) {
	t.Parallel()
	open4, closed4, closed6, closedBoth := chain{v4: true}, chain{v4: true, closed: true}, chain{v6: true, closed: true}, chain{v4: true, v6: true, closed: true}
	for name, c := range map[string]struct {
		chains []chain
		ipv6   bool
		want   Answer
	}{
		"none":                   {nil, false, No},
		"open":                   {[]chain{open4}, false, No},
		"ufw":                    {[]chain{closed4, closed6}, true, Yes},
		"firewalld":              {[]chain{closedBoth}, true, Yes},
		"IPv6 forgotten":         {[]chain{closed4}, true, No},
		"no IPv6 to forget":      {[]chain{closed4}, false, Yes},
		"another one beside it":  {[]chain{open4, closedBoth}, true, Yes},
		"IPv6 closed, IPv4 open": {[]chain{open4, closed6}, true, No},
	} {
		if got := closedTo(c.chains, c.ipv6); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	for name, c := range map[string]struct {
		disabled bool
		profiles []windowsFirewall
		want     Answer
	}{
		"on":                         {false, []windowsFirewall{{"", "1"}, {"", "1"}, {"", "1"}}, Yes},
		"off in one kind of network": {false, []windowsFirewall{{"", "1"}, {"", "0"}, {"", "1"}}, No},
		"policy wins":                {false, []windowsFirewall{{"1", "0"}, {"1", "1"}, {"1", ""}}, Yes},
		"policy wins the other way":  {false, []windowsFirewall{{"0", "1"}, {"1", "1"}, {"1", "1"}}, No},
		"the service is disabled":    {true, []windowsFirewall{{"", "1"}, {"", "1"}, {"", "1"}}, No},
		"nothing said":               {false, []windowsFirewall{{}, {"", "1"}, {"", "1"}}, Unknown},
		"no profiles":                {false, nil, No},
	} {
		if got := windowsFirewallOn(c.disabled, c.profiles); got != c.want {
			t.Errorf("Windows, %s: %v", name, got)
		}
	}
	for printed, want := range map[string]Answer{
		"Firewall is enabled. (State = 1)\n": Yes, "Firewall is disabled. (State = 0)\n": No,
		"Firewall is set to block all non-essential incoming connections. (State = 2)\n": Yes, "": Unknown, "Must be root": Unknown,
	} {
		if got := macosFirewallOn(printed); got != want {
			t.Errorf("%q: %v", printed, got)
		}
	}
	for printed, want := range map[string]Answer{
		"FileVault is On.\n": Yes, "FileVault is Off.\n": No, "FileVault is On.\nDecryption in progress: Percent completed = 12\n": No,
		"FileVault is Off.\nEncryption in progress: Percent completed = 40.5\n": No, "Error: not supported": Unknown,
	} {
		if got := macosDiskEncrypted(printed); got != want {
			t.Errorf("%q: %v", printed, got)
		}
	}
	for protection, want := range map[int32]Answer{1: Yes, 6: Yes, 0: No, 2: No, 3: No, 5: No, 7: Unknown, -1: Unknown} {
		if got := windowsDiskEncrypted(protection); got != want {
			t.Errorf("BitLocker %d: %v", protection, got)
		}
	}
}

// What is not asked is not answered, nor what this version does not know.
func TestLookAnswersWhatIsAsked(t *testing.T) {
	t.Parallel()
	l := &Looker{Logger: slog.New(slog.DiscardHandler)}
	if got := l.Look(context.Background(), nil); len(got) != 0 {
		t.Errorf("%v", got)
	}
	l.Tell("1000", Screen{Locks: true, After: 10 * time.Minute})
	got := l.Look(context.Background(), []Question{{Name: "shoe_size"}, {Name: SupportedSystem}, {Name: ScreenLock, Within: 15 * time.Minute}})
	if len(got) != 3 || got["shoe_size"] != Unknown || got[ScreenLock] == No {
		t.Errorf("%v", got)
	}
}

func FuzzWords(f *testing.F) {
	f.Add("ID=debian\nVERSION_ID=\"12\"\nSUPPORT_END=2028-01-01")
	f.Add("[Daemon]\nTimeout=99999999999999999999\nLockGrace=-1")
	f.Add(" displaysleep 10\nscreenLock delay is 300 seconds (State = 1)")
	f.Fuzz(func(t *testing.T, text string) {
		_ = parseOSRelease(text).supported(nil, time.Now())
		if s := kdeScreen(text); s.After < 0 {
			t.Errorf("%+v", s)
		}
		if s, _ := macosScreen(text, text, text); s.After < 0 {
			t.Errorf("%+v", s)
		}
		_, _ = gnomeScreen(map[string]string{keyLocks: "true", keyIdle: text, keyDelay: text})
		_ = macosSystem(text)
		_ = macosFirewallOn(text) + macosDiskEncrypted(text)
	})
}
