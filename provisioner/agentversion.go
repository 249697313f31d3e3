package provisioner

import (
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// MinimumAgent is the oldest version of the laptop's agent that a tenant still wants to see. The zero value wants none.
type MinimumAgent struct {
	Version string    // v1.4.0
	From    time.Time `json:",omitzero"` // until then older ones are only told; zero: they are refused at once
}

// ParseAgentVersion reads a release that somebody has typed, with or without its v: three numbers.
func ParseAgentVersion(typed string) (version string, ok bool) {
	version = "v" + strings.TrimPrefix(strings.TrimSpace(typed), "v")
	return version, semver.IsValid(version) && semver.Canonical(version) == version && semver.Prerelease(version) == ""
}

// Outdated says whether a version is older than the minimum. What is no version (a program that somebody has built by hand) cannot be
// compared, and counts as new: agents say theirs themselves, so this keeps nobody out who means harm.
func (m MinimumAgent) Outdated(version string) bool {
	return m.Version != "" && semver.IsValid(version) && semver.Compare(version, m.Version) < 0
}

// Refuse refuses a version that is outdated when it does not count any more. Nil: it may go on.
func (m MinimumAgent) Refuse(version string, now time.Time) *Refusal {
	if !m.Outdated(version) || now.Before(m.From) {
		return nil
	}
	return Refuse(CodeAgentTooOld, "version", version, "minimum", m.Version)
}
