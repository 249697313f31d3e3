package provisioner

import (
	"net/netip"
	"time"
)

// Limits of time and number that hold unless configured otherwise.
const (
	Lease           = 5 * time.Minute
	RenewEvery      = time.Minute // with 20 % jitter
	GatewayGrace    = 12 * time.Hour
	OnlineWithin    = 180 * time.Second // WireGuard's REJECT_AFTER_TIME
	UnrenewedLimit  = 8 * time.Hour     // closed regardless
	StandingGoodFor = 4 * time.Hour     // openings while the directory is down
	OpeningWait     = 2 * time.Second   // for the gateway to install the peer
	TunnelMTU       = 1420
	Keepalive       = 25 * time.Second
)

// Session is the authorised presence of one device on one gateway.
type Session struct {
	ID           string
	Device       string
	Tenant       string
	Person       string
	Gateway      string
	Pool         string        // the licence pool whose seat it holds
	Class        PriorityClass // out of whose reserve it is; ordinary: none
	AddressIndex int64         // within the gateway's aggregate
	KeyVersion   int64         // of the session-key root its preshared key comes from
	PublicKey    Key
	Stream       string // the laptop's stream that holds it; of two the newer wins
	Revision     int64  // at which the gateway was told to install it
	// KeyOf is what the preshared key of a static peer is derived from: its file
	// outlives the session. Empty: a laptop's, whose key comes from the id.
	KeyOf string

	OpenedAt   time.Time
	LeaseUntil time.Time
	EndsAt     time.Time // whatever else happens; zero: never
	RenewedAt  time.Time

	// What the gateway last saw; zero: nothing yet.
	ObservedAt    time.Time
	LastHandshake time.Time
	ReceivedBytes uint64
	SentBytes     uint64

	// Reported is what the laptop says for itself.
	Reported Usage

	Ending Ending // by policy

	Traffic Traffic   // as far as it tells whether somebody works
	IdleAt  time.Time // when it ends because nobody does, of which its laptop is told; zero: nobody said so
	// Recall is after which time without activity it ends because its seat is called back
	// for the tenant to which it is guaranteed. Zero: it is not.
	Recall time.Duration
	LookAt time.Time // when somebody has to look whether it goes on; zero: never

	// LeftAt is since when its device has the next session, on another gateway. While this
	// one is still open it is leaving: it holds no seat, its lease is not renewed, and
	// it never outlives the other one. Zero: its device has none beside it.
	LeftAt time.Time

	ClosedAt       time.Time // zero: open
	ClosedWhy      Code
	ClosedRevision int64
}

// Usage is what a laptop reports of a session: what its interface moved since
// the session opened. It is the laptop's word, and decides nothing that the
// gateway can be asked about.
type Usage struct {
	ReceivedBytes uint64
	SentBytes     uint64
	LastHandshake time.Time // zero: none yet
	Clock         time.Time // what its clock showed; zero: it did not say
}

// Static reports whether the session is a static peer's. It has no lease: nobody
// renews it, and it ends with its device.
func (s Session) Static() bool { return s.KeyOf != "" }

// Leaving reports whether the session is open beside the present one of its device.
func (s Session) Leaving() bool { return !s.LeftAt.IsZero() && s.ClosedAt.IsZero() }

// NotAfter is when its gateway drops it without being told; zero: never.
func (s Session) NotAfter() time.Time {
	if s.Leaving() && (s.EndsAt.IsZero() || s.LeaseUntil.Before(s.EndsAt)) {
		return s.LeaseUntil
	}
	return s.EndsAt
}

// Over reports whether the session's own end has come.
func (s Session) Over(now time.Time) bool { return !s.EndsAt.IsZero() && !now.Before(s.EndsAt) }

// Online reports whether a handshake at most 180 s old was seen, by the gateway
// or by the laptop.
func (s Session) Online(now time.Time) bool {
	fresh := func(t time.Time) bool { return !t.IsZero() && now.Sub(t) <= OnlineWithin }
	return s.ClosedAt.IsZero() && (fresh(s.LastHandshake) || fresh(s.Reported.LastHandshake))
}

// ExpiryEvidence is what is known when a lease has run out.
type ExpiryEvidence struct {
	Now              time.Time
	ServingSince     time.Time // when this control plane last resumed serving
	ClockSet         time.Time // when its clock was last set, so that no earlier time can be compared with Now; zero: never
	GatewayConnected bool
}

// Expired decides whether a session ends by itself. Silence is no evidence: a
// lease must have run out, counted from when serving resumed, and where the
// gateway can be asked, an observation newer than the lease's end must show
// that no handshake happened for 180 s.
func (s Session) Expired(e ExpiryEvidence) bool {
	if s.Static() {
		return false
	}
	if s.Leaving() {
		return !e.Now.Before(s.LeaseUntil) // what its person works in is the other one
	}
	if s.Over(e.Now) {
		return true
	}
	if e.Now.Sub(s.RenewedAt) >= UnrenewedLimit && e.Now.Sub(e.ServingSince) >= Lease {
		return true
	}
	end := s.LeaseUntil
	if resumed := e.ServingSince.Add(Lease); resumed.After(end) {
		end = resumed
	}
	if e.Now.Before(end) {
		return false
	}
	if !e.GatewayConnected {
		return true // the lease alone
	}
	return s.ObservedAt.After(end) && s.ObservedAt.Sub(s.LastHandshake) > OnlineWithin
}

// WhyClosed is what a laptop is told of its closed session. After some ends it
// may open the next one by itself: nobody wanted them to be disconnected.
func (s Session) WhyClosed() *Refusal {
	r := Refuse(s.ClosedWhy)
	switch s.ClosedWhy {
	case CodeSessionExpired, CodeGatewayMoved, CodeGatewayNotReady, CodeGatewayDraining, CodeGatewayMaintenance, CodeGatewayLost, CodeAccessChanged, CodeSessionAged:
		return r.After(time.Second)
	case CodeOutsideHours: // it asks when that is, and is told
		return r.With("when", "wieder, sobald Ihre Zeit beginnt", "again when your time begins").After(10 * time.Second)
	default:
		return r
	}
}

// KeepsSeat reports whether the seat of a session that ends so is held for its laptop,
// which works and opens the next one at once.
func KeepsSeat(why Code) bool {
	switch why {
	case CodeGatewayMoved, CodeGatewayNotReady, CodeGatewayDraining, CodeGatewayMaintenance, CodeGatewayLost, CodeAccessChanged, CodeSessionAged:
		return true
	default:
		return false
	}
}

// Gateway is one server that ends tunnels.
type Gateway struct {
	Name        string
	Endpoint    string // host and UDP port
	Sessions    int64  // at most
	AggregateV4 netip.Prefix
	AggregateV6 netip.Prefix
	Tenants     []string
	Masquerade  bool
	Weight      int64  // of what is free in the fleet it gets so much more than others
	Site        string // where it stands; empty: nowhere in particular
	Throughput  int64  // at most, in bits a second in both directions together; zero: whatever it can
	// WarnAt is from which percent of its sessions and of its addresses on somebody is to be warned, rising. Empty:
	// DefaultWarnings.
	WarnAt []int64

	Drain       Drain
	Maintenance Maintenance

	PublicKey           Key   // zero: has not joined
	Generation          int64 // rises with each join; certificates name it
	JoinedAt            time.Time
	CertificateNotAfter time.Time
	AgentVersion        string
	Open                int64 // sessions open now
}

// Thresholds are those of the gateway, or DefaultWarnings.
func (g Gateway) Thresholds() []int64 {
	if len(g.WarnAt) == 0 {
		return DefaultWarnings()
	}
	return g.WarnAt
}

// Change tells streams what moved. Its revision is its place in commit order.
type Change struct {
	Revision int64
	Kind     ChangeKind
	Tenant   string
	Gateway  string
	Device   string
	Session  string
}

// ChangeKind says what a Change is about.
type ChangeKind string

// What can change for a gateway, a connected laptop or a certificate.
const (
	ChangeOpened  ChangeKind = "opened"  // a session: install its peer
	ChangeClosed  ChangeKind = "closed"  // a session: remove its peer
	ChangeDevice  ChangeKind = "device"  // state or generation of a device
	ChangeGateway ChangeKind = "gateway" // declaration or keys of a gateway
	ChangeKeys    ChangeKind = "keys"    // keys of the control plane
	ChangeQueue   ChangeKind = "queue"   // the place of a laptop that waits for a seat
	// Somebody was forgotten in a tenant: her id stands in Device.
	ChangeForgotten ChangeKind = "forgotten"
)
