package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

// town is an administration's machines and wires:
//
//	lap1   lap2   hq (control plane, slapd)   gw ---- intra
//	  |      |      |                          |       10.1.0.53, fd00:1::53
//	  +------+------+-------- inet ------------+
//	                203.0.113.0/24
//
// The addresses outside are of RFC 5737 and are not routed anywhere.
type town struct {
	t          testing.TB
	inet       *machine
	hq         *machine
	gw         *machine
	lap1, lap2 *laptop
	intra      *intranet
	slapd      *slapdtest.Server

	control *process // heimdrahtd
	gateway *process // heimdraht-gateway
	address string   // SERVER#FINGERPRINT
}

const (
	controlName = "vpn.stadt.example"
	gatewayName = "vpn1.stadt.example"
	hqAddress   = "203.0.113.10"
	gwAddress   = "203.0.113.20"
	lap1Address = "203.0.113.101"
	lap2Address = "203.0.113.102"
	homeRouter  = "203.0.113.1" // where laptops ask for names as long as there is no tunnel
)

// newTown makes the machines and lays the wires. Nothing of ours runs yet.
func newTown(t testing.TB) *town {
	t.Helper()
	needs(t)
	w := &town{t: t, inet: newMachine(t, "inet"), hq: newServer(t, "hq"), gw: newMachine(t, "gw")}
	w.lap1, w.lap2 = &laptop{machine: newMachine(t, "lap1"), person: 2}, &laptop{machine: newMachine(t, "lap2"), person: 4}
	w.intra = &intranet{machine: newMachine(t, "intra")}

	w.inet.ip(t, "link", "add", "br0", "type", "bridge")
	w.inet.ip(t, "link", "set", "br0", "up")
	for m, address := range map[*machine]string{
		w.hq: hqAddress, w.gw: gwAddress, w.lap1.machine: lap1Address, w.lap2.machine: lap2Address,
	} {
		w.wire(m, "eth0", w.inet, m.name)
		w.inet.ip(t, "link", "set", m.name, "master", "br0")
		m.ip(t, "address", "add", address+"/24", "dev", "eth0")
		m.ip(t, "route", "add", "default", "via", homeRouter)
		m.write(t, "/etc/hosts", fmt.Sprintf("127.0.0.1 localhost\n::1 localhost\n%s %s\n%s %s\n", hqAddress, controlName, gwAddress, gatewayName), 0o644)
		m.write(t, "/etc/resolv.conf", "# of the home router\nnameserver "+homeRouter+"\n", 0o644)
	}
	w.wire(w.gw, "eth1", w.intra.machine, "eth0")
	for m, addresses := range map[*machine][]string{
		w.gw: {"10.1.0.1/16", "fd00:1::1/64"}, w.intra.machine: {intranetV4 + "/16", intranetV6 + "/64"},
	} {
		dev := map[bool]string{true: "eth1", false: "eth0"}[m == w.gw]
		for _, a := range addresses {
			add := []string{"address", "add", a, "dev", dev}
			if strings.Contains(a, ":") {
				add = append(add, "nodad") // a tentative address cannot be listened on
			}
			m.ip(t, add...)
		}
	}
	// The one route that the inside needs for each gateway and family.
	w.intra.ip(t, "route", "add", "10.80.0.0/16", "via", "10.1.0.1")
	w.intra.ip(t, "route", "add", "fd80:1::/48", "via", "fd00:1::1")
	w.intra.serve(t)
	return w
}

// wire lays a cable between two machines.
func (w *town) wire(a *machine, aName string, b *machine, bName string) {
	w.t.Helper()
	a.ip(w.t, "link", "add", aName, "type", "veth", "peer", "name", bName, "netns", fmt.Sprint(b.pid))
	for m, dev := range map[*machine]string{a: aName, b: bName} {
		// IPv6 addresses are used at once, not after a second of asking whether
		// somebody else has them.
		if out, err := m.command(w.t.Context(), "sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/"+dev+"/accept_dad").CombinedOutput(); err != nil {
			w.t.Fatalf("%s: %v\n%s", m.name, err, out)
		}
		m.ip(w.t, "link", "set", dev, "up")
	}
	// It would go with the namespaces, but some time later, and the stage's stays.
	w.t.Cleanup(func() {
		if out, err := a.command(context.Background(), "ip", "link", "delete", aName).CombinedOutput(); err != nil {
			w.t.Errorf("taking a cable away: %v\n%s", err, out)
		}
	})
}
