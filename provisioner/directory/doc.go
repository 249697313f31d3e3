// Package directory is the contract with an administration's directory: how a person proves who she is, what
// the directory says of her, and what it means when it says nothing.
//
// What always holds here:
//   - A person is known by (directory, stable id), never by login or DN. Who is deleted and made anew with the
//     same login has another stable id and is somebody else.
//   - Silence is not an answer. Whatever kept the directory from answering, or from answering wholly, is an
//     *Error whose Fault is true, and takes nothing away from anybody.
//   - What ends a right is judged here, in Go, from the attributes read and on our own clock: directories
//     disagree about filters, and the date on which an account expires makes no event anywhere.
//   - No password, and nothing typed into the login field that the directory does not know as a login (it may be a
//     password in the wrong field), is part of an error.
//
// Package ldap fulfils the contract over the wire, package memory from an LDIF text. How the answers become
// refusals is not this package's business, nor is slowing down those who guess.
package directory
