package packaged_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// TestMSI holds the installer for Windows against what Windows is to be told, table by table: there is no Windows here to
// run it.
func TestMSI(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"wixl", "msibuild", "msiinfo", "msiextract"} {
		testneed.Program(t, program)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "agent.exe")
	check(t, os.WriteFile(program, bytes.Repeat([]byte("MZ"), 50_000), 0o600)) // what it is does not matter here
	build := func(version, where string, env ...string) string {
		t.Helper()
		return strings.TrimSpace(command(t, append(env, "PROGRAM="+program, "ARCHES=amd64", "DIST="+filepath.Join(dir, where), "VERSION="+version, "SOURCE_DATE_EPOCH=1795720410"), "build/msi.sh"))
	}
	first := build("v0.9.0", "first")
	m := msi(first)

	again, err := os.ReadFile(build("v0.9.0", "again", "TZ=America/Lima"))
	check(t, err)
	if once, err := os.ReadFile(first); err != nil || string(once) != string(again) {
		t.Errorf("the same source gives other bytes: %v", err)
	}

	t.Run("what is installed", func(t *testing.T) {
		m.rows(t, "File", []int{2, 1}, "heimdraht-agent.exe Agent", "LICENSE.txt Licence")
		m.rows(t, "Directory", []int{0, 1, 2}, "INSTALLDIR ProgramFiles64Folder Heimdraht", "ProgramFiles64Folder TARGETDIR .", "ProgramMenuFolder TARGETDIR .", "TARGETDIR  SourceDir")
		// 256: of 64 bits; 4: the key path is in the registry.
		m.rows(t, "Component", []int{0, 3}, "Agent 256", "Events 260", "Licence 256")
		out := filepath.Join(dir, "extracted")
		command(t, nil, "msiextract", "-C", out, first)
		for name, want := range map[string]string{"heimdraht-agent.exe": program, "LICENSE.txt": filepath.Join(repository, "LICENSE")} {
			got, err := os.ReadFile(filepath.Join(out, "Heimdraht", name))
			check(t, err)
			wanted, err := os.ReadFile(want)
			check(t, err)
			if strings.ReplaceAll(string(got), "\r\n", "\n") != strings.ReplaceAll(string(wanted), "\r\n", "\n") {
				t.Errorf("%s: %d bytes in it, want %d", name, len(got), len(wanted))
			}
		}
	})
	t.Run("properties", func(t *testing.T) {
		got := m.table(t, "Property")
		values := map[string]string{}
		for _, row := range got {
			values[row[0]] = row[1]
		}
		for key, want := range map[string]string{
			"ALLUSERS": "1", "ProductName": "Heimdraht", "ProductVersion": "0.9.0", "UpgradeCode": "{8E4E0A76-5C39-4B5B-9D5E-6C1F0E6A2B41}",
		} {
			if values[key] != want {
				t.Errorf("%s: %q, want %q", key, values[key], want)
			}
		}
		listed := strings.Split(values["SecureCustomProperties"], ";")
		for _, name := range []string{"SERVER", "CA_SHA256", "TENANT", "START", "SHARED", "WIX_UPGRADE_DETECTED", "WIX_DOWNGRADE_DETECTED"} {
			if !slices.Contains(listed, name) {
				t.Errorf("%s does not reach the side that has rights: %v", name, listed)
			}
			if _, preset := values[name]; preset {
				t.Errorf("%s has a value that nobody has stated", name)
			}
		}
	})
	t.Run("service", func(t *testing.T) {
		// 16: a process of its own; 2: automatic; 1: a failure is told.
		m.rows(t, "ServiceInstall", []int{1, 3, 4, 5, 8, 9, 10, 11}, "heimdraht-agent 16 2 1   run Agent")
		// 1: started by an installation; 2 and 32: stopped before one, and before an uninstallation; 128: deleted by that. 1: waited for.
		m.rows(t, "ServiceControl", []int{1, 2, 4, 5}, "heimdraht-agent 163 1 Agent")
	})
	t.Run("registry and start menu", func(t *testing.T) {
		const key = `2 SYSTEM\CurrentControlSet\Services\EventLog\Application\heimdraht-agent `
		m.rows(t, "Registry", []int{1, 2, 3, 4, 5}, key+"CustomSource #1 Events", key+"EventMessageFile [System64Folder]EventCreate.exe Events", key+"TypesSupported #7 Events")
		// 7: its window stays small.
		m.rows(t, "Shortcut", []int{1, 2, 4, 5, 10, 11}, "ProgramMenuFolder Heimdraht [#agent.exe] open 7 INSTALLDIR")
	})
	t.Run("upgrade", func(t *testing.T) {
		// 1: its features stay; 512: the same version, too, built anew; 2: a newer one is only seen.
		m.rows(t, "Upgrade", []int{0, 1, 2, 4, 6}, "{8E4E0A76-5C39-4B5B-9D5E-6C1F0E6A2B41}  0.9.0 513 WIX_UPGRADE_DETECTED", "{8E4E0A76-5C39-4B5B-9D5E-6C1F0E6A2B41} 0.9.0  2 WIX_DOWNGRADE_DETECTED")
		m.rows(t, "LaunchCondition", []int{0}, "NOT WIX_DOWNGRADE_DETECTED")
		next := msi(build("v0.10.0", "next"))
		for _, property := range []string{"UpgradeCode", "ProductCode"} {
			if same := m.property(t, property) == next.property(t, property); same != (property == "UpgradeCode") {
				t.Errorf("%s of two versions is the same: %v", property, same)
			}
		}
		if got := msi(build("deadbee-dirty", "untagged")).property(t, "ProductVersion"); !regexp.MustCompile(`^0\.15\.\d+$`).MatchString(got) {
			t.Errorf("the version of what has no tag: %s", got)
		}
	})
	t.Run("order", func(t *testing.T) {
		at, condition := map[string]int{}, map[string]string{}
		for _, row := range m.table(t, "InstallExecuteSequence") {
			n, err := strconv.Atoi(row[2])
			check(t, err)
			at[row[0]], condition[row[0]] = n, row[1]
		}
		for _, two := range [][2]string{
			{"InstallInitialize", "RemoveExistingProducts"}, {"RemoveExistingProducts", "ProcessComponents"},
			{"StopServices", "Clear"}, {"Clear", "RemoveFiles"}, {"StopServices", "DeleteServices"},
			{"InstallFiles", "Configure"}, {"InstallServices", "Configure"}, {"Configure", "StartServices"},
		} {
			if at[two[0]] == 0 || at[two[1]] == 0 || at[two[0]] >= at[two[1]] {
				t.Errorf("%s (%d) comes before %s (%d)", two[0], at[two[0]], two[1], at[two[1]])
			}
		}
		if got := condition["Clear"]; got != `REMOVE="ALL" AND NOT UPGRADINGPRODUCTCODE` {
			t.Errorf("everything is cleared if %s", got)
		}
		if got := condition["Configure"]; got != `NOT (REMOVE="ALL")` {
			t.Errorf("it is configured if %s", got)
		}
		// 18: a program that was installed; 1024 and 2048: later, by the system; 64: whatever comes of it.
		m.rows(t, "CustomAction", []int{0, 1, 2, 3}, "Clear 3154 agent.exe clear --everything",
			`Configure 3090 agent.exe configure "--server=[SERVER]" "--ca-sha256=[CA_SHA256]" "--tenant=[TENANT]" "--start=[START]" "--shared=[SHARED]"`)
	})
	if summary := command(t, nil, "msiinfo", "suminfo", first); !strings.Contains(summary, "Template: x64;1033") {
		t.Errorf("summary:\n%s", summary)
	}
	// With the program of the other processor: only the word is looked at.
	other := strings.TrimSpace(command(t, []string{"PROGRAM=" + program, "ARCHES=arm64", "DIST=" + dir, "VERSION=v0.9.0"}, "build/msi.sh"))
	if summary := command(t, nil, "msiinfo", "suminfo", other); !strings.Contains(summary, "Template: Arm64;1033") {
		t.Errorf("summary for Arm:\n%s", summary)
	}
}

// msi is an installer's file.
type msi string

// table gives its rows, without the three lines that say what they are.
func (m msi) table(t *testing.T, name string) (rows [][]string) {
	t.Helper()
	lines := strings.Split(strings.ReplaceAll(command(t, nil, "msiinfo", "export", string(m), name), "\r", ""), "\n")
	for _, line := range lines[3:] {
		if line != "" {
			rows = append(rows, strings.Split(line, "\t"))
		}
	}
	return rows
}

func (m msi) property(t *testing.T, name string) string {
	t.Helper()
	for _, row := range m.table(t, "Property") {
		if row[0] == name {
			return row[1]
		}
	}
	t.Fatalf("no property %s", name)
	return ""
}

// rows holds some columns of a table against what is wanted.
func (m msi) rows(t *testing.T, name string, columns []int, want ...string) {
	t.Helper()
	var got []string
	for _, row := range m.table(t, name) {
		var cells []string
		for _, c := range columns {
			cells = append(cells, row[c])
		}
		got = append(got, strings.Join(cells, " "))
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
