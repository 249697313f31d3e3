package provisioner

import "time"

// Holder is whom a client certificate names.
type Holder struct {
	Role       Role   // RoleDevice or RoleGateway
	Tenant     string // of a device; empty for a gateway
	ID         string // device id or gateway name
	Generation int64
}

// Certificate is a client certificate with what its holder needs to go on.
type Certificate struct {
	Leaf        []byte   // DER
	Authorities [][]byte // DER of every CA that may have signed the control plane's certificate
	NotAfter    time.Time
	RenewAt     time.Time // when to ask for the next one
}
