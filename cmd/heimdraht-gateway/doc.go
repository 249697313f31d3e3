// Command heimdraht-gateway runs on a VPN gateway: it joins a control plane
// with a one-time token, and then keeps the WireGuard peers as the control
// plane says.
//
// What always holds: the token is read from a file, standard input or a
// terminal without echo, never from the command line. Exit status 0 is done, 1
// refused or failed, 2 wrong usage. Answers go to standard output; errors go to
// standard error and say what happened and what to do, in German or English.
//
// Peers, journal and protocol are the business of package agent/gateway.
package main
