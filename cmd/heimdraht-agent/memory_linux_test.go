package main

import (
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Only what is a file's, cannot be written to and never was may go.
func TestUnchangedSpans(t *testing.T) {
	const smaps = `00400000-01000000 r-xp 00000000 fe:00 1234                               /usr/bin/heimdraht agent
Size:              12288 kB
Rss:               11000 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
01000000-02000000 r--p 00c00000 fe:00 1234                               /usr/bin/heimdraht agent
Anonymous:             4 kB
02000000-02100000 rw-p 01c00000 fe:00 1234                               /usr/bin/heimdraht agent
Anonymous:             0 kB
02100000-02200000 r--s 01c00000 fe:00 1234                               /usr/bin/heimdraht agent
Anonymous:             0 kB
02200000-02300000 ---p 01c00000 fe:00 1234                               /usr/bin/heimdraht agent
Anonymous:             0 kB
7f0000000000-7f0000010000 r-xp 00000000 fe:00 99                         /usr/lib/libc.so.6
Anonymous:             0 kB
zz-7f0000030000 r-xp 00000000 fe:00 1234                                 /usr/bin/heimdraht agent
Anonymous:             0 kB
7f0000040000-7f0000030000 r-xp 00000000 fe:00 1234                       /usr/bin/heimdraht agent
Anonymous:             0 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Anonymous:          4096 kB
7ffd00000000-7ffd00001000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
7f0000050000-7f0000060000 r--p 00000000 fe:00 1234                       /usr/bin/heimdraht agent
Size:                 64 kB
Anonymous:             0 kB
`
	spans, err := unchangedSpans(strings.NewReader(smaps), "/usr/bin/heimdraht agent")
	if want := []span{{0x400000, 0x1000000}, {0x7f0000050000, 0x7f0000060000}}; err != nil || !slices.Equal(spans, want) {
		t.Errorf("%x, %v", spans, err)
	}
}

// The program goes on without the pages of its file, and has fewer of them.
func TestUnmapProgram(t *testing.T) {
	ofFiles := func() int {
		t.Helper()
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(status), "RssFile:")
		kilobytes, _, _ := strings.Cut(strings.TrimSpace(after), " ")
		n, err := strconv.Atoi(kilobytes)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before, least := ofFiles(), math.MaxInt
	for range 50 {
		if err := unmapProgram(); err != nil {
			t.Fatal(err)
		}
		least = min(least, ofFiles())
	}
	if least > before/2 {
		t.Errorf("of %d KB %d stay", before, least)
	}
}
