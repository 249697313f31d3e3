// Package ca issues and judges the certificates of an installation: one
// authority of its own, short-lived client certificates for devices and
// gateways, and the control plane's server certificate.
//
// What always holds here:
//   - A client certificate says who its holder is by one URI, which the
//     authority chose; whatever names a request contains are ignored. It cannot
//     be used as a server's, nor a server's as a client's: a laptop can never
//     play the control plane.
//   - No certificate outlives its authority. All are backdated by an hour, so
//     that a laptop whose clock is somewhat slow can use them at once.
//   - Ed25519 (RFC 8410) throughout.
//   - Nothing here reads a clock.
//
// The URIs follow the SPIFFE ID standard (section 2.1): a trust domain
// corresponds to the trust root of a system, so each installation, which has a
// trust root of its own, is one, named by its instance id; that id is random,
// so that no two installations share one (they are self-registered). Its
// authority carries the trust domain without a path (section 3.1):
//
//	spiffe://INSTANCE/tenant/TENANT/device/ID/generation/N
//	spiffe://INSTANCE/gateway/NAME/generation/N
//	spiffe://INSTANCE
//
// The X.509-SVID standard (section 4.4) wants both client and server usage in a
// certificate. We keep them apart, and gain more from that than from tools that
// expect both.
//
// Not its business: whether a device may go on (that is looked up by device and
// generation), where keys are kept (keyring, store), and how agents verify the
// server (agent/control).
package ca
