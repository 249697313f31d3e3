package packaged_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// redHat looks into the packages for RPM with rpm itself, and installs them into an empty root. Their scripts are those of
// the Debian packages, of which only the words are looked at: they take a system that runs.
func redHat(t *testing.T, built string) {
	testneed.Root(t)
	rpm := testneed.Program(t, "rpm")
	shared := t.TempDir()
	dist := makePackages(t, built, shared, "0.9.0", "FORMATS=deb rpm", "SOURCE_DATE_EPOCH=1795720410")
	sums := sumsOf(t, dist)
	if again := sumsOf(t, makePackages(t, built, filepath.Join(shared, "again"), "0.9.0", "FORMATS=deb rpm", "SOURCE_DATE_EPOCH=1795720410")); again != sums {
		t.Errorf("the same source gives other bytes (-first +again):\n%s", cmp.Diff(sums, again))
	}
	packages, err := filepath.Glob(dist + "/*.rpm")
	check(t, err)
	if len(packages) != 4 {
		t.Fatalf("packages: %v", packages)
	}
	for _, p := range packages {
		query := func(args ...string) string {
			return command(t, nil, rpm, append([]string{"-qp"}, append(args, p)...)...)
		}
		name := query("--queryformat", "%{NAME}")
		if got := query("--queryformat", "%{VERSION}-%{RELEASE} %{LICENSE}"); got != "0.9.0-1 EUPL-1.2" {
			t.Errorf("%s: %s", name, got)
		}
		if got := query("-l"); !strings.Contains(got, "/usr/bin/"+name+"\n") || !strings.Contains(got, "/usr/share/doc/"+name+"/copyright\n") {
			t.Errorf("%s has\n%s", name, got)
		}
		scripts := query("--scripts")
		for _, kind := range []string{"postinstall", "preuninstall", "postuninstall"} {
			if strings.Contains(scripts, kind+" scriptlet") == (name == "heimdraht") {
				t.Errorf("%s: scripts\n%s", name, scripts)
			}
		}
	}
	if got := command(t, nil, rpm, "-qpc", filepath.Join(dist, "heimdraht-agent-0.9.0-1."+rpmArch(t, rpm)+".rpm")); got != "/etc/heimdraht/agent.yaml\n/etc/xdg/autostart/heimdraht-agent.desktop\n" {
		t.Errorf("configuration of the agent: %s", got)
	}

	root := filepath.Join(shared, "root")
	check(t, os.Mkdir(root, 0o755))
	command(t, nil, rpm, append([]string{"--root", root, "--nodeps", "--noscripts", "--ignorearch", "-i"}, packages...)...)
	check(t, os.WriteFile(filepath.Join(root, "etc/heimdraht/agent.yaml"), []byte("start: boot\n"), 0o644))
	if out := command(t, nil, rpm, "--root", root, "--nodeps", "-V", "heimdrahtd", "heimdraht-gateway", "heimdraht"); out != "" {
		t.Errorf("not as they were packed:\n%s", out)
	}
	command(t, nil, rpm, "--root", root, "--nodeps", "--noscripts", "-e", "heimdrahtd", "heimdraht-gateway", "heimdraht-agent", "heimdraht")
	if kept, err := os.ReadFile(filepath.Join(root, "etc/heimdraht/agent.yaml.rpmsave")); err != nil || string(kept) != "start: boot\n" {
		t.Errorf("the administrator's changes: %q, %v", kept, err)
	}
}

func rpmArch(t *testing.T, rpm string) string {
	return strings.TrimSpace(command(t, nil, rpm, "--eval", "%{_arch}"))
}

func sumsOf(t *testing.T, dist string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dist, "SHA256SUMS"))
	check(t, err)
	return string(b)
}
