package enrolment

import (
	"cmp"
	"crypto/ecdh"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
)

// Longest texts about a laptop, in characters. Longer ones are cut, but for the
// serial number, which decides whether it is the same laptop.
const (
	nameLimit     = 64
	serialLimit   = 64
	platformLimit = 32
	versionLimit  = 64
)

// laptop is what an agent says of the machine, made fit to be kept and shown.
type laptop struct {
	name, serial, platform, version string
	key                             provisioner.Key
}

func laptopOf(r EnrolRequest) (laptop, *provisioner.Refusal) {
	key, refusal := checkKey(r.PublicKey)
	if refusal != nil {
		return laptop{}, refusal
	}
	serial := serialOf(r.SerialNumber)
	if len([]rune(serial)) > serialLimit {
		return laptop{}, provisioner.Refuse(provisioner.CodeInvalid, "field", "serial_number", "why", fmt.Sprintf("> %d", serialLimit))
	}
	return laptop{
		name:     cmp.Or(audit.CleanText(r.DeviceName, nameLimit), serial, "laptop"),
		serial:   serial,
		platform: audit.CleanText(r.Platform, platformLimit),
		version:  audit.CleanText(r.AgentVersion, versionLimit),
		key:      key,
	}, nil
}

// serialOf makes one spelling of a serial number. What manufacturers leave in
// its place names no machine: two laptops of one person would replace each
// other.
func serialOf(typed string) string {
	serial := strings.ToUpper(audit.CleanText(typed, serialLimit+2))
	if slices.Contains([]string{
		"TO BE FILLED BY O.E.M.", "TO BE FILLED BY OEM", "DEFAULT STRING", "SYSTEM SERIAL NUMBER", "CHASSIS SERIAL NUMBER", "SERIAL NUMBER",
		"NOT SPECIFIED", "NOT APPLICABLE", "NOT AVAILABLE", "NONE", "N/A", "NA", "UNKNOWN", "OEM", "O.E.M.", "INVALID", "EMPTY",
		"0123456789", "123456789", "1234567890", "12345678",
	}, serial) {
		return ""
	}
	if strings.Trim(serial, "0-. X") == "" {
		return ""
	}
	return serial
}

// checkKey reads a WireGuard public key. Of the many encodings that name one
// point (RFC 7748, section 5) only one is let through, or a dead key could
// come back in other clothes; and none with which everybody would share one
// secret (section 6.1).
func checkKey(b []byte) (provisioner.Key, *provisioner.Refusal) {
	invalid := func(why error) *provisioner.Refusal {
		return provisioner.Refuse(provisioner.CodeKeyInvalid).Because(why)
	}
	key, err := provisioner.ParseKey(b)
	if err != nil {
		return key, invalid(err)
	}
	if !canonical(key) {
		return key, invalid(errors.New("the key is not in its one canonical form"))
	}
	public, err := ecdh.X25519().NewPublicKey(key[:])
	if err != nil {
		return key, invalid(err)
	}
	some, err := ecdh.X25519().NewPrivateKey(slices.Repeat([]byte{1}, 32))
	if err != nil {
		return key, invalid(err)
	}
	if _, err := some.ECDH(public); err != nil {
		return key, invalid(err) // a point of low order
	}
	return key, nil
}

// canonical reports whether the little-endian number is below 2^255-19.
func canonical(k provisioner.Key) bool {
	if k[31] != 0x7f {
		return k[31] < 0x7f
	}
	for i := 30; i > 0; i-- {
		if k[i] != 0xff {
			return true
		}
	}
	return k[0] < 0xed
}
