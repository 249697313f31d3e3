//go:build !linux && !windows && !darwin

package usage

import "errors"

const kept = 15

func fold(name string) string { return name }

func programs(func(program)) error {
	return errors.New("which programs run cannot be told on this system")
}

func versionOf(string) string { return "" }
