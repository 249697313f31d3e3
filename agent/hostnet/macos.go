package hostnet

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// What macOS is told, it is told by its own tools: ifconfig(8), route(8) and scutil(8), by argument vectors and
// never through a shell. scutil takes its commands on standard input. All of it is composed and read here, where every
// system can test it.

const (
	ifconfigTool = "/sbin/ifconfig"
	routeTool    = "/sbin/route"
	scutilTool   = "/usr/sbin/scutil"
	// namesKey is where configd, the keeper of macOS's network settings, finds our name servers: a service that
	// nobody else has. What stands under State: is gone after a restart.
	namesKey = "State:/Network/Service/heimdraht/DNS"
)

// macosTraits: see there.
func macosTraits() traits { return traits{oneEach: true, halves: true, refuses: true} }

// command is one call of a tool.
type command struct {
	program string
	args    []string
	// input is written to its standard input.
	input string
	// done are words by which it says that there was nothing to do.
	done string
}

// macosCommand is the call that does a step.
func macosCommand(name string, s step) (command, error) {
	family := "inet"
	if s.prefix.Addr().Is6() {
		family = "inet6"
	}
	address := s.prefix.Addr().String()
	switch s.verb {
	case adjustLink:
		return command{program: ifconfigTool, args: []string{name, "mtu", strconv.Itoa(s.mtu), "up"}}, nil
	case addAddress:
		if family == "inet6" {
			return command{program: ifconfigTool, args: []string{name, family, address, "prefixlen", strconv.Itoa(s.prefix.Bits()), "alias"}}, nil
		}
		// An interface from point to point wants to know the other point too; it is itself.
		return command{program: ifconfigTool, args: []string{name, family, address + "/" + strconv.Itoa(s.prefix.Bits()), address, "alias"}}, nil
	case removeAddress:
		return command{program: ifconfigTool, args: []string{name, family, address, "-alias"}, done: "Can't assign requested address"}, nil
	case addWay:
		return command{program: routeTool, args: []string{"-q", "-n", "add", "-" + family, s.prefix.String(), "-interface", name}}, nil
	case removeWay:
		return command{program: routeTool, args: []string{"-q", "-n", "delete", "-" + family, s.prefix.String(), "-interface", name}, done: "not in table"}, nil
	case refuse:
		return command{program: routeTool, args: []string{"-q", "-n", "add", "-" + family, s.prefix.String(), loopbackOf(family), "-reject"}, done: "File exists"}, nil
	case refuseNoMore:
		return command{program: routeTool, args: []string{"-q", "-n", "delete", "-" + family, s.prefix.String(), loopbackOf(family), "-reject"}, done: "not in table"}, nil
	case setNames:
		return command{program: scutilTool, input: scutilSet(s.names)}, nil
	case clearNames:
		return command{program: scutilTool, input: "remove " + namesKey + "\nquit\n", done: noSuchKey}, nil
	}
	return command{}, fmt.Errorf("%s: %w", s.verb, errors.ErrUnsupported)
}

func loopbackOf(family string) string {
	if family == "inet6" {
		return "::1"
	}
	return "127.0.0.1"
}

// scutilSet makes our service's name servers. The domains are those that the servers are asked for, and searched for
// short names as well; the empty one means every name (Apple's documentation of NEDNSSettings.matchDomains says so).
func scutilSet(names DNS) string {
	var b strings.Builder
	b.WriteString("d.init\nd.add ServerAddresses *")
	for _, server := range names.Servers {
		b.WriteString(" " + server.String())
	}
	b.WriteString("\nd.add SupplementalMatchDomains *")
	if len(names.Domains) == 0 {
		b.WriteString(` ""`)
	}
	for _, domain := range names.Domains { // validated: no blanks, no quotes that would matter
		b.WriteString(" " + domain)
	}
	b.WriteString("\nset " + namesKey + "\nquit\n")
	return b.String()
}

// noSuchKey is what scutil says of a key that is not there. Its exit status is 0 all the same.
const noSuchKey = "No such key"

// parseScutil reads what `show` prints:
//
//	<dictionary> {
//	  ServerAddresses : <array> {
//	    0 : 10.1.0.53
//	  }
//	  SupplementalMatchDomains : <array> {
//	    0 : stadt.example
//	  }
//	}
//
// there is false for "  No such key". What it does not know it skips.
func parseScutil(text string) (names DNS, there bool) {
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	list := ""
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		key, value, isPair := strings.Cut(line, " :")
		value = strings.TrimSpace(value)
		switch {
		case line == "<dictionary> {":
			there = true
		case line == "}":
			list = ""
		case isPair && value == "<array> {":
			list = key
		case isPair && list == "ServerAddresses":
			if server, err := netip.ParseAddr(value); err == nil {
				names.Servers = append(names.Servers, server)
			}
		case isPair && list == "SupplementalMatchDomains" && value != "":
			names.Domains = append(names.Domains, value)
		}
	}
	return names, there
}

// prefixOfMask makes a prefix of an address and the bytes of its mask, of which routing messages leave out what is
// zero. ok is false for masks with holes.
func prefixOfMask(addr netip.Addr, mask []byte) (netip.Prefix, bool) {
	bits, ended := 0, false
	for _, b := range mask[:min(len(mask), addr.BitLen()/8)] {
		for i := 7; i >= 0; i-- {
			switch set := b&(1<<i) != 0; {
			case set && ended:
				return netip.Prefix{}, false
			case set:
				bits++
			default:
				ended = true
			}
		}
	}
	p, err := addr.WithZone("").Prefix(bits)
	return p, err == nil
}

// complaint is what is wrong according to a tool's words and exit status; nil: nothing, or nothing that matters.
func (c command) complaint(output string, exit error) error {
	said := strings.TrimSpace(output)
	if c.done != "" && strings.Contains(said, c.done) {
		return nil
	}
	switch {
	case exit != nil && said != "":
		return fmt.Errorf("%s: %s (%w)", c.program, said, exit)
	case exit != nil:
		return fmt.Errorf("%s: %w", c.program, exit)
	case c.program == routeTool && strings.Contains(said, "writing to routing socket"), c.program == scutilTool && said != "":
		// Both tell of failures with an exit status of 0, route in older versions.
		return fmt.Errorf("%s: %s", c.program, said)
	}
	return nil
}
