package directory

import (
	"errors"
	"strings"
)

// Cause says why there is no proven password or no person. Its text is stable.
type Cause string

// Faults: the directory did not answer, so nothing is known.
const (
	// Unavailable: network, timeout, server busy or shutting down. It may pass by itself.
	Unavailable Cause = "unavailable"
	// Misconfigured: an administrator must act. TLS trust, service account, base, size limit, access rules.
	Misconfigured Cause = "misconfigured"
)

// Answers about a sign-in. In none of them the password is proven.
const (
	UnknownLogin    Cause = "unknown-login"
	AmbiguousLogin  Cause = "ambiguous-login" // the login belongs to more than one entry
	WrongPassword   Cause = "wrong-password"
	EmptyPassword   Cause = "empty-password"    // the directory was not asked
	PasswordTooLong Cause = "password-too-long" // the directory was not asked
	Locked          Cause = "locked"            // refused whatever the password
	Disabled        Cause = "disabled"          // refused whatever the password
	NotPermitted    Cause = "not-permitted"     // hours or workstations the directory allows for this account
)

// Gone is an answer of Lookup: the directory was readable, and this stable id is not below the base.
const Gone Cause = "gone"

// Error is why a call to a directory failed. Neither it nor what it wraps contains a password or an unknown login.
type Error struct {
	Cause     Cause
	Directory string // the name of the directory
	Detail    string // what was found, for the log and the helpdesk
	Advice    string // what an administrator must do; empty: nothing
	Err       error  // what lies beneath; may be nil
}

// Error names the directory, what was found, and what is to be done.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("directory")
	if e.Directory != "" {
		b.WriteString(" " + e.Directory)
	}
	b.WriteString(": ")
	switch {
	case e.Detail != "":
		b.WriteString(e.Detail)
	default:
		b.WriteString(string(e.Cause))
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.Advice != "" {
		b.WriteString("; " + e.Advice)
	}
	return b.String()
}

// Unwrap returns what lies beneath.
func (e *Error) Unwrap() error { return e.Err }

// Fault reports whether the directory gave no answer at all: then nothing is known and nothing may be concluded.
func (e *Error) Fault() bool { return e.Cause == Unavailable || e.Cause == Misconfigured }

// CauseOf returns the cause of an error of this package, Unavailable for any other error, and "" for nil.
func CauseOf(err error) Cause {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Cause
	}
	return Unavailable
}
