package wireguard

import (
	"fmt"
	"strings"
)

const (
	// driverFile is the library with the driver of Windows' interfaces. It comes with the administration's software
	// distribution, as its makers publish it.
	driverFile = "wintun.dll"
	// driverSigner is who signs it.
	driverSigner = "WireGuard LLC"
)

// DriverProblem is what is wrong with the driver's library.
type DriverProblem string

// The problems.
const (
	DriverMissing   DriverProblem = "missing"          // there is none beside the program
	DriverMisplaced DriverProblem = "misplaced"        // the program lies where people may write, so anybody could exchange it
	DriverUnsigned  DriverProblem = "unsigned"         // Windows does not trust its signature, or it has none
	DriverForeign   DriverProblem = "another's"        // somebody else signed it
	DriverRefused   DriverProblem = "not to be loaded" // Windows does not load it
)

// DriverError says that the driver's library was not loaded.
type DriverError struct {
	Problem DriverProblem
	// Path is where it is looked for.
	Path string
	// Signer of DriverForeign.
	Signer string
	// Cause is what Windows says. It may be nil.
	Cause error
}

// Error names the file and what is wrong with it.
func (e *DriverError) Error() string {
	text := fmt.Sprintf("the driver %s is %s", e.Path, e.Problem)
	if e.Signer != "" {
		text += " (" + e.Signer + ")"
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap gives what Windows says.
func (e *DriverError) Unwrap() error { return e.Cause }

// driverBeside is where the library of a program lies: beside it, if that is below one of the folders into which only
// administrators write. The paths are Windows'.
func driverBeside(program string, folders []string) (string, error) {
	i := strings.LastIndexByte(program, '\\')
	path := program[:i+1] + driverFile
	for _, folder := range folders {
		folder = strings.TrimRight(folder, `\`) + `\`
		inside := len(path) > len(folder) && strings.EqualFold(path[:len(folder)], folder)
		if folder != `\` && inside && !strings.Contains(path, `\..\`) {
			return path, nil
		}
	}
	return "", &DriverError{Problem: DriverMisplaced, Path: path}
}

// judgeSigner judges what Windows says of the library's signature, and who signed it.
func judgeSigner(path string, trust error, signer string) error {
	switch {
	case trust != nil:
		return &DriverError{Problem: DriverUnsigned, Path: path, Cause: trust}
	case signer != driverSigner:
		return &DriverError{Problem: DriverForeign, Path: path, Signer: signer}
	}
	return nil
}
