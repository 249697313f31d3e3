package directory

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Directory is one directory service. Its methods may be called concurrently; each, but for a feed's, ends within the
// configured timeout or when its context does, whichever comes first. Errors are of type *Error, but for those of
// Query.Found.
type Directory interface {
	// SignIn finds the one person whose login it is and has the directory prove the password.
	//
	// A nil error means the password is proven, and nothing else: the right may have ended all the same, which
	// Person.Status says, also where the directory refused the bind for it (Active Directory does, telling that
	// the password was right). When a person was found but the password is not proven, she is returned with the
	// error, without groups, so that the cause can be recorded under her stable id.
	//
	// A password that is no proof in the form typed is tried once more in Unicode's NFC, if that differs, so
	// one call may cost two attempts of the directory's own lockout.
	SignIn(ctx context.Context, q Query, password string) (Person, error)

	// Lookup reads a person again by her stable id, below base (empty: the directory's). The cause Gone is a
	// successful answer: the directory was readable and she is not below that base.
	Lookup(ctx context.Context, base, stableID string, groups []string) (Person, error)

	// Find reads the one person whose login or mail address it is, below base (empty: the directory's), without a word
	// of hers. UnknownLogin and AmbiguousLogin are successful answers.
	Find(ctx context.Context, base, login string, groups []string) (Person, error)

	// MissingGroups lists those DNs of groups, as they are asked, that the directory does not have or hides from the
	// service account.
	MissingGroups(ctx context.Context, groups []string) ([]string, error)

	// Feed makes a feed of what is of interest. It remembers what it has told, so it belongs to one observer. Its calls
	// last until they are done, their context ends, or the directory is closed, whatever the timeout.
	Feed(i Interest) Feed

	// Close frees connections. It does not wait for a server, and calls after it fail as Unavailable.
	Close() error
}

// Query says where and as whom somebody signs in.
type Query struct {
	// Base is the DN below which the tenant's people are. Empty: the directory's.
	Base string
	// StaffGroup is the DN of the group whose members may enrol. It is asked like Groups, but that it is
	// missing from the directory fails the call as Misconfigured. Empty: none.
	StaffGroup string
	// Login is what the person typed: outer spaces and capitals do not matter.
	Login string
	// Groups are the DNs of further groups whose membership is asked: roles, networks.
	Groups []string
	// Found, if not nil, is called with the one person whose login it is before her password is tried, so that
	// tries can be counted under her stable id however the login was spelt. Its error ends the sign-in and is
	// returned as it is.
	Found func(Person) error
}

// Person is what a directory says of a member of staff.
type Person struct {
	Directory string // the name of the directory
	// StableID is what stays when a person is renamed or moved: a UUID, or a GUID in hexadecimal; lower case.
	StableID    string
	Login       string // as the directory spells it
	DisplayName string // the login where the directory has none
	Mail        string // may be empty
	DN          string // of this moment; changes with a rename or a move
	Status      Status
	// Groups are the DNs, of those asked and spelt as asked, of which she is a member, directly or through
	// other groups.
	Groups []string
	// MissingGroups are the DNs, of those asked, that the directory does not have or hides from the service
	// account: nothing is known about her being in them, so nothing may be taken away for it.
	MissingGroups []string
}

// In reports whether the person is in the group, which must be one of those asked.
func (p Person) In(group string) bool { return containsDN(p.Groups, group) }

// Missing reports whether the group could not be read, so that not being in it means nothing.
func (p Person) Missing(group string) bool { return containsDN(p.MissingGroups, group) }

func containsDN(list []string, dn string) bool {
	want, err := FoldDN(dn)
	if err != nil {
		return false
	}
	for _, have := range list {
		if folded, err := FoldDN(have); err == nil && folded == want {
			return true
		}
	}
	return false
}

// Status is what the directory says of an account. Its zero value is an account in order.
type Status struct {
	// Ended says why the right has ended; empty: it has not.
	Ended EndReason
	// EndsAt is the account's own date of expiry, past or to come. Zero: it does not expire.
	EndsAt time.Time
	// SignInBlocked: too many wrong passwords. It stops signing in and enrolling and nothing else, or anybody
	// could throw a colleague off the network. Where the directory keeps the mark after the lock has ended
	// (OpenLDAP does until the next sign-in), so does this.
	SignInBlocked bool
	// PasswordExpired: the password was right once and must be renewed.
	PasswordExpired bool
	// PasswordEndsAt is when the password must be renewed, past or to come: that makes no event, so whoever
	// follows a directory judges it on our own clock. Zero: not known.
	PasswordEndsAt time.Time
	// PasswordChangedAt is when it was last set, by whomever. Zero: the directory does not tell, or it is to be changed.
	PasswordChangedAt time.Time
	// MustChangePassword: somebody else set the password, and the person must set her own.
	MustChangePassword bool
}

// EndReason is why a right has ended, as a stable code.
type EndReason string

// What ends a right. A deleted person is the error cause Gone.
const (
	EndDisabled EndReason = "disabled" // switched off
	EndExpired  EndReason = "expired"  // the account's date has passed
	EndLocked   EndReason = "locked"   // locked by an administrator, not by wrong passwords
)

// Finding is one line of a check: what was looked at, whether it is in order, and what was seen.
type Finding struct {
	What   string
	OK     bool
	Code   string // stable; empty where all is well
	Detail string
	Next   string // what to do; empty where all is well
}

// Limits of what people may type. Longer input is refused before a directory is asked: some drop the connection.
const (
	MaxLogin    = 256  // bytes; Active Directory allows 256 characters in a user principal name at most
	MaxPassword = 1024 // bytes; Active Directory allows 256 characters
)

// Typed checks what a person typed, before any directory is asked, and returns the login without its outer
// spaces. The error is an *Error without the directory's name, which the caller sets.
//
// An empty password must never reach a server: a bind with a DN and no password succeeds on some (RFC 4513,
// section 5.1.2).
func Typed(login, password string) (string, *Error) {
	if password == "" {
		return "", &Error{Cause: EmptyPassword, Detail: "the password is empty"}
	}
	if len(password) > MaxPassword {
		return "", &Error{Cause: PasswordTooLong, Detail: "the password is longer than 1024 bytes"}
	}
	return TypedLogin(login)
}

// TypedLogin is Typed for a login alone.
func TypedLogin(login string) (string, *Error) {
	login = strings.TrimSpace(login)
	switch {
	case login == "":
		return "", &Error{Cause: UnknownLogin, Detail: "the login is empty"}
	case len(login) > MaxLogin:
		return "", &Error{Cause: UnknownLogin, Detail: "the login is longer than 256 bytes"}
	case !utf8.ValidString(login) || strings.ContainsFunc(login, unicode.IsControl):
		return "", &Error{Cause: UnknownLogin, Detail: "the login contains characters that no login has"}
	}
	return login, nil
}
