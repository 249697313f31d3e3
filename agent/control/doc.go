// Package control is an agent's connection to the control plane: the first
// trust, the client certificate and its renewal, the servers in their order,
// and what a "no" means. Gateways and laptops share it.
//
// What always holds:
//
//   - Nothing is sent before the server has proved itself: by the pinned
//     CA, by the bundle of CAs learnt at enrolment, or by a publicly trusted
//     certificate where no pin was given. TLS 1.3 only.
//   - A private key leaves neither the machine nor the state store, and
//     stands in no error and no log line.
//   - What a person can act upon is a [Problem], with a stable code, a
//     sentence and a next step in German and English; the control plane's
//     refusals become Problems as well.
//   - One [Conn] is one connection. When it breaks it is done for, and the
//     owner connects again after its [Backoff]: nothing reconnects in secret,
//     so that a storm of agents is spread where the agents can see it.
//
// What is said over the connection is not its business.
package control
