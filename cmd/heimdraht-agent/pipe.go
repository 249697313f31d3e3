package main

import "strings"

const (
	// pipeRights are those of a user on the daemon's pipe: reading, writing, attributes. GENERIC_WRITE would be one too
	// many, the right to make another pipe of the same name, behind which people's passwords could be waited for.
	pipeRights = "0x12019b"
	// pipePrefix is that of all pipes of this machine.
	pipePrefix = `\\.\pipe\`
)

// pipeDescriptor is who may do what with the daemon's pipe, in the language of Windows' security descriptors (SDDL): the
// system and administrators all, and who sits at the laptop may talk; whether she is listened to, the door decides. A
// daemon of a person's own is hers.
func pipeDescriptor(self peer) string {
	if !self.admin {
		return "O:" + string(self.account) + "D:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;GA;;;" + string(self.account) + ")"
	}
	return "O:BAD:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;" + pipeRights + ";;;IU)"
}

// isPipe says whether a path can be one of a pipe of this machine.
func isPipe(path string) bool {
	return len(path) > len(pipePrefix) && strings.EqualFold(path[:len(pipePrefix)], pipePrefix)
}

// pipeOwner is who made a pipe, by its owner: only the system and administrators can give one to either of them.
func pipeOwner(owner account) peer {
	const localSystem, administrators account = "S-1-5-18", "S-1-5-32-544"
	return peer{account: owner, admin: owner == localSystem || owner == administrators}
}
