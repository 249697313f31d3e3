package directory

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bits of userAccountControl and msDS-User-Account-Control-Computed (MS-ADTS 2.2.16).
const (
	uacDisabled        = 0x2
	uacLockedOut       = 0x10
	uacPasswordForever = 0x10000
	uacPasswordExpired = 0x800000
)

// judgeActiveDirectory does not look at lockoutTime, which stays set after the lock has ended until the next
// logon; the computed bit does not. The computed attribute in turn leaves out "disabled".
func judgeActiveDirectory(a Attributes, now time.Time) Status {
	var s Status
	control, computed := number(a, "useraccountcontrol"), number(a, "msds-user-account-control-computed")
	s.EndsAt = filetime(number(a, "accountexpires"))
	s.SignInBlocked = computed&uacLockedOut != 0
	if a.First("pwdlastset") == "0" && control&uacPasswordForever == 0 {
		s.MustChangePassword = true // the password counts as expired as well, but that is not the reason
	} else {
		s.PasswordExpired = computed&uacPasswordExpired != 0
		if set := filetime(number(a, "pwdlastset")); set.Unix() > 0 { // before 1970 nobody set any
			s.PasswordChangedAt = set
		}
		s.PasswordEndsAt = filetime(number(a, "msds-userpasswordexpirytimecomputed"))
	}
	if control&uacDisabled != 0 {
		s.Ended = EndDisabled
	}
	return s.expire(now)
}

// lockedForGood is the value of pwdAccountLockedTime by which an administrator locks an account; a lock from
// wrong passwords has the time at which it began (draft-behera-ldap-password-policy-10, section 5.3.3).
const lockedForGood = "000001010000Z"

func judgeOpenLDAP(a Attributes, now time.Time) Status {
	s := Status{MustChangePassword: truth(a, "pwdreset"), EndsAt: shadowDay(a), PasswordChangedAt: generalized(a, "pwdchangedtime")}
	switch locked := a.First("pwdaccountlockedtime"); locked {
	case "":
	case lockedForGood:
		s.Ended = EndLocked
	default:
		s.SignInBlocked = true
	}
	return s.expire(now)
}

func judgeDirectoryServer(a Attributes, now time.Time) Status {
	s := Status{EndsAt: generalized(a, "krbprincipalexpiration"), PasswordChangedAt: generalized(a, "krblastpwdchange")}
	if s.PasswordChangedAt.IsZero() {
		s.PasswordChangedAt = generalized(a, "pwdupdatetime")
	}
	if truth(a, "nsaccountlock") {
		s.Ended = EndDisabled
	}
	if t := generalized(a, "accountunlocktime"); !t.IsZero() {
		s.SignInBlocked = t.Unix() == 0 || t.After(now) // the epoch: until an administrator unlocks it
	}
	for _, attr := range []string{"krbpasswordexpiration", "passwordexpirationtime"} {
		switch t := generalized(a, attr); {
		case t.IsZero():
		case t.Unix() == 0: // set when somebody else has set the password
			s.MustChangePassword = true
		default:
			s.passwordEnds(t, now)
		}
	}
	return s.expire(now)
}

func judgeEDirectory(a Attributes, now time.Time) Status {
	s := Status{EndsAt: generalized(a, "loginexpirationtime"), SignInBlocked: truth(a, "lockedbyintruder"), PasswordChangedAt: generalized(a, "pwdchangedtime")}
	if truth(a, "logindisabled") {
		s.Ended = EndDisabled
	}
	if t := generalized(a, "passwordexpirationtime"); !t.IsZero() {
		s.passwordEnds(t, now)
	}
	return s.expire(now)
}

func judgeUnivention(a Attributes, now time.Time) Status {
	s := judgeOpenLDAP(a, now)
	if set := number(a, "sambapwdlastset"); s.PasswordChangedAt.IsZero() && set > 0 {
		s.PasswordChangedAt = time.Unix(set, 0).UTC()
	}
	flags := strings.ToUpper(a.First("sambaacctflags"))
	if strings.Contains(flags, "L") {
		s.SignInBlocked = true
	}
	if s.Ended != EndLocked && strings.Contains(flags, "D") {
		s.Ended = EndDisabled
	}
	return s
}

// expire ends a right whose date has passed. What somebody did on purpose is the better reason and stays.
func (s Status) expire(now time.Time) Status {
	if s.Ended == "" && !s.EndsAt.IsZero() && !now.Before(s.EndsAt) {
		s.Ended = EndExpired
	}
	return s
}

// passwordEnds notes until when a password is good. Of two dates the earlier one counts.
func (s *Status) passwordEnds(at, now time.Time) {
	if s.PasswordEndsAt.IsZero() || at.Before(s.PasswordEndsAt) {
		s.PasswordEndsAt = at
	}
	s.PasswordExpired = s.PasswordExpired || !at.After(now)
}

func truth(a Attributes, name string) bool { return strings.EqualFold(a.First(name), "TRUE") }

// number reads an integer; what is none counts as 0.
func number(a Attributes, name string) int64 {
	n, err := strconv.ParseInt(a.First(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// filetime converts 100-nanosecond ticks since 1601. Zero for 0 and 2^63-1, which both mean never, and for
// whatever lies beyond the year 9999.
func filetime(ticks int64) time.Time {
	const unixEpoch = 11644473600 // seconds from 1601 to 1970
	if ticks <= 0 || ticks == math.MaxInt64 {
		return time.Time{}
	}
	t := time.Unix(ticks/1e7-unixEpoch, ticks%1e7*100).UTC()
	if t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

// shadowDay reads shadowExpire: days since 1970, the account being unusable from that day on; 1 is how
// Univention and others write "since ever", 0 and -1 mean never (shadow(5)).
func shadowDay(a Attributes) time.Time {
	days := number(a, "shadowexpire")
	if days <= 0 || days > 2932896 { // 9999-12-31
		return time.Time{}
	}
	return time.Unix(days*86400, 0).UTC()
}

func generalized(a Attributes, name string) time.Time {
	t, err := parseGeneralized(a.First(name))
	if err != nil {
		return time.Time{}
	}
	return t
}

var errTime = errors.New("not a generalized time")

// parseGeneralized reads a GeneralizedTime (RFC 4517, section 3.3.13), without leap seconds.
func parseGeneralized(s string) (time.Time, error) {
	digits := 0
	for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
		digits++
	}
	const layout = "20060102150405"
	if digits != 10 && digits != 12 && digits != 14 {
		return time.Time{}, errTime
	}
	rest := s[digits:]
	if rest != "" && (rest[0] == '.' || rest[0] == ',') { // a fraction does not matter to a date of expiry
		rest = strings.TrimLeft(rest[1:], "0123456789")
	}
	if len(rest) == 3 { // a zone of full hours
		rest += "00"
	}
	if rest != "Z" && len(rest) != 5 {
		return time.Time{}, errTime
	}
	t, err := time.Parse(layout[:digits]+"Z0700", s[:digits]+rest)
	if err != nil {
		return time.Time{}, errTime
	}
	return t.UTC(), nil
}
