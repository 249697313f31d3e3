package wireguard

import (
	"net/netip"
	"time"
)

// Difference is what one peer did between two dumps.
type Difference struct {
	PublicKey Key
	// Rx and Tx are the bytes received and sent in between, handshakes and keepalives included.
	Rx, Tx uint64
	// LastHandshake and Endpoint are the newest ones known. Zero: none since the peer was added.
	LastHandshake time.Time
	Endpoint      netip.AddrPort
}

// Observer turns successive dumps of one device into differences. The zero value has seen nothing. It is
// not safe for concurrent use.
type Observer struct {
	last map[Key]reading
}

// reading is what the last dump said of one peer.
type reading struct {
	rx, tx    uint64
	handshake time.Time
	endpoint  netip.AddrPort
}

// Observe returns what changed since the dumps before, in the dump's order; nothing for peers in which
// nothing changed. A peer never seen counts from zero. A counter that fell was reset, because the peer was
// removed and added again in between: both counters then count from zero.
//
// A peer that is missing from the dump is remembered all the same: the kernel's dumps can come back short,
// and if the peer were forgotten, its next reading would count everything a second time. Forget it when it
// was removed.
func (o *Observer) Observe(dump []PeerStatus) []Difference {
	if o.last == nil {
		o.last = make(map[Key]reading, len(dump))
	}
	var out []Difference
	for _, peer := range dump {
		now := reading{rx: peer.Rx, tx: peer.Tx, handshake: peer.LastHandshake, endpoint: peer.Endpoint}
		before := o.last[peer.PublicKey]
		if now == before {
			continue
		}
		o.last[peer.PublicKey] = now
		if now.rx < before.rx || now.tx < before.tx {
			before.rx, before.tx = 0, 0
		}
		out = append(out, Difference{
			PublicKey: peer.PublicKey, Rx: now.rx - before.rx, Tx: now.tx - before.tx,
			LastHandshake: now.handshake, Endpoint: now.endpoint,
		})
	}
	return out
}

// Prime takes a dump as already counted, for a device that was there before this process.
func (o *Observer) Prime(dump []PeerStatus) { o.Observe(dump) }

// Forget drops the peer, which was removed from the device: should it return, it counts from zero. To lose
// no byte, observe a dump before the removal.
func (o *Observer) Forget(key Key) { delete(o.last, key) }
