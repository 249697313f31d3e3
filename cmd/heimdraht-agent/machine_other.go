//go:build !linux

package main

// serialNumber is not read on this system.
func serialNumber() string { return "" }
