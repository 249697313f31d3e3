package posture

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Screen is how a screen is locked by itself.
type Screen struct {
	// Locks: it is, some time after the last touch.
	Locks bool `json:"locks"`
	// After is how long after.
	After time.Duration `json:"after"`
}

// locked judges against the latest that is allowed. Zero: any time.
func (s Screen) locked(limit time.Duration) Answer {
	return answered(s.Locks && (limit == 0 || s.After <= limit))
}

// The keys of GNOME's settings that decide.
const (
	keyLocks = "/org/gnome/desktop/screensaver/lock-enabled"
	keyDelay = "/org/gnome/desktop/screensaver/lock-delay"
	keyIdle  = "/org/gnome/desktop/session/idle-delay"
)

// gnomeScreen judges values as gsettings and dconf write them. known is false where one cannot be read.
func gnomeScreen(values map[string]string) (s Screen, known bool) {
	idle, ok := gvariantSeconds(values[keyIdle])
	delay, also := gvariantSeconds(values[keyDelay])
	locks := values[keyLocks]
	if !ok || !also || locks != "true" && locks != "false" {
		return s, false
	}
	return Screen{Locks: locks == "true" && idle > 0, After: idle + delay}, true
}

// gvariantSeconds reads "uint32 300".
func gvariantSeconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(strings.TrimPrefix(s, "uint32")), 10, 32)
	return time.Duration(n) * time.Second, err == nil
}

// lockedGnome is what an administration has set for everybody on the machine, so that nobody can change it: keyfiles
// and locks below /etc/dconf/db. The person's own settings are hers, and out of the service's sight.
func lockedGnome(root string) (s Screen, known bool) {
	values, locked := make(map[string]string), make(map[string]bool)
	files, _ := filepath.Glob(filepath.Join(root, "etc/dconf/db/*.d/*"))
	for _, file := range files { // in the order of their names: the later goes before
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the folder of locks
		}
		parseKeyfile(string(text), func(section, key, value string) { values["/"+section+"/"+key] = value })
	}
	locks, _ := filepath.Glob(filepath.Join(root, "etc/dconf/db/*.d/locks/*"))
	for _, file := range locks {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			locked[strings.TrimSpace(line)] = true
		}
	}
	for _, key := range []string{keyLocks, keyDelay, keyIdle} {
		if !locked[key] {
			return s, false
		}
	}
	return gnomeScreen(values)
}

// parseKeyfile reads sections of keys and values, as GNOME and KDE write them.
func parseKeyfile(text string, each func(section, key, value string)) {
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			section = line[1 : len(line)-1]
			continue
		}
		if key, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			each(section, strings.TrimSpace(key), strings.TrimSpace(value))
		}
	}
}

// kdeScreen reads kscreenlockerrc. What does not stand there is as KDE has it: locked after five minutes.
func kdeScreen(text string) Screen {
	s, grace := Screen{Locks: true, After: 5 * time.Minute}, 5*time.Second
	parseKeyfile(text, func(section, key, value string) {
		n, err := strconv.Atoi(value)
		switch {
		case section != "Daemon":
		case key == "Autolock":
			s.Locks = value == "true"
		case key == "Timeout" && err == nil && n >= 0 && n <= 1<<20:
			s.After = time.Duration(n) * time.Minute
			s.Locks = s.Locks && n > 0
		case key == "LockGrace" && err == nil && n >= 0 && n <= 1<<30:
			grace = time.Duration(n) * time.Second
		}
	})
	s.After += grace
	return s
}

// windowsScreens is what Windows' registry says of one account, or of the machine. Empty: it says nothing.
type windowsScreens struct {
	// inactivity is the machine's: seconds until it is locked.
	inactivity uint64
	accounts   []windowsScreen
}

// windowsScreen is how the screen saver of somebody who is signed in is set.
type windowsScreen struct{ active, secure, timeout, program string }

// judge: the machine's limit holds for everybody; else each account has to have one of its own.
func (w windowsScreens) judge() (s Screen, known bool) {
	if w.inactivity > 0 && w.inactivity <= 599940 { // the most that Windows takes
		return Screen{Locks: true, After: time.Duration(w.inactivity) * time.Second}, true
	}
	for _, a := range w.accounts {
		seconds, err := strconv.ParseUint(a.timeout, 10, 32)
		one := Screen{Locks: a.active == "1" && a.secure == "1" && a.program != "" && err == nil && seconds > 0, After: time.Duration(seconds) * time.Second}
		if !one.Locks {
			return one, true
		}
		s = Screen{Locks: true, After: max(s.After, one.After)}
	}
	return s, len(w.accounts) > 0
}

// macosScreen judges by what three tools print: sysadminctl -screenLock status (how long after the display has gone
// out a password is asked for), pmset -g (when the display goes out), and defaults read of the screen saver's idle time.
func macosScreen(lock, power, saver string) (s Screen, known bool) {
	delay, known := macosDelay(lock)
	if !known || delay < 0 {
		return Screen{}, known
	}
	out := time.Duration(0)
	if m := regexp.MustCompile(`(?m)^\s*displaysleep\s+([0-9]{1,6})`).FindStringSubmatch(power); m != nil {
		n, _ := strconv.Atoi(m[1])
		out = time.Duration(n) * time.Minute
	}
	if n, err := strconv.ParseUint(strings.TrimSpace(saver), 10, 32); err == nil && n > 0 {
		if idle := time.Duration(n) * time.Second; out == 0 || idle < out {
			out = idle
		}
	}
	return Screen{Locks: out > 0, After: out + delay}, true
}

// macosDelay reads "screenLock delay is 300 seconds", "is immediate" and "is off"; less than zero: off.
func macosDelay(printed string) (time.Duration, bool) {
	switch {
	case strings.Contains(printed, "screenLock is off"):
		return -1, true
	case strings.Contains(printed, "screenLock delay is immediate"):
		return 0, true
	}
	m := regexp.MustCompile(`screenLock delay is ([0-9]{1,9}) seconds?`).FindStringSubmatch(printed)
	if m == nil {
		return 0, false
	}
	n, _ := strconv.Atoi(m[1])
	return time.Duration(n) * time.Second, true
}
