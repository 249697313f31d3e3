// Package survey looks at a declared directory step by step, as the control plane would use it, and says what was found
// and what to do about what is not in order.
//
// What always holds here:
//   - It uses the very code by which the control plane reads and follows directories, so what works here works there.
//   - It changes nothing, and asks for nobody's password but the service account's, which it reads from its file.
//   - A step that fails ends a server's list only if nothing after it could be found out.
//
// Not its business: whether tenants agree with each other (tenancy), and what follows for people (entitlement).
package survey
