package firewall

import (
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// inNamespace moves the test's goroutine into a network namespace of its own.
// Its thread ends with it.
func inNamespace(t *testing.T) {
	t.Helper()
	testneed.Root(t)
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
}

func rules(t *testing.T, nft string) string {
	t.Helper()
	out, err := exec.Command(nft, "list", "ruleset").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestMasquerade(t *testing.T) {
	nft := testneed.Program(t, "nft")
	inNamespace(t)
	if out, err := exec.Command(nft, "add", "table", "inet", "others").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for range 2 { // the second call changes nothing
		err := Masquerade("hd0", []netip.Prefix{netip.MustParsePrefix("10.80.0.1/16"), netip.MustParsePrefix("fd80:1::1/48")})
		if err != nil {
			t.Fatal(err)
		}
		got := rules(t, nft)
		for _, want := range []string{
			`ip saddr 10.80.0.0/16 oifname != "hd0" masquerade`,
			`ip6 saddr fd80:1::/48 oifname != "hd0" masquerade`,
			"type nat hook postrouting priority srcnat", "table inet others",
		} {
			if strings.Count(got, want) != 1 {
				t.Errorf("%q stands not once in:\n%s", want, got)
			}
		}
	}
	for range 2 {
		if err := Clear(); err != nil {
			t.Fatal(err)
		}
		if got := rules(t, nft); strings.Contains(got, "heimdraht") || !strings.Contains(got, "others") {
			t.Errorf("after Clear:\n%s", got)
		}
	}
}

func TestMasqueradeRefusesALongName(t *testing.T) {
	if err := Masquerade(strings.Repeat("x", 16), nil); err == nil {
		t.Error("a name that the kernel would cut off was taken")
	}
}
