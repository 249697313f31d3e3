// Package provisioner is the domain of Heimdraht's control plane: what a
// tenant, person, device, gateway, session and licence pool are, who may do
// what, and which answers are a refusal.
//
// What always holds here:
//   - No input or output: nothing in this package blocks, reads a clock or a
//     file, or knows of gRPC, SQL or LDAP. Time is always passed in.
//   - Allow alone decides who may do what. It is pure.
//   - A Refusal is a "no" upon which a person can act; every other error is a
//     fault upon which the operator must act.
//
// Not its business: how things are stored (store), transported (rpc) or
// decided in sequence (enrolment, session, signin, tenancy, helpdesk).
package provisioner
