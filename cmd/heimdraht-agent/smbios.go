package main

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// smbiosSerial finds the serial number of the machine in its firmware's table (SMBIOS 3.7, section 7.2: System
// Information, type 1, whose fourth string it is), as Windows hands it out: after eight bytes of which the last four are
// the length. Empty: there is none, or none that tells machines apart.
func smbiosSerial(raw []byte) string {
	const (
		head, systemInformation, endOfTable = 8, 1, 127
		serialAt                            = 7 // in the structure: the number of a string
	)
	if len(raw) < head {
		return ""
	}
	table := raw[head:]
	if n := binary.LittleEndian.Uint32(raw[4:head]); uint64(n) < uint64(len(table)) {
		table = table[:n]
	}
	for len(table) >= 4 {
		kind, length := table[0], int(table[1])
		if length < 4 || length > len(table) || kind == endOfTable {
			return ""
		}
		formatted, rest := table[:length], table[length:]
		end := bytes.Index(rest, []byte{0, 0})
		if end < 0 {
			return ""
		}
		if kind == systemInformation && length > serialAt {
			list := strings.Split(string(rest[:end]), "\x00")
			if n := int(formatted[serialAt]); n >= 1 && n <= len(list) {
				return usableSerial(list[n-1])
			}
			return ""
		}
		table = rest[end+2:]
	}
	return ""
}

// ioregSerial finds the serial number in what `ioreg -rd1 -c IOPlatformExpertDevice` prints, of which one line is
//
//	"IOPlatformSerialNumber" = "C02XXXXXXXXX"
func ioregSerial(text string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), `"IOPlatformSerialNumber" = "`); ok {
			return usableSerial(strings.TrimSuffix(value, `"`))
		}
	}
	return ""
}
