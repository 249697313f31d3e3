package signin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner/diagnosis"
	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// cause is why a sign-in failed, as a stable code for the helpdesk. Those of
// package directory are causes too.
type cause string

// Causes that no directory gives.
const (
	causeUnknownTenant   cause = "unknown-tenant"
	causeLoginThrottled  cause = "too-many-tries"
	causeSourceThrottled cause = "too-many-tries-from-address"
	causeCodeWrong       cause = "wrong-code"
	causeCodeUsed        cause = "code-used-before"
	causeCodeClock       cause = "code-of-another-time"
	causeNoInvitation    cause = "no-such-invitation"
	causeOtherSerial     cause = "invitation-other-serial-number"
	causeNoSerial        cause = "invitation-no-serial-number"
)

// causeInvitation begins the causes of invitations that are over; how they ended
// follows.
const causeInvitation = "invitation-"

// failure is a sign-in without a proven password.
type failure struct {
	cause cause
	err   error // may be nil
	fault bool  // the directory did not answer: no fault of the person's
}

func (f *failure) Error() string {
	if f.err == nil {
		return string(f.cause)
	}
	return fmt.Sprintf("%s: %v", f.cause, f.err)
}

func (f *failure) Unwrap() error { return f.err }

// failureOf sorts an error of a directory.
func failureOf(err error) *failure {
	var full *throttled
	if errors.As(err, &full) {
		return &failure{cause: full.count.full}
	}
	c := directory.CauseOf(err)
	return &failure{cause: cause(c), err: err, fault: c == directory.Unavailable || c == directory.Misconfigured}
}

// Told is the cause as it is kept for the helpdesk: the code, and what an
// administrator must know of a fault.
func (f *failure) Told() string {
	if !f.fault {
		return string(f.cause)
	}
	text := []rune(f.Error())
	return string(text[:min(len(text), maxCause)])
}

// maxCause is how many runes of a cause are kept: enough for what happened and
// what to do.
const maxCause = 500

// Cause puts a kept cause into words, in "en", else in German. What is no
// cause of a sign-in is given back as it is.
func Cause(kept, language string) string {
	code, detail, _ := strings.Cut(kept, ": ")
	known, ok := diagnosis.SignIn(code)
	if !ok {
		return kept
	}
	text := strings.TrimSuffix(known.Text(language).Sentence, ".")
	if detail != "" {
		text += " (" + detail + ")"
	}
	return text
}
