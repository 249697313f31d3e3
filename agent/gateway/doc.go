// Package gateway keeps the peers of one WireGuard interface exactly as the
// control plane says. It joins with a one-time token, holds the one stream,
// installs what it is told, acknowledges what is installed and on disk,
// reports what the device counted, and lives through lag, its own restart and
// the control plane's absence. Several gateways can run in one process.
//
// What always holds:
//
//   - A peer is installed only while a session of the last known state names
//     it, its not_after has not passed, and contact was not lost for longer
//     than the grace time, which lies on disk.
//   - A removal is done before anything that waits, and is on disk before it
//     is acknowledged. A removed session does not return with an older
//     message: its id stays as a tombstone until the revision has passed it.
//   - Nothing is acknowledged that is not both installed and on disk.
//   - What waits is bounded by the number of peers: the receiver only notes
//     which keys to look at again, and a slow device is brought to the newest
//     state, never through all the states in between.
//   - What the control plane sends is checked. A peer that cannot be installed
//     is left out and logged; a message that makes no sense ends the stream
//     and changes nothing.
//
// In the source, wire.go reads messages, wanted.go is the state they lead to
// (pure), pending.go what the device lacks of it, journal.go and keep.go its
// copy on disk, open.go, install.go and observe.go the one goroutine that
// touches the device, and stream.go the connection.
//
// Who may have a session, and when it ends, is not its business.
package gateway
