package main

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// serialNumber is what the firmware says, which everybody may read here. Empty: it says none.
func serialNumber() string {
	const provider = 'R'<<24 | 'S'<<16 | 'M'<<8 | 'B'
	ask := windows.NewLazySystemDLL("kernel32.dll").NewProc("GetSystemFirmwareTable")
	size, _, _ := ask.Call(provider, 0, 0, 0)
	if size == 0 || size > 1<<20 {
		return ""
	}
	raw := make([]byte, size)
	got, _, _ := ask.Call(provider, 0, uintptr(unsafe.Pointer(&raw[0])), size)
	if got == 0 || got > size {
		return ""
	}
	return smbiosSerial(raw[:got])
}
