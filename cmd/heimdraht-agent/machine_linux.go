package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
)

// serialNumber is what the firmware says, which only root may read; else a number that is the same as long as
// the system is installed. Empty: there is neither.
func serialNumber() string {
	if raw, err := os.ReadFile("/sys/class/dmi/id/product_serial"); err == nil {
		if s := usableSerial(string(raw)); s != "" {
			return s
		}
	}
	raw, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return ""
	}
	return fromMachineID(string(raw))
}

// fromMachineID hides the machine id, which machine-id(5) asks not to give away as it is.
func fromMachineID(raw string) string {
	id := strings.TrimSpace(raw)
	if len(id) != 32 {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(id))
	mac.Write([]byte("heimdraht-agent serial number"))
	return "id-" + hex.EncodeToString(mac.Sum(nil)[:16])
}
