// Package admission lets connections in: who comes first, how many at a time,
// and what a stranger may cost.
//
// After a restart 29,000 laptops come back together, and each handshake is
// work. Done all at once they would all be late, clients would give up and come
// again, and revocations would wait behind them. So handshakes are computed a
// few at a time, and who waits, waits in a line.
//
// What always holds here:
//   - A turn is held for computing alone. It is taken when the client has said
//     hello, given back while the client's next words are on their way, and
//     taken again for the rest. A client that says nothing, or stops in the
//     middle, holds a place that others can have, and no turn.
//   - Places are bounded, each kind by itself: those whose word we wait for,
//     those who wait for us, those inside that have shown no certificate of
//     ours, and connections of one certificate's owner. When a kind is full,
//     somebody goes whose source holds most of the places, so that a flood
//     displaces itself. A source may hold all of them while nobody else wants
//     them: a town hall has 500 laptops behind one address, and a load balancer
//     has everybody. Sources are IPv4 addresses and IPv6 networks of 64 bits.
//   - The line goes around by source, one each: behind a crowd nobody waits
//     longer than one turn of everybody who is not of it.
//   - Gateways and staff say in their hello (by ALPN, see Precedence) that they
//     go first, because the helpdesk must get in while laptops stand in line.
//     Anybody can say so. Therefore that line is short, gets every second turn
//     at the most while others wait, and who does not fit into it stands in the
//     other one. Nothing else follows from the word: rights come from
//     certificates and tokens.
//   - What comes in makes work beyond its handshake, and all work in the process
//     waits in one queue for a processor (Go's scheduler knows no precedence).
//     While that queue is long, the long line stands still but for one each 20 ms.
//   - Who has gone while it waited costs no handshake.
//   - Who is inside is never slowed, asked or counted again.
//
// Tickets to resume TLS sessions are not given out. They save a fifth of a
// handshake (the benchmark Handshake measures it; the key exchange stays, for
// forward secrecy), a handshake is a third of what a returning laptop costs, and
// they ask for keys that all replicas share and change together.
//
// Not its business: who somebody is (whoever opens the Door says so), and what
// is spoken inside. Floods of packets, and of connections from very many
// addresses at once, are a firewall's.
package admission
