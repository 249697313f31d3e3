package hostnet

import (
	"bufio"
	"bytes"
	"net/netip"
	"slices"
	"strings"
)

// mark is the first line of a resolv.conf that this package wrote.
const mark = "# Written by Heimdraht while its tunnel is up; the former file comes back when it goes down."

const (
	// maxServers is how many name servers the C library asks (MAXNS in resolv.h).
	maxServers = 3
	// maxTunnelServers of them are the tunnel's where the host's own remain as the last resort.
	maxTunnelServers = 2
)

// resolvConf is what resolv.conf(5) says.
type resolvConf struct {
	servers []netip.Addr
	search  []string
	options []string
}

// parseResolvConf reads what it understands and skips everything else, as the C library does.
func parseResolvConf(content []byte) resolvConf {
	var conf resolvConf
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, len(content)+1)
	for lines.Scan() {
		line := lines.Text()
		if i := strings.IndexAny(line, "#;"); i >= 0 {
			line = line[:i]
		}
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			if server, err := netip.ParseAddr(words[1]); err == nil {
				conf.servers = append(conf.servers, server)
			}
		case "domain":
			conf.search = words[1:2]
		case "search": // the last one counts
			conf.search = words[1:]
		case "options":
			conf.options = append(conf.options, words[1:]...)
		}
	}
	return conf
}

// isOurs says whether this package wrote the file.
func isOurs(content []byte) bool { return bytes.HasPrefix(content, []byte(mark+"\n")) }

// composeResolvConf writes the file for while the tunnel is up. Where only some domains are the tunnel's, the former
// servers are the last resort; where all names are, they are not asked at all.
func composeResolvConf(want DNS, former resolvConf) []byte {
	servers, search := want.Servers, want.Domains
	if len(want.Domains) > 0 {
		servers = slices.Clone(servers[:min(len(servers), maxTunnelServers)])
		for _, server := range former.servers {
			if len(servers) < maxServers && !slices.Contains(servers, server) {
				servers = append(servers, server)
			}
		}
	}
	servers = servers[:min(len(servers), maxServers)]
	search = slices.Clone(search)
	for _, domain := range former.search {
		if !slices.Contains(search, domain) {
			search = append(search, domain)
		}
	}
	var b bytes.Buffer
	b.WriteString(mark + "\n")
	for _, server := range servers {
		b.WriteString("nameserver " + server.String() + "\n")
	}
	for _, line := range [][]string{append([]string{"search"}, search...), append([]string{"options"}, former.options...)} {
		if len(line) > 1 {
			b.WriteString(strings.Join(line, " ") + "\n")
		}
	}
	return b.Bytes()
}
