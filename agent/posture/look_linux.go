package posture

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sync/errgroup"
)

func diskEncrypted(context.Context) (Answer, error) { return linuxDisks{root: "/"}.encrypted() }

// screenOf is what holds for everybody; what is a person's own she tells.
func screenOf(context.Context, []string) (Screen, bool, error) {
	s, known := lockedGnome("/")
	return s, known, nil
}

// sessionsDir is where systemd-logind notes each session (sd-login(3) reads it too).
const sessionsDir = "/run/systemd/sessions"

func peopleAtScreens() []string { return peopleIn(sessionsDir) }

// peopleIn are those who have a session at one of this machine's own screens. Sessions from elsewhere have no seat, the sign-in
// screen is not a person's, and neither are root's. Nil: no logind is there.
func peopleIn(sessions string) []string {
	notes, err := os.ReadDir(sessions)
	if err != nil {
		return nil
	}
	people := make([]string, 0, len(notes))
	for _, note := range notes {
		text, err := os.ReadFile(filepath.Join(sessions, note.Name()))
		if err != nil {
			continue // ended just now, or a pipe beside it
		}
		if uid := personAt(string(text)); uid != "" && !slices.Contains(people, uid) {
			people = append(people, uid)
		}
	}
	slices.Sort(people)
	return people
}

// personAt is the account whose session a note of logind's is. Empty: it is nobody's that sits at a screen.
func personAt(note string) string {
	values := make(map[string]string)
	for line := range strings.Lines(note) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[key] = value
		}
	}
	// The class of people's sessions is "user", "user-early" or "user-light".
	person := values["CLASS"] == "user" || strings.HasPrefix(values["CLASS"], "user-")
	if !person || values["SEAT"] == "" || values["STATE"] == "closing" || values["UID"] == "0" {
		return ""
	}
	return values["UID"]
}

func thisSystem(context.Context) (System, error) {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return System{}, fmt.Errorf("reading which system this is: %w", err)
	}
	return parseOSRelease(string(text)), nil
}

// firewallOn asks the kernel's packet filter, whoever has set it up: ufw, firewalld, or by hand. Rules of the time
// before nftables cannot be seen there.
func firewallOn(context.Context) (Answer, error) {
	c, err := nftables.New()
	if err != nil {
		return Unknown, fmt.Errorf("reaching the packet filter: %w", err)
	}
	chains, err := inputChains(c)
	if err != nil {
		return Unknown, err
	}
	answer := closedTo(chains, speaksIPv6("/proc/net/if_inet6"))
	if old, err := os.ReadFile("/proc/net/ip_tables_names"); answer == No && err == nil && strings.Contains(string(old), "filter") {
		return Unknown, errors.New("the packet filter has rules of the time before nftables")
	}
	return answer, nil
}

// speaksIPv6 reports whether an interface other than the loopback has an address of it.
func speaksIPv6(file string) bool {
	text, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 6 && f[5] != "lo" {
			return true
		}
	}
	return false
}

// inputChains lists the chains that judge what comes in.
func inputChains(c *nftables.Conn) (list []chain, err error) {
	all, err := c.ListChains()
	if err != nil {
		return nil, fmt.Errorf("listing the packet filter's chains: %w", err)
	}
	for _, v := range all {
		if v.Hooknum == nil || *v.Hooknum != *nftables.ChainHookInput || v.Type != nftables.ChainTypeFilter {
			continue
		}
		family := v.Table.Family
		one := chain{
			v4: family == nftables.TableFamilyINet || family == nftables.TableFamilyIPv4,
			v6: family == nftables.TableFamilyINet || family == nftables.TableFamilyIPv6,
		}
		if one.closed, err = isClosed(c, v); err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

// isClosed: the chain drops what no rule has let in, by its policy, or by a last rule that drops or refuses everything,
// as firewalld has it.
func isClosed(c *nftables.Conn, v *nftables.Chain) (bool, error) {
	if v.Policy != nil && *v.Policy == nftables.ChainPolicyDrop {
		return true, nil
	}
	rules, err := c.GetRules(v.Table, v)
	if err != nil {
		return false, fmt.Errorf("reading the packet filter's rules: %w", err)
	}
	if len(rules) == 0 {
		return false, nil
	}
	closed := false
	for _, e := range rules[len(rules)-1].Exprs {
		switch e := e.(type) {
		case *expr.Counter, *expr.Log:
		case *expr.Reject:
			closed = true
		case *expr.Verdict:
			closed = e.Kind == expr.VerdictDrop
		default:
			return false, nil // it is for some packets only
		}
	}
	return closed, nil
}

// OwnScreen reads how the settings of whoever calls it lock her screen; nil: her desktop is none of those that are
// known here. The service cannot read them.
func OwnScreen(ctx context.Context) *Screen {
	switch desktop := strings.ToLower(os.Getenv("XDG_CURRENT_DESKTOP")); {
	case strings.Contains(desktop, "gnome"), strings.Contains(desktop, "unity"):
		return ownGNOME(ctx)
	case strings.Contains(desktop, "kde"):
		return ownKDE()
	}
	return nil
}

// ownWithin is how long a person who wants to be connected waits for her own settings to be read.
const ownWithin = time.Second

// ownGNOME asks for all of it at once.
func ownGNOME(ctx context.Context) *Screen {
	ctx, cancel := context.WithTimeout(ctx, ownWithin)
	defer cancel()
	keys := []string{keyLocks, keyDelay, keyIdle}
	said := make([]string, len(keys))
	var asked errgroup.Group
	for n, key := range keys {
		asked.Go(func() error {
			schema, name := path.Split(strings.Trim(key, "/"))
			schema = strings.ReplaceAll(strings.Trim(schema, "/"), "/", ".")
			out, err := exec.CommandContext(ctx, "gsettings", "get", schema, name).Output() //nolint:gosec // names of ours
			said[n] = strings.TrimSpace(string(out))
			return err
		})
	}
	if asked.Wait() != nil {
		return nil
	}
	values := make(map[string]string)
	for n, key := range keys {
		values[key] = said[n]
	}
	s, known := gnomeScreen(values)
	if !known {
		return nil
	}
	return &s
}

// ownKDE: her own file goes before the machine's.
func ownKDE() *Screen {
	config, err := os.UserConfigDir()
	if err != nil {
		return nil
	}
	var text strings.Builder
	for _, file := range []string{"/etc/xdg/kscreenlockerrc", filepath.Join(config, "kscreenlockerrc")} {
		part, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		text.Write(append(part, '\n'))
	}
	s := kdeScreen(text.String())
	return &s
}
