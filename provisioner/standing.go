package provisioner

import "time"

// Standing is what the directory last said of a person in a tenant, and what came of it.
type Standing struct {
	Person string
	Tenant string
	Groups []string // those asked for (Tenant.GroupsAsked) she is in
	Ended  WhyNot   // why the account has ended; empty: it has not
	EndsAt time.Time
	// Password is in what way it is no good; empty: it is good, as far as is known.
	Password       PasswordState
	PasswordEndsAt time.Time // zero: it does not end, or nobody says when
	// PasswordChangedAt is when it was last set. Zero: the directory does not tell.
	PasswordChangedAt time.Time
	ReadAt            time.Time

	// Entitled reports that she had the right when it was last judged.
	Entitled bool
	// LostAt is when she lost it by the directory's word alone: it counts for the brake. Zero: she did not.
	LostAt time.Time
	// Held reports that the directory says that her right has ended, and that the brake holds this back: she keeps
	// what she had until a person has decided.
	Held bool
	// ExternalUntil is until when somebody answers for her as an external person; zero: nobody has to,
	// or nobody does yet (Tenant.NeedsSponsor). It is a person's word, not the directory's.
	ExternalUntil time.Time
}

// PasswordState is in what way a password is no good any more.
type PasswordState string

// The states of a password. The zero value is a good one.
const (
	PasswordHasExpired PasswordState = "expired"
	PasswordMustChange PasswordState = "must-change" // somebody else has set it
)

// WhyNot is why somebody has no right; empty: she has it. The codes are stable.
type WhyNot string

// The reasons.
const (
	WhyDeleted  WhyNot = "deleted"  // no longer in the directory, or no longer where the tenant's people are
	WhyDisabled WhyNot = "disabled" // switched off
	WhyExpired  WhyNot = "expired"  // the account's date has passed
	WhyLocked   WhyNot = "locked"   // by an administrator, not by wrong passwords
	WhyGroup    WhyNot = "group"    // not in the staff group
	WhyPassword WhyNot = "password" // expired or to be changed, and the tenant's policy closes access for it
)

// At is the standing with what time alone has changed by now: dates make no event in any directory.
func (s Standing) At(now time.Time) Standing {
	if s.Ended == "" && !s.EndsAt.IsZero() && !now.Before(s.EndsAt) {
		s.Ended = WhyExpired
	}
	if s.Password == "" && !s.PasswordEndsAt.IsZero() && !now.Before(s.PasswordEndsAt) {
		s.Password = PasswordHasExpired
	}
	return s
}

// WhyNot judges what the directory says, without regard to the brake.
func (t Tenant) WhyNot(s Standing, now time.Time) WhyNot {
	s = s.At(now)
	switch {
	case s.Ended != "":
		return s.Ended
	case !t.IsStaff(s.Groups):
		return WhyGroup
	case s.Password != "" && t.Policy.PasswordExpired == PasswordClose:
		return WhyPassword
	default:
		return ""
	}
}

// Admits decides whether somebody with this standing may enrol and open
// sessions: nil, or the refusal that says why not.
func (t Tenant) Admits(s Standing, now time.Time) *Refusal {
	if refusal := externalEnded(s, now); refusal != nil {
		return refusal
	}
	if s.Held {
		return nil
	}
	switch why := t.WhyNot(s, now); why {
	case "":
		return nil
	case WhyGroup:
		return Refuse(CodeNotInGroup, "group", t.StaffGroup)
	case WhyPassword:
		return Refuse(CodePasswordExpired)
	default:
		return AccessEnded(why)
	}
}

// AccessEnded is the refusal for somebody whose account has ended.
func AccessEnded(why WhyNot) *Refusal {
	german, english := "abgeschaltet", "has been disabled"
	switch why {
	case WhyDeleted:
		german, english = "gelöscht", "has been deleted"
	case WhyExpired:
		german, english = "abgelaufen", "has expired"
	case WhyLocked:
		german, english = "von der Verwaltung gesperrt", "has been locked by an administrator"
	}
	return Refuse(CodeAccessEnded).With("why", german, english)
}

// PasswordOnly reports whether somebody reaches only what it takes to change a password.
func (t Tenant) PasswordOnly(s Standing) bool {
	return s.Password != "" && t.Policy.PasswordExpired == PasswordHostsOnly
}

// Brake is how many people of a tenant may lose their right within BrakeWindow by the directory's word alone, of so many who
// had it. An explicit change of a person's own entry passes more easily than the change of a group or what a full read
// did not find.
func Brake(entitled int, own bool) int {
	const least = 5
	if own {
		return max(least, entitled/10)
	}
	return max(least, entitled/50)
}

// BrakeWindow is the time within which losses count.
const BrakeWindow = 24 * time.Hour

// DismissedFor is how long people are kept who were dismissed from a held list, unless the directory says something
// new of them.
const DismissedFor = 7 * 24 * time.Hour
