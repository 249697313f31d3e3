package provisioner

import "time"

// How long an invitation waits for its laptop.
const (
	InvitationLife    = 14 * 24 * time.Hour
	InvitationLongest = 90 * 24 * time.Hour
)

// Invitation lets one person enrol one laptop without her password. Its token is
// known to whom it was given, and is not kept.
type Invitation struct {
	ID           string
	Tenant       string
	Person       string
	SerialNumber string // of the laptop; empty: any
	DeviceName   string // what the laptop is to be called; empty: as it calls itself

	InvitedBy string // the name of who did, for people to read
	CreatedAt time.Time
	ExpiresAt time.Time
	EndedAt   time.Time     // when it was used, withdrawn or replaced; zero: not yet
	Ended     InvitationEnd // how; empty: it has not
	Device    string        // the one that was enrolled with it
	// HandedOver is the device whose laptop goes to the person by it; empty: none.
	HandedOver string
}

// InvitationEnd is how an invitation has ended, as a stable code.
type InvitationEnd string

// The ends.
const (
	InvitationUsed      InvitationEnd = "used"
	InvitationWithdrawn InvitationEnd = "withdrawn"
	InvitationReplaced  InvitationEnd = "replaced" // by a newer one for the same person and laptop
	InvitationExpired   InvitationEnd = "expired"
)

// Over is how an invitation has ended by now; empty: it is open.
func (i Invitation) Over(now time.Time) InvitationEnd {
	if i.Ended == "" && !now.Before(i.ExpiresAt) {
		return InvitationExpired
	}
	return i.Ended
}

// Admits decides whether a laptop may be enrolled with the invitation: nil, or
// the refusal that says why not. serial is in the form in which devices have it.
func (i Invitation) Admits(serial string, now time.Time) *Refusal {
	if over := i.Over(now); over != "" {
		german, english := "wurde schon benutzt", "has been used already"
		switch over {
		case InvitationWithdrawn:
			german, english = "wurde zurückgezogen", "has been withdrawn"
		case InvitationReplaced:
			german, english = "wurde durch eine neuere ersetzt", "was replaced by a newer one"
		case InvitationExpired:
			german, english = "ist abgelaufen", "has expired"
		}
		return Refuse(CodeInvitationOver).With("why", german, english)
	}
	if i.SerialNumber != "" && i.SerialNumber != serial {
		return Refuse(CodeInvitationLaptop)
	}
	return nil
}
