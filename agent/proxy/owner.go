package proxy

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// errNoOwner says that the kernel knows no such connection, or none that still stands.
var errNoOwner = errors.New("looking who connects: there is no such connection")

// ownerOf is the user whose program is at the other end of a connection over the loopback interface. Linux alone tells.
func ownerOf(client net.Conn) (uid int, err error) {
	near, err := netip.ParseAddrPort(client.RemoteAddr().String())
	if err != nil {
		return 0, fmt.Errorf("looking who connects: %w", err)
	}
	far, err := netip.ParseAddrPort(client.LocalAddr().String())
	if err != nil {
		return 0, fmt.Errorf("looking who connects: %w", err)
	}
	// A program that knows IPv6 may use a socket of IPv6 for an address of IPv4.
	for _, list := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		f, err := os.Open(list)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("looking who connects: %w", err)
		}
		uid, err = findOwner(f, near, far)
		_ = f.Close() // it was only read
		if !errors.Is(err, errNoOwner) {
			return uid, err
		}
	}
	return 0, errNoOwner
}

// findOwner looks for the socket with these addresses in a list as proc(5) describes it. Only one that stands counts:
// of others the kernel has forgotten the owner, and says root.
func findOwner(list io.Reader, near, far netip.AddrPort) (uid int, err error) {
	const established = "01"
	lines := bufio.NewScanner(list)
	for lines.Scan() {
		words := strings.Fields(lines.Text()) // sl, local, remote, st, queues, timer, retransmissions, uid
		if len(words) < 8 || words[3] != established {
			continue
		}
		if local, ok := parseSocket(words[1]); !ok || local != unmap(near) {
			continue
		}
		if remote, ok := parseSocket(words[2]); !ok || remote != unmap(far) {
			continue
		}
		uid, err := strconv.ParseUint(words[7], 10, 31)
		if err != nil {
			return 0, fmt.Errorf("looking who connects: %w", err)
		}
		return int(uid), nil
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("looking who connects: %w", err)
	}
	return 0, errNoOwner
}

// parseSocket reads an address as the kernel lists it: words of 32 bits in the machine's own order, and the port.
func parseSocket(text string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(text, ":")
	words, err := hex.DecodeString(host)
	if err != nil || len(words)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(words); i += 4 {
		binary.BigEndian.PutUint32(words[i:], binary.NativeEndian.Uint32(words[i:]))
	}
	number, err := strconv.ParseUint(port, 16, 16)
	addr, ok := netip.AddrFromSlice(words)
	return unmap(netip.AddrPortFrom(addr, uint16(number))), err == nil && ok
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
