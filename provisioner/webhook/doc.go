// Package webhook posts messages to a receiver over HTTPS, signed in the manner of Standard
// Webhooks: the headers webhook-id, webhook-timestamp and webhook-signature, an HMAC-SHA256
// over all three of id, time and body.
//
// What always holds here:
//   - Nothing is sent before the receiver's certificate has been verified, and nothing to
//     anywhere else: no redirection is followed.
//   - A message counts as taken only with a status of 2xx. A receiver that hangs, or answers
//     without end, is left after half a minute.
//   - One connection at a time. The secret is in no error, nor is the address, of which some
//     receivers make a secret.
//
// The module's own lines, because the published library signs and does not deliver.
//
// Not its business: what is told, in which order, and when it is tried again.
package webhook
