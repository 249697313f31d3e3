package provisioner

import "time"

// PeopleAlone is how many people's access one person may take, or give back, alone
// within AloneWithin. More wait for a second person, unless it is an emergency: a slip,
// or somebody with a grudge, is not to empty a town hall, at once or one by one. It is
// more than a helpdesk has to do on a bad day.
const (
	PeopleAlone = 20
	AloneWithin = time.Hour
)

// Confirmation says whether one gateway has removed what was taken.
type Confirmation struct {
	Gateway   string
	Confirmed bool
	After     time.Duration // from the durable change to the acknowledgement
	// When a gateway that has not confirmed drops the peer by itself, at the
	// latest; zero for one that has.
	GraceUntil time.Time
}
