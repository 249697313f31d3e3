package posture

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// The kernel's own packet filter, as those set it up who do: each set of rules in a network of its own.
func TestTheKernelsFirewall(t *testing.T) {
	testneed.Root(t)
	nft := testneed.Program(t, "nft")
	for name, c := range map[string]struct {
		rules string
		want  Answer
	}{
		"none": {"", No},
		"ufw, by iptables-nft": {`table ip filter { chain INPUT { type filter hook input priority filter; policy drop; }; }
			table ip6 filter { chain INPUT { type filter hook input priority filter; policy drop; }; }`, Yes},
		"ufw without IPv6": {`table ip filter { chain INPUT { type filter hook input priority filter; policy drop; }; }`, No},
		"firewalld": {`table inet firewalld { chain filter_INPUT_ZONES { }; chain filter_INPUT { type filter hook input priority filter + 10; policy accept;
			ct state established accept; iifname "lo" accept; ct state invalid drop; jump filter_INPUT_ZONES; reject with icmpx admin-prohibited; }; }`, Yes},
		"Debian's example, all open":    {`table inet filter { chain input { type filter hook input priority filter; }; }`, No},
		"some things dropped":           {`table inet filter { chain input { type filter hook input priority filter; tcp dport 22 drop; }; }`, No},
		"all dropped at the end":        {`table inet filter { chain input { type filter hook input priority filter; tcp dport 22 accept; counter drop; }; }`, Yes},
		"a router's, in another place":  {`table inet filter { chain forward { type filter hook forward priority filter; policy drop; }; }`, No},
		"a chain that nothing leads to": {`table inet filter { chain input { drop; }; }`, No},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runtime.LockOSThread() // never unlocked: the thread ends with the test
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				t.Fatal(err)
			}
			load := exec.Command(nft, "-f", "-")
			load.Stdin = strings.NewReader(c.rules)
			if out, err := load.CombinedOutput(); err != nil {
				t.Fatalf("nft: %v: %s", err, out)
			}
			conn, err := nftables.New()
			if err != nil {
				t.Fatal(err)
			}
			chains, err := inputChains(conn)
			if got := closedTo(chains, true); err != nil || got != c.want {
				t.Errorf("%v, %v; want %v: %+v", got, err, c.want, chains)
			}
		})
	}
}
