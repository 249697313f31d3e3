package wireguard

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// This file speaks WireGuard's cross-platform configuration protocol (wireguard.com/xplatform), lines of
// key=value, which wireguard-go takes and gives also without a socket.

// appendChanges writes the changes as a set operation. The preshared key comes before the addresses: should
// WireGuard stop in the middle, there is never a peer with addresses and without its preshared key.
func appendChanges(b []byte, changes []Change) []byte {
	for _, change := range changes {
		peer := change.Peer
		b = appendKey(b, "public_key=", peer.PublicKey)
		if change.Remove {
			b = append(b, "remove=true\n"...)
			continue
		}
		b = appendKey(b, "preshared_key=", peer.PresharedKey)
		if peer.Endpoint.IsValid() {
			b = append(b, "endpoint="...)
			b = unmapped(peer.Endpoint).AppendTo(b)
			b = append(b, '\n')
		}
		b = append(b, "persistent_keepalive_interval="...)
		b = strconv.AppendInt(b, int64(peer.Keepalive/time.Second), 10)
		b = append(b, '\n')
		if change.KeepAllowedIPs {
			continue
		}
		b = append(b, "replace_allowed_ips=true\n"...)
		for _, prefix := range peer.AllowedIPs {
			b = append(b, "allowed_ip="...)
			b = prefix.AppendTo(b)
			b = append(b, '\n')
		}
	}
	return b
}

func appendKey[K ~[keyLen]byte](b []byte, name string, key K) []byte {
	b = append(b, name...)
	b = hex.AppendEncode(b, key[:])
	return append(b, '\n')
}

// unmapped returns an IPv4 endpoint as such: a device sends to ::ffff:192.0.2.1 through its IPv6 socket,
// which does not do IPv4.
func unmapped(endpoint netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(endpoint.Addr().Unmap(), endpoint.Port())
}

// parseDump reads the answer to a get operation: the device's listen port and its peers. Keys that it does
// not know are skipped, as the protocol asks.
func parseDump(dump []byte) (listenPort uint16, peers []PeerStatus, err error) {
	// As many as there are at most, at once: on a gateway it is megabytes, twice a minute.
	if n := bytes.Count(dump, []byte("\npublic_key=")); n > 0 {
		peers = make([]PeerStatus, 0, n)
	}
	allowedIPs := make([]netip.Prefix, 0, bytes.Count(dump, []byte("\nallowed_ip=")))
	var seconds, nanoseconds int64
	finish := func() {
		if len(peers) > 0 && (seconds != 0 || nanoseconds != 0) {
			peers[len(peers)-1].LastHandshake = time.Unix(seconds, nanoseconds)
		}
		seconds, nanoseconds = 0, 0
	}
	lines := bufio.NewScanner(bytes.NewReader(dump))
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			break
		}
		name, value, ok := bytes.Cut(lines.Bytes(), []byte("="))
		if !ok {
			return 0, nil, fmt.Errorf("a line without a value in a WireGuard dump")
		}
		switch string(name) {
		case "public_key":
			finish()
			peers = append(peers, PeerStatus{})
			err = parseHexKey((*[keyLen]byte)(&peers[len(peers)-1].PublicKey), value)
		case "listen_port":
			var port uint64
			port, err = strconv.ParseUint(string(value), 10, 16)
			listenPort = uint16(port)
		case "last_handshake_time_sec":
			seconds, err = strconv.ParseInt(string(value), 10, 64)
		case "last_handshake_time_nsec":
			nanoseconds, err = strconv.ParseInt(string(value), 10, 64)
		case "allowed_ip":
			if len(peers) > 0 {
				allowedIPs, err = addPrefix(allowedIPs, &peers[len(peers)-1], string(value))
			}
		default:
			if len(peers) > 0 {
				err = parsePeerLine(&peers[len(peers)-1], string(name), value)
			}
		}
		if err != nil {
			return 0, nil, fmt.Errorf("reading %s in a WireGuard dump: %w", name, err)
		}
	}
	if err := lines.Err(); err != nil {
		return 0, nil, fmt.Errorf("reading a WireGuard dump: %w", err)
	}
	finish()
	return listenPort, peers, nil
}

// parsePeerLine reads one line of a peer.
func parsePeerLine(peer *PeerStatus, name string, value []byte) (err error) {
	switch name {
	case "preshared_key":
		return parseHexKey((*[keyLen]byte)(&peer.PresharedKey), value)
	case "endpoint":
		var endpoint netip.AddrPort
		endpoint, err = netip.ParseAddrPort(string(value))
		peer.Endpoint = unmapped(endpoint)
	case "persistent_keepalive_interval":
		var seconds uint64
		seconds, err = strconv.ParseUint(string(value), 10, 16)
		peer.Keepalive = time.Duration(seconds) * time.Second
	case "rx_bytes":
		peer.Rx, err = strconv.ParseUint(string(value), 10, 64)
	case "tx_bytes":
		peer.Tx, err = strconv.ParseUint(string(value), 10, 64)
	}
	return err
}

// addPrefix reads an address of a peer into all's memory, in which those of one peer lie side by side.
func addPrefix(all []netip.Prefix, peer *PeerStatus, value string) ([]netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(value)
	if err != nil {
		return all, err
	}
	first := len(all) - len(peer.AllowedIPs)
	all = append(all, prefix)
	peer.AllowedIPs = all[first:len(all):len(all)]
	return all, nil
}

// parseHexKey reads a key; its error does not contain what was read.
func parseHexKey(key *[keyLen]byte, value []byte) error {
	if len(value) != hex.EncodedLen(keyLen) {
		return fmt.Errorf("a key of %d characters", len(value))
	}
	if _, err := hex.Decode(key[:], value); err != nil {
		return fmt.Errorf("a key that is not hexadecimal")
	}
	return nil
}
