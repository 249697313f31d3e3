//go:build !windows

package main

// runService says that this process is no service: here a service is a process like any other.
func runService([]string) (status int, isService bool) { return 0, false }
