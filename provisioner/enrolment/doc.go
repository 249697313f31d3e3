// Package enrolment makes laptops known, keeps their certificates and those of
// gateways alive, and takes and gives back access.
//
// What always holds here:
//   - A device is enrolled only for a person who was proven for it, by her
//     password in this call, by being signed in where she approves its code, or by
//     having been invited, and whose right the directory says she has; and with a
//     WireGuard key that nobody has ever used.
//   - What proves her once (a code, an invitation) is used up in the transaction
//     that writes the device. Until then the laptop that waits has nothing.
//   - She has acknowledged her tenant's present house rules before the laptop connects.
//   - Where the tenant wants it, new keys rest until its helpdesk has approved
//     them.
//   - An invitation is for one person in one tenant and one laptop, counts once, and its
//     token is told once and not kept.
//   - Taking access is one conditional update ahead of everything that waits.
//     It closes the device's session and writes the audit record in the same
//     transaction, and answers with what each gateway has confirmed. Doing it
//     again changes nothing and waits again.
//   - A revoked device stays revoked: enrolling again makes another one. A
//     suspended device stays suspended, however often it is enrolled.
//   - Of a device in another tenant nobody learns that it exists.
//
// Not its business: who somebody is (signin), how certificates are made (ca),
// how gateways are told (rpc).
package enrolment
