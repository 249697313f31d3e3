// Package mirror is a copy of a directory's people and groups in memory, kept up to date by a feed: who is there, how
// each account stands, and which groups she is in, directly or through other groups.
//
// What always holds here:
//   - What is not there is gone only when a deletion was told, or a full read that came to its end did not find it.
//   - Somebody who is renamed or moved stays in her groups. Servers rewrite the member lists behind a rename without
//     telling (OpenLDAP's refint, links of Active Directory), so the copy rewrites its own.
//   - Nothing is said of anybody before the first full read has come to its end.
//
// Not its business: what follows for a person's right (entitlement), and how a server is read (directory/ldap).
package mirror
