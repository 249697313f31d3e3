package enrolment

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
)

// Longest texts about a laptop, in characters. Longer ones are cut, but for the
// serial number, which decides whether it is the same laptop.
const (
	NameLimit     = 64
	serialLimit   = 64
	platformLimit = 32
	versionLimit  = 64
)

// laptop is what an agent says of the machine, made fit to be kept and shown.
type laptop struct {
	name, serial, platform, version string
	key                             provisioner.Key
}

func laptopOf(r Laptop) (laptop, *provisioner.Refusal) {
	key, err := provisioner.AcceptKey(r.PublicKey)
	if err != nil {
		return laptop{}, provisioner.Refuse(provisioner.CodeKeyInvalid).Because(err)
	}
	serial := serialOf(r.SerialNumber)
	if len([]rune(serial)) > serialLimit {
		return laptop{}, serialTooLong()
	}
	return laptop{
		name:     cmp.Or(audit.CleanText(r.DeviceName, NameLimit), serial, "laptop"),
		serial:   serial,
		platform: audit.CleanText(r.Platform, platformLimit),
		version:  audit.CleanText(r.AgentVersion, versionLimit),
		key:      key,
	}, nil
}

func serialTooLong() *provisioner.Refusal {
	return provisioner.Refuse(provisioner.CodeInvalid).With("field", "Seriennummer", "serial_number").
		With("why", fmt.Sprintf("sie hat mehr als %d Zeichen", serialLimit), fmt.Sprintf("it has more than %d characters", serialLimit))
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
