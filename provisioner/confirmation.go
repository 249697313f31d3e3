package provisioner

import "time"

// Confirmation says whether one gateway has removed what was taken.
type Confirmation struct {
	Gateway   string
	Confirmed bool
	After     time.Duration // from the durable change to the acknowledgement
	// When a gateway that has not confirmed drops the peer by itself, at the
	// latest; zero for one that has.
	GraceUntil time.Time
}
