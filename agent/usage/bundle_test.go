package usage

import (
	"strings"
	"testing"
)

func TestBundles(t *testing.T) {
	if got := listOf(pathIn([]byte("\x02\x00\x00\x00/Applications/Citrix Viewer.app/Contents/MacOS/Citrix Viewer\x00\x00\x00/arg"))); got != "/Applications/Citrix Viewer.app/Contents/Info.plist" {
		t.Errorf("%q", got)
	}
	for _, bad := range []string{"", "\x00\x00", "\x02\x00\x00\x00/bin/ls", "\x02\x00\x00\x00/bin/ls\x00"} {
		if got := listOf(pathIn([]byte(bad))); got != "" {
			t.Errorf("%q leads to %q", bad, got)
		}
	}
	const list = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
	<key>CFBundleName</key> <string>Citrix Viewer</string>
	<key>CFBundleShortVersionString</key>
	<string>24.02.0</string>
</dict></plist>`
	for text, want := range map[string]string{list: "24.02.0", "": "", "bplist00\xd0": "", list[:200]: "", strings.ReplaceAll(list, "Short", ""): ""} {
		if got := bundleVersion(strings.NewReader(text)); got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
	for version, want := range map[string]string{"24.02.0-rc.1": "24.02.0-rc.1", "24 for Eva": "", strings.Repeat("1", 33): ""} {
		if got := plain(version); got != want {
			t.Errorf("%q becomes %q", version, got)
		}
	}
}

// FuzzBundle demands of what other programs have written: no panic, and no endless work.
func FuzzBundle(f *testing.F) {
	f.Add([]byte("<key>CFBundleShortVersionString</key><string>1</string>"))
	f.Add([]byte("\x01\x00\x00\x00/Applications/A.app/Contents/MacOS/A\x00"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		bundleVersion(strings.NewReader(string(b)))
		listOf(pathIn(b))
	})
}
