package session

import "github.com/heimdraht/heimdraht/provisioner/store"

// DispatchSome is one step of the duty that gives seats to who waits.
func DispatchSome(tx *store.Writer) error { return dispatchSome(tx) }
