// Package page is a laptop's window: pages on a loopback address, for the people who sit at it, in German or English
// and without a word of how it is done.
//
// What always holds:
//
//   - Only who was let in by Invite sees anything: with a token that is good once and for a minute. What a page
//     does, it does as that account of the machine for which the token was made.
//   - No other website can drive it or look into it: the name in the request must be the page's own address, what changes
//     something must come from the page itself, and nothing may frame it. Nor can another account of this machine by a page of
//     its own on another port: each browser has its pages under a path that nobody else knows, and its cookie goes there alone.
//   - What a person types is passed on and kept nowhere; a password is never shown again, not even to her. Only while she sets up
//     a second factor is it remembered, in memory, for ten minutes at most.
//   - It works without scripts. The one there is looks whether something has changed.
//
// Not its business: what a laptop is and does (package endpoint), and who may ask for a token.
package page
