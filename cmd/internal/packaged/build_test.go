package packaged_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

const repository = "../../.."

// command runs a program here, from the repository's root.
func command(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = repository, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// documented is a block of commands that a document gives for packages.
func documented(t *testing.T, file string, n int) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, file))
	check(t, err)
	blocks := regexp.MustCompile("(?s)```sh test package\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if n >= len(blocks) {
		t.Fatalf("%s has %d blocks for packages", file, len(blocks))
	}
	return blocks[n][1]
}

// programs builds what the packages have in them.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	command(t, []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", dir+"/",
		"./cmd/heimdrahtd", "./cmd/heimdraht-gateway", "./cmd/heimdraht")
	tags, err := os.ReadFile(filepath.Join(repository, "build/agent-tags"))
	check(t, err)
	command(t, []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-ldflags=-s -w", "-tags="+strings.TrimSpace(string(tags)), "-o", dir+"/",
		"./cmd/heimdraht-agent")
	return dir
}

// makePackages makes those of one version, as `make package` does, and returns where they lie.
func makePackages(t *testing.T, programs, dir, version string, env ...string) string {
	t.Helper()
	nfpm := strings.TrimSpace(command(t, nil, "go", "tool", "-modfile=tools/nfpm.mod", "-n", "nfpm"))
	dist := filepath.Join(dir, version)
	command(t, append(env, "NFPM="+nfpm, "PROGRAMS="+programs, "ARCHES="+runtime.GOARCH, "DIST="+dist, "VERSION=v"+version, "QUICK=1"),
		"build/package.sh")
	return dist
}

// formerDeploy is deploy/ as an earlier version might have had it: with other words in the one file that is
// configuration.
func formerDeploy(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "deploy")
	check(t, os.CopyFS(dir, os.DirFS(filepath.Join(repository, "deploy"))))
	file := filepath.Join(dir, "agent.yaml")
	now, err := os.ReadFile(file)
	check(t, err)
	check(t, os.WriteFile(file, append([]byte("# As it was.\n"), now...), 0o644))
	return dir
}
