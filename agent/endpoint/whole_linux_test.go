package endpoint

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// counted are settings of the kernel that count, or belong to time and not to configuration.
var counted = []string{"nf_conntrack_count", "stable_secret", "/neigh/", "mtu_expires"}

// whole is this machine as far as a program can change its network: links, addresses, routes of all tables, rules,
// packet filter, the kernel's settings of the network, and resolv.conf with its owner, its mode and what it points to.
func whole(t *testing.T, resolvConf string) string {
	t.Helper()
	var b strings.Builder
	for _, command := range [][]string{
		{"ip", "-details", "link"}, {"ip", "-N", "address"}, {"ip", "-N", "rule"}, {"ip", "-N", "-6", "rule"},
		{"ip", "-N", "route", "show", "table", "all"}, {"ip", "-N", "-6", "route", "show", "table", "all"},
		{"ip", "tunnel"}, {"nft", "list", "ruleset"},
	} {
		out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", command, err, out)
		}
		lines := strings.Split(string(out), "\n")
		if command[0] == "ip" && strings.Contains(strings.Join(command, " "), "route") {
			slices.Sort(lines) // the kernel's order is no matter
		}
		fmt.Fprintln(&b, command, "\n"+strings.Join(lines, "\n"))
	}
	check(t, filepath.WalkDir("/proc/sys/net", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || slices.ContainsFunc(counted, func(c string) bool { return strings.Contains(path, c) }) {
			return nil //nolint:nilerr // what goes while it is looked at was none of ours
		}
		if value, err := os.ReadFile(path); err == nil {
			fmt.Fprintf(&b, "%s %q\n", path, value)
		}
		return nil
	}))
	info, err := os.Lstat(resolvConf)
	check(t, err)
	owner := info.Sys().(*syscall.Stat_t)
	target, _ := os.Readlink(resolvConf) // none is none
	text, err := os.ReadFile(resolvConf)
	check(t, err)
	fmt.Fprintf(&b, "%v %d:%d -> %s\n%s", info.Mode(), owner.Uid, owner.Gid, target, text)
	return b.String()
}

func sameAsBefore(t *testing.T, before, after string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(before, "\n"), strings.Split(after, "\n")); diff != "" {
		t.Errorf("not as before:\n%s", diff)
	}
}
