// Package crash holds the tests that nothing is lost: the control plane and
// gateways are killed and stopped at any instant, disks fill up and turn
// read-only, databases go away, clocks are set, and what was answered is held
// against what is there afterwards.
//
// What always holds: what is killed is a real process (heimdrahtd as it is
// built, a gateway's agent with its state directory), every random choice
// follows from a seed that is shown, and what a test started ends with it.
// Waiting is polling with a deadline, never a fixed time.
//
// Rules of the parts are not its business: they have tests of their own.
package crash
