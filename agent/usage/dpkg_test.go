package usage

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPackageVersions(t *testing.T) {
	admin := t.TempDir()
	for name, content := range map[string]string{
		"info/icaclient.list":              "/.\n/opt\n/opt/Citrix/ICAClient/wfica\n",
		"info/libreoffice-core.list":       "/usr/lib/libreoffice/program/soffice.bin\n",
		"info/coreutils.list":              "/bin/cat\n",
		"info/linphone:amd64.list":         "/usr/bin/linphone\n",
		"info/gone.list":                   "/usr/bin/gone\n",
		"info/first.list":                  "/usr/bin/both\n",
		"info/second.list":                 "/usr/bin/both\n",
		"info/libreoffice-core.md5sums":    "/usr/bin/nothing\n",
		"info/without-status.list":         "/usr/bin/unknown\n",
		"info/icaclient-longer-name.list":  "/opt/Citrix/ICAClient/wfica.sh\n",
		"info/libreoffice-core-nogui.list": "/usr/share/doc\n",
		"status": `Package: icaclient
Status: install ok installed
Description: Citrix Workspace
 Version: 1.0 in words
Version: 24.8.0.98

Package: libreoffice-core
Status: install ok installed
Version: 4:7.4.7-1+deb12u8

Package: coreutils
Status: install ok installed
Version: 9.1-1

Package: linphone
Status: install ok installed
Version: 4.4.10~rc1-3

Package: gone
Status: deinstall ok config-files
Version: 3.0-1

Package: first
Status: install ok installed
Version: 1
`,
	} {
		file := filepath.Join(admin, name)
		err := os.MkdirAll(filepath.Dir(file), 0o700)
		if err == nil {
			err = os.WriteFile(file, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"/opt/Citrix/ICAClient/wfica":              "24.8.0.98",
		"/usr/lib/libreoffice/program/soffice.bin": "7.4.7",
		"/usr/bin/cat":                             "9.1",
		"/usr/bin/linphone":                        "4.4.10~rc1", // which plain does not let pass
		"/usr/bin/gone":                            "", "/usr/bin/both": "", "/usr/bin/unknown": "", "/usr/bin/nothing": "", "/opt": "24.8.0.98", "": "",
	} {
		if got := packageVersion(admin, path); got != want {
			t.Errorf("%s has version %q, want %q", path, got, want)
		}
	}
	if got := packageVersion(filepath.Join(admin, "missing"), "/usr/bin/cat"); got != "" {
		t.Errorf("without dpkg it has version %q", got)
	}
}
