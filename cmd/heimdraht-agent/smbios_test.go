package main

import (
	"encoding/binary"
	"strings"
	"testing"
)

// firmware is a table as Windows hands it out. Each structure is its type, its bytes after the head, and its strings.
func firmware(structures ...[]byte) []byte {
	var table []byte
	for _, s := range structures {
		table = append(table, s...)
	}
	return append(binary.LittleEndian.AppendUint32([]byte{0, 3, 7, 0}, uint32(len(table))), table...)
}

func structure(kind byte, body []byte, texts ...string) []byte {
	s := append([]byte{kind, byte(4 + len(body)), 1, 0}, body...)
	if len(texts) == 0 {
		return append(s, 0, 0)
	}
	return append(s, strings.Join(texts, "\x00")+"\x00\x00"...)
}

func TestSMBIOSSerial(t *testing.T) {
	bios := structure(0, []byte{1, 2, 0, 0}, "Vendor", "1.2.3")
	laptop := func(number byte, texts ...string) []byte {
		return structure(1, append([]byte{1, 2, 3, number}, make([]byte, 19)...), texts...)
	}
	end := structure(127, nil)
	for _, test := range []struct {
		world string
		raw   []byte
		want  string
	}{
		{"a laptop", firmware(bios, laptop(4, "Maker", "Model", "1", " PF2ABCDE "), end), "PF2ABCDE"},
		{"its maker left it out", firmware(bios, laptop(4, "Maker", "Model", "1", "To be filled by O.E.M."), end), ""},
		{"no string", firmware(bios, laptop(0, "Maker"), end), ""},
		{"a string that is not there", firmware(bios, laptop(9, "Maker"), end), ""},
		{"an old structure without the field", firmware(structure(1, []byte{1, 2}, "PF2ABCDE", "PF2ABCDE"), end), ""},
		{"after the end", firmware(end, laptop(1, "PF2ABCDE")), ""},
		{"cut short", firmware(bios, laptop(4, "Maker", "Model", "1", "PF2ABCDE"))[:40], ""},
		{"a length of nothing", firmware([]byte{1, 0, 0, 0}), ""},
		{"nothing", nil, ""},
	} {
		if got := smbiosSerial(test.raw); got != test.want {
			t.Errorf("%s: %q, want %q", test.world, got, test.want)
		}
	}
}

func FuzzSMBIOSSerial(f *testing.F) {
	f.Add(firmware(structure(1, []byte{1, 2, 3, 1}, "PF2ABCDE")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if s := smbiosSerial(raw); s != usableSerial(s) {
			t.Errorf("unusable: %q", s)
		}
	})
}

func TestIoregSerial(t *testing.T) {
	const printed = `+-o J314sAP  <class IOPlatformExpertDevice, id 0x100000227, registered, matched, active, busy 0 (91423 ms), retain 36>
    {
      "IOPolledInterface" = "AppleARMWatchdogTimerHibernateHandler is not serializable"
      "IOPlatformUUID" = "00000000-0000-0000-0000-000000000001"
      "IOPlatformSerialNumber" = "C02ABCDEFGH1"
      "model" = <"MacBookPro18,3">
    }
`
	for text, want := range map[string]string{printed: "C02ABCDEFGH1", "": "", `"IOPlatformSerialNumber" = "0"`: "", `"IOPlatformSerialNumber" = `: ""} {
		if got := ioregSerial(text); got != want {
			t.Errorf("%q of %q", got, text)
		}
	}
}
