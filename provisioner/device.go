package provisioner

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Key is a WireGuard public key (Curve25519, RFC 7748).
type Key [32]byte

// String is the base64 form that WireGuard's own tools print.
func (k Key) String() string { return base64.StdEncoding.EncodeToString(k[:]) }

// IsZero reports whether the key is absent.
func (k Key) IsZero() bool { return k == Key{} }

// Fingerprint is a key for people to compare: the first 80 bits of its SHA-256. A
// laptop's agent shows the same. To find another key with it within the quarter of
// an hour that there is takes 2^80 tries.
func (k Key) Fingerprint() string {
	sum := sha256.Sum256(k[:])
	return fmt.Sprintf("%x %x %x %x %x", sum[0:2], sum[2:4], sum[4:6], sum[6:8], sum[8:10])
}

// ParseKey reads a public key of exactly 32 bytes that is not all zero.
func ParseKey(b []byte) (Key, error) {
	var k Key
	if len(b) != len(k) {
		return k, errors.New("a WireGuard key has 32 bytes")
	}
	copy(k[:], b)
	if k.IsZero() {
		return k, errors.New("the WireGuard key is all zero")
	}
	return k, nil
}

// Person is a member of staff. She is known by directory and stable id, never
// by login or DN: who is deleted and made anew is somebody else.
type Person struct {
	ID          string
	Directory   string
	StableID    string
	Login       string
	DisplayName string
	Mail        string
}

// DeviceState is what a device may do.
type DeviceState string

// A device is active until access rests or ends; revoked is for good.
const (
	DeviceActive    DeviceState = "active"
	DeviceSuspended DeviceState = "suspended"
	DeviceRevoked   DeviceState = "revoked"
)

// Device is one person's account on one laptop.
type Device struct {
	ID           string
	Tenant       string
	Person       string
	Generation   int64 // rises when the keys are replaced; certificates name it
	Name         string
	SerialNumber string // empty: could not be read
	SerialBy     SerialBy
	Platform     string
	PublicKey    Key
	AgentVersion string

	// SuspendedBy says who took access, each with a reason: what the directory
	// took comes back with the directory, what the helpdesk took does not.
	SuspendedBy []Suspension
	RevokedAt   time.Time // zero: not revoked
	RevokedWhy  string

	EnrolledAt          time.Time
	CertificateNotAfter time.Time
	// SignedInAt is when its person last proved who she is: at the enrolment, or by signing in again. Zero: before
	// this was written down.
	SignedInAt time.Time

	// StaticUntil is when a static peer ends: a phone or a branch router without an
	// agent, whose file was made once. Zero: the device has an agent.
	StaticUntil time.Time

	// Conditions are what it answered last of those that its tenant asked for then.
	Conditions []ConditionState
}

// Static reports whether the device is a static peer.
func (d Device) Static() bool { return !d.StaticUntil.IsZero() }

// StaticLongest is how long a static peer may live before somebody has to look
// again: nobody signs in on it, and its key lies in a file.
const StaticLongest = 366 * 24 * time.Hour

// SerialBy is who vouches for a device's serial number. Empty: nobody, any program can say
// any. Of the devices on one laptop only those are one open at a time of which somebody
// does: or whoever knows a colleague's serial number could end his sessions.
type SerialBy string

// Who vouches.
const (
	SerialByInvitation SerialBy = "invitation" // was for that laptop
	SerialByHelpdesk   SerialBy = "helpdesk"   // has approved the device
)

// Suspension is one reason why access rests.
type Suspension struct {
	Source SuspensionSource
	Reason string
	Since  time.Time
	EndsAt time.Time // when access comes back by itself; zero: never
}

// SuspensionSource is who took access.
type SuspensionSource string

// Who can suspend.
const (
	SuspendedByHelpdesk  SuspensionSource = "helpdesk"
	SuspendedByDirectory SuspensionSource = "directory"
	// SuspendedByApproval is no "no": a new device waits for the helpdesk's word (Policy.Approval).
	SuspendedByApproval SuspensionSource = "approval"
	SuspendedByEndDate  SuspensionSource = "end date" // of an external person

	// SuspendedWithTenant and SuspendedWithPerson are the helpdesk's word on all devices of a tenant or a person, those
	// to come included. Each suspension of many is a source of its own, and gives back only what it took: what was
	// suspended singly before rests on. They begin as SuspendedByHelpdesk does.
	SuspendedWithTenant = SuspendedByHelpdesk + " tenant"
	SuspendedWithPerson = SuspendedByHelpdesk + " person"
)

// ByHelpdesk reports whether people took it, singly or with others.
func (s SuspensionSource) ByHelpdesk() bool {
	return s == SuspendedByHelpdesk || strings.HasPrefix(string(s), string(SuspendedByHelpdesk)+" ")
}

// approvalAskAgain is how often a laptop asks whether it has been approved.
const approvalAskAgain = 30 * time.Second

// Awaits reports whether the helpdesk's word on a new device is missing.
func (d Device) Awaits() bool {
	return d.RestsWith(SuspendedByApproval)
}

// RestsWith reports whether a source has taken its access.
func (d Device) RestsWith(source SuspensionSource) bool {
	return slices.ContainsFunc(d.SuspendedBy, func(s Suspension) bool { return s.Source == source })
}

// AwaitsApproval reports whether nothing else is missing.
func (d Device) AwaitsApproval() bool {
	return d.State() == DeviceSuspended && len(d.SuspendedBy) == 1 && d.Awaits()
}

// State follows from the device's revocation and suspensions.
func (d Device) State() DeviceState {
	switch {
	case !d.RevokedAt.IsZero():
		return DeviceRevoked
	case len(d.SuspendedBy) > 0:
		return DeviceSuspended
	default:
		return DeviceActive
	}
}

// MayUse decides whether a device that shows a certificate of generation may
// go on: nil, or the refusal that says why not.
func (d Device) MayUse(generation int64) *Refusal {
	switch {
	case d.State() == DeviceRevoked:
		return Refuse(CodeDeviceRevoked)
	case d.Generation != generation:
		return Refuse(CodeDeviceReplaced)
	case d.AwaitsApproval():
		return Refuse(CodeApprovalAwaited).After(approvalAskAgain)
	case d.State() == DeviceSuspended && len(d.SuspendedBy) == 1 && d.SuspendedBy[0].Source == SuspendedByEndDate:
		return Refuse(CodeExternalEnded)
	case d.RestsWith(SuspendedWithTenant):
		return Refuse(CodeTenantSuspended)
	case d.State() == DeviceSuspended:
		return Refuse(CodeDeviceSuspended)
	default:
		return nil
	}
}
