package main

import (
	"context"
	"os/exec"
	"time"
)

// serialNumber is what the machine says. Empty: it says none.
func serialNumber() string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	printed, err := exec.CommandContext(ctx, "/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice").Output()
	if err != nil {
		return ""
	}
	return ioregSerial(string(printed))
}
