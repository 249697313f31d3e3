// Command heimdraht is the command line of the helpdesk, the capacity planner,
// the tenant administrator and the operator.
//
// What always holds here:
//   - It decides nothing: each command asks the control plane and shows the
//     answer. What may be done, the control plane knows. One command asks no
//     control plane: directory test looks at directories from this machine.
//   - No secret is a flag's value, an environment variable or part of a
//     message. Passwords come from the terminal without echo, from a file or
//     from standard input. The one secret that is printed is the one that is
//     asked for: a gateway's one-time token.
//   - Exit status 0: done. 1: refused or failed. 2: wrong usage.
//   - What it prints follows the rules at the head of output.go.
//
// Not its business: installing, running and checking the control plane
// (heimdrahtd), a gateway (heimdraht-gateway) or a laptop (heimdraht-agent).
package main
