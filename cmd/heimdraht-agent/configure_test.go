package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner/config"
)

// TestConfigure plays an installer: it states what it was told, then nothing, then one thing anew, and rubbish.
func TestConfigure(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "Heimdraht", "agent.yaml")
	pin := strings.Repeat("ab", 32)
	configure := func(args ...string) (int, string) {
		var said bytes.Buffer
		w := world{in: os.Stdin, out: &said, err: &said, env: func(string) string { return "" }}
		return run(context.Background(), append([]string{"--lang=en", "configure", "--config=" + file}, args...), w), said.String()
	}
	want := config.DefaultAgent()
	is := func(what string) {
		t.Helper()
		got, err := config.LoadAgent(file)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("%s: %v\n%s", what, err, diff)
		}
	}
	done := func(what string, args ...string) {
		t.Helper()
		if status, said := configure(args...); status != exitDone {
			t.Fatalf("%s: %d, %s", what, status, said)
		}
		is(what)
	}

	unset := []string{"--server=", "--ca-sha256=", "--tenant=", "--start=", "--shared="}
	done("nothing is known: a file with comments", unset...)
	want.Servers, want.CASHA256, want.Tenant, want.Start = []string{"vpn.stadt.example:8443", "vpn2.stadt.example:443"}, pin, "stadt", config.StartBoot
	done("the first installation", "--server=vpn.stadt.example, vpn2.stadt.example:443", "--ca-sha256="+strings.ToUpper(pin), "--tenant=stadt", "--start=boot")
	before, err := os.Stat(file)
	check(t, err)
	done("an upgrade that is told nothing", unset...)
	done("an upgrade that is told the same", "--tenant=stadt", "--ca-sha256="+pin)
	if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) || after.ModTime() != before.ModTime() {
		t.Errorf("the file was written anew: %v", err)
	}
	want.Tenant = "landkreis"
	check(t, os.WriteFile(file+".new", []byte("cut short"), 0o600)) // by a loss of power
	done("an upgrade that is told one thing", "--tenant=landkreis")
	want.Start, want.Shared = config.StartLogin, true
	done("a laptop for several", "--start=login", "--shared=true")
	done("an upgrade of it", unset...)
	for _, wrong := range []string{"--start=boot", "--server=vpn stadt:x", "--ca-sha256=abc", "--tenant=Stadt!", "--tenant=a\nuser: root", "--server=\"a:1\nuser: root"} {
		if status, said := configure(wrong); status != exitUsage || strings.Contains(said, "agent.yaml") {
			t.Errorf("%q: %d, %s", wrong, status, said)
		}
		is("after " + wrong)
	}
	if status, _ := configure("--start=never"); status != exitUsage {
		t.Errorf("a start that is none: %d", status)
	}
	if left, err := filepath.Glob(file + "*"); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}

	check(t, os.WriteFile(file, []byte("nonsense: 1\n"), 0o600))
	if status, said := configure(unset...); status != exitDone {
		t.Errorf("a wrong file on an upgrade: %d, %s", status, said)
	}
	if status, said := configure("--tenant=stadt"); status != exitFailed || !strings.Contains(said, "nonsense") {
		t.Errorf("a wrong file, and something to write: %d, %s", status, said)
	}
}

// TestClearEverything leaves nothing, and touches nothing of others. Its interface has a name that no laptop's has.
func TestClearEverything(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "Heimdraht")
	file, keys := filepath.Join(home, "agent.yaml"), filepath.Join(home, "state")
	check(t, os.MkdirAll(keys, 0o700))
	check(t, os.WriteFile(filepath.Join(keys, "identity.json"), []byte("{}"), 0o600))
	lay := func() { check(t, os.WriteFile(file, []byte("interface: hd-clear\n"), 0o600)) }
	lay()
	foreign := filepath.Join(home, "somebody-elses")
	check(t, os.WriteFile(foreign, nil, 0o600))
	clear := func() int {
		var said bytes.Buffer
		w := world{in: os.Stdin, out: &said, err: &said, env: func(string) string { return "" }}
		defer func() { t.Log(said.String()) }()
		return run(context.Background(), []string{"clear", "--everything", "--config=" + file, "--state=" + keys}, w)
	}
	if status := clear(); status != exitDone {
		t.Fatalf("status %d", status)
	}
	if left, err := os.ReadDir(home); err != nil || len(left) != 1 {
		t.Fatalf("left: %v, %v", left, err)
	}
	check(t, os.Remove(foreign))
	lay()
	if status := clear(); status != exitDone {
		t.Fatalf("status %d where there is little", status)
	}
	if _, err := os.Stat(home); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}
