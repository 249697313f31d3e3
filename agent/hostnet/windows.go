package hostnet

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strings"
)

// What Windows is told of name servers stands in its Name Resolution Policy Table: rules that say which servers are
// asked for which names, whatever the interfaces have ([MS-GPNRPT], section 2.2.2; Add-DnsClientNrptRule writes the
// same). Rules are composed and read here, where every system can test it.

const (
	// rulesLocal is where rules of this machine stand, below HKEY_LOCAL_MACHINE.
	rulesLocal = `SYSTEM\CurrentControlSet\Services\Dnscache\Parameters\DnsPolicyConfig`
	// rulesPolicy is where those of a group policy stand. As soon as there is one, the machine's own do not count.
	rulesPolicy = `SOFTWARE\Policies\Microsoft\Windows NT\DNSClient\DnsPolicyConfig`
	// ruleMark stands in the comment of each rule of ours, so that nobody else's is ever removed.
	ruleMark = "Heimdraht, while its tunnel is up"
	// ruleGeneric says in ConfigOptions that GenericDNSServers counts.
	ruleGeneric = 8
	// ruleVersion is that of Windows 8 and later.
	ruleVersion = 2
	// ruleNames is how many names one rule may have.
	ruleNames = 50
)

// windowsTraits: see there.
func windowsTraits() traits { return traits{first: true} }

// rule is one of the table.
type rule struct {
	key     string // below rulesLocal or rulesPolicy
	names   []string
	servers string
	comment string
	options uint32
	version uint32
}

// isOurs says whether this package wrote it.
func (r rule) isOurs() bool { return r.comment == ruleMark }

// rulesFor are those for the name servers. The table calls a domain with all below it ".stadt.example", and every name ".".
func rulesFor(names DNS) []rule {
	if len(names.Servers) == 0 {
		return nil
	}
	servers := make([]string, len(names.Servers))
	for i, server := range names.Servers {
		servers[i] = server.String()
	}
	below := []string{"."}
	if len(names.Domains) > 0 {
		below = below[:0]
		for _, domain := range names.Domains {
			below = append(below, "."+domain)
		}
	}
	var rules []rule
	for n := 0; len(below) > 0; n++ {
		size := min(len(below), ruleNames)
		rules = append(rules, rule{
			key: ruleKey(n), names: below[:size], servers: strings.Join(servers, ";"),
			comment: ruleMark, options: ruleGeneric, version: ruleVersion,
		})
		below = below[size:]
	}
	return rules
}

// ruleKey is the name of the n-th rule, always the same: a rule that a killed process left is written over.
func ruleKey(n int) string { return guidOf(fmt.Sprintf("name rule %d", n)).braced() }

// namesOf is what the rules with our mark say. Rules that are not as this package writes them say nothing, so that they
// are written anew; there says that there are any.
func namesOf(rules []rule) (names DNS, there bool) {
	for _, r := range rules {
		if !r.isOurs() {
			continue
		}
		there = true
		var servers []netip.Addr
		for _, text := range strings.Split(r.servers, ";") {
			server, err := netip.ParseAddr(text)
			if err != nil {
				return DNS{}, true
			}
			servers = append(servers, server)
		}
		if r.options != ruleGeneric || r.version != ruleVersion || names.Servers != nil && !(DNS{Servers: servers}).equal(DNS{Servers: names.Servers}) {
			return DNS{}, true
		}
		names.Servers = servers
		for _, name := range r.names {
			if domain := strings.TrimPrefix(name, "."); domain != "" {
				names.Domains = append(names.Domains, domain)
			}
		}
	}
	return names, there
}

// stores are where rules have to stand: always in the machine's own, and in the group policy's where that has rules of
// others, because those switch ours off otherwise.
func stores(inPolicy []rule) []string {
	for _, r := range inPolicy {
		if !r.isOurs() {
			return []string{rulesLocal, rulesPolicy}
		}
	}
	return []string{rulesLocal}
}

// guid is how Windows numbers things.
type guid [16]byte

// guidOf is one that is always the same for a purpose, in the form of RFC 9562, version 8.
func guidOf(purpose string) guid {
	sum := sha256.Sum256([]byte("heimdraht " + purpose))
	g := guid(sum[:16])
	g[6], g[8] = g[6]&0x0f|0x80, g[8]&0x3f|0x80
	return g
}

func (g guid) braced() string {
	return fmt.Sprintf("{%X-%X-%X-%X-%X}", g[:4], g[4:6], g[6:8], g[8:10], g[10:])
}
