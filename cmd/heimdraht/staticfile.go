package main

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"

	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/cmd/internal/terminal"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// wgQuick writes the file of a static peer, as wg-quick(8) and WireGuard's apps read
// it. What the server sent is parsed and printed anew: a line of its own in such a
// file is a command that runs as root (PostUp).
func wgQuick(private wireguard.PrivateKey, remark string, c *heimdrahtv1.TunnelConfiguration) (string, error) {
	f := fileOf{}
	addresses, allowed := f.prefixes("address", c.GetAddresses()), f.prefixes("network", c.GetAllowedIps())
	endpoint, dns := f.endpoint(c.GetGatewayEndpoint()), f.dns(c)
	server, preshared := f.key(c.GetGatewayPublicKey()), f.key(c.GetPresharedKey())
	if mtu := c.GetMtu(); mtu < 1280 || mtu > 9000 {
		f.wrong("MTU", strconv.FormatUint(uint64(mtu), 10))
	}
	if err := errors.Join(f.problems...); err != nil {
		return "", fmt.Errorf("the server's answer makes no configuration: %w", err)
	}
	lines := []string{
		"# " + strings.Map(printable, remark), "[Interface]", "PrivateKey = " + private.Base64(), "Address = " + addresses,
	}
	if dns != "" {
		lines = append(lines, "DNS = "+dns)
	}
	lines = append(lines, fmt.Sprintf("MTU = %d", c.GetMtu()), "", "[Peer]",
		"PublicKey = "+wireguard.Key(server).String(), "PresharedKey = "+wireguard.PresharedKey(preshared).Base64(),
		"Endpoint = "+endpoint, "AllowedIPs = "+allowed, fmt.Sprintf("PersistentKeepalive = %d", min(c.GetPersistentKeepaliveS(), 65535)))
	return strings.Join(lines, "\n") + "\n", nil
}

// fileOf collects what is wrong with an answer.
type fileOf struct{ problems []error }

func (f *fileOf) wrong(what, value string) {
	f.problems = append(f.problems, fmt.Errorf("%q is no %s", value, what))
}

func (f *fileOf) prefixes(what string, list []string) string {
	if len(list) == 0 {
		f.wrong(what, "")
	}
	var out []string
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			f.wrong(what, s)
		}
		out = append(out, p.String())
	}
	return strings.Join(out, ", ")
}

func (f *fileOf) endpoint(s string) string {
	host, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if a, notAddress := netip.ParseAddr(host); err != nil || a.Zone() != "" || notAddress != nil && !isName(host) {
		f.wrong("endpoint", s)
	}
	return net.JoinHostPort(host, port)
}

func (f *fileOf) dns(c *heimdrahtv1.TunnelConfiguration) string {
	var out []string
	for _, s := range c.GetDnsServers() {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			f.wrong("name server", s)
		}
		out = append(out, a.String())
	}
	for _, s := range c.GetDnsDomains() {
		if !isName(s) {
			f.wrong("domain", s)
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func (f *fileOf) key(b []byte) (k [32]byte) {
	if copy(k[:], b) != len(k) || len(b) != len(k) {
		f.problems = append(f.problems, fmt.Errorf("a key has %d bytes", len(b))) // which may be a secret
	}
	return k
}

// isName reports whether s can be the name of a host or a domain.
func isName(s string) bool {
	return s != "" && len(s) <= 253 && strings.IndexFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '.' && r != '_'
	}) < 0
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return -1
}

// writeQR draws a QR code into a PNG file.
func writeQR(w io.Writer, text string) error {
	code, err := terminal.QRModules(text)
	if err != nil {
		return err
	}
	const pixels, quiet = 8, 4 // of a module; modules around it
	side := (code.Size + 2*quiet) * pixels
	picture := image.NewGray(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			if !code.Dark(x/pixels-quiet, y/pixels-quiet) {
				picture.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	return png.Encode(w, picture)
}
