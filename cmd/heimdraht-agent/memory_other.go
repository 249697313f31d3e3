//go:build !linux

package main

// unmapProgram does nothing: these systems take pages of a program that rests by themselves.
func unmapProgram() error { return nil }
