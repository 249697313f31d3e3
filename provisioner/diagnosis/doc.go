// Package diagnosis says why somebody's connection does not work: from what is
// known of a person, her laptop and what lies between it and the office, to one
// cause, one next step, and who can do it.
//
// What always holds here:
//   - It is pure. Gathering what is known is package helpdesk's business.
//   - There is exactly one cause, with words in both languages.
//   - The chain is walked from the root: directory, account, group, password,
//     signing in, device, certificate, house rules, licence, gateway, session, lease, clock,
//     handshake, traffic, version. The first link that stops her is the cause. If
//     none does, the first one that is worth a word is; else all is well, or she
//     is not connected and nothing keeps her from it.
//   - What is there now counts. A refusal of the past counts only as long as
//     nothing has succeeded since, and only where nothing present explains it.
//   - A refusal that it has no words of its own for is told in the catalogue's.
//
// The words stand in catalogue.go, beside those of refusals (provisioner.Catalogue).
package diagnosis
