package main

import (
	"os"
	"strings"
)

// hostName is what the person calls the laptop, as far as the laptop knows.
func hostName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "laptop"
	}
	return name
}

// usableSerial takes a serial number as firmware states it, or returns nothing: makers who left the field out
// wrote the same words into thousands of machines, and two laptops of one person must not look like one.
func usableSerial(raw string) string {
	const longest = 64
	s := strings.TrimSpace(raw)
	if len(s) < 4 || len(s) > longest || strings.Trim(s, "0. -") == "" || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	if strings.Trim(s, s[:1]) == "" { // one character throughout
		return ""
	}
	lower := strings.ToLower(s)
	for _, filler := range []string{
		"to be filled", "default", "none", "not specified", "not applicable", "system serial", "serial number",
		"0123456789", "123456789", "unknown", "n/a", "oem",
	} {
		if strings.Contains(lower, filler) {
			return ""
		}
	}
	return s
}
