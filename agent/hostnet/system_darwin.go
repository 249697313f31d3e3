package hostnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/net/route"
	"golang.org/x/sys/unix"
)

// toolTime bounds a call of a tool. They answer within milliseconds, or hang.
const toolTime = 10 * time.Second

// macos looks by the routing socket and acts by the system's tools.
type macos struct{}

func newSystem() system { return macos{} }

func (macos) traits() traits { return macosTraits() }

func (m macos) look(ctx context.Context, name string) (sight, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return sight{}, fmt.Errorf("listing the interfaces: %w", err)
	}
	byIndex := make(map[int]net.Interface, len(interfaces))
	var have sight
	for _, i := range interfaces {
		byIndex[i.Index] = i
		if i.Name != name {
			continue
		}
		have.there, have.mtu = true, i.MTU
		if have.addresses, err = addressesOf(i); err != nil {
			return sight{}, err
		}
	}
	if have.ways, err = listWays(byIndex); err != nil {
		return sight{}, err
	}
	output, err := run(ctx, scutilShow())
	if err != nil {
		return sight{}, err
	}
	have.names, have.named = parseScutil(output)
	return have, nil
}

// addressesOf leaves out the link-local ones, which the system gives.
func addressesOf(i net.Interface) ([]netip.Prefix, error) {
	list, err := i.Addrs()
	if err != nil {
		return nil, fmt.Errorf("listing the addresses: %w", err)
	}
	var addresses []netip.Prefix
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() {
			addresses = append(addresses, p)
		}
	}
	return addresses, nil
}

func listWays(byIndex map[int]net.Interface) ([]path, error) {
	raw, err := route.FetchRIB(unix.AF_UNSPEC, route.RIBTypeRoute, 0)
	if err != nil {
		return nil, fmt.Errorf("listing routes: %w", err)
	}
	messages, err := route.ParseRIB(route.RIBTypeRoute, raw)
	if err != nil {
		return nil, fmt.Errorf("reading routes: %w", err)
	}
	var ways []path
	for _, message := range messages {
		m, ok := message.(*route.RouteMessage)
		// What the system remembers of neighbours and of destinations in use is no route of anybody's.
		if !ok || m.Flags&unix.RTF_UP == 0 || m.Flags&(unix.RTF_WASCLONED|unix.RTF_LLINFO) != 0 {
			continue
		}
		to, ok := destination(m)
		if !ok {
			continue
		}
		w := path{
			to: to, by: byIndex[m.Index].Name, index: uint32(m.Index), up: byIndex[m.Index].Flags&net.FlagUp != 0,
			made: m.Flags&unix.RTF_STATIC != 0, refuses: m.Flags&(unix.RTF_REJECT|unix.RTF_BLACKHOLE) != 0,
		}
		if m.Flags&unix.RTF_IFSCOPE != 0 {
			w.cost = 1 // of an interface that is not the first choice
		}
		ways = append(ways, w)
	}
	return ways, nil
}

func destination(m *route.RouteMessage) (netip.Prefix, bool) {
	if len(m.Addrs) <= unix.RTAX_NETMASK {
		return netip.Prefix{}, false
	}
	var to netip.Addr
	switch a := m.Addrs[unix.RTAX_DST].(type) {
	case *route.Inet4Addr:
		to = netip.AddrFrom4(a.IP)
	case *route.Inet6Addr:
		to = netip.AddrFrom16(a.IP)
	default:
		return netip.Prefix{}, false
	}
	if m.Flags&unix.RTF_HOST != 0 {
		return netip.PrefixFrom(to, to.BitLen()), true
	}
	var mask []byte
	switch a := m.Addrs[unix.RTAX_NETMASK].(type) {
	case *route.Inet4Addr:
		mask = a.IP[:]
	case *route.Inet6Addr:
		mask = a.IP[:]
	}
	return prefixOfMask(to, mask)
}

func (macos) act(ctx context.Context, name string, s step) error {
	if s.verb == adjustLink && s.mtu == 0 {
		return nil
	}
	c, err := macosCommand(name, s)
	if err != nil {
		return err
	}
	_, err = run(ctx, c)
	return err
}

// run calls a tool with nothing of our own environment.
func run(ctx context.Context, c command) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, toolTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.program, c.args...) //nolint:gosec // the system's own program
	cmd.Env, cmd.Dir, cmd.Stdin = []string{"LC_ALL=C", "PATH=/usr/bin:/bin:/usr/sbin:/sbin"}, "/", strings.NewReader(c.input)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	if strings.HasPrefix(c.input, "show ") {
		if err != nil {
			return "", fmt.Errorf("%s: %w", c.program, err)
		}
		return output.String(), nil
	}
	err = c.complaint(output.String(), err)
	if err != nil && (strings.Contains(err.Error(), "must be root") || strings.Contains(err.Error(), "ermission") || strings.Contains(err.Error(), "not permitted")) {
		err = errors.Join(fs.ErrPermission, err)
	}
	return output.String(), err
}

// lead uses ip(4)'s IP_BOUND_IF: the socket then finds its way among the routes of that interface alone.
func (macos) lead(fd uintptr, ipv4 bool, index uint32) error {
	if ipv4 {
		return unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BOUND_IF, int(index))
	}
	return unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_BOUND_IF, int(index))
}

// scutilShow asks for our name servers.
func scutilShow() command {
	return command{program: scutilTool, input: "show " + namesKey + "\nquit\n"}
}
