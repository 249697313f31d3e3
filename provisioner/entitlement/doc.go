// Package entitlement decides what follows from what directories say of people: who has the right to connect, who has
// lost it, and whose loss is held back until a person has looked at it.
//
// What always holds here:
//   - A directory's silence takes nothing away, nor does an answer that is not whole.
//   - Whoever has lost the right by a directory's word has every device suspended, with the same means as the helpdesk's,
//     in the transaction that notes the loss; whoever is back has given back what the directory took, and only that.
//   - Of those who lose it within a day no more than the brake allows lose it by the directory's word alone. A change of a
//     group, or what a full read did not find, is held as a whole if it does not fit; changes of people's own entries
//     pass until the brake is reached.
//   - Dates make no event in any directory: they are judged here, by our clock, also while the directory is away.
//
// Not its business: reading directories (directory), proving passwords (signin).
package entitlement
