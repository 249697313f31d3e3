// Package endpoint is a laptop: it enrols, opens its session with the control plane, installs the tunnel that
// the session authorises, renews, reports, and heals what breaks. It has no knowledge of commands or sockets,
// so that the agent, the demonstration, the load generator and tests all run the same laptop.
//
// What always holds:
//
//   - The WireGuard key and the certificate key are made here and never leave.
//   - A tunnel is installed only while its session is held. An order that ends the session takes the tunnel
//     away at once; silence does not: while the control plane is away the tunnel stays, whatever the lease
//     says, and the gateway decides.
//   - A refusal that trying again cannot change is not tried again until the person, a new enrolment or (where
//     that may help) another network asks for it. All other attempts are spaced at random.
//   - What the control plane sends is checked against the laptop's own limits and installed whole or not at all.
//   - What stands in the way is one plain sentence with a next step, in German and English.
//
// Not its business: who may use this laptop's agent, and how the person types.
package endpoint
