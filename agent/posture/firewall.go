package posture

import (
	"cmp"
	"regexp"
	"strings"
)

// chain is one that judges what comes in from the network (nftables).
type chain struct {
	v4, v6 bool // for which family
	// closed: what no rule lets in is dropped or refused.
	closed bool
}

// closedTo judges all of them together: for each family that the laptop speaks one of them must be closed.
// What one chain drops no other one brings back.
func closedTo(chains []chain, ipv6 bool) Answer {
	var four, six bool
	for _, c := range chains {
		four = four || c.v4 && c.closed
		six = six || c.v6 && c.closed
	}
	return answered(four && (six || !ipv6))
}

// windowsFirewall is what Windows' registry says of one kind of network: the policy's word goes before the machine's.
// Empty: it says nothing.
type windowsFirewall struct{ policy, own string }

// windowsFirewallOn: the service runs, and the firewall is on for all three kinds of networks.
func windowsFirewallOn(disabled bool, profiles []windowsFirewall) Answer {
	if disabled {
		return No
	}
	var answers []Answer
	for _, p := range profiles {
		switch cmp.Or(p.policy, p.own) {
		case "":
			answers = append(answers, Unknown)
		case "0":
			answers = append(answers, No)
		default:
			answers = append(answers, Yes)
		}
	}
	return all(append(answers, answered(len(profiles) > 0))...)
}

// macosFirewallOn reads what socketfilterfw --getglobalstate prints: 0 is off, 1 on, 2 on for everything.
func macosFirewallOn(printed string) Answer {
	m := regexp.MustCompile(`\(State = ([0-9])\)`).FindStringSubmatch(printed)
	switch {
	case m != nil:
		return answered(m[1] == "1" || m[1] == "2")
	default:
		return Unknown
	}
}

// macosDiskEncrypted reads what fdesetup status prints. While it is still being encrypted it is on, and not yet done.
func macosDiskEncrypted(printed string) Answer {
	switch {
	case strings.Contains(printed, "Encryption in progress"), strings.Contains(printed, "Decryption in progress"), strings.Contains(printed, "FileVault is Off"):
		return No
	case strings.Contains(printed, "FileVault is On"):
		return Yes
	default:
		return Unknown
	}
}

// windowsDiskEncrypted judges the shell's property System.Volume.BitLockerProtection of the system's drive.
func windowsDiskEncrypted(protection int32) Answer {
	switch protection {
	case 1, 6: // on; on and locked
		return Yes
	case 0, 2, 3, 4, 5, 8: // cannot be, off, being encrypted, being decrypted, suspended, waiting for its activation
		return No
	default:
		return Unknown
	}
}
