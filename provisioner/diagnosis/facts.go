package diagnosis

import (
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/seat"
)

// Facts are all that is known when somebody asks.
type Facts struct {
	Now time.Time

	Tenant    provisioner.Tenant
	Directory Directory
	// TenantRests is why the access of the whole tenant rests; nil: it does not.
	TenantRests *provisioner.Suspension
	// Standing is what the directory last said of her; nil: nothing yet.
	Standing *provisioner.Standing

	// RulesUnread: she has not acknowledged the tenant's present house rules.
	RulesUnread bool

	// Device is the laptop in question; nil: she has none.
	Device *provisioner.Device
	// OfDevice: it is this laptop that was asked about, and nobody's other one.
	OfDevice bool
	// Session is the one that is open; nil: none is.
	Session *provisioner.Session
	// Closed are the device's last closed sessions, the latest first.
	Closed []provisioner.Session
	// Refusals are her last ones, the latest first.
	Refusals []Refusal

	// Pools from which the tenant may take seats.
	Pools []seat.Offer
	// Waits: the device is connected and waits for a seat.
	Waits bool
	// Rests: its place waits for the end of a crisis that is closed to her.
	Rests bool
	// Position is where it stands among those who wait, from 1; zero: a seat is held for it.
	Position int64
	// Gateways that serve the tenant, and the one of the session.
	Gateways []Gateway
	// Version is the control plane's.
	Version string

	// Own: she asks herself, at her laptop. She is not told what the helpdesk has
	// written down, how many others are connected, nor why a sign-in failed: who has
	// her laptop and guesses her password learns nothing from it.
	Own bool
}

// Directory is how the tenant's directory is followed.
type Directory struct {
	Name string
	// Live: what is kept is what it says now.
	Live bool
	// HeardAt is when it was last heard. Zero: never.
	HeardAt time.Time
	// StaffGroupMissing: the group whose members may connect cannot be read.
	StaffGroupMissing bool
}

// Refusal is a refusal of the past.
type Refusal struct {
	At   time.Time
	Code provisioner.Code
	// Cause is why a sign-in failed, as it was kept; else empty.
	Cause string
	// Device was refused; empty: she was, signing in or enrolling.
	Device string
}

// Gateway is a gateway with what it last said.
type Gateway struct {
	provisioner.Gateway
	Reachable bool
	ContactAt time.Time
	// Revision is up to where it has confirmed what it was told, in the present
	// epoch.
	Revision int64
}

// online reports whether a handshake is fresh.
func (f Facts) online() bool { return f.Session != nil && f.Session.Online(f.Now) }

// static reports whether the device has no agent, which would say anything itself.
func (f Facts) static() bool { return f.Device != nil && f.Device.Static() }

// handshake is the last one that gateway or laptop saw. Zero: none.
func (f Facts) handshake() time.Time {
	if f.Session == nil {
		return time.Time{}
	}
	if r := f.Session.Reported.LastHandshake; r.After(f.Session.LastHandshake) {
		return r
	}
	return f.Session.LastHandshake
}

// gateway is that of the open session.
func (f Facts) gateway() (Gateway, bool) {
	for _, g := range f.Gateways {
		if f.Session != nil && g.Name == f.Session.Gateway {
			return g, true
		}
	}
	return Gateway{}, false
}

// worked is when something last succeeded that a refusal can be older than: an
// enrolment or an opening.
func (f Facts) worked() (at time.Time) {
	if f.Device != nil {
		at = f.Device.EnrolledAt
		if f.Device.SignedInAt.After(at) {
			at = f.Device.SignedInAt
		}
	}
	if f.Session != nil && f.Session.OpenedAt.After(at) {
		at = f.Session.OpenedAt
	}
	for _, s := range f.Closed {
		if s.OpenedAt.After(at) {
			at = s.OpenedAt
		}
	}
	return at
}

// How long a refusal counts if nothing has succeeded since; and how long beside
// a connection that stands, which may be another laptop's.
const (
	lately  = 24 * time.Hour
	justNow = 30 * time.Minute
)

// refused is her last refusal that still counts, of signing in and enrolling.
func (f Facts) refused() (Refusal, bool) {
	for _, r := range f.Refusals {
		if r.Device != "" {
			continue
		}
		since := f.Now.Sub(r.At)
		switch {
		case since > lately, !r.At.After(f.worked()):
			return Refusal{}, false
		case f.Session != nil && (f.OfDevice || since > justNow):
			return Refusal{}, false
		}
		return r, true
	}
	return Refusal{}, false
}

// turnedAway is the last refusal of the device that still counts.
func (f Facts) turnedAway() (Refusal, bool) {
	if f.Device == nil || f.Session != nil {
		return Refusal{}, false
	}
	for _, r := range f.Refusals {
		if r.Device != f.Device.ID {
			continue
		}
		return r, f.Now.Sub(r.At) <= lately && r.At.After(f.worked())
	}
	return Refusal{}, false
}
